"""Paired hierarchical bootstrap of the difference between two systems: intervals and p-values.

Each resample draws seeds with replacement, and test examples with replacement; both systems get the same
draws, since they were trained with the same seeds and read the same examples. The design is crossed: one draw
of examples serves all seeds, because every seed was scored on the same test set, and drawing anew for each
seed would pass for more test data than there is. Languages with the same example numbers share a draw too: in
a parallel test set example 7 is the same sentence in all of them, so their errors go together; where the test
sets have nothing to do with one another, sharing changes nothing on average.

With a single seed only examples are resampled: the interval then says nothing about what another seed would
change. With k seeds the variance between seeds is estimated as (k-1)/k of what it is, so intervals over few
seeds are somewhat too narrow.

A rule that goes by the standard deviation itself needs better: of k drawn seeds some come twice, so their deviation
shrinks by the same (k-1)/k, and a rule that asks for more than one of it would be met too often. For rules, seeds are
therefore moved apart from their mean by sqrt(k / (k-1)) (Davison and Hinkley, Bootstrap Methods, 1997, section 2.3):
then the variance of their mean is the unbiased estimate, and their own variance (ddof 0) on average the measured one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Of the tests; intervals hold 1 - LEVEL."""
CHUNK = 1 << 20
"""How many (resample, example) draws are in memory at once."""


@dataclass(frozen=True)
class Counts:
    """What two systems earned on the test set of one language; a score is what was earned over what was possible."""

    examples: tuple[int, ...]
    """Their numbers."""
    earned: Floats
    """(2, seeds, examples): ours, then the baseline's; such as words that are right."""
    possible: Floats
    """Likewise; such as words that count. What is possible may depend on the system: of an F1 the entities that it
    finds belong to it."""


@dataclass(frozen=True)
class Resampled:
    """What was drawn of one language: (1 + resamples,) each, first the measurement.

    NaN: nothing that was drawn counts, or there is nothing to draw from (one seed and one example).
    """

    gains: Floats
    """Means over the drawn seeds."""
    ours: Floats
    theirs: Floats
    """Means over the drawn seeds, moved apart."""
    their_std: Floats
    """Over the drawn seeds, moved apart; ddof 0."""


def seed_shares(seeds: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Draw seeds with replacement: how often each was drawn, as a fraction.

    Returns:
        (1 + resamples, seeds); the first row is no draw but the data themselves, each seed once.
    """
    drawn = rng.integers(seeds, size=(resamples, seeds))
    shares = np.stack([(drawn == index).mean(axis=1) for index in range(seeds)], axis=1)
    return np.vstack([np.full((1, seeds), 1 / seeds), shares])


def resample(languages: Mapping[str, Counts], shares: Floats, rng: np.random.Generator) -> dict[str, Resampled]:
    """Draw examples with replacement and compute each language's means over the drawn seeds.

    Args:
        languages: code -> counts.
        shares: (1 + resamples, seeds), from `seed_shares`.
    """
    together: dict[tuple[int, ...], list[str]] = {}
    for code, counts in languages.items():
        together.setdefault(counts.examples, []).append(code)
    drawn_of = {code: np.empty((4, len(shares))) for code in languages}
    for examples, codes in together.items():
        step = max(1, CHUNK // len(examples))
        for start in range(0, len(shares), step):
            share = shares[start : start + step]
            drawn = _draw(len(share), len(examples), rng)
            apart = np.full(len(share), _apart(share.shape[1]))
            if start == 0:
                drawn[0] = apart[0] = 1
            for code in codes:
                counts = languages[code]
                with np.errstate(invalid="ignore"):
                    scores = (drawn @ counts.earned.swapaxes(1, 2)) / (drawn @ counts.possible.swapaxes(1, 2))
                drawn_of[code][:, start : start + step] = _over_seeds(scores, share, apart)
        if len(examples) == 1 and shares.shape[1] == 1:
            for code in codes:
                drawn_of[code][:, 1:] = np.nan
    return {code: Resampled(*drawn_of[code]) for code in languages}


def _apart(seeds: int) -> float:
    """By what seeds are moved away from their mean; a single one is its mean."""
    return float(np.sqrt(seeds / (seeds - 1))) if seeds > 1 else 1.0


def _over_seeds(scores: Floats, share: Floats, apart: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The fields of `Resampled`, from scores (2, resamples, seeds), shares (resamples, seeds) and (resamples,)."""
    gains = ((scores[0] - scores[1]) * share).sum(axis=1)
    centres = scores.mean(axis=2)
    means = (scores * share).sum(axis=2)
    std = np.sqrt(((scores[1] - means[1][:, None]) ** 2 * share).sum(axis=1))
    ours, theirs = centres + apart * (means - centres)
    return gains, ours, theirs, apart * std


def _draw(resamples: int, examples: int, rng: np.random.Generator) -> Floats:
    """How often each example was drawn in `examples` draws with replacement: (resamples, examples)."""
    drawn = rng.integers(examples, size=(resamples, examples))
    drawn += np.arange(resamples)[:, None] * examples
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def interval(drawn: Floats, method: Literal["linear", "inverted_cdf"] = "linear") -> tuple[float | None, float | None]:
    """The central 95 % of `drawn` without its first element, the measurement; null if one is undefined.

    Args:
        method: of numpy's quantiles; `inverted_cdf` gives values that were drawn, as for counts.
    """
    if len(drawn) < 2 or np.isnan(drawn).any():
        return None, None
    low, high = np.quantile(drawn[1:], [LEVEL / 2, 1 - LEVEL / 2], method=method)
    return float(low), float(high)


def p_value(gains: Floats) -> float | None:
    """Two-sided: twice the share of resamples on the other side of zero, the measurement counted among them.

    Never below 2 / (resamples + 1). Null if a resample is undefined.
    """
    if len(gains) < 2 or np.isnan(gains).any():
        return None
    resampled = gains[1:]
    other_side = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return min(1.0, 2 * (other_side + 1) / len(gains))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, by statsmodels; the order stays.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests  # takes a second, which boards need not wait for

    return multipletests(p_values, method="holm")[1].tolist() if len(p_values) else []


def least_resamples(languages: int) -> int:
    """How many resamples it takes for the best of so many languages to pass Holm's correction at all.

    >>> least_resamples(47)
    1880
    """
    return int(np.ceil(2 * languages / LEVEL))
