"""Languages by recipe: scores and gains in one task, one row a language and one column a recipe."""

from __future__ import annotations

from collections.abc import Sequence

from xrealign_bench.leaderboard.board import BoardRow, Section
from xrealign_bench.leaderboard.cells import change_cell, score_cell
from xrealign_bench.leaderboard.formatting import percent, signed
from xrealign_bench.leaderboard.table import PAGES, TERMINAL, Cell, Column, Table, View, make_table
from xrealign_bench.leaderboard.views.by_language import LANGUAGE_FACTS, in_order, language_cell
from xrealign_bench.results.records import LanguageRecord
from xrealign_bench.results.result import BASELINE

TERMINAL_MARKS = {"helped": "+", "harmed": "-", "same": " ", "untested": " "}


def compared_rows(section: Section, task: str) -> list[BoardRow]:
    """Return the rows that have gains in a task's languages."""
    return [row for row in section.rows if row.changes_in(task)]


def languages_by_recipe(
    rows: Sequence[BoardRow], task: str, compared: Sequence[BoardRow], view: View = "html"
) -> Table:
    """Return languages by recipe in one task: scores and gains, by tier and from close to distant.

    Pages show the baseline's score and every recipe's gain; the terminal shows score and gain of every recipe.

    Args:
        rows: results of one checkpoint.
        compared: those whose gains pages show.
    """
    scored = [row for row in rows if task in row.summary.tasks]
    baseline = min((row for row in scored if row.is_baseline), key=lambda row: row.is_partial, default=None)
    columns: list[Column[LanguageRecord]] = [
        Column("Language", language_cell, is_text=True),
        *(
            Column[LanguageRecord](fact.title, fact.cell, is_text=fact.is_text, views=fact.views)
            for fact in LANGUAGE_FACTS
        ),
        _baseline_column(baseline, task),
        *(_gains_column(row, task) for row in compared),
        *(_scores_and_gains_column(row, task) for row in scored),
    ]
    records = [r for r in in_order(scored) if any(r.code in row.summary.tasks[task].languages for row in scored)]
    return make_table(columns, records, view)


def _baseline_column(baseline: BoardRow | None, task: str) -> Column[LanguageRecord]:
    scores = baseline.summary.tasks[task].languages if baseline else {}
    link = baseline.link if baseline else None
    return Column(BASELINE, lambda record: score_cell(scores.get(record.code)), views=PAGES, link=link)


def _gains_column(row: BoardRow, task: str) -> Column[LanguageRecord]:
    changes = row.changes_in(task)
    return Column(row.label, lambda record: change_cell(changes.get(record.code)), views=PAGES, link=row.link)


def _scores_and_gains_column(row: BoardRow, task: str) -> Column[LanguageRecord]:
    scores, changes = row.summary.tasks[task].languages, row.changes_in(task)

    def cell(record: LanguageRecord) -> Cell:
        score, change = scores.get(record.code), changes.get(record.code)
        text = percent(score.mean if score else None)
        return Cell(text if change is None else f"{text} ({signed(change.gain)}){TERMINAL_MARKS[change.verdict]}")

    return Column(row.label, cell, views=TERMINAL)
