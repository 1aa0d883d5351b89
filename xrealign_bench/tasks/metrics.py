"""The interface of a task type's metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.specs.task_types import ExampleMetric

PerExampleCounts = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(examples,) earned and (examples,) possible. For any subset of the examples, the sum of the first over the sum of the
second is the task's metric, or for chrF close to it."""


@dataclass(frozen=True)
class TaskMetric:
    """The columns of a task type's predictions, and the scores computed from them."""

    columns: Mapping[str, pa.DataType]
    """The columns of the predictions, after language, seed and example."""
    given: tuple[str, ...]
    """Columns that are the same for all systems built on one checkpoint."""
    from_data: tuple[str, ...]
    """Columns that depend on the test data alone, not on the checkpoint."""
    gold_of: Callable[[Task, Any], dict[str, Sequence[Any]]]
    """Return `example` and the columns `from_data` of one language's data, as loaded."""
    score: Callable[[Task, Mapping[str, Sequence[Any]]], dict[str, Any]]
    """Return `metrics`, `counted`, `groups` and `reason` of `results.records.Score`, computed from the columns
    (`example` included) of one language and seed."""
    per_example_counts: Callable[[Task, pa.Table], PerExampleCounts]
    """Return what each prediction earned and could have earned, for a table with several languages and seeds. Of each
    language and seed, the ratio of the sums is the task's metric. For a metric that is no ratio of sums over examples,
    the counts are its linear approximation: they give the metric and its derivative by each example's weight."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of the predictions of one language and seed."""
        return pa.schema({"example": pa.int32(), **self.columns})


def add_metric(base: TaskMetric, name: str, metric: ExampleMetric) -> TaskMetric:
    """Return a task type's scoring with a plugin's metric in addition, which comparisons use.

    Args:
        base: the scoring of the task type.
        name: name of the metric.
        metric: the plugin.
    """

    def counted(task: Task, columns: Mapping[str, Sequence[Any]]) -> PerExampleCounts:
        earned, possible = (np.asarray(side, dtype=np.float64) for side in metric.counts(task, columns))
        if not len(earned) == len(possible) == len(columns["example"]):
            raise UserError(f"metric '{name}': counts of {len(earned)} examples, not {len(columns['example'])}")
        return earned, possible

    def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        found = base.score(task, columns)
        earned, possible = counted(task, columns)
        total = float(possible.sum())
        value = None if total == 0 else float(earned.sum()) / total
        reason = found["reason"] or (None if total else f"there is nothing for {name} to score")
        return {**found, "metrics": {**found["metrics"], name: value}, "reason": reason}

    def per_example_counts(task: Task, table: pa.Table) -> PerExampleCounts:
        return counted(task, {column: table[column].to_pylist() for column in ("example", *base.columns)})

    return replace(base, score=score, per_example_counts=per_example_counts)
