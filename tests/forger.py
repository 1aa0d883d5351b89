"""Forge results carefully: recompute and seal everything that follows from a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from xrealign_bench.results.records import Score
from xrealign_bench.results.rescoring import split_by_language_and_seed
from xrealign_bench.results.storage import (
    read_predictions,
    read_result,
    write_comparison,
    write_predictions,
    write_result,
)
from xrealign_bench.scoring.compare import RESAMPLES, compare
from xrealign_bench.tasks.registry import TASK_TYPES

Change = Callable[[pa.Table], pa.Table]


def predict(folder: Path, change: Change) -> None:
    """Change the predictions of a result's first task, and recompute digest, scores and manifest."""
    result = read_result(folder)
    task, record = result.tasks[0], result.predictions[0]
    table = read_predictions(folder, record, task)
    before, forged = dict(split_by_language_and_seed(table)), change(table)
    stored = {(score.language, score.seed): score for score in result.scores}
    scores = []
    for (language, seed), cell in split_by_language_and_seed(forged):
        if cell.equals(before.get((language, seed))):
            scores.append(stored[language, seed])
            continue
        columns = {name: cell[name].to_pylist() for name in ("example", *TASK_TYPES[task.task_type].metric.columns)}
        score = TASK_TYPES[task.task_type].metric.score(task, columns)
        scores.append(Score(task=task.name, language=language, seed=seed, examples=len(cell), **score))
    predictions = [write_predictions(folder, task.name, forged)]
    write_result(folder, result.model_copy(update={"predictions": predictions, "scores": scores}))


def compare_again(folder: Path, baseline: Path, resamples: int = RESAMPLES, seed: int = 0) -> None:
    """Recompute and write the comparison of forged predictions."""
    write_comparison(folder, compare(folder, baseline, resamples, seed))


def replace_column(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    """Replace the values of one column."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
