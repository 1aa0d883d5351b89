"""Scores and gains by group of languages: tiers, bands, seen and unseen, the source language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from xrealign_bench.leaderboard.board import BoardRow, Verdicts
from xrealign_bench.leaderboard.cells import gain_cell, number_cell, one_std_cell, score_cell, verdicts_cell
from xrealign_bench.leaderboard.formatting import NONE, count_with_interval, percent, rank_set
from xrealign_bench.leaderboard.table import PAGES, TERMINAL, Cell, Column, Table, View, make_table
from xrealign_bench.leaderboard.views.ranking import label_cell
from xrealign_bench.results.comparison import Gain, OneStd, TaskComparison
from xrealign_bench.scoring.aggregate import BANDS, GROUPS, TIERS, SeedScores, Summary, TaskSummary

XR_GROUPS = ("xr", *GROUPS)
TERMINAL_GROUPS = ("all", *TIERS, *BANDS, "source")


@dataclass(frozen=True)
class TaskRow:
    """One result in one task."""

    row: BoardRow
    summary: TaskSummary
    comparison: TaskComparison | None


@dataclass(frozen=True)
class GroupScores:
    """Scores and gains by group of one result, in one task or over all tasks."""

    name: str
    metric: str
    score: SeedScores
    groups: dict[str, SeedScores]
    gains: dict[str, Gain]
    languages: int
    verdicts: Verdicts | None
    one_std: OneStd | None


def group_title(name: str) -> str:
    return "XR" if name == "xr" else name.replace("_", " ").capitalize()


def tasks_without_tiers(summaries: Iterable[Summary]) -> list[str]:
    """Return the tasks whose score is the mean over all targets, because no tier has enough languages."""
    tasks = (task for summary in summaries for task in summary.tasks.values())
    return list(dict.fromkeys(task.task for task in tasks if task.score_groups == ("all",)))


def scores_by_task(rows: Sequence[BoardRow], task: str, view: View = "html") -> Table:
    """Return scores of recipes by group in one task; headings have each group's number of languages."""
    found = [TaskRow(row, row.summary.tasks[task], row.compared_in(task)) for row in rows if task in row.summary.tasks]
    sizes = _sizes(each.summary for each in found)
    names = sizes.keys() | {name for each in found for name in each.summary.groups}
    averaged = "mean over " + ", ".join(found[0].summary.score_groups) if found else ""
    columns = [
        Column[TaskRow]("Recipe", lambda each: label_cell(each.row), is_text=True),
        Column[TaskRow]("XR", lambda each: score_cell(each.summary.score), note=lambda _: averaged, views=PAGES),
        *(_task_group_column(name, sizes.get(name)) for name in GROUPS if name in names),
        Column[TaskRow]("Gain [95 %]", _task_gain, views=TERMINAL),
        Column[TaskRow]("+/-", _task_verdicts, views=TERMINAL),
    ]
    return make_table(columns, found, view)


def _task_group_column(name: str, size: str | None) -> Column[TaskRow]:
    """Return the column of a group; pages leave out a group whose size is unknown."""

    def cell(each: TaskRow) -> Cell:
        value = each.summary.groups.get(name)
        return replace(score_cell(value), short=percent(value.mean) if value and name != "all" else "")

    views = (PAGES if size else frozenset()) | (TERMINAL if name in TERMINAL_GROUPS else frozenset())
    return Column(group_title(name), cell, note=lambda _: size or "", views=views)


def _task_gain(each: TaskRow) -> Cell:
    return gain_cell(each.comparison.gains.get("all")) if each.comparison else Cell("")


def _task_verdicts(each: TaskRow) -> Cell:
    if each.comparison is None:
        return Cell("")
    verdicts = Verdicts.of(each.comparison.languages)
    return Cell(NONE) if verdicts is None else Cell(f"{verdicts.helped}/{verdicts.harmed}")


def _sizes(summaries: Iterable[TaskSummary]) -> dict[str, str]:
    """Return the number of languages by group, or its range if recipes differ, as for languages not realigned."""
    found: dict[str, set[int]] = {}
    for summary in summaries:
        for name, size in summary.sizes.items():
            found.setdefault(name, set()).add(size)
    return {name: rank_set((min(sizes), max(sizes))) for name, sizes in found.items()}


def gains_by_group(rows: Sequence[BoardRow]) -> Table:
    """Return gains of recipes by group, leaving out recipes that have none."""
    compared = [row for row in rows if any(gain.mean is not None for gain in row.gains.values())]
    names = [name for name in XR_GROUPS if any(name in row.gains for row in compared)]
    return make_table([Column("Recipe", label_cell, is_text=True), *map(_gain_column, names)], compared)


def _gain_column(name: str) -> Column[BoardRow]:
    return Column(group_title(name), lambda row: gain_cell(row.gains.get(name)))


def one_std_counts(rows: Sequence[BoardRow], task: str) -> Table:
    """Return the languages that AlignFreeze's rule calls helped and harmed in one task."""
    pairs = [(row, one_std) for row in rows if (found := row.compared_in(task)) and (one_std := found.one_std)]
    columns: list[Column[tuple[BoardRow, OneStd]]] = [
        Column("Recipe", lambda pair: label_cell(pair[0]), is_text=True),
        Column("Helped [95 %]", lambda pair: Cell(count_with_interval(pair[1].helped))),
        Column("Harmed [95 %]", lambda pair: Cell(count_with_interval(pair[1].harmed))),
    ]
    return make_table(columns, pairs)


def words_by_group(rows: Sequence[BoardRow], task: str, names: Sequence[str]) -> Table:
    """Return scores of recipes by group of words in one task: means over all targets."""

    def column(name: str) -> Column[BoardRow]:
        return Column(name, lambda row: score_cell(row.summary.tasks[task].word_groups.get(name, SeedScores(()))))

    return make_table([Column("Recipe", label_cell, is_text=True), *map(column, names)], rows)


def result_scores(row: BoardRow, tasks: int) -> Table:
    """Return the scores of one result by task and group.

    Args:
        tasks: number of tasks of the suite; with several the last row is their mean.
    """
    names = [name for name in GROUPS if any(name in task.groups for task in row.summary.tasks.values())]

    def column(name: str) -> Column[GroupScores]:
        return Column(group_title(name), lambda each: score_cell(each.groups.get(name)))

    columns = [
        Column[GroupScores]("Task", lambda each: Cell(each.name, note=each.metric), is_text=True),
        Column[GroupScores]("XR", lambda each: score_cell(each.score)),
        *map(column, names),
    ]
    return make_table(columns, _result_rows(row, tasks, "mean over tasks"))


def result_gains(row: BoardRow, tasks: int) -> Table:
    """Return the gains of one result by task and group; no rows without a comparison."""
    names = [name for name in XR_GROUPS if name in row.gains]

    def column(name: str) -> Column[GroupScores]:
        return Column(group_title(name), lambda each: gain_cell(each.gains.get(name)))

    columns = [Column[GroupScores]("Task", lambda each: Cell(each.name), is_text=True), *map(column, names)]
    return make_table(columns, [each for each in _result_rows(row, tasks, "mean over tasks") if each.gains])


def result_verdicts(row: BoardRow, tasks: int) -> Table:
    """Return the numbers of languages helped and harmed by task and both rules; no rows without a comparison."""
    columns: list[Column[GroupScores]] = [
        Column("Task", lambda each: Cell(each.name), is_text=True),
        Column("Languages", lambda each: number_cell(each.languages)),
        Column("Helped / harmed (▲ / ▼)", lambda each: verdicts_cell(each.verdicts)),
        Column("Helped / harmed by 1 std (†)", lambda each: one_std_cell(each.one_std)),
    ]
    return make_table(columns, [each for each in _result_rows(row, tasks, "all tasks") if each.gains])


def _result_rows(row: BoardRow, tasks: int, total: str) -> list[GroupScores]:
    """Return one entry a task, and one for all of them if the suite has several."""
    entries = []
    for task in row.summary.tasks.values():
        found = row.compared_in(task.task)
        changes = found.languages if found else []
        entries.append(
            GroupScores(
                name=task.task,
                metric=task.metric,
                score=task.score,
                groups=task.groups,
                gains=found.gains if found else {},
                languages=len(changes),
                verdicts=Verdicts.of(changes) if found else None,
                one_std=found.one_std if found else None,
            )
        )
    if entries and tasks > 1:
        entries.append(
            GroupScores(total, "", row.xr, row.groups, row.gains, len(row.changes), row.verdicts, row.one_std)
        )
    return entries


def result_words(row: BoardRow) -> Table:
    """Return the scores of one result by group of words, such as words that fine-tuning never showed."""
    tasks = [task for task in row.summary.tasks.values() if task.word_groups]

    def column(name: str) -> Column[TaskSummary]:
        return Column(name.replace("_", " "), lambda task: score_cell(task.word_groups.get(name)))

    names = sorted({name for task in tasks for name in task.word_groups})
    return make_table(
        [Column[TaskSummary]("Task", lambda task: Cell(task.task), is_text=True), *map(column, names)], tasks
    )
