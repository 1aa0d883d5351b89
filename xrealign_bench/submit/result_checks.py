"""Check one submitted result: its place, recipe, suite, tasks, checkpoint, and the gold labels of its predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xrealign_bench.data import read_lock
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.plugins import TITLES, registry
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.rescoring import split_by_language_and_seed
from xrealign_bench.results.result import IN_MEMORY, Result, digest_suite
from xrealign_bench.results.storage import read_predictions
from xrealign_bench.specs import (
    Corpus,
    DataSource,
    FilesData,
    HubData,
    Recipe,
    Suite,
    Task,
    digest,
    find_spec,
    shipped_names,
    shipped_suite_name,
)
from xrealign_bench.specs.data import patterns
from xrealign_bench.specs.plugins_named import names_in_recipe
from xrealign_bench.submit.board_checks import place_on_board
from xrealign_bench.submit.problems import html_problems
from xrealign_bench.tasks.gold import Gold, known_gold, predicted_gold
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.registry import metric_of


def result_problems(folder: Path, result: Result, recipe: Recipe) -> Iterator[str]:
    """Yield everything that is wrong with `result.json`, without reading predictions."""
    yield from _folder_problems(folder, result)
    if result.reported is not None:
        yield "its scores are reported ones; only what was computed can be submitted"
    if result.recipe_digest != digest(recipe) or digest(result.recipe) != digest(recipe):
        yield "was computed by another version of the recipe; evaluate it again"
    if result.suite.is_development:
        yield "was scored on development data, to choose a recipe; evaluate it without --development"
    if result.checkpoint.id == IN_MEMORY:
        yield "its checkpoint was an object in memory; save it, and evaluate the folder or a Hub id"
    yield from result.missing
    yield from html_problems(result.model_dump(mode="json"))
    yield from _checkpoint_problems(result)
    yield from _plugin_problems(result)
    yield from _suite_problems(result)


def prediction_problems(folder: Path, result: Result) -> Iterator[str]:
    """Yield problems of predictions that do give the scores: other gold labels than the suite's, or a copied seed."""
    found_lock = read_lock(shipped_suite_name(result.suite) or result.suite.name)
    lock = found_lock.lock if found_lock else None
    digests: dict[int, list[str]] = {seed: [] for seed in result.seeds}
    for record in result.predictions:
        task = next(task for task in result.tasks if task.name == record.task)
        scoring = metric_of(task)
        predicted = [name for name in scoring.columns if name not in scoring.from_data]
        gold: dict[str, Gold | None] = {}
        for (language, seed), rows in split_by_language_and_seed(read_predictions(folder, record, task)):
            if language not in gold:
                gold[language] = known_gold(task, language, lock)
            if (known := gold[language]) is not None and (found := predicted_gold(task, rows)) != known:
                yield (
                    f"predictions of {task.name} in {language}, seed {seed}: their {found.examples} examples and gold "
                    f"labels are not the {known.examples} of {result.suite.id}; evaluate it with the suite's data"
                )
            if (problem := _unread_problem(task, rows, result.suite)) is not None:
                yield f"predictions of {task.name} in {language}, seed {seed}: {problem}"
            if task.finetunes or result.recipe.realigns:
                digests[seed].append(digest({name: rows[name].to_pylist() for name in predicted}))
    for one, other in combinations(result.seeds, 2):
        if digests[one] and digests[one] == digests[other]:
            yield f"seeds {one} and {other} have the same predictions in every task and language; evaluate both"


def _unread_problem(task: Task, rows: pa.Table, suite: Suite) -> str | None:
    """Return the problem of words without a predicted label, which are not scored.

    A suite that truncates long sentences has such words, at the end of sentences.
    """
    if task.base_type != "token_classification":
        return None
    flat = pc.list_flatten(rows["predicted"]).to_numpy()
    unread = flat == NOT_LABELLED
    if not unread.any():
        return None
    if suite.long_sentences != "truncate":
        return f"{int(unread.sum()):,} words have no label, and {suite.id} has all words labelled; evaluate it again"
    sentence = np.repeat(np.arange(len(rows)), pc.list_value_length(rows["predicted"]).to_numpy())
    if (unread[:-1] & ~unread[1:] & (sentence[:-1] == sentence[1:])).any():
        return "a word without a label is not at the end of its sentence; evaluate it again"
    return None


def _plugin_problems(result: Result) -> Iterator[str]:
    """Yield names in a recipe that are neither shipped nor among the result's plugins."""
    recorded = {(plugin.group, plugin.name) for plugin in result.plugins}
    for group, name in names_in_recipe(result.recipe, result.suite):
        if name not in registry(group).shipped and (group, name) not in recorded:
            yield f"its recipe has the {TITLES[group]} '{name}', and its plugins don't; evaluate it again"


def _folder_problems(folder: Path, result: Result) -> Iterator[str]:
    checkpoint = result.checkpoint
    name = checkpoint.id.replace("/", "--")
    allowed = [
        f"{result.suite.id}/{place}/{result.recipe.name}{result.suffix}"
        for place in (name, f"{name}-{checkpoint.weights_sha256[:8]}")
    ]
    if place_on_board(folder) not in allowed and not result.missing:
        yield f"belongs in a folder {allowed[-1]}"


def _checkpoint_problems(result: Result) -> Iterator[str]:
    stored = result.checkpoint
    if "" in (stored.weights_sha256, stored.config_sha256, stored.tokenizer_sha256):
        yield "its checkpoint has no checksums; evaluate it again"
    if stored.id == EMBEDDED:
        shipped = resolve_checkpoint(EMBEDDED, offline=True)
        for name in ("weights_sha256", "config_sha256", "tokenizer_sha256"):
            if getattr(stored, name) != getattr(shipped, name):
                yield f"its {name} is not that of the embedded checkpoint {EMBEDDED}; evaluate it again"


def _suite_problems(result: Result) -> Iterator[str]:
    """Yield problems of the suite and its tasks; of what was evaluated only if these are the shipped ones."""
    name = result.suite.name
    if (problem := own_suite_problem(result)) is not None:
        yield problem
        return
    suite = find_spec(name, Suite)
    if suite.id != result.suite.id:
        yield f"its suite is {result.suite.id} and the one of this installation {suite.id}; evaluate it again"
    elif suite != result.suite:
        yield f"its suite {suite.id} is not the one of this installation; evaluate it with that"
    elif local := [problem for task in result.tasks for problem in local_file_problems(task)]:
        yield from local
    elif changed := [task.name for task in result.tasks if not _is_shipped(task, suite)]:
        yield f"its tasks {', '.join(changed)} are not those of this installation; evaluate it with them"
    else:
        yield from _coverage_problems(result, suite)


def own_suite_problem(result: Result) -> str | None:
    """Return the problem of a result on a suite that is not shipped."""
    if result.suite.name in shipped_names(Suite):
        return None
    return (
        f"its suite '{result.suite.name}' is your own, and the boards of this project take shipped suites only; keep a "
        "board of your own with 'xrealign-bench leaderboard build'"
    )


def local_file_problems(task: Task) -> Iterator[str]:
    """Yield a problem for each source of a submitted task that reads local files, which nobody else has."""
    for source in (task.source, *(part.source for part in task.also)):
        if not isinstance(source, FilesData):
            continue
        if source.outside:
            yield (
                f"task {task.name} reads {source.outside[0]}, outside the folder of its YAML; a submission names only "
                "data that everyone can get: 'kind: hub' or 'kind: url'"
            )
        else:
            yield (
                f"task {task.name} reads local files ({next(iter(patterns(source).values()))}); a submission names "
                "only data that everyone can get: 'kind: hub' or 'kind: url'"
            )


def _coverage_problems(result: Result, suite: Suite) -> Iterator[str]:
    """Yield problems of the digest, seeds, languages and scores of a result on the shipped suite."""
    corpora = {corpus: find_spec(corpus, Corpus) for corpus in suite.parallel.corpora}
    names = [task.name for task in result.tasks]
    if sorted(names) == sorted(suite.tasks) and digest_suite(suite, result.tasks, corpora) != result.suite_digest:
        yield f"its suite's digest is {result.suite_digest[:12]}, which is not that of {suite.id}; evaluate it again"
    if result.seeds != suite.seeds:
        yield f"its seeds are {_join(result.seeds)}, those of {suite.id} {_join(suite.seeds)}; evaluate these"
    codes = suite.target_languages
    if result.languages != [describe_language(suite, code, result.checkpoint.id) for code in codes]:
        yield f"its languages are not those of {suite.id} as this installation describes them; evaluate it again"
    expected = set(product(suite.tasks, [suite.source_language, *codes], suite.seeds))
    extra = [f"{s.task} {s.language} {s.seed}" for s in result.scores if (s.task, s.language, s.seed) not in expected]
    if extra:
        yield f"has scores that {suite.id} does not ask for: {_join(extra)}; evaluate it again"


def _join(names: Sequence[object]) -> str:
    return ", ".join(map(str, names))


def _is_shipped(task: Task, suite: Suite) -> bool:
    """Return whether a task is the shipped one, at whatever revision its data were read."""
    shipped = suite.limit_test_examples(find_spec(task.name, Task))
    return digest(_without_revisions(shipped)) == digest(_without_revisions(task))


def _without_revisions(task: Task) -> Task:
    also = [part.model_copy(update={"source": _without_revision(part.source)}) for part in task.also]
    training = task.training_data
    if training is not None:
        training = training.model_copy(update={"source": _without_revision(training.source)})
    return task.model_copy(update={"source": _without_revision(task.source), "also": also, "training_data": training})


def _without_revision(source: DataSource) -> DataSource:
    return source.model_copy(update={"revision": None}) if isinstance(source, HubData) else source
