"""Similarity of two sets of vectors of the same texts: debiased linear CKA."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear_cka(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return the linear CKA of two representations with the unbiased estimator of HSIC.

    Kornblith et al. (ICML 2019) with the estimator of Song et al. (JMLR 2012, equation 5). It is 1 for copies that are
    rotated, scaled or shifted, and 0 on average for independent vectors, which plain CKA is not where there are few
    texts. It may be slightly negative.

    Args:
        before: (texts, dim).
        after: (texts, another dim), of the same texts.

    Raises:
        ValueError: there are fewer than four texts, or all vectors of a side are equal.
    """
    if len(before) != len(after) or len(before) < 4:
        raise ValueError(f"CKA compares the same four texts or more, not {len(before)} and {len(after)}")
    left, right = _gram(before), _gram(after)
    scale = _hsic(left, left) * _hsic(right, right)
    if scale <= 0:
        raise ValueError("CKA needs vectors that differ")
    return float(_hsic(left, right) / np.sqrt(scale))


def _gram(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the inner products (texts, texts) of the centred vectors, with zeros on the diagonal."""
    wide = np.asarray(vectors, np.float64)
    centred = wide - wide.mean(0)  # changes no value, but rounding: a large common offset would swamp the differences
    products: NDArray[np.float64] = centred @ centred.T
    np.fill_diagonal(products, 0.0)
    return products


def _hsic(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    n = len(left)
    own = np.sum(left * right)
    sums = left.sum() * right.sum() / ((n - 1) * (n - 2))
    cross = 2.0 * (left.sum(0) @ right.sum(0)) / (n - 2)
    return float((own + sums - cross) / (n * (n - 3)))
