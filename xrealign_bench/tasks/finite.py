"""Refuse predictions from numbers that are not finite: `argmax` would take them for the first label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.errors import TrainingError


def check_finite(values: NDArray[np.floating]) -> None:
    """Refuse a model's outputs for test examples if any is NaN or infinite.

    Raises:
        TrainingError: one is.
    """
    if not np.isfinite(values).all():
        raise TrainingError(
            "the model's outputs for test examples are not all finite numbers, so nothing can be predicted from them; "
            "try --precision bf16 or fp32, a smaller learning rate or another checkpoint"
        )
