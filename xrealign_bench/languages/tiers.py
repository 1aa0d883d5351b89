"""Resource tiers, and bands of distance to the source language."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeVar

from xrealign_bench.errors import UserError
from xrealign_bench.languages.inventory import Language

Band = Literal["close", "middle", "distant"]

UNCLASSIFIED = "unclassified"
"""Tier of a language without a class: Joshi et al. (2020) do not list it, or its class contradicts its amount of data
(see languages/README.md). Such a language counts in no tier's average."""

TIERS: Mapping[Literal["high", "medium", "low"], Sequence[int]] = {"high": [4, 5], "medium": [3], "low": [0, 1, 2]}
"""Tier -> Joshi classes; the default of suites."""

TierName = TypeVar("TierName", bound=str)


def tier(language: Language, tiers: Mapping[TierName, Sequence[int]]) -> str:
    """Return the tier of the language's Joshi class, or "unclassified" without a class.

    Raises:
        UserError: the class is in no tier or in several.

    >>> from xrealign_bench.languages.inventory import find
    >>> tier(find("sw"), {"high": [4, 5], "medium": [3], "low": [0, 1, 2]})
    'low'
    """
    if language.joshi_class is None:
        return UNCLASSIFIED
    holding = [name for name, classes in tiers.items() if language.joshi_class in classes]
    if len(holding) != 1:
        found = " and ".join(holding) or "no tier"
        what = f"Joshi class {language.joshi_class} ({language.name})"
        raise UserError(f"{what} is in {found}; put each class into exactly one tier")
    return holding[0]


def tercile_cuts(values: Sequence[float]) -> tuple[float, float]:
    """Return two cuts that split the values into three bands of sizes as equal as ties allow.

    A cut is midway between two neighbouring distinct values, so that equal values share a band and no value lies on
    a cut. The lower cut has as close to a third of the values below it as possible, the upper cut as close to two
    thirds; ties go to the lower position.

    >>> tercile_cuts([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    (0.25, 0.45)

    Raises:
        UserError: a value is not finite, or fewer than three differ.
    """
    ordered = sorted(values)
    distinct = sorted(set(ordered))
    if not all(math.isfinite(value) for value in ordered):
        raise UserError("distances must be finite to be cut into bands; leave out languages that have none")
    if len(distinct) < 3:
        raise UserError(f"three bands need at least three different distances, not {len(distinct)}")
    gaps = [(low + high) / 2 for low, high in pairwise(distinct)]
    below = [bisect_left(ordered, gap) for gap in gaps]
    lower = min(range(len(gaps) - 1), key=lambda i: abs(3 * below[i] - len(ordered)))
    upper = min(range(lower + 1, len(gaps)), key=lambda i: abs(3 * below[i] - 2 * len(ordered)))
    return gaps[lower], gaps[upper]


def band(distance: float, cuts: tuple[float, float]) -> Band:
    """Return the band of a distance, given the two cuts of a suite; a value on a cut is in the closer band.

    Raises:
        UserError: the cuts are not in order, or the distance is not a number.

    >>> band(0.3, (0.25, 0.45))
    'middle'
    """
    lower, upper = cuts
    if not lower < upper:
        raise UserError(f"the cuts of the distance bands must rise, not {lower}, {upper}")
    if math.isnan(distance):
        raise UserError("a language without a distance has no band")
    if distance <= lower:
        return "close"
    return "middle" if distance <= upper else "distant"
