"""A recipe and its results made ready for a pull request: everything that a review would check, told at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from filecmp import cmp
from functools import partial
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from xrealign_bench.data import read_lock
from xrealign_bench.errors import UserError
from xrealign_bench.listings import validate_file
from xrealign_bench.models.checkpoint import EMBEDDED, resolve_checkpoint
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.rescoring import nearly_equal, rescore, split_by_language_and_seed
from xrealign_bench.results.result import BASELINE, Result, digest_evidence, digest_suite
from xrealign_bench.results.storage import (
    COMPARISON,
    HISTORY,
    RESULT,
    find_results,
    read_comparison,
    read_predictions,
    read_result,
)
from xrealign_bench.scoring.compare import RESAMPLES, compare
from xrealign_bench.specs import (
    Corpus,
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
from xrealign_bench.specs.fields import HTML
from xrealign_bench.tasks.gold import Gold, known_gold, predicted_gold
from xrealign_bench.tasks.registry import TASK_TYPES

LARGEST_RECIPE = 16 * 2**10
"""Bytes: seven times a shipped one; time to read YAML goes with the square of its depth."""

T = TypeVar("T")


@dataclass(frozen=True)
class Submission:
    """What was checked and is good."""

    recipe: Recipe
    folders: list[Path]
    """Of the recipe's results, one a suite and checkpoint, and of their baselines."""
    licences: dict[str, str]
    """Task -> licence of its data, whose predictions are submitted."""
    left_out: list[Path]
    """Of results on fresh seeds: who submits a recipe does not choose the seeds that confirm it."""


def check(file: Path, results: Path, board: Path | None = None) -> Submission:
    """Check a recipe and its results as a review would. What others made is parsed and never run.

    Args:
        file: the recipe's YAML.
        results: a folder with results; those of other recipes are left alone.
        board: the published results that the submission is to stand beside. None: not at hand, so that baselines and
            names are not compared with theirs.

    Raises:
        UserError: everything that is wrong or missing, one line each.
    """
    problems = Problems()
    problems.add(_file_problems(file))
    if not problems:
        problems.attempt(lambda: validate_file(file))
    if problems:
        raise UserError(str(problems))
    recipe = load_spec(file, Recipe)
    problems.add(_recipe_problems(recipe, file))
    found = list(_results_of(recipe, results, problems))
    mine = [(folder, result) for folder, result in found if not result.has_fresh_seeds]
    if not mine and not problems:
        problems.add([f"{results}: no result of the recipe '{recipe.name}' in it or below; evaluate it first"])
    places = [_place(folder) for folder, _ in mine]
    problems.add(f"{place}: is twice below {results}" for place in places if places.count(place) > 1)
    folders: list[Path] = []
    for folder, result in mine:
        folders += _check_pair(folder, result, recipe, problems)
    problems.add(_history_problems(folders, board))
    if board is not None:
        problems.add(_board_problems(folders, board, problems))
    if problems:
        raise UserError(str(problems))
    licences = {task.name: task.licence for _, result in mine for task in result.tasks}
    left_out = [folder for folder, result in found if result.has_fresh_seeds]
    return Submission(recipe, list(dict.fromkeys(folders)), licences, left_out)


class Problems:
    """What is wrong, each once, in the order in which it was found."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def add(self, lines: Iterable[str]) -> bool:
        """Add problems; return whether there were none."""
        before = len(self._lines)
        self._lines.update(dict.fromkeys(lines))
        return len(self._lines) == before

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Do something, and note what it complains of; then return None."""
        try:
            return step()
        except UserError as error:
            self.add(str(error).splitlines())
            return None


def write(submission: Submission, file: Path, out: Path) -> list[Path]:
    """Copy recipe and results to where they belong in the repository, below `out`: all of them or none.

    Raises:
        UserError: `out` holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; name another folder with --output")
    recipe = Path("submissions", f"{submission.recipe.name}.yaml")
    places = [(folder, Path("leaderboard", "results", _place(folder))) for folder in submission.folders]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        whole = Path(temporary, "whole")
        (whole / recipe).parent.mkdir(parents=True)
        shutil.copyfile(file, whole / recipe)
        for folder, place in places:
            shutil.copytree(folder, whole / place)
        whole.replace(out)
    return [out / recipe, *(out / place for _, place in places)]


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


def _recipe_problems(recipe: Recipe, file: Path) -> Iterator[str]:
    if file.stem != recipe.name:
        yield f"{file}: its name is '{recipe.name}'; call the file {recipe.name}.yaml"
    taken = recipe.name in shipped_names(Recipe)
    if not taken or digest(find_spec(recipe.name, Recipe)) != digest(recipe):
        if not recipe.citation:
            yield f"{file}: names no citation; write the paper or page that the recipe comes from"
        if taken:
            yield f"{file}: the name '{recipe.name}' is another recipe's already; give it one of its own"
    yield from (f"{file}: {problem}" for problem in _markup(recipe.model_dump(mode="json")))


def _results_of(recipe: Recipe, results: Path, problems: Problems) -> Iterator[tuple[Path, Result]]:
    """The recipe's results below a folder; of others only what can't be read is noted."""
    links = [path for path in sorted(results.rglob("*")) if path.is_symlink()]
    if not problems.add(_said_of_link(path) for path in links):
        return
    for folder in find_results(results):
        result = problems.attempt(partial(read_result, folder))
        if result is not None and result.recipe.name == recipe.name:
            yield folder, result


def _check_pair(folder: Path, result: Result, recipe: Recipe, problems: Problems) -> list[Path]:
    """Note what is wrong with a result, with its baseline, and with how they are compared; return both folders."""
    good = _check_result(folder, result, recipe, problems)
    if result.is_baseline:
        return [folder]
    baseline = folder.parent / (BASELINE + result.suffix)
    if not (folder / COMPARISON).is_file() or not (baseline / RESULT).is_file():
        problems.add([f"{folder}: no {COMPARISON} with a {baseline.name} result that is there; evaluate it again"])
        return [folder]
    read = problems.attempt(partial(read_result, baseline))
    if read is not None and _check_result(baseline, read, find_spec(BASELINE, Recipe), problems) and good:
        problems.attempt(partial(_check_comparison, folder, baseline))
    return [folder, baseline]


def _check_result(folder: Path, result: Result, recipe: Recipe, problems: Problems) -> bool:
    """Note everything that is wrong with one result; return whether it is good."""
    good = problems.add(f"{folder}: {problem}" for problem in _result_problems(folder, result, recipe))
    comparison = problems.attempt(partial(read_comparison, folder))
    if comparison is not None:
        told = [*_markup(comparison.model_dump(mode="json"))]
        beside = f"../{BASELINE}{result.suffix}"
        if comparison.baseline != beside:
            told.append(f"is with '{comparison.baseline}' and not with {beside} beside it")
        if (comparison.resamples, comparison.seed) != (RESAMPLES, 0):
            settings = f"{comparison.resamples:,} resamples with seed {comparison.seed}"
            told.append(f"has {settings}, and not {RESAMPLES:,} with 0; evaluate again")
        good &= problems.add(f"{folder / COMPARISON}: {problem}" for problem in told)
    if problems.attempt(partial(rescore, folder)) is None or not good:
        return False
    return problems.add(f"{folder}: {problem}" for problem in _prediction_problems(folder, result))


def _prediction_problems(folder: Path, result: Result) -> Iterator[str]:
    """What is wrong with predictions that give the scores: gold that is not the suite's, or a seed that is another."""
    found_lock = read_lock(result.suite.name)
    lock = found_lock.lock if found_lock else None
    per_seed: dict[int, list[str]] = {seed: [] for seed in result.seeds}
    for record in result.predictions:
        task = next(task for task in result.tasks if task.name == record.task)
        gold: dict[str, Gold | None] = {}
        for (language, seed), cell in split_by_language_and_seed(read_predictions(folder, record, task)):
            if language not in gold:
                gold[language] = known_gold(task, language, lock)
            if (known := gold[language]) is not None and (found := predicted_gold(task, cell)) != known:
                yield (
                    f"predictions of {task.name} in {language}, seed {seed}: their {found.examples} examples and gold "
                    f"labels are not the {known.examples} of {result.suite.id}; evaluate it with the suite's data"
                )
            if task.finetunes or result.recipe.realigns:
                predicted = [
                    name
                    for name in TASK_TYPES[task.task_type].metric.columns
                    if name not in TASK_TYPES[task.task_type].metric.from_data
                ]
                per_seed[seed].append(digest({name: cell[name].to_pylist() for name in predicted}))
    for one, other in combinations(result.seeds, 2):
        if per_seed[one] and per_seed[one] == per_seed[other]:
            yield f"seeds {one} and {other} have the same predictions in every task and language; evaluate both"


def _history_problems(folders: Sequence[Path], board: Path | None) -> Iterator[str]:
    """Histories that are not the board's: who submits a result does not write what happened to it."""
    for path in (folder / HISTORY for folder in dict.fromkeys(folders)):
        published = None if board is None else board / _place(path.parent) / HISTORY
        if path.exists() and (published is None or not published.is_file() or not cmp(path, published, shallow=False)):
            yield f"{path}: is the board's to write and no part of a submission; evaluate the result again"


def _board_problems(folders: Sequence[Path], board: Path, problems: Problems) -> Iterator[str]:
    """What does not go with the published results: another baseline, recipe or checkpoint of the same name."""
    ours = {folder: problems.attempt(partial(read_result, folder)) for folder in folders}
    submitted = {folder: result for folder, result in ours.items() if result is not None}
    for suite in sorted({result.suite.id for result in submitted.values()}):
        for beside in find_results(board / suite) if (board / suite).is_dir() else []:
            published = problems.attempt(partial(read_result, beside))
            if published is not None and published.reported is None:
                for folder, result in submitted.items():
                    if result.suite.id == suite:
                        yield from (f"{folder}: {problem}" for problem in _clashes(result, published, beside))


def _clashes(result: Result, published: Result, place: Path) -> Iterator[str]:
    ours, theirs = result.checkpoint, published.checkpoint
    if result.recipe.name == published.recipe.name and result.recipe_digest != published.recipe_digest:
        yield f"the recipe '{result.recipe.name}' is another one on the board; give yours a name of its own"
    if (ours.id, ours.revision) != (theirs.id, theirs.revision):
        return
    if ours.revision is not None and ours != theirs:
        yield f"checkpoint {ours.id} at {ours.revision} has other weights, configuration or tokenizer on the board"
    same_row = result.recipe_digest == published.recipe_digest and result.seeds == published.seeds and ours == theirs
    if not same_row or result.suffix != published.suffix or digest_evidence(result) == digest_evidence(published):
        return
    if not result.is_baseline:
        yield (
            f"is published with other predictions ({place}), and a published row is not rewritten; to correct it, open "
            "an issue: those who keep the board use 'xrealign-bench leaderboard correct'"
        )
    else:
        yield (
            f"its predictions are not those of the baseline on the board; copy {place} over it, and compare with that "
            "by 'xrealign-bench leaderboard recompare' on your results"
        )


def _folder_problem(folder: Path, result: Result) -> Iterator[str]:
    checkpoint = result.checkpoint
    name = checkpoint.id.replace("/", "--")
    right = [
        f"{result.suite.id}/{place}/{result.recipe.name}{result.suffix}"
        for place in (name, f"{name}-{checkpoint.weights_sha256[:8]}")
    ]
    if _place(folder) not in right and not result.missing:
        yield f"belongs in a folder {right[-1]}"


def _file_problems(path: Path) -> Iterator[str]:
    """What is wrong with a recipe's file before it is opened."""
    if path.is_symlink():
        yield _said_of_link(path)
    elif path.is_file() and path.stat().st_size > LARGEST_RECIPE:
        yield f"{path}: has {path.stat().st_size:,} bytes, more than the {LARGEST_RECIPE:,} that it may have"


def _said_of_link(path: Path) -> str:
    return f"{path}: is a link; put what it leads to there"


def _place(folder: Path) -> str:
    """The last three names of a folder's path: suite, checkpoint and recipe."""
    return "/".join(Path(os.path.abspath(folder)).parts[-3:])


def _markup(content: Any, where: str = "") -> Iterator[str]:
    """The texts in JSON content, names of fields among them, that hold HTML."""
    if isinstance(content, str) and HTML.search(content):
        yield f"{where}: has HTML in it ({content[:60]!r}); write it without"
    elif isinstance(content, list):
        for number, item in enumerate(content):
            yield from _markup(item, f"{where}.{number}")
    elif isinstance(content, dict):
        for key, item in content.items():
            yield from _markup(key, where)
            yield from _markup(item, f"{where}.{key}".removeprefix("."))


def _result_problems(folder: Path, result: Result, recipe: Recipe) -> Iterator[str]:
    yield from _folder_problem(folder, result)
    if result.reported is not None:
        yield "its scores are reported ones; only what was computed can be submitted"
    if result.recipe_digest != digest(recipe) or digest(result.recipe) != digest(recipe):
        yield "was computed by another version of the recipe; evaluate it again"
    yield from result.missing
    yield from _markup(result.model_dump(mode="json"))
    yield from _checkpoint_problems(result)
    name = result.suite.name
    if name not in shipped_names(Suite):
        yield f"its suite '{name}' is none of this installation"
        return
    suite = find_spec(name, Suite)
    if suite.id != result.suite.id:
        yield f"its suite is {result.suite.id} and the one of this installation {suite.id}; evaluate it again"
    elif suite != result.suite:
        yield f"its suite {suite.id} is not the one of this installation; evaluate it with that"
    elif changed := [task.name for task in result.tasks if not _is_shipped(task, suite)]:
        yield f"its tasks {', '.join(changed)} are not those of this installation; evaluate it with them"
    else:
        yield from _suite_problems(result, suite)


def _checkpoint_problems(result: Result) -> Iterator[str]:
    then = result.checkpoint
    if "" in (then.weights_sha256, then.config_sha256, then.tokenizer_sha256):
        yield "its checkpoint has no checksums; evaluate it again"
    if then.id == EMBEDDED:
        now = resolve_checkpoint(EMBEDDED, offline=True)
        for what in ("weights_sha256", "config_sha256", "tokenizer_sha256"):
            if getattr(then, what) != getattr(now, what):
                yield f"its {what} is not that of the embedded checkpoint {EMBEDDED}; evaluate it again"


def _suite_problems(result: Result, suite: Suite) -> Iterator[str]:
    """What a result that names the right suite and tasks makes of them."""
    corpora = {corpus: find_spec(corpus, Corpus) for corpus in suite.parallel.corpora}
    names = [task.name for task in result.tasks]
    if sorted(names) == sorted(suite.tasks) and digest_suite(suite, result.tasks, corpora) != result.suite_digest:
        yield f"its suite's digest is {result.suite_digest[:12]}, which is not that of {suite.id}; evaluate it again"
    if result.seeds != suite.seeds:
        yield f"its seeds are {_listed(result.seeds)}, those of {suite.id} {_listed(suite.seeds)}; evaluate these"
    codes = suite.target_languages
    if result.languages != [describe_language(suite, code, result.checkpoint.id) for code in codes]:
        yield f"its languages are not those of {suite.id} as this installation describes them; evaluate it again"
    asked = set(product(suite.tasks, [suite.source_language, *codes], suite.seeds))
    foreign = [f"{s.task} {s.language} {s.seed}" for s in result.scores if (s.task, s.language, s.seed) not in asked]
    if foreign:
        yield f"has scores that {suite.id} does not ask for: {_listed(foreign)}"


def _listed(names: Sequence[object]) -> str:
    return ", ".join(map(str, names))


def _is_shipped(task: Task, suite: Suite) -> bool:
    """Whether a task is the shipped one, at whatever revision its data were read."""
    shipped = suite.limit_test_examples(find_spec(task.name, Task))
    return digest(_at_any_revision(shipped)) == digest(_at_any_revision(task))


def _at_any_revision(task: Task) -> Task:
    also = [part.model_copy(update={"source": _unpinned(part.source)}) for part in task.also]
    return task.model_copy(update={"source": _unpinned(task.source), "also": also})


def _unpinned(source: DataSource) -> DataSource:
    return source.model_copy(update={"revision": None}) if isinstance(source, HubData) else source


def _check_comparison(folder: Path, baseline: Path) -> None:
    stored = read_comparison(folder)
    assert stored is not None
    again = compare(folder, baseline)
    if not nearly_equal(again, stored.model_copy(update={"baseline": again.baseline})):
        raise UserError(f"{folder / COMPARISON}: is not what the predictions give; evaluate again")
