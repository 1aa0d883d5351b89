"""Geometry of a set of vectors: anisotropy and effective rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale each row to length 1; rows of zeros stay zero. Shape (n, dim)."""
    wide = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    return wide / np.where(norms > 0, norms, 1.0)


def anisotropy(vectors: NDArray[np.floating]) -> float:
    """Return the mean cosine of two different vectors, over all pairs of rows (Ethayarajh, EMNLP 2019, section 4.1).

    Args:
        vectors: (n, dim).

    Raises:
        ValueError: there are fewer than two vectors.

    >>> anisotropy(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) * 3
    1.0
    """
    n = len(vectors)
    if n < 2:
        raise ValueError("anisotropy is the mean over pairs of vectors, and there are fewer than two")
    units = unit(vectors)
    total = units.sum(0)
    return float((total @ total - np.sum(units * units)) / (n * (n - 1)))


def effective_rank(vectors: NDArray[np.floating]) -> float:
    """Return exp(H(p)) for p, the singular values of the centred vectors divided by their sum.

    Roy and Vetterli, EUSIPCO 2007; between 1 and the rank. 0 if all vectors are equal.

    Args:
        vectors: (n, dim).

    >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    wide = np.asarray(vectors, np.float64)
    values = np.linalg.svd(wide - wide.mean(0), compute_uv=False)
    if values.sum() == 0:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))
