"""Precision at 1 of linked words, among the candidates that the word contrastive loss sees."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.analysis.geometry import unit


def word_hits(
    vectors: NDArray[np.floating],
    anchors: NDArray[np.int64],
    positives: NDArray[np.int64],
    side: NDArray[np.bool_],
    negatives: Literal["both_languages", "other_language"],
) -> NDArray[np.bool_]:
    """Return for each linked word of a batch whether its nearest candidate by cosine is the word it is linked to.

    Candidates are those of `realignment.contrastive`: all words of the batch but the anchor, or those of the other
    language. Ties go to the first word.

    Args:
        vectors: (words, dim), all words of the batch, linked or not.
        anchors: (links,), positions of linked words.
        positives: (links,), positions of the words they are linked to.
        side: (words,), whether a word belongs to the target language.
        negatives: the candidates.

    Returns:
        (links,)

    >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]])
    >>> word_hits(
    ...     vectors, np.array([0, 1]), np.array([2, 2]), np.array([False, False, True, True]), "both_languages"
    ... ).tolist()
    [True, False]
    """
    units = unit(vectors)
    scores = units[anchors] @ units.T
    if negatives == "both_languages":
        excluded = np.arange(len(units)) == anchors[:, None]
    else:
        excluded = side == side[anchors][:, None]
    hits: NDArray[np.bool_] = np.where(excluded, -np.inf, scores).argmax(1) == positives
    return hits
