"""The regression line of languages' gains on their distances, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.results.comparison import LEVEL


@dataclass(frozen=True)
class RegressionLine:
    """Ordinary least squares. Gains are on the 0..1 scale; intervals hold 95 %.

    Languages count as independent of one another, which those of one family are not: intervals are somewhat too narrow.
    """

    slope: float
    """Gain a unit of distance."""
    low: float
    high: float
    intercept: float
    points: int
    _centre: float
    _spread: float
    """Sum of the squared distances from the centre."""

    def at(self, distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The line and the half width of the interval of the mean gain, both of the shape of `distances`."""
        # high - slope is the quantile of t times the slope's standard error, which the error of the mean shares.
        half = (self.high - self.slope) * np.sqrt((distances - self._centre) ** 2 + self._spread / self.points)
        return self.intercept + self.slope * distances, half


def regress(distances: Sequence[float], gains: Sequence[float]) -> RegressionLine | None:
    """The line through the languages, or None where there are fewer than four or their distances are all the same.

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
