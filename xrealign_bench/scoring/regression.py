"""Regression of languages' gains on their distances, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.results.comparison import LEVEL


@dataclass(frozen=True)
class RegressionLine:
    """An ordinary least-squares line. Gains are on the 0..1 scale; intervals cover 95 %.

    Languages are taken as independent, although those of one family are not, so intervals are somewhat too narrow.
    """

    slope: float
    """Gain per unit of distance."""
    low: float
    high: float
    intercept: float
    points: int
    _centre: float
    _spread: float
    """Sum of squared deviations from the centre."""

    def at(self, distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the line and the half width of the mean gain's interval, both with the shape of `distances`."""
        # high - slope is the t quantile times the slope's standard error.
        half = (self.high - self.slope) * np.sqrt((distances - self._centre) ** 2 + self._spread / self.points)
        return self.intercept + self.slope * distances, half


def regress(distances: Sequence[float], gains: Sequence[float]) -> RegressionLine | None:
    """Fit a line. Returns None for fewer than four languages, or if all distances are equal.

    >>> line = regress([0.1, 0.2, 0.3, 0.4], [0.02, 0.01, 0.01, 0.0])
    >>> round(line.slope, 3), round(line.low, 3), round(line.high, 3)
    (-0.06, -0.121, 0.001)
    """
    from scipy import stats

    if len(distances) < 4 or len(set(distances)) == 1:
        return None
    found = stats.linregress(distances, gains)
    half = float(stats.t.ppf(1 - LEVEL / 2, len(distances) - 2) * found.stderr)
    xs = np.asarray(distances)
    return RegressionLine(
        slope=float(found.slope),
        low=float(found.slope) - half,
        high=float(found.slope) + half,
        intercept=float(found.intercept),
        points=len(distances),
        _centre=float(xs.mean()),
        _spread=float(((xs - xs.mean()) ** 2).sum()),
    )
