"""A board's front page in Markdown: the ranking of each checkpoint."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tabulate import DataRow, TableFormat, tabulate

from xrealign_bench.leaderboard.board import Board, BoardRow, Section
from xrealign_bench.leaderboard.exposure import known_exposures
from xrealign_bench.leaderboard.formatting import pluralise
from xrealign_bench.leaderboard.legend import rules
from xrealign_bench.leaderboard.table import Cell, Table, make_table
from xrealign_bench.leaderboard.templating import render_template
from xrealign_bench.leaderboard.views import ranking
from xrealign_bench.leaderboard.views.alignment import alignment_and_scores
from xrealign_bench.leaderboard.views.by_task import is_shown, tables_by_task
from xrealign_bench.leaderboard.views.inside import analyses_of, inside_means
from xrealign_bench.leaderboard.views.reported import has_averages, reported_averages, reported_languages
from xrealign_bench.results.analysis_files import StoredAnalysis

FIGURE = re.compile(r"[-+±–\d./, \[\]]+")
"""Text without any markup: the brackets of an interval are no link."""
BORDERS = DataRow("|", "|", "|")


def render_markdown(board: Board) -> str:
    """Return the front page of a board."""
    return render_template(
        "board.md",
        board=board,
        rules=rules(board),
        pluralise=pluralise,
        escape=escape,
        identity=ranking.checkpoint_identity,
        ranking=_ranking,
        ranked_rows=lambda section: _ranked_rows(board, section),
        by_task=lambda section: _by_task(board, section),
        has_averages=has_averages,
        reported_languages=lambda section: render_table(reported_languages(board, section)),
        reported_averages=lambda section: render_table(reported_averages(board, section)),
        sources=reported_sources,
        exposures=known_exposures,
        unranked=lambda section: unranked_by_reason(_unranked_rows(board, section)),
        corrections=ranking.corrections,
        inside=lambda section: _inside(board, section),
        link=lambda row: render_cell(ranking.label_cell(row)),
    )


def escape(value: str) -> str:
    """Escape text from results for use in a table: no markup, no cell borders, one line.

    >>> escape("a|b <i>c</i>")
    'a\\\\|b &lt;i&gt;c&lt;/i&gt;'
    """
    flat = html.escape(" ".join(value.split()), quote=False)
    for character in "\\`*_[]|":
        flat = flat.replace(character, "\\" + character)
    return flat


def _ranking(rows: Sequence[BoardRow]) -> str:
    return render_table(make_table(ranking.BOARD_COLUMNS, rows, "markdown"))


def _ranked_rows(board: Board, section: Section) -> list[BoardRow]:
    """Return the rows of the ranking, without partial ones if tables by task show them."""
    rows = section.scored_rows
    return [row for row in rows if not row.is_partial] if is_shown(board, section) else rows


def _by_task(board: Board, section: Section) -> list[tuple[str, str]]:
    """Return the headings and tables of a section by task."""
    tables = tables_by_task(board, section) if is_shown(board, section) else []
    return [(title, render_table(table)) for title, table in tables]


def _inside(board: Board, section: Section) -> list[tuple[StoredAnalysis, str, str, str]]:
    """Return the analyses of a checkpoint, their paths from the board's folder, and their tables of means and of
    correlations with scores, which may be empty."""
    row = section.rows[0]
    found = []
    for analysis in analyses_of(board, section):
        path = Path(row.result).parent / os.path.relpath(analysis.path, row.folder.resolve())
        shown = quote(Path(os.path.normpath(path)).as_posix())
        table = analysis.read_table()
        correlations = alignment_and_scores(section, table)
        tables = render_table(inside_means(table)), render_table(correlations) if correlations else ""
        found.append((analysis, shown, *tables))
    return found


def _unranked_rows(board: Board, section: Section) -> list[BoardRow]:
    """Return the rows whose lack of a rank is explained: not partial ones if tables by task show them."""
    rows = section.scored_rows
    return [row for row in rows if row.history.withdrawn or not row.is_partial] if is_shown(board, section) else rows


def unranked_by_reason(rows: Sequence[BoardRow]) -> list[tuple[str, list[BoardRow]]]:
    """Group the rows without a rank by the reason."""
    by_reason: dict[str, list[BoardRow]] = {}
    for row in rows:
        if row.unranked:
            by_reason.setdefault("; ".join(row.unranked), []).append(row)
    return list(by_reason.items())


def reported_sources(rows: Sequence[BoardRow]) -> list[str]:
    """Return where reported rows were taken from, each source once."""
    return list(dict.fromkeys(row.reported for row in rows if row.reported))


def render_table(table: Table) -> str:
    """Render a table without padding, so that a changed cell changes one line."""
    align = " | ".join(":--" if is_text else "--:" for is_text in table.is_text)
    unpadded = TableFormat(
        None, lambda *_: f"| {align} |", None, None, BORDERS, BORDERS, padding=1, with_header_hide=None
    )
    headings, *rows = [[render_cell(cell) for cell in line] for line in (table.headings, *table.rows)]
    return tabulate(rows, headings, tablefmt=unpadded, stralign=None, disable_numparse=True)


def render_cell(cell: Cell) -> str:
    """Render a cell with its link to the stored result and its second line."""
    shown = cell.text if FIGURE.fullmatch(cell.text) else escape(cell.text)
    shown = f"[{shown}]({quote(cell.link.folder)})" if cell.link and cell.link.folder else shown
    return f"{shown}<br>{escape(cell.note)}" if cell.note else shown
