"""Compute a result's scores again from its stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems
from xrealign_bench.results.records import PredictionRecord, Score
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import read_checked, read_predictions
from xrealign_bench.specs import Spec, Task
from xrealign_bench.tasks.registry import TASK_TYPES

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_SCORE = 300
Cell = tuple[str, str, int]
"""Task, language and seed."""


def rescore(folder: Path) -> int:
    """Check every file of a result against its manifest, and every score against its predictions.

    Returns:
        How many scores were checked.

    Raises:
        UserError: the folder does not hold what its manifest says, or a score differs from what the predictions give
            (each on a line).
    """
    result = read_checked(folder)
    check_computed(folder, result)
    stored = {(score.task, score.language, score.seed): score for score in result.scores}
    twice = Counter((score.task, score.language, score.seed) for score in result.scores)
    problems = [f"{folder}: {_say_cell(cell)}: is scored {times} times" for cell, times in twice.items() if times > 1]
    again: dict[Cell, Score] = {}
    for record in result.predictions:
        for score in _predicted(folder, result, record):
            again[score.task, score.language, score.seed] = score
    problems += [
        f"{folder}: {_say_cell(cell)}: {_difference(stored.get(cell), again.get(cell))}"
        for cell in sorted(stored.keys() | again.keys())
        if not same(stored.get(cell), again.get(cell))
    ]
    if problems:
        told = problems[:MOST_PROBLEMS]
        raise UserError("\n".join([*told, *count_further_problems(str(folder), len(problems))]))
    return len(stored)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; numbers may differ in their last digits, as those of other machines do.

    >>> same({"a": [1.0, None]}, {"a": [1.0 + 1e-15, None]}), same({"a": 1}, {"a": 1.001})
    (True, False)
    """
    if isinstance(one, Spec) and isinstance(other, Spec):
        return type(one) is type(other) and same(dict(one), dict(other))
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def check_computed(folder: Path, result: Result) -> None:
    """Refuse a result that the harness did not compute.

    Raises:
        UserError: its scores are reported.
    """
    if result.reported is not None:
        raise UserError(f"{folder}: its scores are reported ones, there is nothing that they could be computed from")


def _predicted(folder: Path, result: Result, record: PredictionRecord) -> list[Score]:
    """The scores that the predictions of one task give.

    Raises:
        UserError: they are of no task of the result, or no predictions of such a task.
    """
    path = folder / record.file
    task = next((task for task in result.tasks if task.name == record.task), None)
    if task is None or record.file != f"predictions-{record.task}.parquet":
        raise UserError(f"{path}: is named as the predictions of '{record.task}', which they are not")
    try:
        return list(_scores(task, read_predictions(folder, record, task)))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # whatever strange tables may hold
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: has no predictions of a task like {task.name} ({said})") from None


def _scores(task: Task, table: pa.Table) -> Iterator[Score]:
    scoring = TASK_TYPES[task.task_type].metric
    for (language, seed), cell in split_by_language_and_seed(table):
        columns = {name: cell[name].to_pylist() for name in ("example", *scoring.columns)}
        if len(set(columns["example"])) < len(cell):
            raise ValueError(f"{language} {seed} has an example twice")
        score = scoring.score(task, columns)
        yield Score(task=task.name, language=language, seed=seed, examples=len(cell), **score)


def split_by_language_and_seed(table: pa.Table) -> Iterator[tuple[tuple[str, int], pa.Table]]:
    """The rows of each language and seed of a table of predictions, in the order of the table."""
    rows: dict[tuple[str, int], list[int]] = {}
    for number, cell in enumerate(zip(table["language"].to_pylist(), table["seed"].to_pylist(), strict=True)):
        rows.setdefault(cell, []).append(number)
    for cell, numbers in rows.items():
        together = numbers[-1] - numbers[0] + 1 == len(numbers)  # as they are written: a slice copies nothing
        yield cell, table.slice(numbers[0], len(numbers)) if together else table.take(numbers)


def _difference(stored: Score | None, again: Score | None) -> str:
    if stored is None:
        return "has predictions and no score in result.json; evaluate again"
    if again is None:
        return "has a score and no predictions; evaluate again"
    return f"result.json says {_say(stored)}, the predictions give {_say(again)}"


def _say_cell(cell: Cell) -> str:
    return " ".join(map(str, cell))


def _say(score: Score) -> str:
    by_group = f", by group {score.groups}" if score.groups else ""
    return f"{score.metrics} over {score.counted} of {score.examples} examples{by_group}"[:LONGEST_SCORE]
