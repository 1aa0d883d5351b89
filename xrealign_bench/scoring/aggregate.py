"""Scores put together: over seeds, languages, tiers, bands and tasks, up to the XR score.

A mean is over everything that belongs to it or it is null and says what is missing; it is never over what
happens to be there. Values are on the 0..1 scale of the metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum, sqrt

from xrealign_bench.errors import UserError
from xrealign_bench.results.schema import Result, Score
from xrealign_bench.specs import Task

TIERS = ("high", "medium", "low")
BANDS = ("close", "middle", "distant")
SEEN = ("seen", "unseen")
SHOWN_REASONS = 3


@dataclass(frozen=True)
class Value:
    """A score with one value a seed, or the reason why there is none.

    >>> Value((0.25, 0.75)).mean, Value((0.25, 0.75)).std
    (0.5, 0.25)
    """

    by_seed: tuple[float, ...]
    reason: str | None = None

    @property
    def mean(self) -> float | None:
        return fsum(self.by_seed) / len(self.by_seed) if self.by_seed else None

    @property
    def std(self) -> float | None:
        """Over the seeds, ddof 0."""
        mean = self.mean
        if mean is None:
            return None
        return sqrt(fsum((value - mean) ** 2 for value in self.by_seed) / len(self.by_seed))


@dataclass(frozen=True)
class TaskSummary:
    """One task of a result."""

    task: str
    metric: str
    languages: dict[str, Value]
    """The targets that the task has, in the suite's order, then the source language, if it has a score."""
    groups: dict[str, Value]
    """`all`, the tiers, the bands, `seen`, `unseen` (where known) and `source`: those that have languages."""
    word_groups: dict[str, Value]
    """Group of words -> mean over all targets."""
    score: Value
    """Mean of the tiers that the task has languages of: the same for all results of a suite."""


@dataclass(frozen=True)
class Summary:
    """A whole result; `groups` and `xr` are means over the suite's tasks."""

    tasks: dict[str, TaskSummary]
    groups: dict[str, Value]
    xr: Value


def summarise(result: Result) -> Summary:
    """All aggregates of a result.

    The XR score is the mean over the suite's tasks of the mean of the three tier scores, a tier score the
    mean over the tier's target languages. Everything is computed seed by seed and then averaged, so a value's
    std is that of the aggregate over the seeds that were run.

    Raises:
        UserError: a (task, language, seed) has two scores.
    """
    known = {task.name: task for task in result.tasks}
    scores = _by_cell(result)
    tasks = {name: _summarise_task(result, known[name], scores) for name in result.suite.tasks if name in known}
    gone = {name: f"task {name} was not evaluated" for name in result.suite.tasks if name not in known}
    names = list(dict.fromkeys(name for task in tasks.values() for name in task.groups))
    groups = {
        name: average(
            [
                *(task.groups[name] for task in tasks.values() if name in task.groups),
                *map(_null, gone.values()),
            ]
        )
        for name in names
    }
    return Summary(tasks, groups, average([*(task.score for task in tasks.values()), *map(_null, gone.values())]))


def groups_of(result: Result, task: Task) -> dict[str, list[str]]:
    """Which target languages each group's mean is over; `source` holds the source language alone.

    Retrieval has no `source`: the source language is the other side of every pair.

    A target that the result does not describe belongs to every tier and band, which makes them null: its own
    is not known.
    """
    described = {language.code: language for language in result.languages}
    targets = [code for code in result.suite.target_languages if code in task.languages]
    groups: dict[str, list[str]] = {name: [] for name in ("all", *TIERS, *BANDS, *SEEN)}
    for code in targets:
        groups["all"].append(code)
        language = described.get(code)
        if language is None:
            for name in (*TIERS, *BANDS):
                groups[name].append(code)
            continue
        if language.tier in TIERS:
            groups[language.tier].append(code)
        if language.band in BANDS:
            groups[language.band].append(code)
        if language.seen is not None:
            groups["seen" if language.seen else "unseen"].append(code)
    for name in SEEN:
        if not groups[name]:
            del groups[name]
    return {**groups, "source": [result.suite.source_language]} if task.tests_source else groups


def average(values: Iterable[Value]) -> Value:
    """Seed by seed; null as soon as one value is, with the reasons of all.

    >>> average([Value((0.5, 0.75)), Value((0.25, 0.25))]).by_seed
    (0.375, 0.5)
    >>> average([Value((0.5,)), Value((), "sw has no score")])
    Value(by_seed=(), reason='sw has no score')
    """
    parts = list(values)
    reasons = list(dict.fromkeys(part.reason or "nothing to average" for part in parts if not part.by_seed))
    if not parts:
        return _null("nothing to average")
    if reasons:
        more = [f"and {len(reasons) - SHOWN_REASONS} more"] if len(reasons) > SHOWN_REASONS else []
        return _null("; ".join([*reasons[:SHOWN_REASONS], *more]))
    columns = zip(*(part.by_seed for part in parts), strict=True)
    return Value(tuple(fsum(column) / len(parts) for column in columns))


def _summarise_task(result: Result, task: Task, scores: Mapping[tuple[str, str, int], Score]) -> TaskSummary:
    members = groups_of(result, task)
    cells = {
        code: {seed: scores.get((task.name, code, seed)) for seed in result.seeds}
        for code in [*members["all"], *members.get("source", [])]
    }
    languages = {code: _over_seeds(task, code, row) for code, row in cells.items()}
    groups = {name: average(languages[code] for code in codes) for name, codes in members.items() if codes}
    names = sorted({name for row in cells.values() for score in row.values() if score for name in score.groups})
    word_groups = {
        name: average(_over_seeds(task, code, cells[code], group=name) for code in members["all"]) for name in names
    }
    score = average(groups[tier] for tier in TIERS if tier in groups)
    return TaskSummary(task.name, task.metric, languages, groups, word_groups, score)


def _over_seeds(task: Task, code: str, row: Mapping[int, Score | None], group: str | None = None) -> Value:
    """The values of one language, of all words or of a group of them; null unless every seed has one."""
    what = f"{task.name} in {code}" if group is None else f"{group} words of {task.name} in {code}"
    values = []
    for seed, score in row.items():
        if score is None:
            return _null(f"{what}: not evaluated with seed {seed}")
        value = (score.metrics if group is None else score.groups.get(group, {})).get(task.metric)
        if value is None:
            return _null(f"{what}: {score.reason or 'nothing to count'}")
        values.append(value)
    return Value(tuple(values)) if values else _null(f"{what}: not evaluated")


def _by_cell(result: Result) -> dict[tuple[str, str, int], Score]:
    cells: dict[tuple[str, str, int], Score] = {}
    for score in result.scores:
        cell = (score.task, score.language, score.seed)
        if cell in cells:
            raise UserError(f"{cell[0]}, language {cell[1]}, seed {cell[2]} is scored twice in the result")
        cells[cell] = score
    return cells


def _null(reason: str) -> Value:
    return Value((), reason)
