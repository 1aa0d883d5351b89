"""Charts as SVG inside a page, coloured by its style sheet, with a tooltip for each point."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from xrealign_bench.languages import place
from xrealign_bench.leaderboard import inside_chart
from xrealign_bench.leaderboard.chart import draw_languages, draw_tiers, has_gain, points_of, style_axes
from xrealign_bench.leaderboard.inside_chart import CURVES
from xrealign_bench.leaderboard.site.land import land
from xrealign_bench.results.comparison import Comparison, TaskComparison
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import TIERS
from xrealign_bench.scoring.regression import RegressionLine

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LEVELS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Percentage points at which the colour of a gain gets stronger."""
INKS = {
    "#444444": "var(--ink)",
    "#333333": "var(--ink)",
    "#222222": "var(--ink)",
    "#000000": "var(--ink)",
    "#bbbbbb": "var(--faint)",
    "#dddddd": "var(--line)",
    "#e4e4e4": "var(--line)",
    "#ffffff": "var(--page)",
} | {f"#0{n:x}0{n:x}0{n:x}": f"var(--{name})" for n, name in enumerate(
    [f"{way}{number}" for way in "ud" for number in range(6)], start=2)}  # fmt: skip
"""Colour in a drawing -> variable of the style sheet, so that one drawing serves light and dark mode."""
LEVEL_INKS = {name[6:-1]: ink for ink, name in INKS.items() if re.fullmatch(r"var\(--[ud]\d\)", name)}
SIZE, MAP_SIZE = (5.2, 3.5), (6.4, 2.9)
"""Inches, small enough for readable text on a phone."""
VIEW = (-170.0, 180.0, -56.0, 78.0)
"""Left, right, bottom and top of the map in degrees, without Antarctica."""


def level(points: float | None, unit: float = 1.0) -> str:
    """Return the CSS class of a gain in percentage points: u0 to u5, d0 to d5, or nothing without a gain.

    Args:
        points: the gain.
        unit: factor of `LEVELS`, for changes that are larger than gains.

    >>> level(0.0), level(1.0), level(-30.0), level(None), level(-30.0, 5)
    ('u0', 'u2', 'd5', '', 'd4')
    """
    if points is None:
        return ""
    return f"{'d' if points < 0 else 'u'}{sum(abs(points) >= least * unit for least in LEVELS)}"


def tier_bars(compared: Sequence[tuple[Result, Comparison]]) -> Markup | None:
    """Draw the gain in each tier with its 95 % interval, one bar a recipe; None if no tier has a gain."""
    tiers = [tier for tier in TIERS if any(has_gain(comparison, tier) for _, comparison in compared)]
    if not tiers:
        return None
    with _drawing(SIZE) as figure:
        axes = _axes(figure, (0.11, 0.13, 0.88, 0.84), "gain (points)")
        draw_tiers(axes, compared, tiers)
        _remove_title(axes)
        return _svg(figure, "tiers")


def by_distance(result: Result, comparison: TaskComparison, line: RegressionLine | None) -> Markup | None:
    """Draw gain against distance to the source language, with the regression line and the interval of its mean."""
    points = points_of(result, comparison)
    if not points:
        return None
    with _drawing(SIZE) as figure:
        axes = _axes(figure, (0.11, 0.14, 0.87, 0.83), "gain (points)")
        draw_languages(axes, result, points)
        if line is not None:
            xs = np.linspace(min(p[0] for p in points), max(p[0] for p in points), 21)
            mean, half = line.at(xs)
            axes.fill_between(xs, 100 * (mean - half), 100 * (mean + half), color="#bbbbbb", alpha=0.35, linewidth=0)
            axes.plot(xs, 100 * mean, color="#222222", linewidth=1.4)
        _remove_title(axes)
        return _svg(figure, f"distance-{comparison.task}")


def world_map(comparison: TaskComparison) -> Markup | None:
    """Draw a point where each language is spoken, coloured by its gain, for display over `land_outline`."""
    placed = [(where, c) for c in comparison.languages if (where := place(c.language)) is not None]
    if not placed:
        return None
    with _drawing(MAP_SIZE) as figure:
        axes = _map_axes(figure)
        # Draw the largest changes last, on top.
        placed.sort(key=lambda pair: (abs(pair[1].gain), pair[1].language))
        points = axes.scatter(
            [where[1] for where, _ in placed],
            [where[0] for where, _ in placed],
            s=42,
            c=[LEVEL_INKS[level(100 * change.gain)] for _, change in placed],
            marker="o",
            edgecolors="#222222",
            linewidths=0.7,
        )
        points.set_urls([f"{change.language} {100 * change.gain:+.1f}" for _, change in placed])
        return _svg(figure, f"map-{comparison.task}")


def inside_curves(table: pd.DataFrame, name: str) -> Markup | None:
    """Draw the measures of one recipe by block: the mean of each tier, before and after; None without any of them.

    Args:
        table: the rows of one recipe.
        name: unique among the drawings of a page.
    """
    measures = [measure for measure in CURVES if (table["measure"] == measure).any()]
    if not measures:
        return None
    rows = -(-len(measures) // 2)
    with _drawing((6.6, 2.5 * rows)) as figure:
        panels = figure.subplots(rows, 2, squeeze=False).flatten()
        for axes, measure in zip(panels, measures, strict=False):
            axes.patch.set_visible(False)
            style_axes(axes)
            inside_chart.draw_tiers(axes, table[table["measure"] == measure])
            inside_chart.name_blocks(axes, table["block"].dropna())
            axes.set_title(CURVES[measure], fontsize=9, loc="left")
        for axes in panels[len(measures) :]:
            axes.set_axis_off()
        figure.tight_layout()
        return _svg(figure, name)


def inside_gradients(table: pd.DataFrame, frozen: Sequence[int], name: str) -> Markup | None:
    """Draw the cosine of both losses' gradients by block, with frozen blocks shaded; None if it was not measured.

    Args:
        table: the rows of one recipe.
        frozen: blocks that realignment freezes.
        name: unique among the drawings of a page.
    """
    values = table[table["measure"].isin(inside_chart.COSINES)]
    if values.empty:
        return None
    with _drawing(SIZE) as figure:
        axes = _axes(figure, (0.13, 0.14, 0.85, 0.83), "cosine of the gradients")
        inside_chart.draw_cosines(axes, values, frozen)
        inside_chart.name_blocks(axes, [*values["block"], *frozen])
        return _svg(figure, name)


def land_outline() -> str:
    """Return the land as SVG that all maps of a site share, in a grey for light and dark mode."""
    with _drawing(MAP_SIZE) as figure:
        axes = _map_axes(figure)
        for ring in land():
            xs, ys = zip(*ring, strict=True)
            if max(ys) < VIEW[2]:
                continue
            axes.fill(xs, ys, color="#8a8a8a", alpha=0.35, linewidth=0)
        return str(_svg(figure, "land")).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


@contextmanager
def _drawing(size: tuple[float, float]) -> Iterator[Figure]:
    """Make a figure whose SVG keeps text as text and is the same bytes every time."""
    with matplotlib.rc_context({"svg.fonttype": "none", "text.parse_math": False, "font.size": 9}):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        yield figure


def _axes(figure: Figure, place: tuple[float, float, float, float], label: str) -> Axes:
    axes = figure.add_axes(place)
    axes.patch.set_visible(False)
    style_axes(axes)
    axes.set_ylabel(label)
    return axes


def _remove_title(axes: Axes) -> None:
    """Remove title and legend, which are part of the page so that they can wrap."""
    axes.set_title("", loc="left")
    axes.xaxis.label.set_fontsize(9)
    axes.tick_params(labelsize=9)
    if (legend := axes.get_legend()) is not None:
        legend.remove()


def _map_axes(figure: Figure) -> Axes:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(VIEW[0], VIEW[1])
    axes.set_ylim(VIEW[2], VIEW[3])
    return axes


def _svg(figure: Figure, name: str) -> Markup:
    """Return a drawing without metadata, styles and ids that a page doesn't need.

    Args:
        name: unique among the drawings of a page, so that their ids differ.
    """
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r'(<svg )[^>]*(viewBox="[^"]*")[^>]*>', r'\1\2 aria-hidden="true">', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r" font-family: [^;\"]*;?| ?font: [^\"]*?sans-serif;?| transform=\"rotate\(-?0 [^\"]*\"", "", svg)
    # Turn the URL of a point into its tooltip.
    svg = re.sub(r'<a xlink:href="([^"]*)"[^>]*>', r"<g><title>\1</title>", svg).replace("</a>", "</g>")
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda colour: INKS.get(colour[0], colour[0]), svg)
    return Markup(re.sub(r">\s+<", "><", svg).strip())
