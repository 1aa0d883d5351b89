"""From a folder of results to a folder of HTML pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard import legend, views
from xrealign_bench.leaderboard.board import Board, OnDamaged, Row, Section, read_boards, refuse
from xrealign_bench.leaderboard.chart import COLOURS, OTHER_STYLE, TIER_STYLES, points_of
from xrealign_bench.leaderboard.export import render_files
from xrealign_bench.leaderboard.formatting import counted, signed
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.views import Cell, Table
from xrealign_bench.results.comparison import TaskComparison
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import COMPARISON, RESULT
from xrealign_bench.scoring.regression import RegressionLine, regress
from xrealign_bench.specs.core_schema import write_yaml

FACTS = ("Tier", "Family", "Script", "Band", "Seen", "Distance")
GROUPED_BY = ("Tier", "Family", "Script")
HEAT_RECIPES = 40
"""Columns of a heat map; further recipes stand on further pages."""
BARS = len(COLOURS)
"""Recipes in a chart of bars: as many as there are colours."""
MARK = "assets/site.css"
"""A folder that has it was written here and may be replaced."""


@dataclass(frozen=True)
class TaskCharts:
    """One recipe in one task."""

    row: Row
    task: str
    scatter: Markup | None
    line: str
    """What the regression says."""
    map: Markup | None


def build_site(results_root: Path, folder: Path, on_damaged: OnDamaged = refuse) -> list[Path]:
    """Write the site of all results below `results_root` into `folder`, in place of one that was written before.

    It needs no server and no network; the same results give the same bytes.

    Returns:
        The pages, the index first.

    Raises:
        UserError: there is no result, two suites share a name and version, the folder holds something else, or what
            `on_damaged` raises.
    """
    boards = [_with_evidence_beside(board) for board in read_boards(results_root, folder, on_damaged)]
    _make_room(folder)
    assets = folder / "assets"
    shutil.copytree(str(resources.files(__package__) / "assets"), assets)
    (assets / "land.svg").write_text(charts.land_outline(), encoding="utf-8")
    pages = _Pages(folder)
    written = [pages.write("index", "index.html", boards=boards)]
    for board in boards:
        written += _write_board(pages, board)
    return written


def _with_evidence_beside(board: Board) -> Board:
    """A board whose rows name the copies of their results, which stand beside their pages."""
    sections = (
        replace(section, rows=tuple(replace(row, result=f"{row.page}.{RESULT}") for row in section.rows))
        for section in board.sections
    )
    return replace(board, sections=tuple(sections))


def _make_room(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MARK).is_file():
            raise UserError(f"{folder}: is there and holds no site of this kind; remove it or name another --output")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


class _Pages:
    """The templates, and the folder that pages are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.templates = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals |= {
            "counted": counted,
            "level": charts.level,
            "levels": charts.LEVELS,
            "sort_key": sort_key,
            "rows_by_tier": rows_by_tier,
            "grouped_by": GROUPED_BY,
            "tier_styles": {**TIER_STYLES, "unclassified": OTHER_STYLE},
        }

    def write(self, page: str, template: str, **shown: Any) -> Path:
        """Write one page.

        Args:
            page: its path below the site's folder, without the ending.
            shown: what the template names.
        """
        path = self.folder / f"{page}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * page.count("/")
        path.write_text(self.templates.get_template(template).render(root=root, **shown), encoding="utf-8")
        return path


def _write_board(pages: _Pages, board: Board) -> Iterator[Path]:
    suite = board.suite.id
    rows = [(section, row) for section in board.sections for row in section.rows]
    shown: dict[str, Any] = {
        "board": board,
        "rules": legend.rules(board),
        "has_reported_means": views.has_reported_means(board),
    }
    languages = {code: views.describe_language(board, code) for code in views.languages_of(board)}
    names = sorted(((code, name) for code, (name, _) in languages.items()), key=lambda pair: pair[1])
    reported = [(section, views.reported_averages(board, section)) for section in board.sections]
    corrections = [(section, told) for section in board.sections for told in views.corrections(section)]
    yield pages.write(
        f"{suite}/index",
        "board.html",
        table=_overview(board),
        reported=reported,
        corrections=corrections,
        languages=names,
        **shown,
    )
    for name, text in render_files(board).items():
        (pages.folder / suite / name).write_text(text, encoding="utf-8")
    for section in board.sections:
        yield from _write_checkpoint(pages, board, section)
    for section, row in rows:
        page = f"{suite}/{row.page}"
        yield pages.write(page, "result.html", section=section, row=row, **_result(board, row), **shown)
        _copy_evidence(row, pages.folder / page)
    for code, (name, facts) in languages.items():
        tables = {task: views.language_results(board, code, task) for task in board.suite.tasks}
        means = views.language_means(board, code)
        page = f"{suite}/{views.language_page(code)}"
        yield pages.write(page, "language.html", code=code, name=name, facts=facts, tables=tables, means=means, **shown)


def _overview(board: Board) -> Table:
    """The Markdown board's table, of all checkpoints together, with what rows lack."""
    lines: list[tuple[Cell, ...]] = []
    whole = views.overview([row for section in board.sections for row in views.scored(section)])
    for section in board.sections:
        scored = views.scored(section)
        table = views.overview(scored)
        checkpoint = Cell(section.name, link=checkpoint_page(section))
        for row, line in zip(scored, table.rows, strict=True):
            lines.append((*line[:2], checkpoint, *line[2:], Cell("; ".join(row.unranked))))
    head = (*whole.head[:2], Cell("Checkpoint"), *whole.head[2:], Cell("Not ranked because"))
    return Table(head, tuple(lines), whole.left + 1)


def checkpoint_page(section: Section, number: int = 1) -> str:
    return f"checkpoints/{section.slug}/{'index' if number == 1 else number}"


def _write_checkpoint(pages: _Pages, board: Board, section: Section) -> Iterator[Path]:
    """The gains of a checkpoint's recipes by tier and language, on as many pages as its heat maps need."""
    compared = [row for row in section.rows if row.changes]
    batches = [compared[start : start + HEAT_RECIPES] for start in range(0, len(compared), HEAT_RECIPES)] or [[]]
    recipes = [row for row in compared if row.recipe not in board.suite.controls]
    drawn = [row for row in recipes if row.gains["xr"].mean is not None][:BARS]
    shown = [(row.read_result(), row.comparison) for row in drawn if row.comparison]
    for number, batch in enumerate(batches, start=1):
        heat = {
            task: views.languages_by_recipe(board, section, task, rows, FACTS)
            for task in board.suite.tasks
            if (rows := [row for row in batch if any(change.task == task for change in row.changes)])
        }
        first = number == 1
        yield pages.write(
            f"{board.suite.id}/{checkpoint_page(section, number)}",
            "checkpoint.html",
            board=board,
            section=section,
            identity=views.checkpoint_identity(section),
            number=number,
            others=[checkpoint_page(section, n) for n in range(1, len(batches) + 1)],
            gains=views.gains(batch),
            told_apart=views.told_apart(section) if first else [],
            by_task={task: views.scores_by_task(views.scored(section), task) for task in board.suite.tasks}
            if first and len(board.suite.tasks) > 1
            else {},
            heat=heat,
            bars=charts.tier_bars(shown) if first else None,
            legend=list(zip(COLOURS, (row.recipe for row in drawn), strict=False)),
            bars_at_most=BARS,
            left_out=len(compared) - len(shown),
            reported=views.reported_languages(board, section) if first else None,
            drawn={
                task: _task_charts(best, best.read_result(), task)
                for task in heat
                if first and (best := _first_in(recipes, task))
            },
        )


def _figures(row: Row) -> dict[str, Cell]:
    """The cells of the board's line by the text of their heads."""
    table = views.overview([row])
    return {head.text: cell for head, cell in zip(table.head, table.rows[0], strict=True)}


def _first_in(rows: Sequence[Row], task: str) -> Row | None:
    return next((row for row in rows if any(change.task == task for change in row.changes)), None)


def _task_charts(row: Row, result: Result, task: str) -> TaskCharts:
    compared = _comparison(row, task)
    if compared is None:
        return TaskCharts(row, task, None, "", None)
    points = points_of(result, compared)
    line = regress([point[0] for point in points], [point[1] / 100 for point in points])
    scatter = charts.by_distance(result, compared, line)
    return TaskCharts(row, task, scatter, _said_of(line), charts.world_map(compared))


def _comparison(row: Row, task: str) -> TaskComparison | None:
    comparison = row.comparison
    return next((each for each in comparison.tasks if each.task == task), None) if comparison else None


def _said_of(line: RegressionLine | None) -> str:
    if line is None:
        return "Too few languages for a regression line."
    slope, low, high = (signed(each / 10) for each in (line.slope, line.low, line.high))
    return (
        f"Regression line: {slope} points for each 0.1 of distance, 95 % interval [{low}, {high}], "
        f"{counted(line.points, 'language')} taken as independent. Grey: the interval of the mean gain."
    )


def _result(board: Board, row: Row) -> dict[str, Any]:
    result = row.read_result()
    return {
        "figures": _figures(row),
        "description": result.recipe.description,
        "means": views.reported_means(board, row),
        "groups": views.result_groups(board, row),
        "gains": views.result_gains(board, row),
        "counts": views.result_counts(board, row),
        "words": views.result_words(row),
        "tasks": [
            (views.result_languages(board, row, task, FACTS), _task_charts(row, result, task))
            for task in row.summary.tasks
        ],
        "facts": views.provenance(row, result),
        "remarks": views.remarks(result),
        "commands": views.commands(result),
        "recipe": write_yaml(result.recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=False),
        "realignments": views.realignments(result),
        "data_summary": views.data_summary(result),
        "data": views.data_read(result),
        "predictions": views.predictions(result),
        "costs": views.stage_costs(result),
    }


def _copy_evidence(row: Row, page: Path) -> None:
    """What a page was made from stands beside it: `NAME.result.json` and, without a gap, `NAME.comparison.json`."""
    for name in (RESULT, COMPARISON) if row.comparison else (RESULT,):
        shutil.copyfile(row.folder / name, page.with_name(f"{page.name}.{name}"))


def sort_key(cell: Cell) -> float | None:
    """The figure that a cell is to be sorted by, where its text does not begin with it.

    >>> sort_key(Cell("72.7 ±0.5", 72.7123)), sort_key(Cell("sw -0.3", -0.3)), sort_key(Cell("1,234 MiB", 1234.2))
    (None, -0.3, None)
    """
    if cell.order is None:
        return None
    try:
        read = float(cell.text.split()[0].replace(",", ""))
    except (ValueError, IndexError):
        return cell.order
    return None if abs(read - cell.order) < 0.51 * 10.0 ** -_decimals(cell.text.split()[0]) else cell.order


def _decimals(figure: str) -> int:
    return len(figure.partition(".")[2])


def rows_by_tier(table: Table) -> list[tuple[str, list[tuple[Cell, ...]]]]:
    """The lines of a table of languages, which are in the order of tiers, under the tiers' names."""
    column = [cell.text for cell in table.head].index("Tier")
    return [(tier, list(lines)) for tier, lines in groupby(table.rows, key=lambda line: line[column].text)]
