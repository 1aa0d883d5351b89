"""Chart of gain against frozen blocks, one panel a pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign_bench.leaderboard.chart import LEGEND, TIER_STYLES, describe_run, style_axes, write_png
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.result import BASELINE, Result
from xrealign_bench.scoring.aggregate import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {"all": ("x", "#000000"), **TIER_STYLES}
XLABELS = {
    "front": "the first k blocks are frozen",
    "back": "the last k blocks are frozen",
    "single": "block k alone is frozen",
    "second": "every second block is frozen, from k on",
}
CUMULATIVE = ("front", "back")
"""Patterns that start at k = 0, where nothing is frozen, with the base recipe."""


def draw_freezing_chart(
    first: Result, base: Comparison, drawn: Mapping[str, Sequence[tuple[int, Comparison]]], path: Path
) -> Path:
    """Draw a PNG of the gain over fine-tuning only by tier, with its 95 % interval, against each pattern's k.

    Args:
        first: any result of the search, for the names of suite and checkpoint.
        base: comparison of the recipe that freezes nothing; a dotted line.
        drawn: pattern -> k and comparison of each of its recipes.
        path: the file to write; its folder is created.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(7.0, 5.5 * len(drawn)), 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Frozen blocks (dotted: none)  ·  {first.suite.id}  ·  {describe_run(first)}", fontsize=14)
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (pattern, points) in zip(panels, drawn.items(), strict=True):
        _draw_pattern(axes, pattern, [*([(0, base)] if pattern in CUMULATIVE else []), *points], base)
    panels[0].set_ylabel(f"gain over {BASELINE} (points)", fontsize=11)
    panels[0].legend(**LEGEND, ncols=4)
    return write_png(figure, path)


def _draw_pattern(axes: Axes, pattern: str, points: Sequence[tuple[int, Comparison]], base: Comparison) -> None:
    style_axes(axes)
    axes.set_xlabel(XLABELS[pattern], fontsize=11)
    numbers = [number for number, _ in points]
    axes.set_xticks(numbers)
    axes.set_xlim(min(numbers) - 0.6, max(numbers) + 0.6)
    groups = [group for group in ("all", *TIERS) if _points_of(base, group) is not None]
    for place, group in enumerate(groups):
        marker, colour = STYLES[group]
        shift = (place - (len(groups) - 1) / 2) * 0.08  # intervals side by side
        known = [(number + shift, *gain) for number, c in points if (gain := _points_of(c, group)) is not None]
        xs, means, lows, highs = zip(*known, strict=True)
        error = [
            [m - low for m, low in zip(means, lows, strict=True)],
            [h - m for m, h in zip(means, highs, strict=True)],
        ]
        line = "-" if pattern in CUMULATIVE else ""
        axes.errorbar(
            xs, means, error, marker=marker, color=colour, linestyle=line, capsize=2, linewidth=1.2, label=group
        )
        if (unfrozen := _points_of(base, group)) is not None:
            axes.axhline(unfrozen[0], color=colour, linestyle=":", linewidth=1)


def _points_of(comparison: Comparison, group: str) -> tuple[float, float, float] | None:
    """Return a mean gain and its interval in points, or the mean three times if it has no interval."""
    gain = comparison.gains.get(group)
    if gain is None or gain.mean is None:
        return None
    low, high = (gain.mean if end is None else end for end in (gain.low, gain.high))
    return 100 * gain.mean, 100 * low, 100 * high
