"""Linear probes: what a linear classifier can read off vectors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDS = 3


def cross_validated_accuracy(
    vectors: NDArray[np.floating], labels: Sequence[Any], groups: Sequence[int], folds: int = FOLDS
) -> float:
    """Return the accuracy of a probe on vectors that it was not trained on, over all folds.

    Args:
        vectors: (n, dim).
        labels: n labels, of at least two kinds.
        groups: n numbers; vectors of one group are in the same fold, such as the translations of a sentence.
        folds: parts of the groups, each scored by a probe that was trained on the others.

    Raises:
        ValueError: there are fewer groups than folds, or only one kind of label.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    given = np.asarray(labels)
    if len(set(given.tolist())) < 2:
        raise ValueError("a probe tells at least two labels apart")
    with _quiet():
        found = cross_val_predict(_probe(), np.asarray(vectors), given, groups=groups, cv=GroupKFold(folds))
    return float(np.mean(found == given))


def fit_probe(vectors: NDArray[np.floating], labels: Sequence[Any]) -> Any:
    """Return a probe trained on vectors (n, dim), whose `score` gives its accuracy on others.

    It is a linear discriminant analysis with shrunk covariance (Ledoit and Wolf, 2004): linear, without settings to
    choose, and computed at once however many labels there are.

    Raises:
        ValueError: there is only one kind of label.
    """
    with _quiet():
        return _probe().fit(np.asarray(vectors), np.asarray(labels))


def _probe() -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings about labels of which there are few examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
