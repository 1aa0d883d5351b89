"""What recipes change inside a checkpoint, from the analyses that are stored beside its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.board import Board, Section
from xrealign_bench.leaderboard.formatting import signed
from xrealign_bench.leaderboard.inside_chart import Change, block_name
from xrealign_bench.leaderboard.inside_summary import SummaryRow, shown_columns, summarise, value_with_spread
from xrealign_bench.leaderboard.table import Cell, Column, Table, make_table
from xrealign_bench.leaderboard.views.by_language import LANGUAGE_FACTS, in_order, language_cell
from xrealign_bench.results.analysis_files import StoredAnalysis, find_analyses
from xrealign_bench.results.records import LanguageRecord

if TYPE_CHECKING:
    import pandas as pd


def analyses_of(board: Board, section: Section) -> list[StoredAnalysis]:
    """Read the analyses of a checkpoint, which lie in `analysis` next to the folder of its results.

    Raises:
        UserError: an analysis is damaged, or of another suite or other weights than the results.
    """
    folders = sorted({row.folder.resolve().parent for row in section.scored_rows if row.reported is None})
    found = [analysis for folder in folders for analysis in find_analyses(folder)]
    for analysis in found:
        same_suite = analysis.record.suite_digest == board.suite_digest
        if not same_suite or analysis.record.weights_sha256 != section.checkpoint.weights_sha256:
            what = "other weights" if same_suite else "another suite"
            raise UserError(
                f"{analysis.path}: is an analysis of {what} than the results beside it; remove it, or analyse again"
            )
    return found


def inside_means(table: pd.DataFrame) -> Table:
    """Return recipes and forms by measure: means over blocks, target languages and seeds."""
    rows = summarise(table)

    def column(name: str) -> Column[SummaryRow]:
        def cell(row: SummaryRow) -> Cell:
            value = row.means.get(name)
            return Cell(value_with_spread(value), value.mean if value else None)

        return Column(name, cell)

    several = len({row.task for row in rows}) > 1
    texts = [
        Column[SummaryRow]("Recipe", lambda row: Cell(row.recipe), is_text=True),
        *([Column[SummaryRow]("Task", lambda row: Cell(row.task), is_text=True)] if several else []),
        Column[SummaryRow]("Form", lambda row: Cell(row.form), is_text=True),
    ]
    return make_table([*texts, *map(column, shown_columns(rows))], rows)


def changes_by_block(section: Section, change: Change) -> Table:
    """Return languages by block, in percentage points."""

    def column(block: object) -> Column[LanguageRecord]:
        values = change.values[block]
        return Column(
            block_name(block), lambda record: Cell(signed(values[record.code]), 100 * float(values[record.code]))
        )

    columns: list[Column[LanguageRecord]] = [
        Column("Language", language_cell, is_text=True),
        *(
            Column[LanguageRecord](fact.title, fact.cell, is_text=fact.is_text, views=fact.views)
            for fact in LANGUAGE_FACTS
        ),
        *map(column, change.values.columns),
    ]
    records = [record for record in in_order(section.rows) if record.code in change.values.index]
    return make_table(columns, records)
