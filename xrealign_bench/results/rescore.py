"""Compute a result's scores again from its stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xrealign_bench.errors import UserError
from xrealign_bench.results.files import read_predictions, read_result
from xrealign_bench.results.schema import PredictionRecord, Result, Score
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import SCORING

Cell = tuple[str, str, int]
"""Task, language and seed."""


def rescore(folder: Path) -> int:
    """Check every score of a result against its predictions; return how many were checked.

    Raises:
        UserError: predictions are missing or not the recorded ones, or a score differs from theirs (each on a line).
    """
    result = read_result(folder)
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
        if stored.get(cell) != again.get(cell)
    ]
    if problems:
        raise UserError("\n".join(problems))
    return len(stored)


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
    rows = read_predictions(folder, record).to_pylist()
    try:
        return list(_scores(task, rows))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # whatever strange tables may hold
        said = " ".join(str(error).split())
        raise UserError(f"{path}: has no predictions of a task like {task.name} ({said})") from None


def _scores(task: Task, rows: list[dict[str, Any]]) -> Iterator[Score]:
    by_cell: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        by_cell.setdefault((row["language"], row["seed"]), []).append(row)
    for (language, seed), cell in by_cell.items():
        if len({row["example"] for row in cell}) < len(cell):
            raise ValueError(f"{language} {seed} has an example twice")
        scoring = SCORING[task.kind]
        score = scoring.score(task, {name: [row[name] for row in cell] for name in ("example", *scoring.columns)})
        yield Score(task=task.name, language=language, seed=seed, examples=len(cell), **score)


def _difference(stored: Score | None, again: Score | None) -> str:
    if stored is None:
        return "has predictions and no score in result.json; evaluate again"
    if again is None:
        return "has a score and no predictions; evaluate again"
    return f"result.json says {_say(stored)}, the predictions give {_say(again)}"


def _say_cell(cell: Cell) -> str:
    return " ".join(map(str, cell))


def _say(score: Score) -> str:
    return f"{score.metrics} over {score.counted} of {score.examples} examples, by group {score.groups}"
