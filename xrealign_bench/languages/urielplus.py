"""Featural distances of URIEL+ (Khan et al., COLING 2025), a larger database than URIEL.

Read from `urielplus_featural.csv`, which `scripts/build_urielplus.py` computes from urielplus 1.3.2 with the settings
of the code released with the low-resource study: all databases, the union of their sources, missing values by
SoftImpute. The distance is the same angular distance as URIEL's, of the completed vectors, with four decimals.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from xrealign_bench.languages.inventory import find


@cache
def _table() -> Mapping[str, Mapping[str, float]]:
    """Return language -> another one behind it in the file -> their distance."""
    text = Path(__file__).with_name("urielplus_featural.csv").read_text(encoding="utf-8")
    head, *rows = csv.reader(text.splitlines())
    return {row[0]: {b: int(d) / 10**4 for b, d in zip(head[1:], row[1:], strict=True) if d} for row in rows}


def urielplus_distance(a: str, b: str) -> float | None:
    """Return the featural distance between two languages, or None if the table lacks one of them.

    >>> urielplus_distance("en", "en")
    0.0

    Raises:
        UserError: a language is unknown.
    """
    one, other = find(a).code, find(b).code
    table = _table()
    if one not in table or other not in table:
        return None
    return 0.0 if one == other else table[one].get(other, table[other].get(one))


def urielplus_missing_reason(code: str) -> str | None:
    """Return why a language has no distances, or None if it has some."""
    language = find(code)
    return None if language.code in _table() else f"URIEL+ has no features of {language.name} ({language.code})"
