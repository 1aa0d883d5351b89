"""Compute a result's scores again from its stored predictions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems
from xrealign_bench.results.records import PredictionRecord, Score
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import RESULT, read_checked, read_predictions
from xrealign_bench.specs import Spec, Task
from xrealign_bench.tasks.registry import metric_of

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

LONGEST_SCORE = 300
"""Characters of a score in an error message."""
Cell = tuple[str, str, int]
"""Task, language and seed."""


def rescore(folder: Path) -> int:
    """Check every file of a result against its manifest, and every score against its predictions.

    Scores of a task whose type or metric is a plugin that is not registered are left out, with a warning.

    Returns:
        The number of checked scores.

    Raises:
        UserError: files differ from the manifest, or scores do not follow from the predictions (one line each).
    """
    result = read_checked(folder)
    check_computed(folder, result)
    stored = {(score.task, score.language, score.seed): score for score in result.scores}
    times = Counter((score.task, score.language, score.seed) for score in result.scores)
    problems = [f"{folder}: {_format_cell(cell)}: has {n} scores. Evaluate again" for cell, n in times.items() if n > 1]
    unscorable = unscorable_tasks(result)
    for task, reason in unscorable.items():
        _log.warning("%s: the scores of task %s are not checked: %s", folder, task, reason)
    stored = {cell: score for cell, score in stored.items() if cell[0] not in unscorable}
    again: dict[Cell, Score] = {}
    for record in (record for record in result.predictions if record.task not in unscorable):
        for score in _score_task(folder, result, record):
            again[score.task, score.language, score.seed] = score
    problems += [
        f"{folder}: {_format_cell(cell)}: {_describe_difference(stored.get(cell), again.get(cell))}"
        for cell in sorted(stored.keys() | again.keys())
        if not nearly_equal(stored.get(cell), again.get(cell))
    ]
    if problems:
        raise UserError("\n".join([*problems[:MOST_PROBLEMS], *count_further_problems(str(folder), len(problems))]))
    return len(stored)


def unscorable_tasks(result: Result) -> dict[str, str]:
    """Return the tasks whose type or metric is a plugin that is not registered, and the reason in words."""
    found = {}
    for task in result.tasks:
        try:
            metric_of(task)
        except UserError as error:
            found[task.name] = str(error)
    return found


def nearly_equal(one: Any, other: Any) -> bool:
    """Compare two values. Floats may differ in their last digits, as they do between machines.

    >>> nearly_equal({"a": [1.0, None]}, {"a": [1.0 + 1e-15, None]}), nearly_equal({"a": 1}, {"a": 1.001})
    (True, False)
    """
    if isinstance(one, Spec) and isinstance(other, Spec):
        return type(one) is type(other) and nearly_equal(dict(one), dict(other))
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(nearly_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(nearly_equal, one, other))
    return bool(one == other)


def check_computed(folder: Path, result: Result) -> None:
    """Check that the harness computed a result.

    Raises:
        UserError: its scores are reported.
    """
    if result.reported is not None:
        raise UserError(f"{folder}: its scores were reported by a publication, so they can't be computed again")


def split_by_language_and_seed(table: pa.Table) -> Iterator[tuple[tuple[str, int], pa.Table]]:
    """Yield the rows of each language and seed of a predictions table, in the order of the table."""
    rows: dict[tuple[str, int], list[int]] = {}
    for number, cell in enumerate(zip(table["language"].to_pylist(), table["seed"].to_pylist(), strict=True)):
        rows.setdefault(cell, []).append(number)
    for cell, numbers in rows.items():
        is_contiguous = numbers[-1] - numbers[0] + 1 == len(numbers)  # as written by the harness; a slice makes no copy
        yield cell, table.slice(numbers[0], len(numbers)) if is_contiguous else table.take(numbers)


def _score_task(folder: Path, result: Result, record: PredictionRecord) -> list[Score]:
    """Compute the scores of one task's predictions.

    Raises:
        UserError: the predictions are of no task of the result, or not of this task type.
    """
    path = folder / record.file
    task = next((task for task in result.tasks if task.name == record.task), None)
    if task is None or record.file != f"predictions-{record.task}.parquet":
        raise UserError(f"{path}: is listed as the predictions of '{record.task}', but has another name. Restore it")
    try:
        return list(_scores(task, read_predictions(folder, record, task)))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # tables may hold anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: does not fit the task {task.name} ({reason}). Evaluate again") from None


def _scores(task: Task, table: pa.Table) -> Iterator[Score]:
    scoring = metric_of(task)
    for (language, seed), cell in split_by_language_and_seed(table):
        columns = {name: cell[name].to_pylist() for name in ("example", *scoring.columns)}
        if len(set(columns["example"])) < len(cell):
            raise ValueError(f"{language} {seed} repeats an example")
        score = scoring.score(task, columns)
        yield Score(task=task.name, language=language, seed=seed, examples=len(cell), **score)


def _describe_difference(stored: Score | None, again: Score | None) -> str:
    if stored is None:
        return f"has predictions, but no score in {RESULT}. Evaluate again"
    if again is None:
        return "has a score, but no predictions. Evaluate again"
    return f"{RESULT} says {_format_score(stored)}, but the predictions give {_format_score(again)}. Evaluate again"


def _format_cell(cell: Cell) -> str:
    return " ".join(map(str, cell))


def _format_score(score: Score) -> str:
    by_group = f", by group {score.groups}" if score.groups else ""
    return f"{score.metrics} over {score.counted} of {score.examples} examples{by_group}"[:LONGEST_SCORE]
