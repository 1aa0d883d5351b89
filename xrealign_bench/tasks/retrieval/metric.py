"""Accuracy of sentence retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import TaskMetric
from xrealign_bench.tasks.sentence_pairs import TranslationData


def retrieval_scores(pairs: Sequence[int], forward: Sequence[int], backward: Sequence[int]) -> dict[str, float | None]:
    """Return the accuracy of finding translations: from source to target, from target to source, and the mean of both.

    Args:
        pairs: numbers of the pairs.
        forward: for each source, the number of the pair whose target it finds.
        backward: for each target, the number of the pair whose source it finds.

    >>> retrieval_scores([0, 1], forward=[0, 0], backward=[0, 1])
    {'accuracy': 0.75, 'accuracy_forward': 0.5, 'accuracy_backward': 1.0}
    """
    there, back = (float(np.mean(np.asarray(found) == pairs)) for found in (forward, backward))
    return {"accuracy": (there + back) / 2, "accuracy_forward": there, "accuracy_backward": back}


def gold_of(task: Task, data: TranslationData) -> dict[str, Sequence[Any]]:
    """Return, for each pair, its row in the data: the row is the gold answer."""
    return {"example": data.rows}


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions with `retrieval_scores`. Every pair counts."""
    metrics = retrieval_scores(columns["example"], columns["forward"], columns["backward"])
    return {"metrics": metrics, "counted": len(columns["example"]), "groups": {}, "reason": None}


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each pair, the share of correct directions, and 1."""
    pair, forward, backward = (table[column].to_numpy() for column in ("example", "forward", "backward"))
    right = ((forward == pair).astype(np.float64) + (backward == pair)) / 2
    return right, np.ones(len(right))


METRIC = TaskMetric(
    columns={"forward": pa.int32(), "backward": pa.int32()},
    given=(),
    from_data=(),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)
