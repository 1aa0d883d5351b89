"""Calibration of a classifier's probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Return the expected calibration error (Guo et al., ICML 2017): mean |accuracy - confidence|, weighted by bin.

    Args:
        confidences: (n,), the probability of each predicted label, over 0 and up to 1.
        correct: (n,), whether the prediction is right.
        bins: number of bins of equal width; each includes its upper end.

    Raises:
        ValueError: there are no predictions.

    >>> expected_calibration_error(np.array([0.75, 0.75, 0.25]), np.array([True, False, False]), bins=2)
    0.25
    """
    if not len(confidences):
        raise ValueError("there are no predictions to calibrate")
    place = np.clip(np.ceil(np.asarray(confidences) * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, np.asarray(correct, np.float64) - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))
