"""Simultaneous sets of ranks (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91, 2024).

Every two rows of a table are compared by the paired test of `scoring.inference`, and all tests are corrected together
by Holm's method. A row's set of ranks leaves out what the corrected tests exclude: with 95 % probability all sets hold
the true ranks at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from xrealign_bench.results.schema import Gain
from xrealign_bench.scoring.inference import LEVEL, Estimate, add, estimate, holm


def rank_sets(gains: Sequence[Gain]) -> list[tuple[int, int]]:
    """Return the lowest and the highest rank that each row may have; rank 1 is the highest gain.

    Args:
        gains: over the same baseline, with the same seeds; the baseline's own is `baseline_gain`.
    """
    pairs = list(combinations(range(len(gains)), 2))
    tested = [difference(gains[one], gains[other]) for one, other in pairs]
    corrected = holm([1.0 if each is None else each.p_value for each in tested])
    above, below = [0] * len(gains), [0] * len(gains)
    for (one, other), found, p in zip(pairs, tested, corrected, strict=True):
        if found is None or p >= LEVEL:
            continue
        better, worse = (one, other) if found.mean > 0 else (other, one)
        above[worse] += 1
        below[better] += 1
    return [(1 + more, len(gains) - less) for more, less in zip(above, below, strict=True)]


def difference(one: Gain, other: Gain) -> Estimate | None:
    """Estimate how much higher the first gain is, from the differences with each seed.

    The examples' variances are added up. They share the baseline's part, so this is at least what a paired draw of
    examples gives, unless two recipes err in opposite directions on the same examples.
    """
    by_seed = [mine - theirs for mine, theirs in zip(one.by_seed, other.by_seed, strict=True)]
    examples = [gain.examples for gain in (one, other) if gain.examples is not None]
    return estimate(by_seed, one.prior or other.prior, add(examples) if examples else None)


def baseline_gain(seeds: int) -> Gain:
    """The baseline's gain over itself: 0 with every seed."""
    return Gain(mean=0.0, low=0.0, high=0.0, languages=0, by_seed=[0.0] * seeds)
