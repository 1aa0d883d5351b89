"""How each kind of task is scored from its stored predictions. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task, TaskType
from xrealign_bench.tasks.metrics import answers, classes, entities, likelihoods, pairs, words

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scoring:
    """The predictions of a kind of task, and what they are worth."""

    columns: Mapping[str, pa.DataType]
    """Of the predictions, after language, seed and example."""
    given: tuple[str, ...]
    """Those that are equal for all systems of a checkpoint."""
    from_data: tuple[str, ...]
    """Those that follow from the test data, whatever the checkpoint."""
    gold_of: Callable[[Task, Any], dict[str, Sequence[Any]]]
    """Task and its data of one language, as loaded -> `example` and the columns `from_data`."""
    score: Callable[[Task, Mapping[str, Sequence[Any]]], dict[str, Any]]
    """Task and columns of one language and seed, `example` among them -> `metrics`, `counted`, `groups` and `reason` of
    a result's score."""
    per_example_counts: Callable[[Task, pa.Table], tuple[Floats, Floats]]
    """Task and predictions -> (rows,) earned and (rows,) possible; the sum of the first over the sum of the second is
    the task's metric, of any choice of examples."""


def _of_words(task: Task) -> ModuleType:
    return entities if task.metric == "entity_f1" else words


_LABEL, _LABELS, _TOKENS = pa.int16(), pa.list_(pa.int16()), pa.list_(pa.int64())
_CLASSES = Scoring(
    columns={"gold": _LABEL, "predicted": _LABEL},
    given=("gold",),
    from_data=("gold",),
    gold_of=classes.gold_of,
    score=classes.score,
    per_example_counts=classes.per_example_counts,
)
SCORING: Mapping[TaskType, Scoring] = {
    "token_classification": Scoring(
        columns={
            "gold": _LABELS,
            "predicted": _LABELS,
            "scored": pa.list_(pa.bool_()),
            "group": pa.list_(pa.string()),
        },
        given=("gold", "scored"),
        from_data=("gold", "scored"),
        gold_of=words.gold_of,
        score=lambda task, columns: _of_words(task).score(task, columns),
        per_example_counts=lambda task, table: _of_words(task).per_example_counts(task, table),
    ),
    "retrieval": Scoring(
        columns={"forward": pa.int32(), "backward": pa.int32()},
        given=(),
        from_data=(),
        gold_of=pairs.gold_of,
        score=pairs.score,
        per_example_counts=pairs.per_example_counts,
    ),
    "question_answering": Scoring(
        columns={"gold": pa.list_(_TOKENS), "predicted": _TOKENS},
        given=("gold",),
        from_data=("gold",),
        gold_of=answers.gold_of,
        score=answers.score,
        per_example_counts=answers.per_example_counts,
    ),
    "sequence_classification": _CLASSES,
    "prompted_classification": _CLASSES,
    "language_modelling": Scoring(
        columns={"bits": pa.float64(), "bytes": pa.int32(), "tokens": pa.int32()},
        given=("bytes", "tokens"),
        from_data=("bytes",),
        gold_of=likelihoods.gold_of,
        score=likelihoods.score,
        per_example_counts=likelihoods.per_example_counts,
    ),
}
