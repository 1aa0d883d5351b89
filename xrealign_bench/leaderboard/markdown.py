"""A board as Markdown: its page, one a result and one a language."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote

from tabulate import DataRow, TableFormat, tabulate

from xrealign_bench.leaderboard import legend, views
from xrealign_bench.leaderboard.board import Board, Row, Section
from xrealign_bench.leaderboard.formatting import counted
from xrealign_bench.leaderboard.views import Cell, Facts, Table
from xrealign_bench.results.result import Result

FACTS = ("Tier", "Distance", "Seen")
"""Of a language, in tables of many."""
FIGURE = re.compile(r"[-+±–\d./, \[\]]+")
"""What no markup can be made of: the brackets of an interval lead nowhere."""
CELLS = DataRow("|", "|", "|")


def render_markdown(board: Board) -> str:
    """The page: how to read it, and for each checkpoint the ranking, gains by group, scores by task, and languages."""
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


def render_result(board: Board, section: Section, row: Row) -> str:
    """Scores by task, group and language, where they come from, and how to get them again."""
    up = "../" * row.page.count("/")
    result = row.read_result()
    parts = [
        f"# {text(row.label)}",
        f"{text(row.title)}, with {text(section.name)}. {text(result.recipe.description)}".rstrip(),
        f"Board: [{board.suite.id}]({up}README.md). Stored: [result.json]({up}{quote(row.result)}).",
        *_titled("Reported means", views.reported_means(board, row), up),
        *_titled("Scores", views.result_groups(board, row), up),
        *_titled("Gains", views.result_gains(board, row), up),
        *_titled("Languages helped and harmed", views.result_counts(board, row), up),
        *_titled("Kinds of words", views.result_words(row), up),
    ]
    for task in row.summary.tasks:
        parts += [f"## Languages: {text(task)}", _table(views.result_languages(board, row, task, FACTS), up)]
    parts += ["## Where it comes from", _facts(views.provenance(row, result))]
    parts += [f"Note: {text(each)}" for each in views.remarks(result)]
    parts += _commands(result)
    for title, table in (
        ("Realignment", views.realignments(result)),
        ("Data read", views.data_summary(result)),
        ("Predictions", views.predictions(result)),
        ("Cost", views.stage_costs(result)),
    ):
        parts += _titled(title, table, up)
    return "\n\n".join(parts) + "\n"


def render_language(board: Board, code: str) -> str:
    """Every checkpoint and recipe on a language, in one suite version."""
    name, facts = views.describe_language(board, code)
    up = "../" * views.language_page(code).count("/")
    parts = [
        f"# {text(name)}",
        _facts(facts),
        f"Board: [{board.suite.id}]({up}README.md), which says how to read this.",
    ]
    for task in board.suite.tasks:
        parts += _titled(text(task), views.language_results(board, code, task), up)
    parts += _titled("Reported means", views.language_means(board, code), up)
    return "\n\n".join(parts) + "\n"


def _commands(result: Result) -> list[str]:
    commands = views.commands(result)
    if not commands:
        return ["There is no command that gives a reported result."]
    said = "The environment and the command that give it; `xrealign-bench rescore` and `verify` check what is stored."
    return [said, "```sh\n" + "\n".join(commands) + "\n```"]


def _titled(title: str, table: Table, up: str, level: str = "##") -> list[str]:
    return [f"{level} {title}", _table(table, up)] if table.rows else []


def _facts(facts: Facts) -> str:
    return "\n".join(f"- {text(what)}: {text(said)}" for what, said in facts)


def _render_section(board: Board, section: Section) -> list[str]:
    parts = [
        f"## {text(section.name)}",
        text(views.checkpoint_identity(section)) + ".",
    ]
    scored = views.scored(section)
    if scored:
        parts.append(_table(views.overview(scored)))
    if len(scored) < len(section.rows):
        parts += _titled("Reported averages", views.reported_averages(board, section), "", "###")
        parts += _titled("Reported means of single languages", views.reported_languages(board, section), "", "###")
    for said in dict.fromkeys(row.reported for row in section.rows if row.reported):
        parts.append(f"**Reported**: {text(said)}")
    unranked = [row for row in scored if row.unranked]
    if unranked:
        parts.append("Not ranked:\n\n" + "\n".join(_reasons(unranked)))
    if apart := views.told_apart(section):
        lines = [f"- {text(label)} is above {text(others)}" for label, others in apart]
        parts.append("Told apart by the corrected tests of all pairs:\n\n" + "\n".join(lines))
    if told := views.corrections(section):
        lines = [f"- {_cell(Cell(row.label, link=row.page), '')}: {text(said)}" for row, said in told]
        parts.append("Corrected:\n\n" + "\n".join(lines))
    parts += _titled("Gains by tier and band", views.gains(section.rows), "", "###")
    for task in board.suite.tasks if len(board.suite.tasks) > 1 else []:
        parts += _titled(f"Scores: {text(task)}", views.scores_by_task(scored, task), "", "###")
    for task in board.suite.tasks:
        compared = views.compared_in(section, task)
        table = views.languages_by_recipe(board, section, task, compared, FACTS)
        if table.rows:
            parts += [f"### Languages: {text(task)}", _table(table)]
    return parts


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows have no rank, each reason once."""
    by_reason: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row.unranked, []).append(row)
    return [
        f"- {', '.join(_cell(Cell(row.label, link=row.page), '') for row in same)}: {text('; '.join(why))}"
        for why, same in by_reason.items()
    ]


def _table(table: Table, up: str = "") -> str:
    """Not padded, so that a change of one cell changes one line.

    Args:
        up: from the page to the board's folder.
    """
    align = " | ".join([":--"] * table.left + ["--:"] * (len(table.head) - table.left))
    unpadded = TableFormat(None, lambda *_: f"| {align} |", None, None, CELLS, CELLS, padding=1, with_header_hide=None)
    head, *rows = [[_cell(cell, up) for cell in line] for line in (table.head, *table.rows)]
    return tabulate(rows, head, tablefmt=unpadded, stralign=None, disable_numparse=True)


def _cell(cell: Cell, up: str) -> str:
    shown = cell.text if FIGURE.fullmatch(cell.text) else text(cell.text)
    shown = f"[{shown}]({up}{quote(cell.link)}.md)" if cell.link else shown
    return f"{shown}<br>{text(cell.note)}" if cell.note else shown
