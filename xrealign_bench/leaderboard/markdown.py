"""A board's front page in Markdown: the ranking of each checkpoint."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote

from tabulate import DataRow, TableFormat, tabulate

from xrealign_bench.leaderboard import legend, views
from xrealign_bench.leaderboard.board import Board, Row, Section
from xrealign_bench.leaderboard.formatting import counted
from xrealign_bench.leaderboard.views import Cell, Table

FIGURE = re.compile(r"[-+±–\d./, \[\]]+")
"""What no markup can be made of: the brackets of an interval lead nowhere."""
CELLS = DataRow("|", "|", "|")


def render_markdown(board: Board) -> str:
    """Render the front page: how to read it, and the ranking of each checkpoint."""
    suite = board.suite
    parts = [
        f"# {text(suite.title)}",
        f"Suite `{suite.id}`, digest `{board.suite_digest[:12]}`: "
        f"{counted(len(suite.target_languages), 'target language')}, fine-tuned in `{suite.source_language}`; "
        f"tasks {', '.join(f'`{name}`' for name in suite.tasks)}; "
        f"seeds {', '.join(map(str, suite.seeds))}. {text(suite.description)}".rstrip(),
        "Made by `xrealign-bench leaderboard build` from the results that the rows lead to; don't edit. The "
        "same figures: [leaderboard.csv](leaderboard.csv), [leaderboard.json](leaderboard.json), "
        "[languages.csv](languages.csv)"
        + (", [reported.csv](reported.csv)." if views.has_reported_means(board) else "."),
        _rules(board),
        *(part for section in board.sections for part in _render_section(board, section)),
    ]
    return "\n\n".join(parts) + "\n"


def text(value: str) -> str:
    """Text of others made safe inside a table: no markup, no cell borders, one line.

    >>> text("a|b <i>c</i>")
    'a\\\\|b &lt;i&gt;c&lt;/i&gt;'
    """
    flat = html.escape(" ".join(value.split()), quote=False)
    for character in "\\`*_[]|":
        flat = flat.replace(character, "\\" + character)
    return flat


def _rules(board: Board) -> str:
    rules = (f"- **{term}**: {said}" for term, said in legend.rules(board))
    return "## How to read this\n\n" + "\n".join(rules)


def _render_section(board: Board, section: Section) -> list[str]:
    parts = [
        f"## {text(section.name)}",
        text(views.checkpoint_identity(section)) + ".",
    ]
    scored = views.scored(section)
    if scored:
        parts.append(_table(views.overview(scored)))
    if len(scored) < len(section.rows):
        parts += ["### Reported averages", _table(views.reported_averages(board, section))]
    for said in dict.fromkeys(row.reported for row in section.rows if row.reported):
        parts.append(f"**Reported**: {text(said)}")
    unranked = [row for row in scored if row.unranked]
    if unranked:
        parts.append("Not ranked:\n\n" + "\n".join(_reasons(unranked)))
    if apart := views.told_apart(section):
        lines = [f"- {text(label)} is above {text(others)}" for label, others in apart]
        parts.append("Told apart by the corrected tests of all pairs:\n\n" + "\n".join(lines))
    if told := views.corrections(section):
        lines = [f"- {_cell(Cell(row.label, folder=row.result_folder))}: {text(said)}" for row, said in told]
        parts.append("Corrected:\n\n" + "\n".join(lines))
    return parts


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows have no rank, each reason once."""
    by_reason: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row.unranked, []).append(row)
    return [
        f"- {', '.join(_cell(Cell(row.label, folder=row.result_folder)) for row in same)}: {text('; '.join(why))}"
        for why, same in by_reason.items()
    ]


def _table(table: Table) -> str:
    """Render without padding, so that a changed cell changes one line."""
    align = " | ".join([":--"] * table.left + ["--:"] * (len(table.head) - table.left))
    unpadded = TableFormat(None, lambda *_: f"| {align} |", None, None, CELLS, CELLS, padding=1, with_header_hide=None)
    head, *rows = [[_cell(cell) for cell in line] for line in (table.head, *table.rows)]
    return tabulate(rows, head, tablefmt=unpadded, stralign=None, disable_numparse=True)


def _cell(cell: Cell) -> str:
    shown = cell.text if FIGURE.fullmatch(cell.text) else text(cell.text)
    shown = f"[{shown}]({quote(cell.folder)})" if cell.folder else shown
    return f"{shown}<br>{text(cell.note)}" if cell.note else shown
