"""Paired hierarchical bootstrap for AlignFreeze's one-std rule: an interval for its number of languages.

Each resample draws seeds and test examples with replacement. Both systems get the same draws, since they were trained
with the same seeds and read the same examples. The design is crossed: one draw of examples serves all seeds, because
every seed was scored on the same test set. Languages with the same example numbers share a draw: in a parallel test
set example 7 is the same sentence in all of them, so their errors are correlated.

The rule compares with the standard deviation over seeds. Of k drawn seeds some are repeated, so their deviation shrinks
by sqrt((k-1)/k) and the rule would be met too often. Deviations from the seeds' mean are therefore scaled by
sqrt(k / (k-1)) (Davison and Hinkley, Bootstrap Methods, 1997, section 2.3). Then the variance of the mean is the
unbiased estimate, and the variance of the seeds (ddof 0) is on average the measured one. `scoring.inference` computes
the intervals of gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrealign_bench.results.comparison import LEVEL
from xrealign_bench.scoring.example_variance import Floats, PairedCounts

CHUNK = 1 << 20
"""Number of (resample, example) draws in memory at once."""


@dataclass(frozen=True)
class Resampled:
    """The means of one language in each resample, (1 + resamples,) each; the first entry is the measurement.

    NaN: the drawn examples have nothing to score, or there is only one seed and one example to draw from.
    """

    ours: Floats
    theirs: Floats
    """`ours` and `theirs`: means over the drawn seeds, scaled."""
    their_std: Floats
    """Standard deviation over the drawn seeds, scaled; ddof 0."""


def seed_shares(seeds: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Draw seeds with replacement.

    Returns:
        Fraction of draws of each seed, (1 + resamples, seeds). The first row is the data, each seed once.
    """
    drawn = rng.integers(seeds, size=(resamples, seeds))
    shares = np.stack([(drawn == index).mean(axis=1) for index in range(seeds)], axis=1)
    return np.vstack([np.full((1, seeds), 1 / seeds), shares])


def resample(languages: Mapping[str, PairedCounts], shares: Floats, rng: np.random.Generator) -> dict[str, Resampled]:
    """Draw examples with replacement and compute each language's means over the drawn seeds.

    Args:
        languages: code -> counts.
        shares: (1 + resamples, seeds), from `seed_shares`.
    """
    together: dict[tuple[int, ...], list[str]] = {}
    for code, counts in languages.items():
        together.setdefault(counts.examples, []).append(code)
    means = {code: np.empty((3, len(shares))) for code in languages}
    for examples, codes in together.items():
        step = max(1, CHUNK // len(examples))
        for start in range(0, len(shares), step):
            share = shares[start : start + step]
            drawn = _draw(len(share), len(examples), rng)
            scale = np.full(len(share), _scale(share.shape[1]))
            if start == 0:
                drawn[0] = scale[0] = 1
            for code in codes:
                counts = languages[code]
                with np.errstate(invalid="ignore"):
                    scores = (drawn @ counts.earned.swapaxes(1, 2)) / (drawn @ counts.possible.swapaxes(1, 2))
                means[code][:, start : start + step] = _over_seeds(scores, share, scale)
        if len(examples) == 1 and shares.shape[1] == 1:
            for code in codes:
                means[code][:, 1:] = np.nan
    return {code: Resampled(*means[code]) for code in languages}


def _scale(seeds: int) -> float:
    """Return the factor by which deviations from the seeds' mean are scaled; 1 for a single seed."""
    return float(np.sqrt(seeds / (seeds - 1))) if seeds > 1 else 1.0


def _over_seeds(scores: Floats, share: Floats, scale: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the fields of `Resampled` from scores (2, resamples, seeds), shares (resamples, seeds) and scales."""
    centres = scores.mean(axis=2)
    means = (scores * share).sum(axis=2)
    std = np.sqrt(((scores[1] - means[1][:, None]) ** 2 * share).sum(axis=1))
    ours, theirs = centres + scale * (means - centres)
    return ours, theirs, scale * std


def _draw(resamples: int, examples: int, rng: np.random.Generator) -> Floats:
    """Draw examples with replacement. Returns how often each was drawn, (resamples, examples)."""
    drawn = rng.integers(examples, size=(resamples, examples))
    drawn += np.arange(resamples)[:, None] * examples
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def count_interval(drawn: Floats) -> tuple[int | None, int | None]:
    """Return the central 95 % of counts, without the first (the measurement); None if a count is NaN."""
    if len(drawn) < 2 or np.isnan(drawn).any():
        return None, None
    low, high = np.quantile(drawn[1:], [LEVEL / 2, 1 - LEVEL / 2], method="inverted_cdf")
    return round(float(low)), round(float(high))
