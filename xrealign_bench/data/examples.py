"""Locate the data of a task, and read the examples that it takes from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.read import count_rows, read_rows
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import locate
from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs import EmbeddedData, Task

STRINGS = ("string", "large_string")
WHOLE_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


CHOSEN_EXAMPLES = "evenly spread"
"""How examples are chosen if not all are read. Part of the key of stages that read them."""

Split = Literal["train", "test"]


def locate_task(task: Task, language: str, split: Split, location: DataLocation) -> LocatedSplit:
    """Locate the data of a task in one language without reading any row.

    Raises:
        UserError: the task has no data in that language, or they are missing.
    """
    if language not in task.languages:
        raise unknown(f"language of the task '{task.name}':", language, task.languages)
    part = task.part(language, split)
    name = task.train_split if split == "train" else part.test_split
    return locate(part.source, part.configs[language], name, location)


def examples_to_read(task: Task, split: Split, limit: int | None) -> int | None:
    """Return the maximum number of examples to read, or None for all."""
    allowed = task.train_examples if split == "train" else task.test_examples
    return min((n for n in (limit, allowed) if n is not None), default=None)


def count_examples(task: Task, language: str, split: Split, limit: int | None, location: DataLocation) -> int:
    """Return how many examples of a task are read, before any are dropped, without reading a row.

    Raises:
        UserError: the data are missing or infinite.
    """
    wanted = examples_to_read(task, split, limit)
    if isinstance(task.part(language, split).source, EmbeddedData):
        if wanted is None:
            raise UserError(f"task '{task.name}': embedded data have no end; set {split}_examples")
        return wanted
    there = max(0, count_rows(locate_task(task, language, split, location), location.offline) - task.skip_examples)
    return there if wanted is None else min(there, wanted)


def read_examples(
    task: Task, split: Split, limit: int | None, located: LocatedSplit, columns: Sequence[str], offline: bool
) -> Rows:
    """Read some columns of a task's examples.

    Raises:
        UserError: a file can't be read, or a column does not exist.
    """

    def choose(there: int) -> list[int]:
        skipped = min(task.skip_examples, there)
        return [skipped + row for row in spread_rows(there - skipped, examples_to_read(task, split, limit))]

    return read_rows(located, columns, offline, choose)


def spread_rows(there: int, wanted: int | None) -> list[int]:
    """Return `wanted` row numbers below `there`, evenly spread, or all if `wanted` is None.

    The first rows would not do: many data sets are sorted, so that they could all be about one topic. The rows are the
    same in all languages of a parallel data set.
    """
    if wanted is None or wanted >= there:
        return list(range(there))
    return [place * there // wanted for place in range(wanted)]


def check_strings(features: Mapping[str, Any], column: str, located: LocatedSplit) -> None:
    """Check that a column has one string per row.

    Raises:
        UserError: it has another type.
    """
    if getattr(features[column], "dtype", None) not in STRINGS:
        raise UserError(
            f"{located}: column '{column}' holds {features[column]} and not texts; name another in 'columns'"
        )
