"""How far vectors of the same texts move when a model is trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.analysis.geometry import unit


def mean_cosine(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return the mean cosine between each vector and the same text's vector after training. Shapes (texts, dim).

    >>> mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    return float(np.mean(np.sum(unit(before) * unit(after), -1)))


def relative_norm(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return the mean length after training divided by the mean length before. Shapes (texts, dim).

    >>> relative_norm(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    2.0
    """
    lengths = [np.linalg.norm(np.asarray(side, np.float64), axis=-1).mean() for side in (before, after)]
    return float(lengths[1] / lengths[0])


def share_along(before: NDArray[np.floating], after: NDArray[np.floating], direction: NDArray[np.floating]) -> float:
    """Return the share of the squared drift that lies along one direction; 1 / dim on average for random drift.

    With the difference of two languages' mean vectors as the direction, it is the share of drift that only moves one
    language towards or away from the other, whatever the sentence.

    Args:
        before: (texts, dim).
        after: (texts, dim).
        direction: (dim,), of any length.

    Raises:
        ValueError: nothing moves, or the direction is zero.

    >>> share_along(np.zeros((2, 2)), np.array([[3.0, 4.0], [3.0, -4.0]]), np.array([2.0, 0.0]))
    0.36
    """
    drift = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    total, length = np.sum(drift * drift), np.linalg.norm(direction)
    if total == 0 or length == 0:
        raise ValueError("there is no drift or no direction")
    along = drift @ (np.asarray(direction, np.float64) / length)
    return float(np.sum(along * along) / total)
