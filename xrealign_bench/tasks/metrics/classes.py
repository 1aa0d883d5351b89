"""Classes of texts: an `evaluate` metric that works without the network, and the scores of one language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

from xrealign_bench.data import TextData
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics.in_memory import compute
from xrealign_bench.tasks.metrics.words import accuracy, macro_f1

if TYPE_CHECKING:
    import pyarrow as pa


class TextClassification(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Accuracy and macro F1 over texts, from a label number each; constructed like `WordTagging`.

    >>> metric = TextClassification(keep_in_memory=True)
    >>> metric.compute(predictions=[0, 1, 1], references=[0, 0, 1])
    {'accuracy': 0.6666666666666666, 'macro_f1': 0.6666666666666666}
    """

    def _info(self) -> Any:
        label = datasets.Value("int64")
        features = datasets.Features({"predictions": label, "references": label})
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=features)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float | None]:
        found, gold = (np.array(side, dtype=np.int64) for side in (predictions, references))
        return {"accuracy": accuracy(gold, found), "macro_f1": macro_f1(gold, found)}


def gold_of(task: Task, data: TextData) -> dict[str, Sequence[Any]]:
    """Text by text: the row in the data, and the label's number."""
    return {"example": data.rows, "gold": data.labels}


def score(task: Task, columns: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """All metrics of a language's predictions; every example counts.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`.

    Raises:
        ValueError: labels and predictions are not equally many.
    """
    gold, predicted = columns["gold"], columns["predicted"]
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} labels and {len(predicted)} predictions")
    return {
        "metrics": compute(TextClassification, predictions=predicted, references=gold),
        "counted": len(gold),
        "groups": {},
        "reason": None if len(gold) else "there is no example",
    }


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By example: whether its class is right, and one. Both are (rows,)."""
    gold, predicted = (table[column].to_numpy() for column in ("gold", "predicted"))
    return (gold == predicted).astype(np.float64), np.ones(len(gold))
