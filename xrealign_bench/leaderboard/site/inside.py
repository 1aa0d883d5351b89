"""The section "Inside" of a checkpoint's page: what recipes change inside the model, from stored analyses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from xrealign_bench.leaderboard.board import Board, Section
from xrealign_bench.leaderboard.chart import COLOURS
from xrealign_bench.leaderboard.inside_chart import FORM_STYLES, change_by_language, shown_tiers
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.table import Table
from xrealign_bench.leaderboard.views.alignment import alignment_and_scores
from xrealign_bench.leaderboard.views.inside import analyses_of, changes_by_block, inside_means
from xrealign_bench.results.analysis_files import StoredAnalysis

if TYPE_CHECKING:
    import pandas as pd

HEAT_UNIT = 5
"""MEXA changes by more than scores do."""


@dataclass(frozen=True)
class RecipeInside:
    """The figures of one recipe."""

    recipe: str
    frozen: Sequence[int]
    curves: Markup | None
    gradients: Markup | None
    heat: Table | None
    """Languages by block: the change of MEXA."""
    changed: str
    """The form that the heat map compares with the initial one."""


@dataclass(frozen=True)
class Inside:
    """One analysis."""

    analysis: StoredAnalysis
    summary: Table
    correlations: Table | None
    """Of MEXA with scores."""
    tiers: Sequence[str]
    forms: Sequence[tuple[str, str]]
    """Form -> the colour of its gradients."""
    recipes: Sequence[RecipeInside]


def read_inside(board: Board, section: Section) -> list[Inside]:
    """Read the analyses of a checkpoint and draw them.

    Raises:
        UserError: as `analyses_of`.
    """
    return [_inside(section, analysis, number) for number, analysis in enumerate(analyses_of(board, section))]


def _inside(section: Section, analysis: StoredAnalysis, number: int) -> Inside:
    table = analysis.read_table()
    forms = [form for form in FORM_STYLES if (table["form"] == form).any()]
    recipes = [str(recipe) for recipe in table["recipe"].unique()]
    return Inside(
        analysis,
        inside_means(table),
        alignment_and_scores(section, table),
        shown_tiers(table),
        list(zip(forms, COLOURS, strict=False)),
        [
            _recipe(section, analysis, table[table["recipe"] == recipe], f"{number}-{place}")
            for place, recipe in enumerate(recipes)
        ],
    )


def _recipe(section: Section, analysis: StoredAnalysis, table: pd.DataFrame, name: str) -> RecipeInside:
    """Draw the rows of one recipe.

    Args:
        section: the checkpoint.
        analysis: where the rows are from.
        table: the rows.
        name: unique among the recipes of a page.
    """
    recipe, change = str(table["recipe"].iloc[0]), change_by_language(table)
    frozen = analysis.record.frozen_blocks.get(recipe, [])
    return RecipeInside(
        recipe,
        frozen,
        charts.inside_curves(table, f"curves-{name}"),
        charts.inside_gradients(table, frozen, f"gradients-{name}"),
        None if change is None else changes_by_block(section, change),
        "" if change is None else change.form,
    )


def copy_analysis(analysis: StoredAnalysis, folder: Path) -> None:
    """Copy the table and the record of an analysis into the folder of its page."""
    for path in (analysis.path, analysis.table_path):
        shutil.copyfile(path, folder / path.name)
