"""Figures of an analysis: curves by block and tier, a heat map of blocks and languages, and gradients by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrealign_bench.leaderboard import chart
from xrealign_bench.leaderboard.chart import COLOURS, LEGEND, OTHER_STYLE, TIER_STYLES
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
    tiers = [tier for tier in TIERS if (table["tier"] == tier).any()] or ["unclassified"]
    for row, measure in enumerate(measures):
        for column, recipe in enumerate(recipes):
            axes: Axes = panels[row][column]
            chart.style_axes(axes)
            axes.set_title(recipe if row == 0 else "", fontsize=11)
            own = table[(table["recipe"] == recipe) & (table["measure"] == measure)]
            for tier in tiers:
                _draw_tier(axes, own[own["tier"] == tier], tier)
            _name_blocks(axes, table, "block" if row == len(measures) - 1 else "")
        panels[row][0].set_ylabel(CURVES[measure], fontsize=9)
    _add_legend(figure, tiers)
    return figure


def _draw_tier(axes: Axes, values: pd.DataFrame, tier: str) -> None:
    colour = TIER_STYLES.get(tier, OTHER_STYLE)[1]
    for form, style in FORM_STYLES.items():
        means = values[values["form"] == form].groupby("block")["value"].mean()
        if len(means):
            axes.plot(means.index.astype(int), means.to_numpy(), color=colour, linestyle=style, linewidth=1.4)


def _add_legend(figure: Figure, tiers: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=TIER_STYLES.get(tier, OTHER_STYLE)[1], label=f"{tier} resources") for tier in tiers]
    lines += [Line2D([], [], color="#444444", linestyle=style, label=form) for form, style in FORM_STYLES.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9)


def draw_languages(table: pd.DataFrame, title: str) -> Figure | None:
    """Draw, for each recipe, MEXA of the last form minus the initial one, blocks by languages."""
    own = table[(table["measure"] == HEAT) & table["block"].notna()]
    found = {recipe: _change(part) for recipe, part in own.groupby("recipe", sort=False)}
    changes = {recipe: change for recipe, change in found.items() if change is not None}
    if not changes:
        return None
    languages, blocks = next(iter(changes.values())).shape
    figure = _figure((max(4.0, 0.5 * blocks + 2) * len(changes) + 1, 0.2 * languages + 2), f"MEXA, change  ·  {title}")
    most = max(float(abs(change).max().max()) for change in changes.values()) or 1.0
    panels = figure.subplots(1, len(changes), squeeze=False, sharey=True)[0]
    for axes, (recipe, change) in zip(panels, changes.items(), strict=True):
        image = axes.imshow(change.to_numpy(), cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
        axes.set_title(str(recipe), fontsize=11)
        axes.set_xticks(range(blocks), [_block_name(block) for block in change.columns], fontsize=8)
        axes.set_yticks(range(languages), list(change.index), fontsize=7)
        axes.set_xlabel("block", fontsize=9)
    figure.colorbar(image, ax=list(panels), label="last form minus initial", fraction=0.05)
    return figure


def _change(values: pd.DataFrame) -> pd.DataFrame | None:
    """Return the last form minus the initial one (languages, blocks), or None if there is one form."""
    forms = [form for form in FORM_STYLES if (values["form"] == form).any()]
    if len(forms) < 2:
        return None
    last, initial = (
        values[values["form"] == form].pivot_table("value", "language", "block", sort=False)
        for form in (forms[-1], forms[0])
    )
    change: pd.DataFrame = (last - initial).astype(float)
    return change


def draw_gradients(table: pd.DataFrame, frozen: Mapping[str, Sequence[int]], title: str) -> Figure | None:
    """Draw the cosine between the gradients of both losses by block, with its spread over batches."""
    own = table[table["measure"].isin(["gradient_cosine", "gradient_cosine_std"])]
    recipes = list(own["recipe"].unique())
    if not recipes:
        return None
    figure = _figure((4.5 * len(recipes) + 1, 4.0), f"Gradients of realignment and task  ·  {title}")
    panels = figure.subplots(1, len(recipes), squeeze=False, sharey=True)[0]
    for axes, recipe in zip(panels, recipes, strict=True):
        chart.style_axes(axes)
        axes.set_title(recipe, fontsize=11)
        part = own[own["recipe"] == recipe]
        for place, form in enumerate(form for form in FORM_STYLES if (part["form"] == form).any()):
            means, spread = (
                part[(part["form"] == form) & (part["measure"] == measure)].groupby("block")["value"].mean()
                for measure in ("gradient_cosine", "gradient_cosine_std")
            )
            blocks = means.index.astype(int) + 0.12 * (place - 1)  # side by side
            error = spread.reindex(means.index).fillna(0.0)
            axes.errorbar(blocks, means, error, marker="o", capsize=2, linestyle="", color=COLOURS[place], label=form)
        for block in frozen.get(recipe, ()):
            axes.axvspan(block - 0.5, block + 0.5, color="#dddddd", zorder=0)
        _name_blocks(axes, part)
    panels[0].set_ylabel("cosine (mean and deviation over batches)", fontsize=9)
    panels[0].legend(**LEGEND | {"bbox_to_anchor": (0.5, -0.16)}, ncols=3)
    return figure


def _name_blocks(axes: Axes, table: pd.DataFrame, label: str = "block") -> None:
    blocks = sorted(int(block) for block in table["block"].dropna().unique())
    step = max(1, len(blocks) // 12)
    axes.set_xticks(blocks[::step], [_block_name(block) for block in blocks[::step]], fontsize=8)
    axes.set_xlabel(label, fontsize=9)


def _block_name(block: Any) -> str:
    return "emb." if int(block) < 0 else str(int(block))


def _figure(size: tuple[float, float], title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    return figure
