"""Simultaneous sets of ranks (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91, 2024).

All pairs of rows of a table are compared by the paired test of `scoring.inference`, and all tests are corrected
together by Holm's method. A row's set of ranks excludes what the corrected tests rule out. With 95 % probability all
sets contain the true ranks simultaneously.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from xrealign_bench.results.comparison import LEVEL, Gain
from xrealign_bench.scoring.inference import Estimate, add, estimate, holm


def tell_apart(gains: Sequence[Gain]) -> list[tuple[int, int]]:
    """Return the pairs of rows that differ significantly after correction, as (better, worse) indices.

    Args:
        gains: gains over the same baseline with the same seeds; for the baseline itself, `baseline_gain`.
    """
    pairs = list(combinations(range(len(gains)), 2))
    tested = [difference(gains[one], gains[other]) for one, other in pairs]
    corrected = holm([1.0 if each is None else each.p_value for each in tested])
    return [
        (one, other) if found.mean > 0 else (other, one)
        for (one, other), found, p in zip(pairs, tested, corrected, strict=True)
        if found is not None and p < LEVEL
    ]


def rank_sets(rows: int, told_apart: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return each row's lowest and highest rank that the pairs of `tell_apart` allow; rank 1 is the best.

    >>> rank_sets(3, [(0, 2)])
    [(1, 2), (1, 3), (2, 3)]
    """
    better, worse = (Counter(pair[end] for pair in told_apart) for end in (0, 1))
    return [(1 + worse[row], rows - better[row]) for row in range(rows)]


def difference(one: Gain, other: Gain) -> Estimate | None:
    """Estimate how much higher the first gain is, from the differences per seed.

    The variances due to examples are added up. Both include the baseline's part, so this is an upper bound of the
    paired variance, unless two recipes err in opposite directions on the same examples.
    """
    by_seed = [mine - theirs for mine, theirs in zip(one.by_seed, other.by_seed, strict=True)]
    examples = [gain.examples for gain in (one, other) if gain.examples is not None]
    return estimate(by_seed, one.prior or other.prior, add(examples) if examples else None)


def baseline_gain(seeds: int) -> Gain:
    """Return the baseline's gain over itself, which is 0 for every seed."""
    return Gain(mean=0.0, low=0.0, high=0.0, languages=0, by_seed=[0.0] * seeds)
