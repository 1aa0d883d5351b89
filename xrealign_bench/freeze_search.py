"""Freeze search: evaluate one recipe per pattern of frozen blocks, and compare their gains."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xrealign_bench.data.loaded_suite import collect_suite, development_part
from xrealign_bench.errors import Problems, UserError
from xrealign_bench.evaluation import Options, block_count, resolve
from xrealign_bench.files import write_atomically
from xrealign_bench.leaderboard.freezing_chart import draw_freezing_chart
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.results.comparison import Comparison, Gain
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import TIERS
from xrealign_bench.specs import Freeze, Recipe
from xrealign_bench.specs.core_schema import write_yaml

Blocks = list[int]

PATTERNS: Mapping[str, Callable[[int], Iterable[tuple[int, Blocks]]]] = {
    "front": lambda n: ((k, list(range(k))) for k in range(1, n)),
    "back": lambda n: ((k, list(range(n - k, n))) for k in range(1, n)),
    "single": lambda n: ((k, [k]) for k in range(n)),
    "second": lambda n: ((first, list(range(first, n, 2))) for first in (0, 1)),
}
"""Pattern -> for a model with n blocks, numbered selections of frozen blocks: the first k, the last k, block k alone,
or every second block from block 0 or 1."""

DEFAULT_PATTERNS = ("front", "single", "second")
GROUPS = ("all", *TIERS)


@dataclass(frozen=True)
class Point:
    """The recipe of one selection of frozen blocks."""

    pattern: str
    number: int
    recipe: Recipe


@dataclass(frozen=True)
class Search:
    """The recipes to evaluate, and the folder for the results."""

    options: Options
    base: Recipe
    points: list[Point]
    folder: Path


def prepare(options: Options, recipe: str, patterns: Sequence[str], output: Path, problems: Problems) -> Search:
    """Plan a search: one recipe per selection of frozen blocks, next to the base recipe. Writes nothing.

    Patterns are compared on development data if the suite has any.

    Args:
        options: of the evaluation; its recipes are replaced.
        recipe: the base recipe, by name or file.
        patterns: names in `PATTERNS`.
        output: folder of the evaluation.
        problems: problems of the command line, to be reported together with all others.

    Raises:
        UserError: something is unknown, missing or does not fit the search. The message has one line per problem.
    """
    options = replace(options, development=options.development or _has_development_data(options.suite))
    request = resolve(replace(options, recipes=[recipe]), problems)
    base, suite = request.recipes[-1], request.suite
    points = search_recipes(base, block_count(request.checkpoint) or 0, patterns)
    name = options.checkpoint or suite.checkpoint or EMBEDDED
    folder = output / "freeze-search" / suite.id / f"{base.name}-{Path(name).name}"
    return Search(replace(options, recipes=[base, *(point.recipe for point in points)]), base, points, folder)


def search_recipes(base: Recipe, n_blocks: int, patterns: Sequence[str]) -> list[Point]:
    """Return the base recipe with the blocks of each pattern frozen.

    Args:
        base: a recipe that realigns and freezes no block.
        n_blocks: the number of the checkpoint's blocks, at least 2.
        patterns: names in `PATTERNS`.

    Raises:
        UserError: the base recipe does not fit, or the model has one block.
    """
    if not base.realigns or base.freeze.blocks != "none":
        raise UserError(
            f"recipe '{base.name}': the search freezes the blocks of a recipe that realigns and freezes none; "
            "choose another, such as alignfreeze-full"
        )
    if n_blocks < 2:
        raise UserError("the checkpoint has one block, so there is no pattern to search")
    return [
        Point(pattern, number, _frozen(base, f"{pattern}-{number}", blocks))
        for pattern in patterns
        for number, blocks in PATTERNS[pattern](n_blocks)
    ]


def write_search(search: Search, results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> list[Path]:
    """Write `gain.csv`, `gain.png`, and each recipe as YAML, so that it can be run again by itself.

    `gain.csv` has one row per selection, with the gain in each tier and its interval, in percentage points.
    """
    gains = {r.recipe.name: c for r, c in zip(results, comparisons, strict=True) if c is not None}
    base, points = search.base, search.points
    drawn = {
        pattern: [(p.number, gains[p.recipe.name]) for p in points if p.pattern == pattern]
        for pattern in dict.fromkeys(point.pattern for point in points)
    }
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["pattern", "number", "recipe", *(f"{g}{end}" for g in GROUPS for end in ("", "_low", "_high"))])
    for pattern, number, recipe in [("none", 0, base), *((p.pattern, p.number, p.recipe) for p in points)]:
        found = [gains[recipe.name].gains.get(group) for group in GROUPS]
        table.writerow([pattern, number, recipe.name, *(value for gain in found for value in _in_points(gain))])
    for point in points:
        content = write_yaml(point.recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
        write_atomically(search.folder / f"{point.recipe.name}.yaml", content.encode())
    return [
        write_atomically(search.folder / "gain.csv", text.getvalue().encode()),
        draw_freezing_chart(results[0], gains[base.name], drawn, search.folder / "gain.png"),
    ]


def _has_development_data(suite: str) -> bool:
    """Return whether a suite has development data; False for an invalid suite, which is refused later."""
    loaded = collect_suite(suite, Problems())
    return loaded is not None and development_part(loaded) is not None


def _frozen(base: Recipe, name: str, blocks: Blocks) -> Recipe:
    freeze = Freeze(blocks=blocks, embeddings=base.freeze.embeddings, train_only=base.freeze.train_only)
    listed = ", ".join(map(str, blocks))
    update = {"name": f"{base.name}-{name}", "title": f"{base.title}, blocks {listed} frozen", "freeze": freeze}
    return base.model_copy(update=update)


def _in_points(gain: Gain | None) -> list[float | None]:
    ends = [None] * 3 if gain is None else [gain.mean, gain.low, gain.high]
    return [None if end is None else round(100 * end, 4) for end in ends]
