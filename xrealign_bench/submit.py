"""A recipe and its results made ready for a pull request: everything that a review would check, told at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xrealign_bench.catalogue import validate_file
from xrealign_bench.errors import UserError
from xrealign_bench.evaluate import capped
from xrealign_bench.results.files import COMPARISON, RESULT, find_results, read_comparison, read_result
from xrealign_bench.results.rescore import rescore
from xrealign_bench.results.schema import BASELINE, Result
from xrealign_bench.scoring.compare import compare
from xrealign_bench.specs import (
    DataSource,
    HubData,
    Recipe,
    Suite,
    Task,
    digest,
    find_spec,
    load_spec,
    shipped_names,
)


@dataclass(frozen=True)
class Submission:
    """What was checked and is good."""

    recipe: Recipe
    folders: list[Path]
    """Of the recipe's results, one a suite and checkpoint, and of their baselines."""
    licences: dict[str, str]
    """Task -> licence of its data, whose predictions are submitted."""


def check(file: Path, results: Path) -> Submission:
    """Check a recipe and its results as a review would.

    Args:
        file: the recipe's YAML.
        results: a folder with results; those of other recipes are left alone.

    Raises:
        UserError: everything that is wrong or missing, one line each.
    """
    problems: list[str] = []

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except UserError as error:
            problems.append(str(error))

    attempt(lambda: validate_file(file))
    if problems:
        raise UserError(problems[0])
    recipe = load_spec(file, Recipe)
    problems += _name_problems(recipe, file)
    mine = [(folder, read_result(folder)) for folder in find_results(results)]
    mine = [(folder, result) for folder, result in mine if result.recipe.name == recipe.name]
    if not mine:
        problems.append(f"{results}: no result of the recipe '{recipe.name}' in it or below; evaluate it first")
    folders: list[Path] = []
    for folder, result in mine:
        problems += [f"{folder}: {problem}" for problem in _result_problems(result, recipe)]
        attempt(lambda folder=folder: rescore(folder))  # type: ignore[misc]
        folders.append(folder)
        if result.is_baseline:
            continue
        baseline = _baseline_of(folder)
        if baseline is None:
            problems.append(f"{folder}: no {COMPARISON} with a {BASELINE} result that is there; evaluate it again")
            continue
        folders.append(baseline)
        attempt(lambda baseline=baseline: rescore(baseline))  # type: ignore[misc]
        if not problems:  # what it is made from is good
            attempt(lambda pair=(folder, baseline): _check_comparison(*pair))  # type: ignore[misc]
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    licences = {task.name: task.licence for _, result in mine for task in result.tasks}
    return Submission(recipe, list(dict.fromkeys(folders)), licences)


def write(submission: Submission, file: Path, results: Path, out: Path) -> list[Path]:
    """Copy recipe and results to where they belong in the repository, below `out`.

    Raises:
        UserError: `out` holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; name another folder with --output")
    target = out / "submissions" / f"{submission.recipe.name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    written = [target]
    for folder in submission.folders:
        suite, checkpoint = folder.resolve().parts[-3:-1]
        place = out / "leaderboard" / "results" / suite / checkpoint / folder.name
        shutil.copytree(folder, place)
        written.append(place)
    return written


def push(folder: Path, repo: str, title: str) -> str:
    """Open a pull request with a folder's files on a Hub data set; return its address.

    Raises:
        UserError: the Hub refuses, or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
    try:
        # One commit: `upload_folder` may make several.
        commit = HfApi().create_commit(repo, files, commit_message=title, repo_type="dataset", create_pr=True)
    except errors.HFValidationError:
        raise UserError(f"'{repo}' is no Hub id like ORG/NAME") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{repo}: the Hub has no such data set, or none for you; log in with `hf auth login`") from None
    except Exception as error:  # also those of the library's own HTTP client
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{repo}: the pull request can't be opened ({first}); {folder} holds all that it needs"
        ) from None
    return str(commit.pr_url)


def _name_problems(recipe: Recipe, file: Path) -> Iterator[str]:
    if file.stem != recipe.name:
        yield f"{file}: its name is '{recipe.name}'; call the file {recipe.name}.yaml"
    if not recipe.citation:
        yield f"{file}: names no citation; write the paper or page that the recipe comes from"
    if recipe.name in shipped_names(Recipe) and digest(find_spec(recipe.name, Recipe)) != digest(recipe):
        yield f"{file}: the name '{recipe.name}' is another recipe's already; give it one of its own"


def _result_problems(result: Result, recipe: Recipe) -> Iterator[str]:
    if result.reported is not None:
        yield "its scores are reported ones; only what was computed can be submitted"
    if result.recipe_digest != digest(recipe):
        yield "was computed by another version of the recipe; evaluate it again"
    yield from result.missing
    name = result.suite.name
    if name not in shipped_names(Suite):
        yield f"its suite '{name}' is none of this installation"
        return
    suite = find_spec(name, Suite)
    if suite.id != result.suite.id:
        yield f"its suite is {result.suite.id} and the one of this installation {suite.id}; evaluate it again"
    elif suite != result.suite:
        yield f"its suite {suite.id} is not the one of this installation; evaluate it with that"
    else:
        changed = [task.name for task in result.tasks if not _is_shipped(task, suite)]
        if changed:
            yield f"its tasks {', '.join(changed)} are not those of this installation; evaluate it with them"


def _is_shipped(task: Task, suite: Suite) -> bool:
    """Whether a task is the shipped one, at whatever revision its data were read."""
    shipped = capped(find_spec(task.name, Task), suite.test_examples)
    return digest(_at_any_revision(shipped)) == digest(_at_any_revision(task))


def _at_any_revision(task: Task) -> Task:
    also = [part.model_copy(update={"source": _unpinned(part.source)}) for part in task.also]
    return task.model_copy(update={"source": _unpinned(task.source), "also": also})


def _unpinned(source: DataSource) -> DataSource:
    return source.model_copy(update={"revision": None}) if isinstance(source, HubData) else source


def _baseline_of(folder: Path) -> Path | None:
    comparison = read_comparison(folder)
    if comparison is None or not (folder / comparison.baseline / RESULT).is_file():
        return None
    return (folder / comparison.baseline).resolve()


def _check_comparison(folder: Path, baseline: Path) -> None:
    stored = read_comparison(folder)
    assert stored is not None
    again = compare(folder, baseline, resamples=stored.resamples, seed=stored.seed)
    if again != stored.model_copy(update={"baseline": again.baseline}):
        raise UserError(f"{folder / COMPARISON}: is not what the predictions give; evaluate again")
