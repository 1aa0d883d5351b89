"""The variance of a mean gain due to the choice of test examples, in closed form.

A score is a ratio of earned to possible counts, summed over examples. Its derivative by an example's weight (the
example's influence) gives the variance over draws of examples by the delta method, for accuracy and F1 alike.
Languages with the same example numbers share their examples, as in a parallel test set: example 7 is the same sentence
in each language, so its influences on a mean are added up before they are squared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.results.comparison import Variance
from xrealign_bench.scoring.inference import add

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedCounts:
    """Earned and possible counts of two systems on one language's test set. A score is the ratio of their sums."""

    examples: tuple[int, ...]
    """Numbers of the examples."""
    earned: Floats
    """(2, seeds, examples): ours, then the baseline's; for accuracy the number of correct words."""
    possible: Floats
    """(2, seeds, examples): for accuracy the number of scored words. It may depend on the system: for F1 it includes
    the entities that the system predicts."""

    @cached_property
    def gains(self) -> Floats:
        """(seeds,): our score minus the baseline's."""
        ours, theirs = self.earned.sum(axis=2) / self.possible.sum(axis=2)
        gains: Floats = ours - theirs
        return gains

    @cached_property
    def influence(self) -> Floats:
        """(seeds, examples): derivative of the gain by each example's weight. Sums to 0 over examples."""
        total = self.possible.sum(axis=2, keepdims=True)
        score = self.earned.sum(axis=2, keepdims=True) / total
        ours, theirs = (self.earned - score * self.possible) / total
        influence: Floats = ours - theirs
        return influence


class ExampleVariance(NamedTuple):
    """The part of a mean gain's variance that is due to the choice of test examples."""

    own: Variance
    """Variance of the mean over seeds due to the examples; 0 degrees of freedom if a test set has fewer than two."""
    interaction: float
    """Seed-by-example interaction: part of the variance of one seed's gain, and so of the variance between seeds."""


def variance_of_examples(parts: Iterable[tuple[float, tuple[int, ...], Floats]]) -> ExampleVariance:
    """Estimate the variance, due to the choice of examples, of a weighted mean gain over seeds and languages.

    With one seed the interaction can't be separated: it is returned as 0 and is part of the examples' own variance.

    Args:
        parts: for each language its weight in the mean, its examples' numbers, and its influence (seeds, examples).
    """
    together: dict[tuple[int, ...], Floats] = {}
    for weight, examples, influence in parts:
        together[examples] = together.get(examples, 0.0) + weight * influence
    found = [_of_one_test_set(influence) for influence in together.values()]
    return ExampleVariance(add([each.own for each in found]), fsum(each.interaction for each in found))


def _of_one_test_set(influence: Floats) -> ExampleVariance:
    seeds, examples = influence.shape
    if examples < 2:
        return ExampleVariance(Variance(value=0, df=0), 0.0)
    unbiased = examples / (examples - 1)
    over_seeds = influence.mean(axis=0)
    total, interaction = unbiased * float((over_seeds**2).sum()), 0.0
    if seeds > 1:
        interaction = unbiased * float(((influence - over_seeds) ** 2).sum()) / (seeds - 1)
    own = Variance(value=max(0.0, total - interaction / seeds), df=examples - 1)
    return ExampleVariance(own, interaction)
