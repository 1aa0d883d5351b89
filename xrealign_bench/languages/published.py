"""Lists of languages that studies published, by name: what was realigned or evaluated there."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xrealign_bench.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One row of published_subsets.csv."""

    name: str
    languages: tuple[str, ...]
    """The inventory's own codes, in their order."""
    source: str
    note: str


@cache
def published() -> Mapping[str, Published]:
    """Return all published lists by their name, in the order of the file."""
    text = Path(__file__).with_name("published_subsets.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType({row["name"]: _published(row) for row in rows})


def published_list(name: str) -> Published:
    """Return one list.

    >>> published_list("lowresource/most-uriel-en-5").languages
    ('fon', 'ka', 'kk', 'ln', 'om')

    Raises:
        UserError: there is none of this name.
    """
    if name not in published():
        raise unknown("published subset of languages", name, published())
    return published()[name]


def _published(row: Mapping[str, str]) -> Published:
    return Published(
        name=row["name"], languages=tuple(row["languages"].split()), source=row["source"], note=row["note"]
    )
