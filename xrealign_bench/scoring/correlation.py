"""Correlation of two values over languages, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrealign_bench.results.comparison import LEVEL

FEWEST = 4
"""Minimum number of languages for a correlation. Fewer have no interval."""


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation with its 95 % interval, by Fisher's transformation.

    Languages are taken as independent, although those of one family are not, so the interval is somewhat too narrow.
    """

    r: float
    low: float
    high: float
    languages: int


def correlate(first: Sequence[float], second: Sequence[float]) -> Correlation | None:
    """Correlate two values of the same languages. Returns None for fewer than `FEWEST`, or if one is constant.

    >>> found = correlate([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.1, 0.4, 0.3, 0.5])
    >>> round(found.r, 2), round(found.low, 2), round(found.high, 2)
    (0.8, -0.28, 0.99)
    """
    from scipy import stats

    if len(first) < FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    found = stats.pearsonr(first, second)
    interval = found.confidence_interval(1 - LEVEL)
    return Correlation(float(found.statistic), float(interval.low), float(interval.high), len(first))
