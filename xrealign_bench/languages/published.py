"""Language lists of published studies: the languages that they realigned or evaluated."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xrealign_bench.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedList:
    """Row of published_subsets.csv."""

    name: str
    languages: tuple[str, ...]
    """Codes of the inventory, sorted."""
    source: str
    note: str


@cache
def published_lists() -> Mapping[str, PublishedList]:
    """Return all published lists by name, in the order of the file."""
    text = Path(__file__).with_name("published_subsets.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType({row["name"]: _published(row) for row in rows})


def published_list(name: str) -> PublishedList:
    """Return the list of that name.

    >>> published_list("lowresource/most-uriel-en-5").languages
    ('fon', 'ka', 'kk', 'ln', 'om')

    Raises:
        UserError: there is no list of that name.
    """
    if name not in published_lists():
        raise unknown("published subset of languages", name, published_lists())
    return published_lists()[name]


def _published(row: Mapping[str, str]) -> PublishedList:
    return PublishedList(
        name=row["name"], languages=tuple(row["languages"].split()), source=row["source"], note=row["note"]
    )
