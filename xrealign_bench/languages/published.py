"""Language lists of published studies: the languages that they realigned or evaluated."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xrealign_bench.errors import UserError, unknown


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


@cache
def published_draws() -> Mapping[str, Mapping[int, tuple[str, ...]]]:
    """Return the published random subsets: name -> training seed -> its languages, sorted."""
    text = Path(__file__).with_name("published_draws.csv").read_text(encoding="utf-8")
    draws: dict[str, dict[int, tuple[str, ...]]] = {}
    for row in csv.DictReader(text.splitlines()):
        draws.setdefault(row["name"], {})[int(row["seed"])] = tuple(row["languages"].split())
    return MappingProxyType(draws)


def subset_names() -> list[str]:
    """Return the names of all published subsets, fixed or drawn for each training seed."""
    return [*published_lists(), *published_draws()]


def subset_languages(name: str, seed: int) -> tuple[str, ...]:
    """Return the languages of a published subset for a training seed.

    >>> subset_languages("lowresource/random-5", 42)
    ('af', 'de', 'jv', 'ln', 'tn')

    Raises:
        UserError: there is no subset of that name, or the study drew none with this seed.
    """
    if name in published_draws():
        draws = published_draws()[name]
        if seed not in draws:
            raise UserError(
                f"the subset '{name}' was drawn for each of the seeds {', '.join(map(str, sorted(draws)))}, and not "
                f"for {seed}; use those seeds, or draw anew with {{select: random, n: "
                f"{len(next(iter(draws.values())))}, seed: training}}"
            )
        return draws[seed]
    if name in published_lists():
        return published_lists()[name].languages
    raise unknown("published subset of languages", name, subset_names())


def _published(row: Mapping[str, str]) -> PublishedList:
    return PublishedList(
        name=row["name"], languages=tuple(row["languages"].split()), source=row["source"], note=row["note"]
    )
