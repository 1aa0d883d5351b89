"""Scores of one task and language over seeds, which other programs store as one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, sqrt
from statistics import stdev

from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.results.records import Score
from xrealign_bench.results.result import Result
from xrealign_bench.specs import Task


@dataclass(frozen=True)
class LanguageScores:
    """The scores of one task in one language."""

    task: Task
    language: str
    config: str
    """Config of the data set; the language if the data have none."""
    revision: str | None
    """Commit of the test data."""
    scores: tuple[Score, ...]
    """One for each seed."""

    @property
    def metrics(self) -> dict[str, float]:
        """Metric -> mean over seeds, for metrics that every seed has."""
        return {name: fsum(values) / len(values) for name, values in self._by_metric().items()}

    @property
    def standard_errors(self) -> dict[str, float]:
        """Metric -> standard error over seeds; empty with one seed."""
        if len(self.scores) < 2:
            return {}
        return {name: stdev(values) / sqrt(len(values)) for name, values in self._by_metric().items()}

    def _by_metric(self) -> dict[str, list[float]]:
        columns = {name: [score.metrics.get(name) for score in self.scores] for name in self.scores[0].metrics}
        found = {name: [value for value in column if value is not None] for name, column in columns.items()}
        return {name: values for name, values in found.items() if len(values) == len(self.scores) and name != "counted"}


def scores_by_language(result: Result) -> Iterator[LanguageScores]:
    """Yield the scores of each task and language that could be scored with every seed."""
    data = {(record.name, record.language): record for record in result.data if record.used_as == "test"}
    for task in result.tasks:
        by_language: dict[str, list[Score]] = {}
        for score in result.scores:
            if score.task == task.name:
                by_language.setdefault(score.language, []).append(score)
        for language, scores in by_language.items():
            if all(score.reason is None for score in scores):
                record = data.get((task.name, language))
                config, revision = (record.config, record.revision) if record else (None, None)
                yield LanguageScores(task, language, config or language, revision, tuple(scores))


def model_name(stored: StoredResult) -> str:
    """Return the name that other programs call a checkpoint with a recipe, such as `org/model--alignfreeze-front`.

    A part of a suite has its own name, like its folder.
    """
    return f"{stored.result.checkpoint.id}--{stored.folder.name}"
