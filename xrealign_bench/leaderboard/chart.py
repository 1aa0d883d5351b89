"""Chart of an evaluation as PNG: gains by tier for every recipe, and by language for the best one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from xrealign_bench.files import write_atomically
from xrealign_bench.leaderboard.formatting import pluralise
from xrealign_bench.results.comparison import Comparison, TaskComparison
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.scoring.aggregate import TIERS
from xrealign_bench.specs import digest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can tell apart, without the pale yellow and with a grey
# for black, which is visible in dark mode and under error bars.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#767676")
TIER_STYLES = {"high": ("o", "#0072B2"), "medium": ("s", "#E69F00"), "low": ("^", "#009E73")}
OTHER_STYLE = ("D", "#777777")
LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 10,
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.11),
}
"""Below the axes, where it hides no bar."""
DRAWING = 1
"""Raised when a picture of the same results looks different. With the results' digests it is noted in the picture."""
LABELS = 5
"""Number of the best and of the worst languages that are labelled with their code."""
LABEL_SIZE = (18, 9)
"""Width and height of a language code, in points."""


def draw_chart(results: Sequence[Result], comparisons: Sequence[Comparison | None], path: Path) -> Path | None:
    """Draw a PNG of 1400 x 600 pixels, unless there is no gain to show.

    Left: the gain in each tier over the baseline, with its 95 % interval, one bar a recipe. Right: the gain in each
    language against distance to the source language, for the recipe with the highest gain in XR score, or with the
    highest mean gain if languages are missing. A side or a tier without gains is left out.

    Args:
        results: of one checkpoint, suite and list of seeds; one a recipe, starting with the one that the others are
            compared with.
        comparisons: one a result, None for the first.
        path: the file to write; its folder is created.

    Returns:
        `path`, or None if nothing was drawn.
    """
    drawn_from = digest([DRAWING, *map(digest_evidence, results), *comparisons])
    if path.is_file() and drawn_from.encode() in path.read_bytes():
        return path
    figure = draw_gains(results, comparisons)
    return None if figure is None else write_png(figure, path, drawn_from)


def draw_gains(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> Figure | None:
    """Draw the figure of `draw_chart`; None if there is no gain to show."""
    first = results[0]
    compared = [(r, c) for r, c in zip(results, comparisons, strict=True) if c is not None]
    tiers = [tier for tier in TIERS if any(has_gain(comparison, tier) for _, comparison in compared)]
    best = max(compared, key=_mean_gain, default=None)
    points = [point for task in best[1].tasks for point in points_of(best[0], task)] if best else []
    if not tiers and not points:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [1.0] * bool(tiers) + [1.15] * bool(points)
    sides = list(figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0])
    figure.suptitle(f"{first.suite.title} ({first.suite.id})  ·  {describe_run(first)}", fontsize=14)
    for axes in sides:
        style_axes(axes)
        axes.set_ylabel(f"gain over {first.recipe.name} (points)", fontsize=11)
    if tiers:
        draw_tiers(sides[0], compared, tiers)
    if best and points:
        draw_languages(sides[-1], best[0], points)
    return figure


def describe_run(result: Result) -> str:
    """Name the checkpoint, the seeds and a limit of examples."""
    seeds = f"{len(result.seeds)} seeds" if len(result.seeds) > 1 else f"seed {result.seeds[0]} only"
    return f"{result.checkpoint.id}  ·  {seeds}" + (f", limited to {result.limit} examples" if result.limit else "")


def style_axes(axes: Axes) -> None:
    """Draw a line at 0 and a light grid, and hide the frame's top and right."""
    axes.axhline(0, color="#444444", linewidth=1)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def write_png(figure: Figure, path: Path, source: str | None = None) -> Path:
    """Write a figure without matplotlib's version, so that the file only changes if the picture does.

    Args:
        source: noted in the file: what the picture was drawn from.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None, "Source": source})
    return write_atomically(path, drawn.getvalue())


def draw_tiers(axes: Axes, compared: Sequence[tuple[Result, Comparison]], tiers: Sequence[str]) -> None:
    """Draw bars with intervals, one a recipe in each tier."""
    axes.set_title("By tier (Joshi et al., 2020), mean of languages, 95 % interval", fontsize=12, loc="left")
    width = 0.8 / max(1, len(compared))
    for number, (result, comparison) in enumerate(compared):
        # Hatched when the colours start again.
        colour, hatch = COLOURS[number % len(COLOURS)], "/" * (number // len(COLOURS))
        for place, tier in enumerate(tiers):
            gain = comparison.gains.get(tier)
            if gain is None or gain.mean is None:
                continue
            mean = 100 * gain.mean
            x = place + (number - (len(compared) - 1) / 2) * width
            axes.bar(x, mean, 0.92 * width, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            if gain.low is not None and gain.high is not None:
                error = [[mean - 100 * gain.low], [100 * gain.high - mean]]
                axes.errorbar(x, mean, yerr=error, color="#222222", linewidth=1.2, capsize=3)
        axes.bar(0, 0, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=result.recipe.name)
    axes.set_xlim(-0.55, len(tiers) - 0.45)
    axes.set_xticks(range(len(tiers)), [_tier_label(tier, compared) for tier in tiers], fontsize=11)
    axes.legend(**LEGEND, ncols=min(3, len(compared)))


def _tier_label(tier: str, compared: Sequence[tuple[Result, Comparison]]) -> str:
    languages = max(comparison.gains[tier].languages for _, comparison in compared if has_gain(comparison, tier))
    tasks = max(len(comparison.tasks) for _, comparison in compared)
    size = pluralise(languages, "language") if tasks == 1 else f"{languages} over {tasks} tasks"
    return f"{tier}\n({size})"


def has_gain(comparison: Comparison, tier: str) -> bool:
    """Whether a tier has a mean gain."""
    gain = comparison.gains.get(tier)
    return gain is not None and gain.mean is not None


Point = tuple[float, float, str, str]
"""Distance, gain in points, tier and code of a language."""


def points_of(result: Result, comparison: TaskComparison) -> list[Point]:
    """Return the languages of a task whose distance is known."""
    records = {language.code: language for language in result.languages}
    return [
        (record.distance, 100 * change.gain, record.tier, record.code)
        for change in comparison.languages
        if (record := records[change.language]).distance is not None
    ]


def draw_languages(axes: Axes, result: Result, points: Sequence[Point]) -> None:
    """Draw gain against distance. In SVG the URL of each point is its code and gain."""
    axes.set_title(f"By language: {result.recipe.name}", fontsize=12, loc="left")
    suite = result.suite
    axes.set_xlabel(f"{suite.bands.distance} distance to {suite.source_language}", fontsize=11)
    for tier in dict.fromkeys([*TIERS, *(point[2] for point in points)]):
        marker, colour = TIER_STYLES.get(tier, OTHER_STYLE)
        of_tier = [point for point in points if point[2] == tier]
        if of_tier:
            xs, ys = [point[0] for point in of_tier], [point[1] for point in of_tier]
            drawn = axes.scatter(
                xs, ys, s=46, marker=marker, color=colour, edgecolors="white", linewidths=0.6, label=f"{tier} tier"
            )
            drawn.set_urls([f"{code} {gain:+.1f}" for _, gain, _, code in of_tier])
    _label_extremes(axes, points)
    for cut in suite.bands.known_cuts:
        axes.axvline(cut, color="#bbbbbb", linewidth=1, linestyle=":")
    axes.legend(**LEGEND, ncols=4)


def _label_extremes(axes: Axes, points: Sequence[Point]) -> None:
    """Label the best and the worst languages with their codes, skipping labels that would overlap."""
    by_gain = sorted(points, key=lambda point: point[1])
    unit = axes.figure.dpi / 72
    taken: list[tuple[float, float]] = []
    for x, y, _, code in dict.fromkeys([*by_gain[:LABELS], *by_gain[: -LABELS - 1 : -1]]):
        across, up = axes.transData.transform((x, y)) / unit
        if all(abs(across - left) > LABEL_SIZE[0] or abs(up - low) > LABEL_SIZE[1] for left, low in taken):
            axes.annotate(code, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=9, color="#333333")
            taken.append((across, up))


def _mean_gain(pair: tuple[Result, Comparison]) -> float:
    """Return the gain in XR score, or the mean over the languages that were evaluated if some are missing."""
    comparison = pair[1]
    gain = comparison.gains.get("xr")
    if gain and gain.mean is not None:
        return gain.mean
    changes = [change.gain for task in comparison.tasks for change in task.languages]
    return fmean(changes) if changes else float("-inf")
