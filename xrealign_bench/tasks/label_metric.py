"""Accuracy and macro F1 of label numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.metrics import TaskMetric


def gold_of(task: Task, data: TextData) -> dict[str, Sequence[Any]]:
    """Return, for each text, its row in the data and its label number."""
    return {"example": data.rows, "gold": data.labels}


def score(task: Task, columns: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Score a language's predictions. Every example counts.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`.

    Raises:
        ValueError: there are more labels than predictions, or fewer.
    """
    gold, predicted = columns["gold"], columns["predicted"]
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} labels and {len(predicted)} predictions")
    return {
        "metrics": label_scores(np.array(gold, dtype=np.int64), np.array(predicted, dtype=np.int64)),
        "counted": len(gold),
        "groups": {},
        "reason": None if len(gold) else "there is no example",
    }


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each example, whether its class is right, and 1."""
    gold, predicted = (table[column].to_numpy() for column in ("gold", "predicted"))
    return (gold == predicted).astype(np.float64), np.ones(len(gold))


def label_scores(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float | None]:
    """Return the accuracy and macro F1 of label numbers. Both arguments are (labels,)."""
    return {"accuracy": accuracy(gold, predicted), "macro_f1": macro_f1(gold, predicted)}


def accuracy(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    """Return the share of correct labels, or None without labels. Both arguments are (labels,)."""
    return float(np.mean(gold == predicted)) if len(gold) else None


def macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    """Return the unweighted mean F1 of the labels that occur in `gold`, or None without labels.

    A label's F1 is 2 x correct / (in gold + predicted). A label that is predicted but not in gold has no F1: predicting
    it only lowers the recall of the correct label. This is scikit-learn's
    `f1_score(gold, predicted, labels=np.unique(gold), average="macro")`.

    Args:
        gold: (labels,), label numbers from 0.
        predicted: (labels,), likewise.
    """
    if not len(gold):
        return None
    labels = int(max(gold.max(), predicted.max())) + 1
    right = np.bincount(gold[gold == predicted], minlength=labels)
    in_gold, found = np.bincount(gold, minlength=labels), np.bincount(predicted, minlength=labels)
    present = in_gold > 0
    return float(np.mean(2 * right[present] / (in_gold + found)[present]))


METRIC = TaskMetric(
    columns={"gold": pa.int16(), "predicted": pa.int16()},
    given=("gold",),
    from_data=("gold",),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)
