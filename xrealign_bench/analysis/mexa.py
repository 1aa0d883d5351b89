"""The MEXA score of cross-lingual alignment (Kargaran et al., Findings of ACL 2025, section 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.analysis.geometry import unit


def mexa(sources: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Return the share of pairs that are more similar, by cosine, than every non-translation of either sentence.

    Pair i counts if the cosine c[i, i] exceeds every c[i, j] and every c[j, i] with another j. Ties don't count, as in
    the released code (github.com/cisnlp/MEXA).

    Args:
        sources: (sentences, dim).
        targets: (sentences, dim), the translations in the same order.

    Raises:
        ValueError: there are fewer than two pairs.

    >>> mexa(np.eye(2), np.array([[1.0, 0.0], [0.9, 0.1]]))
    0.5
    >>> mexa(np.eye(2), np.eye(2))
    1.0
    """
    if len(sources) < 2:
        raise ValueError("MEXA compares at least two pairs")
    cosines = unit(sources) @ unit(targets).T
    own = np.diagonal(cosines).copy()
    np.fill_diagonal(cosines, -np.inf)
    return float(np.mean(own > np.maximum(cosines.max(0), cosines.max(1))))
