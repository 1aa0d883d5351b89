"""Pages of a checkpoint: gains of its recipes by tier and language, with charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from xrealign_bench.leaderboard.board import Board, BoardRow, Section
from xrealign_bench.leaderboard.chart import COLOURS, points_of
from xrealign_bench.leaderboard.exposure import known_exposures
from xrealign_bench.leaderboard.legend import rules
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.site.inside import HEAT_UNIT, copy_analysis, read_inside
from xrealign_bench.leaderboard.site.pages import Pages
from xrealign_bench.leaderboard.table import Table
from xrealign_bench.leaderboard.views.groups import gains_by_group, scores_by_task
from xrealign_bench.leaderboard.views.ranking import checkpoint_identity
from xrealign_bench.leaderboard.views.recipes_by_language import compared_rows, languages_by_recipe
from xrealign_bench.leaderboard.views.reported import reported_languages
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.regression import RegressionLine, regress

HEAT_RECIPES = 40
"""Columns of a heat map; more recipes are on further pages."""
BARS = len(COLOURS)
"""Recipes in a bar chart: one a colour."""


@dataclass(frozen=True)
class TaskCharts:
    """Charts of one recipe in one task."""

    row: BoardRow
    task: str
    scatter: Markup | None
    line: RegressionLine | None
    """Regression of gain on distance; None if there are too few languages."""
    map: Markup | None


def task_charts(row: BoardRow, result: Result, task: str) -> TaskCharts:
    """Draw the gains of a recipe in one task against distance and on a map."""
    compared = row.compared_in(task)
    if compared is None:
        return TaskCharts(row, task, None, None, None)
    points = points_of(result, compared)
    line = regress([point[0] for point in points], [point[1] / 100 for point in points])
    return TaskCharts(row, task, charts.by_distance(result, compared, line), line, charts.world_map(compared))


def write_checkpoint(pages: Pages, board: Board, section: Section) -> Iterator[Path]:
    """Write a checkpoint's first page, and one for every further `HEAT_RECIPES` recipes."""
    compared = [row for row in section.rows if row.changes]
    batches = [compared[start : start + HEAT_RECIPES] for start in range(0, len(compared), HEAT_RECIPES)] or [[]]
    names = [section.page, *(f"{section.page.removesuffix('index')}{number}" for number in range(2, len(batches) + 1))]
    common = {
        "board": board,
        "section": section,
        "rules": rules(board),
        "identity": checkpoint_identity(section),
        "exposures": (exposures := known_exposures(section.rows)),
        "exposed": {each.task for each in exposures},
        "pages": names,
    }
    analyses = read_inside(board, section)
    for number, (name, batch) in enumerate(zip(names, batches, strict=True), start=1):
        heat = _heat_maps(board, section, batch)
        yield pages.write(
            f"{board.suite.id}/{name}",
            "checkpoint.html",
            number=number,
            gains=gains_by_group(batch),
            heat=heat,
            **(_overall(board, section, compared, list(heat)) if number == 1 else {}),
            analyses=analyses,
            heat_unit=HEAT_UNIT,
            **common,
        )
    for inside in analyses:
        copy_analysis(inside.analysis, (pages.folder / board.suite.id / section.page).parent)


def _heat_maps(board: Board, section: Section, batch: Sequence[BoardRow]) -> dict[str, Table]:
    rows = {task: [row for row in compared_rows(section, task) if row in batch] for task in board.suite.tasks}
    return {task: languages_by_recipe(section.rows, task, compared) for task, compared in rows.items() if compared}


def _overall(board: Board, section: Section, compared: Sequence[BoardRow], tasks: Sequence[str]) -> dict[str, object]:
    """Return what only the first page of a checkpoint shows.

    Args:
        tasks: tasks with a heat map, below which the first recipe's charts are shown.
    """
    recipes = [row for row in compared if not row.is_control and row.recipe not in board.suite.controls]
    drawn = [row for row in recipes if row.gains["xr"].mean is not None][:BARS]
    bars = charts.tier_bars([(row.read_result(), row.comparison) for row in drawn if row.comparison])
    first = {task: next((row for row in recipes if row.changes_in(task)), None) for task in tasks}
    several = len(board.suite.tasks) > 1
    return {
        "by_task": {task: scores_by_task(section.scored_rows, task) for task in board.suite.tasks if several},
        "bars": bars,
        "legend": list(zip(COLOURS, (row.label for row in drawn), strict=False)),
        "bars_at_most": BARS,
        "left_out": len(compared) - len(drawn),
        "reported": reported_languages(board, section),
        "drawn": {task: task_charts(row, row.read_result(), task) for task, row in first.items() if row},
    }
