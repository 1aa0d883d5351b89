"""Build the site: a folder of HTML pages from a folder of results."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard import legend
from xrealign_bench.leaderboard.assembly import OnDamaged, read_boards, refuse
from xrealign_bench.leaderboard.board import Board, BoardRow
from xrealign_bench.leaderboard.export import render_files
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.site.checkpoints import task_charts, write_checkpoint
from xrealign_bench.leaderboard.site.pages import Pages
from xrealign_bench.leaderboard.table import Cell, make_table
from xrealign_bench.leaderboard.views import by_language, groups, provenance, ranking, reported
from xrealign_bench.results.storage import COMPARISON, RESULT
from xrealign_bench.specs.core_schema import write_yaml

MARK = "assets/site.css"
"""A folder with this file was written by this module and may be replaced."""


def build_site(results_root: Path, folder: Path, on_damaged: OnDamaged = refuse) -> list[Path]:
    """Write the site of all results below `results_root` into `folder`, replacing an earlier one.

    The site needs no server and no network. The same results give the same bytes.

    Returns:
        The pages, the index first.

    Raises:
        UserError: there is no result, two suites share a name and version, the folder has other contents, or
            `on_damaged` raises it.
    """
    boards = [_with_copied_results(board) for board in read_boards(results_root, folder, on_damaged)]
    _make_room(folder)
    assets = folder / "assets"
    shutil.copytree(str(resources.files(__package__) / "assets"), assets)
    (assets / "land.svg").write_text(charts.land_outline(), encoding="utf-8")
    pages = Pages(folder)
    written = [pages.write("index", "index.html", boards=boards)]
    for board in boards:
        written += _write_board(pages, board)
    return written


def _with_copied_results(board: Board) -> Board:
    """Let rows name the copies of their results that are stored next to their pages."""
    sections = (
        replace(section, rows=tuple(replace(row, result=f"{row.page}.{RESULT}") for row in section.rows))
        for section in board.sections
    )
    return replace(board, sections=tuple(sections))


def _make_room(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MARK).is_file():
            raise UserError(f"{folder}: is not empty and is not a site; remove it or name another --output")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _write_board(pages: Pages, board: Board) -> Iterator[Path]:
    suite = board.suite.id
    common: dict[str, Any] = {"board": board, "rules": legend.rules(board)}
    languages = {code: by_language.describe_language(board, code) for code in by_language.shown_languages(board)}
    scored = [row for section in board.sections for row in section.scored_rows]
    yield pages.write(
        f"{suite}/index",
        "board.html",
        table=make_table(ranking.BOARD_COLUMNS, scored, "html"),
        reported=[
            (section, reported.reported_averages(board, section))
            for section in board.sections
            if reported.has_averages(section)
        ],
        corrections=[(section, pair) for section in board.sections for pair in ranking.corrections(section)],
        languages=sorted(((code, name) for code, (name, _) in languages.items()), key=lambda pair: pair[1]),
        **common,
    )
    for name, text in render_files(board).items():
        (pages.folder / suite / name).write_text(text, encoding="utf-8")
    for section in board.sections:
        yield from write_checkpoint(pages, board, section)
        for row in section.rows:
            page = f"{suite}/{row.page}"
            yield pages.write(page, "result.html", section=section, row=row, **_result(board, row), **common)
            _copy_result(row, pages.folder / page)
    for code, (name, facts) in languages.items():
        yield pages.write(
            f"{suite}/{by_language.language_page(code)}",
            "language.html",
            name=name,
            facts=facts,
            tables={task: by_language.language_results(board, code, task) for task in board.suite.tasks},
            means=by_language.reported_in_language(board, code),
            **common,
        )


def _ranking_figures(row: BoardRow) -> dict[str, Cell]:
    """Return the cells of the row in the ranking, by their headings."""
    table = make_table(ranking.BOARD_COLUMNS, [row], "html")
    return {heading.text: cell for heading, cell in zip(table.headings, table.rows[0], strict=True)}


def _result(board: Board, row: BoardRow) -> dict[str, Any]:
    result, tasks = row.read_result(), len(board.suite.tasks)
    return {
        "figures": _ranking_figures(row),
        "description": result.recipe.description,
        "means": reported.reported_means(board, row),
        "groups": groups.result_scores(row, tasks),
        "gains": groups.result_gains(row, tasks),
        "counts": groups.result_verdicts(row, tasks),
        "words": groups.result_words(row),
        "tasks": [
            (by_language.result_languages(row, task), task_charts(row, result, task)) for task in row.summary.tasks
        ],
        "facts": provenance.provenance(row, result),
        "remarks": provenance.remarks(result),
        "commands": provenance.commands(result),
        "recipe": write_yaml(result.recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=False),
        "realignments": provenance.realignments(result),
        "data_summary": provenance.data_summary(result),
        "data": provenance.data_read(result),
        "predictions": provenance.predictions(result),
        "costs": provenance.stage_costs(result),
    }


def _copy_result(row: BoardRow, page: Path) -> None:
    """Copy the result and its comparison next to their page, as `NAME.result.json` and `NAME.comparison.json`."""
    for name in (RESULT, COMPARISON) if row.comparison else (RESULT,):
        shutil.copyfile(row.folder / name, page.with_name(f"{page.name}.{name}"))
