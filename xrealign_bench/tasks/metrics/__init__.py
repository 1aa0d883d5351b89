"""How each kind of task is scored from its stored predictions. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.specs import Kind, Task
from xrealign_bench.tasks.metrics import answers, classes, entities, likelihoods, pairs, words

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scoring:
    """The predictions of a kind of task, and what they are worth."""

    columns: tuple[str, ...]
    """Of the predictions, after language, seed and example."""
    given: tuple[str, ...]
    """Those that come from the test data, and so are equal for all systems."""
    score: Callable[[Task, Mapping[str, Sequence[Any]]], dict[str, Any]]
    """Task and columns of one language and seed, `example` among them -> `metrics`, `counted`, `groups` and `reason` of
    a result's score."""
    credits: Callable[[Task, pa.Table], tuple[Floats, Floats]]
    """Task and predictions -> (rows,) earned and (rows,) possible; the sum of the first over the sum of the second is
    the task's metric, of any choice of examples."""


def _of_words(task: Task) -> ModuleType:
    return entities if task.metric == "entity_f1" else words


_CLASSES = Scoring(
    columns=("gold", "predicted"),
    given=("gold",),
    score=classes.score,
    credits=classes.credits,
)
SCORING: Mapping[Kind, Scoring] = {
    "token_classification": Scoring(
        columns=("gold", "predicted", "scored", "group"),
        given=("gold", "scored"),
        score=lambda task, columns: _of_words(task).score(task, columns),
        credits=lambda task, table: _of_words(task).credits(task, table),
    ),
    "retrieval": Scoring(
        columns=("forward", "backward"),
        given=(),
        score=pairs.score,
        credits=pairs.credits,
    ),
    "question_answering": Scoring(
        columns=("gold", "predicted"),
        given=("gold",),
        score=answers.score,
        credits=answers.credits,
    ),
    "sequence_classification": _CLASSES,
    "prompted_classification": _CLASSES,
    "language_modelling": Scoring(
        columns=("bits", "bytes", "tokens"),
        given=("bytes", "tokens"),
        score=likelihoods.score,
        credits=likelihoods.credits,
    ),
}
