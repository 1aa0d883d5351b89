"""Sentence retrieval: how often a sentence's nearest neighbour in the other language is its translation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.tasks.retrieval.model import nearest


def retrieval_accuracy(sources: NDArray[np.floating], targets: NDArray[np.floating]) -> tuple[float, float]:
    """Return the accuracy of finding translations by cosine among all sentences, as in the retrieval tasks.

    Args:
        sources: (sentences, dim).
        targets: (sentences, dim), the translations in the same order.

    Returns:
        Accuracy from source to target, and from target to source.

    >>> retrieval_accuracy(np.eye(2), np.array([[0.9, 0.1], [0.8, 0.2]]))
    (1.0, 0.5)
    """
    left, right = np.asarray(sources, np.float64), np.asarray(targets, np.float64)
    own = np.arange(len(left))
    return float(np.mean(nearest(left, right) == own)), float(np.mean(nearest(right, left) == own))
