"""The section "Inside" of a checkpoint's page: what recipes change inside the model, from stored analyses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from xrealign_bench.leaderboard.board import Board, Section
from xrealign_bench.leaderboard.chart import COLOURS
from xrealign_bench.leaderboard.inside_chart import FORM_STYLES, shown_tiers
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.table import Table
from xrealign_bench.leaderboard.views.alignment import alignment_and_scores
from xrealign_bench.leaderboard.views.inside import analyses_of, changes_by_block, inside_means
from xrealign_bench.results.analysis_files import StoredAnalysis

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
    """Languages by block: MEXA of the last form minus the initial one."""


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
    parts = table.groupby("recipe", sort=False)
    frozen = analysis.record.frozen_blocks
    return Inside(
        analysis,
        inside_means(table),
        alignment_and_scores(section, table),
        shown_tiers(table),
        list(zip(forms, COLOURS, strict=False)),
        [
            RecipeInside(
                str(recipe),
                frozen.get(str(recipe), []),
                charts.inside_curves(part, f"curves-{number}-{place}"),
                charts.inside_gradients(part, frozen.get(str(recipe), []), f"gradients-{number}-{place}"),
                changes_by_block(section, part),
            )
            for place, (recipe, part) in enumerate(parts)
        ],
    )


def copy_analysis(analysis: StoredAnalysis, folder: Path) -> None:
    """Copy the table and the record of an analysis into the folder of its page."""
    for path in (analysis.path, analysis.table_path):
        shutil.copyfile(path, folder / path.name)
