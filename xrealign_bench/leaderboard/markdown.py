"""A board as Markdown: its page, one a result and one a language."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote

from tabulate import DataRow, TableFormat, tabulate

from xrealign_bench.leaderboard import content, legend
from xrealign_bench.leaderboard.content import Cell, Facts, Table
from xrealign_bench.leaderboard.numbers import counted
from xrealign_bench.leaderboard.table import Board, Row, Section
from xrealign_bench.results.schema import Result

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
        + (", [reported.csv](reported.csv)." if content.has_reported_means(board) else "."),
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
        *_titled("Reported means", content.reported_means(board, row), up),
        *_titled("Scores", content.result_groups(board, row), up),
        *_titled("Gains", content.result_gains(board, row), up),
        *_titled("Languages helped and harmed", content.result_counts(board, row), up),
        *_titled("Kinds of words", content.result_words(row), up),
    ]
    for task in row.summary.tasks:
        parts += [f"## Languages: {text(task)}", _table(content.result_languages(board, row, task, FACTS), up)]
    parts += ["## Where it comes from", _facts(content.provenance(row, result))]
    parts += [f"Note: {text(each)}" for each in content.remarks(result)]
    parts += _commands(result)
    for title, table in (
        ("Realignment", content.realignments(result)),
        ("Data read", content.data_summary(result)),
        ("Predictions", content.predictions(result)),
        ("Cost", content.stage_costs(result)),
    ):
        parts += _titled(title, table, up)
    return "\n\n".join(parts) + "\n"


def render_language(board: Board, code: str) -> str:
    """Every checkpoint and recipe on a language, in one suite version."""
    name, facts = content.describe_language(board, code)
    up = "../" * content.language_page(code).count("/")
    parts = [
        f"# {text(name)}",
        _facts(facts),
        f"Board: [{board.suite.id}]({up}README.md), which says how to read this.",
    ]
    for task in board.suite.tasks:
        parts += _titled(text(task), content.language_results(board, code, task), up)
    parts += _titled("Reported means", content.language_means(board, code), up)
    return "\n\n".join(parts) + "\n"


def _commands(result: Result) -> list[str]:
    commands = content.commands(result)
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
        text(content.checkpoint_identity(section)) + ".",
    ]
    scored = content.scored(section)
    if scored:
        parts.append(_table(content.overview(scored)))
    if len(scored) < len(section.rows):
        parts += _titled("Reported averages", content.reported_averages(board, section), "", "###")
        parts += _titled("Reported means of single languages", content.reported_languages(board, section), "", "###")
    for said in dict.fromkeys(row.reported for row in section.rows if row.reported):
        parts.append(f"**Reported**: {text(said)}")
    unranked = [row for row in scored if row.unranked]
    if unranked:
        parts.append("Not ranked:\n\n" + "\n".join(_reasons(unranked)))
    if apart := content.told_apart(section):
        lines = [f"- {text(label)} is above {text(others)}" for label, others in apart]
        parts.append("Told apart by the corrected tests of all pairs:\n\n" + "\n".join(lines))
    if told := content.corrections(section):
        lines = [f"- {_cell(Cell(row.label, link=row.page), '')}: {text(said)}" for row, said in told]
        parts.append("Corrected:\n\n" + "\n".join(lines))
    parts += _titled("Gains by tier and band", content.gains(section.rows), "", "###")
    for task in board.suite.tasks if len(board.suite.tasks) > 1 else []:
        parts += _titled(f"Scores: {text(task)}", content.scores_by_task(scored, task), "", "###")
    for task in board.suite.tasks:
        compared = content.compared_in(section, task)
        table = content.languages_by_recipe(board, section, task, compared, FACTS)
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
