"""Check a submission: its recipe, the recipe's results with their baselines and comparisons, and the board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xrealign_bench.errors import Problems, UserError
from xrealign_bench.listings import validate_file
from xrealign_bench.plugins import no_imports
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.manifest import LINK
from xrealign_bench.results.rescoring import nearly_equal, rescore
from xrealign_bench.results.result import BASELINE, Result
from xrealign_bench.results.storage import COMPARISON, RESULT, find_results, read_comparison, read_result
from xrealign_bench.scoring.compare import RESAMPLES, compare
from xrealign_bench.specs import Recipe, digest, find_spec, load_spec, shipped_names
from xrealign_bench.specs.yaml import family_recipes
from xrealign_bench.submit.board_checks import board_problems, history_problems, place_on_board
from xrealign_bench.submit.problems import html_problems
from xrealign_bench.submit.result_checks import own_suite_problem, prediction_problems, result_problems

LARGEST_RECIPE = 16 * 2**10
"""In bytes: seven times a shipped recipe. The time to read YAML grows with the square of its depth."""


@dataclass(frozen=True)
class Submission:
    """A recipe and its results that passed all checks."""

    recipe: Recipe
    folders: list[Path]
    """The recipe's results, one per suite and checkpoint, and their baselines."""
    licences: dict[str, str]
    """Task -> licence of its data."""
    left_out: list[Path]
    """Results on fresh seeds, which reviewers choose and not submitters."""


def check_submission(file: Path, results: Path, board: Path | None = None) -> Submission:
    """Check a recipe and its results as a review would. Files are parsed; nothing in them is executed.

    Args:
        file: the recipe's YAML, or the name of a recipe of a shipped family, which has no file of its own.
        results: a folder with results; those of other recipes are ignored.
        board: the published results. None: baselines and names are not compared with published ones.

    Raises:
        UserError: something is wrong or missing (one line per problem).
    """
    with no_imports():
        return _check_submission(file, results, board)


def _check_submission(file: Path, results: Path, board: Path | None) -> Submission:
    problems = Problems()
    recipe = _read_recipe(file, problems)
    problems.add(_recipe_problems(recipe, file))
    found = list(_find_results_of(recipe, results, problems))
    submitted = [(folder, result) for folder, result in found if not result.has_fresh_seeds]
    if not submitted and not problems:
        problems.add([f"{results}: no result of the recipe '{recipe.name}' in it or below; evaluate it first"])
    places = [place_on_board(folder) for folder, _ in submitted]
    problems.add(f"{place}: is twice below {results}; remove one" for place in places if places.count(place) > 1)
    folders: list[Path] = []
    for folder, result in submitted:
        folders += _check_with_baseline(folder, result, recipe, problems)
    problems.add(history_problems(folders, board))
    if board is not None:
        problems.add(board_problems(folders, board, problems))
    problems.raise_if_any()
    licences = {task.name: task.licence for _, result in submitted for task in result.tasks}
    left_out = [folder for folder, result in found if result.has_fresh_seeds]
    return Submission(recipe, list(dict.fromkeys(folders)), licences, left_out)


def _read_recipe(file: Path, problems: Problems) -> Recipe:
    """Read the recipe's file.

    Raises:
        UserError: it can't be read, or is not valid.
    """
    if str(file) in family_recipes():
        return find_spec(str(file), Recipe)
    problems.add(_file_problems(file))
    problems.raise_if_any()
    problems.attempt(lambda: validate_file(file))
    recipe = problems.attempt(lambda: load_spec(file, Recipe))
    if recipe is None:
        raise UserError(str(problems))
    return recipe


def _file_problems(path: Path) -> Iterator[str]:
    """Yield problems of a recipe's file that are visible without opening it."""
    if path.is_symlink():
        yield f"{path}: {LINK}"
    elif path.is_file() and path.stat().st_size > LARGEST_RECIPE:
        yield f"{path}: has {path.stat().st_size:,} bytes, more than the {LARGEST_RECIPE:,} allowed; shorten it"


def _recipe_problems(recipe: Recipe, file: Path) -> Iterator[str]:
    is_taken = recipe.name in shipped_names(Recipe)
    if not is_taken or digest(find_spec(recipe.name, Recipe)) != digest(recipe):
        if not recipe.citation:
            yield f"{file}: has no citation; name the paper or page that the recipe comes from"
        if is_taken:
            yield f"{file}: the name '{recipe.name}' is taken by another recipe; choose another name"
    yield from (f"{file}: {problem}" for problem in html_problems(recipe.model_dump(mode="json")))


def _find_results_of(recipe: Recipe, results: Path, problems: Problems) -> Iterator[tuple[Path, Result]]:
    """Yield the recipe's results below a folder. Results that can't be read are problems, whatever their recipe."""
    links = [path for path in sorted(results.rglob("*")) if path.is_symlink()]
    if not problems.add(f"{path}: {LINK}" for path in links):
        return
    for folder in find_results(results):
        result = problems.attempt(partial(read_result, folder))
        if result is not None and result.recipe.name == recipe.name:
            yield folder, result


def _check_with_baseline(folder: Path, result: Result, recipe: Recipe, problems: Problems) -> list[Path]:
    """Check a result, its baseline and their comparison. Returns both folders."""
    if (problem := own_suite_problem(result)) is not None:
        problems.add([f"{folder}: {problem}"])
        return []
    is_good = _check_result(folder, result, recipe, problems)
    if result.is_baseline:
        return [folder]
    baseline = folder.parent / (BASELINE + result.suffix)
    if not (folder / COMPARISON).is_file() or not (baseline / RESULT).is_file():
        problems.add([f"{folder}: has no {COMPARISON} with a {baseline.name} result next to it; evaluate it again"])
        return [folder]
    read = problems.attempt(partial(read_result, baseline))
    if read is not None and _check_result(baseline, read, find_spec(BASELINE, Recipe), problems) and is_good:
        problems.attempt(partial(_recompute_comparison, folder, baseline))
    return [folder, baseline]


def _check_result(folder: Path, result: Result, recipe: Recipe, problems: Problems) -> bool:
    """Check one result by itself. Returns whether it is good."""
    is_good = problems.add(f"{folder}: {problem}" for problem in result_problems(folder, result, recipe))
    comparison = problems.attempt(partial(read_comparison, folder))
    if comparison is not None:
        found = _comparison_problems(comparison, f"../{BASELINE}{result.suffix}")
        is_good &= problems.add(f"{folder / COMPARISON}: {problem}" for problem in found)
    if problems.attempt(partial(rescore, folder)) is None or not is_good:
        return False
    return problems.add(f"{folder}: {problem}" for problem in prediction_problems(folder, result))


def _comparison_problems(comparison: Comparison, baseline: str) -> Iterator[str]:
    yield from html_problems(comparison.model_dump(mode="json"))
    if comparison.baseline != baseline:
        yield f"is with '{comparison.baseline}' and not with {baseline} beside it; evaluate again"
    if (comparison.resamples, comparison.seed) != (RESAMPLES, 0):
        settings = f"{comparison.resamples:,} resamples with seed {comparison.seed}"
        yield f"has {settings}, and not {RESAMPLES:,} with 0; evaluate again"


def _recompute_comparison(folder: Path, baseline: Path) -> None:
    stored = read_comparison(folder)
    assert stored is not None
    again = compare(folder, baseline)
    if not nearly_equal(again, stored.model_copy(update={"baseline": again.baseline})):
        raise UserError(f"{folder / COMPARISON}: is not what the predictions give; evaluate again")
