"""Paired hierarchical bootstrap for AlignFreeze's one-std rule: an interval for the number of languages it counts.

Each resample draws seeds and test examples with replacement. Both systems get the same draws, since they were trained
with the same seeds and read the same examples. The design is crossed: one draw of examples serves all seeds, because
every seed was scored on the same test set. Languages with the same example numbers share a draw: in a parallel test
set example 7 is the same sentence in all of them, so their errors go together.

The rule goes by the standard deviation over seeds. Of k drawn seeds some come twice, so their deviation shrinks by
sqrt((k-1)/k), and the rule would be met too often. Seeds are therefore moved apart from their mean by sqrt(k / (k-1))
(Davison and Hinkley, Bootstrap Methods, 1997, section 2.3): then the variance of their mean is the unbiased estimate,
and their own variance (ddof 0) on average the measured one. Intervals of gains don't come from here: see
`scoring.inference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrealign_bench.results.comparison import LEVEL
from xrealign_bench.scoring.example_variance import Floats, PairedCounts

CHUNK = 1 << 20
"""How many (resample, example) draws are in memory at once."""


@dataclass(frozen=True)
class Resampled:
    """The means of one language in each resample: (1 + resamples,) each, first the measurement.

    NaN: nothing that was drawn counts, or there is nothing to draw from (one seed and one example).
    """

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


def resample(languages: Mapping[str, PairedCounts], shares: Floats, rng: np.random.Generator) -> dict[str, Resampled]:
    """Draw examples with replacement and compute each language's means over the drawn seeds.

    Args:
        languages: code -> counts.
        shares: (1 + resamples, seeds), from `seed_shares`.
    """
    together: dict[tuple[int, ...], list[str]] = {}
    for code, counts in languages.items():
        together.setdefault(counts.examples, []).append(code)
    drawn_of = {code: np.empty((3, len(shares))) for code in languages}
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


def _over_seeds(scores: Floats, share: Floats, apart: Floats) -> tuple[Floats, Floats, Floats]:
    """The fields of `Resampled`, from scores (2, resamples, seeds), shares (resamples, seeds) and (resamples,)."""
    centres = scores.mean(axis=2)
    means = (scores * share).sum(axis=2)
    std = np.sqrt(((scores[1] - means[1][:, None]) ** 2 * share).sum(axis=1))
    ours, theirs = centres + apart * (means - centres)
    return ours, theirs, apart * std


def _draw(resamples: int, examples: int, rng: np.random.Generator) -> Floats:
    """How often each example was drawn in `examples` draws with replacement: (resamples, examples)."""
    drawn = rng.integers(examples, size=(resamples, examples))
    drawn += np.arange(resamples)[:, None] * examples
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def count_interval(drawn: Floats) -> tuple[int | None, int | None]:
    """The central 95 % of counts without the first, the measurement; null if one is undefined."""
    if len(drawn) < 2 or np.isnan(drawn).any():
        return None, None
    low, high = np.quantile(drawn[1:], [LEVEL / 2, 1 - LEVEL / 2], method="inverted_cdf")
    return round(float(low)), round(float(high))
