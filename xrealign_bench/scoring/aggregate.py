"""Means of scores over seeds, languages, tiers, bands and tasks, up to the XR score.

A mean covers all of its parts. If a part is missing, the mean is null and gives the reason. Values are on the metrics'
0..1 scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt

from xrealign_bench.errors import UserError
from xrealign_bench.results.records import Score
from xrealign_bench.results.result import Result
from xrealign_bench.specs import Task
from xrealign_bench.specs.task_types import TASK_TRAITS

TIERS = ("high", "medium", "low")
BANDS = ("close", "middle", "distant")
SEEN = ("seen", "unseen")
UNTIERED = ("unclassified", "not_realigned", "out_of_distribution")
"""Target languages without a tier, those without pairs in the recipe's realignment, and those that the suite keeps out
of all averages."""
GROUPS = ("all", *TIERS, *BANDS, *SEEN, *UNTIERED, "source")
"""Every group of languages, in the order in which tables show them."""
SMALLEST_TIER = 5
"""Minimum number of languages for a tier to count in a task's score. Fewer do not represent a tier."""
SCORING_VERSION = 2
"""Incremented when the same predictions give other scores, intervals or verdicts. Version 1: every tier counted, a
percentile bootstrap gave intervals and verdicts, std had ddof 0."""
SHOWN_REASONS = 3


@dataclass(frozen=True)
class SeedScores:
    """A score for each seed, or the reason why there is none.

    >>> SeedScores((0.25, 0.75)).mean, SeedScores((0.25, 0.75), ddof=0).std
    (0.5, 0.25)
    """

    by_seed: tuple[float, ...]
    reason: str | None = None
    ddof: int = field(default=1, repr=False)
    """Delta degrees of freedom of `std`; 0 only for reproducing a publication's figures."""

    @property
    def mean(self) -> float | None:
        return fsum(self.by_seed) / len(self.by_seed) if self.by_seed else None

    @property
    def std(self) -> float | None:
        """Standard deviation over the seeds; null for a single seed."""
        mean, seeds = self.mean, len(self.by_seed)
        if mean is None or seeds < 2:
            return None
        return sqrt(fsum((value - mean) ** 2 for value in self.by_seed) / (seeds - self.ddof))


@dataclass(frozen=True)
class TaskSummary:
    """The aggregates of one task."""

    task: str
    metric: str
    languages: dict[str, SeedScores]
    """The averaged languages in the suite's order, then those out of distribution, then the source language if it has
    a score."""
    groups: dict[str, SeedScores]
    """The groups of `GROUPS` that have languages."""
    sizes: dict[str, int]
    """Group -> number of languages; without tiers and bands if those of a target language are not known."""
    word_groups: dict[str, SeedScores]
    """Group of words -> mean over all target languages."""
    score: SeedScores
    """Mean over the groups in `score_groups`."""
    score_groups: tuple[str, ...]
    """Result of `score_groups`, the same for all results of a suite."""


@dataclass(frozen=True)
class Summary:
    """The aggregates of a result; `groups` and `xr` are means over the suite's tasks."""

    tasks: dict[str, TaskSummary]
    groups: dict[str, SeedScores]
    xr: SeedScores


def summarise(result: Result) -> Summary:
    """Compute all aggregates of a result.

    The XR score is the mean over the suite's tasks of the mean over tiers, and a tier's score is the mean over its
    target languages. A tier counts in a task with at least `SMALLEST_TIER` languages; its mean over tasks covers only
    the tasks in which it counts. Every aggregate is computed for each seed and then averaged, so its std is that of the
    aggregate over seeds.

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
            [*(task.groups[name] for task in tasks_counting(name, tasks.values())), *map(_null, gone.values())]
        )
        if tasks_counting(name, tasks.values())
        else _null(f"fewer than {SMALLEST_TIER} languages in every task")
        for name in names
    }
    return Summary(tasks, groups, average([*(task.score for task in tasks.values()), *map(_null, gone.values())]))


def tasks_counting(group: str, tasks: Iterable[TaskSummary]) -> list[TaskSummary]:
    """Return the tasks in which a group counts; for a tier, those with enough of its languages."""
    return [
        task for task in tasks if group in task.groups and counts_in_mean(group, task.sizes.get(group, SMALLEST_TIER))
    ]


def counts_in_mean(group: str, languages: int) -> bool:
    """Return whether a group with this number of languages in a task counts in the mean over tasks."""
    return languages >= (SMALLEST_TIER if group in TIERS else 1)


def score_groups(members: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the groups that make up a task's score: tiers with enough languages, or all targets if there are none.

    >>> score_groups({"all": list("abcdefg"), "high": list("abcde"), "low": list("fg")})
    ('high',)
    >>> score_groups({"all": list("ab"), "high": list("a"), "low": list("b")})
    ('all',)
    """
    return tuple(tier for tier in TIERS if counts_in_mean(tier, len(members.get(tier, ())))) or ("all",)


def groups_of(result: Result, task: Task) -> dict[str, list[str]]:
    """Return the target languages of each group; `source` has only the source language.

    Retrieval has no `source`, because the source language is one side of every pair. `not_realigned` exists only if the
    result records which languages its realignment read. Languages `out_of_distribution` are in no other group.

    A target without a record in the result is added to every tier and band, which makes their means null, because its
    own tier and band are not known.
    """
    described = {language.code: language for language in result.languages}
    targets = [code for code in result.suite.target_languages if code in task.languages]
    realigned = {code for record in result.realignment for code, pairs in record.pairs_seen.items() if pairs}
    apart = result.suite.out_of_distribution.get(task.name, [])
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for code in targets:
        if code in apart:
            groups["out_of_distribution"].append(code)
            continue
        groups["all"].append(code)
        if realigned and code not in realigned:
            groups["not_realigned"].append(code)
        language = described.get(code)
        if language is None:
            for name in (*TIERS, *BANDS):
                groups[name].append(code)
            continue
        if language.tier in (*TIERS, "unclassified"):
            groups[language.tier].append(code)
        if language.band in BANDS:
            groups[language.band].append(code)
        if language.seen is not None:
            groups["seen" if language.seen else "unseen"].append(code)
    if _tests_source(result, task):
        groups["source"].append(result.suite.source_language)
    always = ("all", *TIERS, *BANDS)
    return {name: codes for name, codes in groups.items() if codes or name in always}


def _tests_source(result: Result, task: Task) -> bool:
    """Return whether a task is tested in the source language; of an unregistered plugin, whether it has a score."""
    if (traits := TASK_TRAITS.find(task.task_type)) is not None:
        return traits.tests_source
    return any((score.task, score.language) == (task.name, result.suite.source_language) for score in result.scores)


def average(values: Iterable[SeedScores]) -> SeedScores:
    """Average scores seed by seed. Null if any of them is null, with the reasons of all.

    >>> average([SeedScores((0.5, 0.75)), SeedScores((0.25, 0.25))]).by_seed
    (0.375, 0.5)
    >>> average([SeedScores((0.5,)), SeedScores((), "sw has no score")])
    SeedScores(by_seed=(), reason='sw has no score')
    """
    parts = list(values)
    reasons = list(dict.fromkeys(part.reason or "nothing to average" for part in parts if not part.by_seed))
    if not parts:
        return _null("nothing to average")
    if reasons:
        more = [f"and {len(reasons) - SHOWN_REASONS} more"] if len(reasons) > SHOWN_REASONS else []
        return _null("; ".join([*reasons[:SHOWN_REASONS], *more]))
    columns = zip(*(part.by_seed for part in parts), strict=True)
    return SeedScores(tuple(fsum(column) / len(parts) for column in columns), ddof=parts[0].ddof)


def _summarise_task(result: Result, task: Task, scores: Mapping[tuple[str, str, int], Score]) -> TaskSummary:
    members = groups_of(result, task)
    cells = {
        code: {seed: scores.get((task.name, code, seed)) for seed in result.seeds}
        for code in [code for name in ("all", "out_of_distribution", "source") for code in members.get(name, [])]
    }
    ddof = result.ddof
    languages = {code: _over_seeds(task, code, row, ddof) for code, row in cells.items()}
    groups = {name: average(languages[code] for code in codes) for name, codes in members.items() if codes}
    names = sorted({name for row in cells.values() for score in row.values() if score for name in score.groups})
    word_groups = {
        name: average(_over_seeds(task, code, cells[code], ddof, group=name) for code in members["all"])
        for name in names
    }
    averaged = score_groups(members)
    described = {language.code for language in result.languages}
    unknown = (*TIERS, *BANDS) if set(members["all"]) - described else ()
    return TaskSummary(
        task=task.name,
        metric=task.metric,
        languages=languages,
        groups=groups,
        sizes={name: len(codes) for name, codes in members.items() if codes and name not in unknown},
        word_groups=word_groups,
        score=average(groups[name] for name in averaged if name in groups),
        score_groups=averaged,
    )


def _over_seeds(
    task: Task, code: str, row: Mapping[int, Score | None], ddof: int, group: str | None = None
) -> SeedScores:
    """Return the scores of one language, over all words or one group of words; null unless every seed has one."""
    what = f"{task.name} in {code}" if group is None else f"{group} words of {task.name} in {code}"
    values = []
    for seed, score in row.items():
        if score is None:
            return _null(f"{what}: not evaluated with seed {seed}")
        value = (score.metrics if group is None else score.groups.get(group, {})).get(task.metric)
        if value is None:
            return _null(f"{what}: {score.reason or 'nothing to count'}")
        values.append(value)
    return SeedScores(tuple(values), ddof=ddof) if values else _null(f"{what}: not evaluated")


def _by_cell(result: Result) -> dict[tuple[str, str, int], Score]:
    cells: dict[tuple[str, str, int], Score] = {}
    for score in result.scores:
        cell = (score.task, score.language, score.seed)
        if cell in cells:
            raise UserError(f"{cell[0]}, language {cell[1]}, seed {cell[2]} is scored twice in the result")
        cells[cell] = score
    return cells


def _null(reason: str) -> SeedScores:
    return SeedScores((), reason)
