"""Figures of an analysis: curves by block and tier, a heat map of blocks and languages, and gradients by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xrealign_bench.leaderboard import chart
from xrealign_bench.leaderboard.chart import COLOURS, LEGEND, OTHER_STYLE, TIER_STYLES
from xrealign_bench.leaderboard.inside_summary import over_seeds
from xrealign_bench.scoring.aggregate import TIERS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES: Mapping[str, str] = {
    "mexa": "MEXA: pairs nearer than all others",
    "word_precision": "precision at 1 of linked words",
    "task_probe": "accuracy of the task probe",
    "cka": "CKA with the initial model",
}
"""Measure -> what its curves show."""
FORM_STYLES: Mapping[str, Any] = {"initial": ":", "realigned": "--", "finetuned": "-"}
HEAT = "mexa"
COSINES = ("gradient_cosine", "gradient_cosine_std")
"""Measures of `draw_cosines`."""


def draw_analysis(table: pd.DataFrame, frozen: Mapping[str, Sequence[int]], path: Path, title: str) -> list[Path]:
    """Draw the figures that the table has values for, each as a PNG.

    Args:
        table: from `inside.collect_table`.
        frozen: recipe -> the blocks that it freezes in realignment.
        path: beginning of the files' names, in a folder that exists.
        title: names suite and checkpoint.

    Returns:
        The files.
    """
    figures = {"curves": draw_curves(table, title), "languages": draw_languages(table, title)}
    figures["gradients"] = draw_gradients(table, frozen, title)
    return [
        chart.write_png(figure, path.with_name(f"{path.name}--{name}.png"))
        for name, figure in figures.items()
        if figure is not None
    ]


def draw_curves(table: pd.DataFrame, title: str) -> Figure | None:
    """Draw a panel a measure and recipe: the mean of each tier against the block, one line style a form."""
    measures = [measure for measure in CURVES if (table["measure"] == measure).any()]
    recipes = list(table["recipe"].unique())
    if not measures:
        return None
    figure = _figure((4.2 * len(recipes) + 1, 3.2 * len(measures) + 1), f"By block  ·  {title}")
    panels = figure.subplots(len(measures), len(recipes), squeeze=False, sharex=True, sharey="row")
    for row, measure in enumerate(measures):
        for column, recipe in enumerate(recipes):
            axes: Axes = panels[row][column]
            chart.style_axes(axes)
            axes.set_title(recipe if row == 0 else "", fontsize=11)
            draw_tiers(axes, table[(table["recipe"] == recipe) & (table["measure"] == measure)])
            name_blocks(axes, table["block"].dropna(), "block" if row == len(measures) - 1 else "")
        panels[row][0].set_ylabel(CURVES[measure], fontsize=9)
    _add_legend(figure, shown_tiers(table))
    return figure


def shown_tiers(table: pd.DataFrame) -> list[str]:
    """Return the tiers of a table's target languages."""
    return [tier for tier in TIERS if (table["tier"] == tier).any()] or ["unclassified"]


def draw_tiers(axes: Axes, values: pd.DataFrame) -> None:
    """Draw one measure by block: the mean of each tier in each form, with the deviation over the seeds as a band."""
    for tier in shown_tiers(values):
        colour = TIER_STYLES.get(tier, OTHER_STYLE)[1]
        for form, style in FORM_STYLES.items():
            own = values[(values["tier"] == tier) & (values["form"] == form)]
            if own.empty:
                continue
            found = over_seeds(own, "block")
            blocks, means, half = found.index.astype(int), found["mean"].to_numpy(), found["std"].to_numpy()
            axes.plot(blocks, means, color=colour, linestyle=style, linewidth=1.4)
            if np.isfinite(half).all() and half.any():
                axes.fill_between(blocks, means - half, means + half, color=colour, alpha=0.15, linewidth=0)


def _add_legend(figure: Figure, tiers: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=TIER_STYLES.get(tier, OTHER_STYLE)[1], label=f"{tier} resources") for tier in tiers]
    lines += [Line2D([], [], color="#444444", linestyle=style, label=form) for form, style in FORM_STYLES.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9)


def draw_languages(table: pd.DataFrame, title: str) -> Figure | None:
    """Draw, for each recipe, the change of MEXA, blocks by languages: see `change_by_language`."""
    found = {recipe: change_by_language(part) for recipe, part in table.groupby("recipe", sort=False)}
    changes = {recipe: change for recipe, change in found.items() if change is not None}
    if not changes:
        return None
    languages, blocks = next(iter(changes.values())).values.shape
    figure = _figure((max(4.0, 0.5 * blocks + 2) * len(changes) + 1, 0.2 * languages + 2), f"MEXA, change  ·  {title}")
    most = max(float(abs(change.values).max().max()) for change in changes.values()) or 1.0
    panels = figure.subplots(1, len(changes), squeeze=False, sharey=True)[0]
    for axes, (recipe, change) in zip(panels, changes.items(), strict=True):
        image = axes.imshow(change.values.to_numpy(), cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
        axes.set_title(f"{recipe}, {change.form}", fontsize=11)
        axes.set_xticks(range(blocks), [block_name(block) for block in change.values.columns], fontsize=8)
        axes.set_yticks(range(languages), list(change.values.index), fontsize=7)
        axes.set_xlabel("block", fontsize=9)
    figure.colorbar(image, ax=list(panels), label="minus initial", fraction=0.05)
    return figure


class Change(NamedTuple):
    """The change of MEXA from the initial form to another one, the mean over seeds."""

    form: str
    values: pd.DataFrame
    """(languages, blocks)"""


def change_by_language(table: pd.DataFrame) -> Change | None:
    """Return the change of MEXA of one recipe to its realigned form, or to the fine-tuned one without a realigned one.

    None if there is only the initial form, or no MEXA.
    """
    values = table[(table["measure"] == HEAT) & table["block"].notna()]
    forms = [form for form in FORM_STYLES if (values["form"] == form).any()]
    if len(forms) < 2:
        return None
    initial, after = (
        values[values["form"] == form].pivot_table("value", "language", "block", sort=False) for form in forms[:2]
    )
    return Change(forms[1], (after - initial).astype(float))


def draw_gradients(table: pd.DataFrame, frozen: Mapping[str, Sequence[int]], title: str) -> Figure | None:
    """Draw the cosine between the gradients of both losses by block and recipe."""
    own = table[table["measure"].isin(COSINES)]
    recipes = list(own["recipe"].unique())
    if not recipes:
        return None
    figure = _figure((4.5 * len(recipes) + 1, 4.0), f"Gradients of realignment and task  ·  {title}")
    panels = figure.subplots(1, len(recipes), squeeze=False, sharex=True, sharey=True)[0]
    blocks = [*own["block"], *chain.from_iterable(frozen.get(recipe, ()) for recipe in recipes)]
    for axes, recipe in zip(panels, recipes, strict=True):
        chart.style_axes(axes)
        axes.set_title(recipe, fontsize=11)
        draw_cosines(axes, own[own["recipe"] == recipe], frozen.get(recipe, ()))
        name_blocks(axes, blocks)
    panels[0].set_ylabel("cosine (mean and deviation)", fontsize=9)
    panels[0].legend(**LEGEND | {"bbox_to_anchor": (0.5, -0.16)}, ncols=3)
    return figure


def draw_cosines(axes: Axes, values: pd.DataFrame, frozen: Sequence[int]) -> None:
    """Draw the gradient cosines of one recipe by block, with the deviation over batches and seeds.

    Args:
        axes: where to draw.
        values: rows of the measures `COSINES`.
        frozen: blocks that realignment freezes, which are shaded.
    """
    for place, form in enumerate(form for form in FORM_STYLES if (values["form"] == form).any()):
        cosines, batches = (
            over_seeds(values[(values["form"] == form) & (values["measure"] == measure)], "block")
            for measure in COSINES
        )
        over_batches = batches["mean"].reindex(cosines.index).fillna(0.0)
        half = np.hypot(over_batches, cosines["std"].fillna(0.0))
        blocks = cosines.index.astype(int) + 0.12 * (place - 1)  # side by side
        style: Any = {"marker": "o", "capsize": 2, "linestyle": "", "color": COLOURS[place]}
        axes.errorbar(blocks, cosines["mean"], half, label=form, **style)
    for block in frozen:
        axes.axvspan(block - 0.5, block + 0.5, color="#dddddd", zorder=0)


def name_blocks(axes: Axes, blocks: Iterable[int], label: str = "block") -> None:
    """Label the horizontal axis with some blocks."""
    numbers = sorted({int(block) for block in blocks})
    step = max(1, len(numbers) // 12)
    axes.set_xticks(numbers[::step], [block_name(number) for number in numbers[::step]], fontsize=8)
    axes.set_xlabel(label, fontsize=9)


def block_name(block: Any) -> str:
    """Return a block's number, or `emb.` for the input of the first block."""
    return "emb." if int(block) < 0 else str(int(block))


def _figure(size: tuple[float, float], title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    return figure
