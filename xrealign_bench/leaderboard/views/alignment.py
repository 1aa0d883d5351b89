"""Whether alignment predicts scores: MEXA of an analysis against the results beside it, over languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xrealign_bench.leaderboard.board import BoardRow, Section
from xrealign_bench.leaderboard.formatting import NONE
from xrealign_bench.leaderboard.inside_chart import block_name
from xrealign_bench.leaderboard.table import Cell, Column, Table, make_table
from xrealign_bench.scoring.correlation import Correlation, correlate

if TYPE_CHECKING:
    import pandas as pd

WHOLE = {"mexa_mean": "Mean over blocks", "mexa_max": "Best block"}
"""Measure of no single block -> the title of its column."""


@dataclass(frozen=True)
class AlignmentRow:
    """Correlations of one form's MEXA with the scores of a recipe and task."""

    recipe: str
    task: str
    form: str
    languages: int
    found: Mapping[str, Correlation | None]
    """Measure of `WHOLE`, or block, -> the correlation."""


def alignment_and_scores(section: Section, table: pd.DataFrame) -> Table | None:
    """Return recipes and forms by block: the correlation of MEXA with scores over the target languages.

    Both are means over seeds. None if no recipe of the analysis has a complete result with enough languages.

    Args:
        section: the results of the analysed checkpoint.
        table: from `StoredAnalysis.read_table`.
    """
    rows = list(_rows(section, table))
    measured = dict.fromkeys(name for row in rows for name in row.found)
    several = len({row.task for row in rows}) > 1
    columns = [
        Column[AlignmentRow]("Recipe", lambda row: Cell(row.recipe), is_text=True),
        *([Column[AlignmentRow]("Task", lambda row: Cell(row.task), is_text=True)] if several else []),
        Column[AlignmentRow]("MEXA of", lambda row: Cell(row.form), is_text=True),
        Column[AlignmentRow]("Languages", lambda row: Cell(str(row.languages), row.languages)),
        *(_column(name, title, with_interval=True) for name, title in WHOLE.items() if name in measured),
        *(_column(name, name, with_interval=False) for name in measured if name not in WHOLE),
    ]
    return make_table(columns, rows) if rows else None


def _column(name: str, title: str, *, with_interval: bool) -> Column[AlignmentRow]:
    def cell(row: AlignmentRow) -> Cell:
        if (found := row.found.get(name)) is None:
            return Cell(NONE)
        interval = f" [{_two(found.low)}, {_two(found.high)}]" if with_interval else ""
        return Cell(_two(found.r) + interval, found.r)

    return Column(title, cell)


def _rows(section: Section, table: pd.DataFrame) -> Iterator[AlignmentRow]:
    results = {row.recipe: row for row in section.scored_rows if _is_whole(row)}
    mexa = table[table["measure"].isin(["mexa", *WHOLE])]
    for (recipe, task, form), part in mexa.groupby(["recipe", "task", "form"], sort=False):
        row = results.get(recipe)
        if row is None or task not in row.summary.tasks:
            continue
        scores = row.summary.tasks[task].languages
        means = {code: mean for code in row.languages if code in scores and (mean := scores[code].mean) is not None}
        names = part["measure"].where(part["block"].isna(), part["block"].map(block_name, na_action="ignore"))
        values = part.assign(name=names).pivot_table("value", "language", "name", sort=False)
        kept = [code for code in values.index if code in means]
        gold = [means[code] for code in kept]
        found = {str(name): correlate(values.loc[kept, name].tolist(), gold) for name in values.columns}
        if any(found.values()):
            yield AlignmentRow(recipe, task, form, len(kept), found)


def _is_whole(row: BoardRow) -> bool:
    return row.reported is None and not (row.is_partial or row.has_fresh_seeds or row.suffix)


def _two(value: float) -> str:
    """Return a number with two decimals, and never `-0.00`."""
    return f"{round(value, 2) + 0.0:.2f}"
