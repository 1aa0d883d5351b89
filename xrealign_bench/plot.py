"""Figures for papers and notebooks, as boards and the site draw them. Returned as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from xrealign_bench.arguments import names_arguments
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.chart import draw_gains, draw_languages, points_of, style_axes
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@names_arguments
def gains(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> Figure:
    """Draw the gain in each tier for every recipe, and by language for the best one.

    Args:
        results: of one checkpoint, suite and list of seeds, the baseline first: `evaluate(...).results`.
        comparisons: one a result, None for the baseline: `evaluate(...).comparisons`.

    Raises:
        UserError: there is no gain to draw.
    """
    if len(results) != len(comparisons):
        raise UserError(
            f"plot.gains: {len(results)} results and {len(comparisons)} comparisons; give one comparison a result, "
            "such as those of one evaluation"
        )
    figure = draw_gains(results, comparisons) if results else None
    if figure is None:
        raise UserError("plot.gains: no tier or language has a gain; evaluate a recipe besides the baseline")
    return figure


@names_arguments
def distance(
    result: Annotated[Result, "one result, such as run.results[1]"],
    comparison: Annotated[Comparison, "the result's comparison, such as run.comparisons[1]"],
    task: str | None = None,
) -> Figure:
    """Draw the gain of each language of a task against its distance to the source language.

    Args:
        result: the result of a recipe.
        comparison: the result compared with another.
        task: a task of the result. None: its first.

    Raises:
        UserError: the result has no such task, or no distance is known for its languages.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [each.task for each in comparison.tasks]
    chosen = names[0] if task is None and names else task
    compared = next((each for each in comparison.tasks if each.task == chosen), None)
    if compared is None:
        raise UserError(f"plot.distance: the result has no task '{chosen}'; it has {', '.join(names)}")
    points = points_of(result, compared)
    if not points:
        raise UserError(f"plot.distance: task '{chosen}': no target language has a known distance; choose another task")
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    style_axes(axes)
    axes.set_ylabel("gain (points)")
    draw_languages(axes, result, points)
    return figure
