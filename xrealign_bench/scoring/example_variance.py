"""The variance of a mean gain by the choice of test examples, in closed form.

A score is a ratio: what the examples earned over what was possible. Its derivative by an example's weight (the
example's influence) gives the variance over draws of examples (the delta method), for accuracies and F1 alike.
Languages whose examples have the same numbers share them, as in a parallel test set: example 7 is the same sentence in
each, so its influences on a mean are added up before they are squared.
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
    """What two systems earned on the test set of one language; a score is what was earned over what was possible."""

    examples: tuple[int, ...]
    """Their numbers."""
    earned: Floats
    """(2, seeds, examples): ours, then the baseline's; for example the words that are right."""
    possible: Floats
    """(2, seeds, examples): for example the words that count. It may depend on the system: of an F1 it holds the
    entities that the system finds."""

    @cached_property
    def gains(self) -> Floats:
        """(seeds,): ours less the baseline's score."""
        ours, theirs = self.earned.sum(axis=2) / self.possible.sum(axis=2)
        gains: Floats = ours - theirs
        return gains

    @cached_property
    def influence(self) -> Floats:
        """(seeds, examples): the derivative of the gain by the weight of each example; sums to 0 over examples."""
        total = self.possible.sum(axis=2, keepdims=True)
        score = self.earned.sum(axis=2, keepdims=True) / total
        ours, theirs = (self.earned - score * self.possible) / total
        influence: Floats = ours - theirs
        return influence


class ExampleVariance(NamedTuple):
    """What the choice of test examples adds to the variance of a mean of gains."""

    own: Variance
    """Of the mean over seeds, by the examples themselves; 0 degrees of freedom if a test set has fewer than two."""
    interaction: float
    """Of one seed's gain, by how examples differ between seeds. The seeds' variance holds it already."""


def variance_of_examples(parts: Iterable[tuple[float, tuple[int, ...], Floats]]) -> ExampleVariance:
    """Estimate the variance of a weighted mean of gains over seeds and languages by the choice of test examples.

    With one seed nothing tells the interaction apart: it is part of the examples' own variance, and 0.

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
