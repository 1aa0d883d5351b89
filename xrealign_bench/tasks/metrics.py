"""The interface of a task type's metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task

PerExampleCounts = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(examples,) earned and (examples,) possible. For any subset of the examples, the sum of the first over the sum of the
second is the task's metric."""


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
    """Return what each prediction earned and could have earned."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of the predictions of one language and seed."""
        return pa.schema({"example": pa.int32(), **self.columns})
