"""The main job: checkpoint x recipes on a suite, from names to results, comparisons and a leaderboard."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path, PureWindowsPath

from xrealign_bench import distributed
from xrealign_bench.data import DataLocation, check_lock, corpora_of, pin
from xrealign_bench.data.loaded_suite import LoadedSuite, load_suite
from xrealign_bench.errors import Problems, UserError, convert_os_errors
from xrealign_bench.files import remove_temporary_files
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.chart import draw_chart
from xrealign_bench.memo import recall
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.compute_settings import compute_settings
from xrealign_bench.models.device import check_precision, check_quantised, find_device
from xrealign_bench.models.dtypes import Precision, Quantised
from xrealign_bench.pipeline.executor import Executor, OnEvent, Outcome, run_serially
from xrealign_bench.pipeline.plan import Plan, Request
from xrealign_bench.pipeline.planning import make_plan
from xrealign_bench.pipeline.preflight import (
    block_problems,
    checkpoint_problems,
    combination_problems,
    quantisation_problems,
    suite_problems,
)
from xrealign_bench.pipeline.stage import RunContext
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.collection import collect
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.paths import part_of_suite, result_folder
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import write_comparison
from xrealign_bench.scoring.stored import stored_comparison
from xrealign_bench.specs import Recipe, Suite, Task, find_spec
from xrealign_bench.specs.recipe import BASELINE
from xrealign_bench.specs.suite import select_items, select_seeds

DEFAULT_RECIPE = "alignfreeze-front"
DEFAULT_SUITE = "demo"


@dataclass(frozen=True)
class Options:
    """What a user asks for, in names; a recipe may be given itself."""

    checkpoint: str | None = None
    revision: str | None = None
    recipes: Sequence[str | Recipe] = ()
    suite: str = DEFAULT_SUITE
    tasks: Sequence[str] = ()
    languages: Sequence[str] = ()
    seeds: Sequence[int] = ()
    limit: int | None = None
    data_root: Path | None = None
    device: str | None = None
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    quantised: Quantised | None = None
    offline: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation leaves: one result a recipe, the baseline first, and the files made from them."""

    results: list[Result]
    comparisons: list[Comparison | None]
    folders: list[Path]
    leaderboard: list[Path]
    chart: Path | None
    """None: there is nothing to draw, as for the baseline alone."""


def prepare(options: Options) -> Plan:
    """Resolve every name and lay out the stages; nothing is computed.

    Raises:
        UserError: something is unknown, missing or contradictory; a line for each problem.
    """
    problems = Problems()
    recipes = _find_recipes(options.recipes, problems)
    own = {recipe.parallel.corpus for recipe in recipes} - {None}
    loaded = problems.attempt(partial(_load_suite, options.suite, own))
    device = problems.attempt(partial(_check_device, options))
    if loaded is None or device is None:
        raise UserError(str(problems))
    suite = loaded.suite
    targets = problems.attempt(partial(_targets, suite, options.languages)) or suite.target_languages
    names = problems.attempt(partial(select_items, "task", options.tasks, suite.tasks)) or suite.tasks
    seeds = problems.attempt(partial(select_seeds, options.seeds, suite.seeds)) or suite.seeds
    tasks = _asked(loaded.tasks, names, targets, named=bool(options.tasks))
    problems.add(suite_problems(suite, loaded.tasks, targets))
    problems.add(combination_problems(loaded, recipes, tasks, targets))
    problems.add(quantisation_problems(options.quantised, recipes, tasks))
    checkpoint = _find_checkpoint(options, suite, problems)
    problems.add(checkpoint_problems(checkpoint, recipes, tasks))
    count = block_count(checkpoint)
    problems.add([] if count is None else block_problems(count, recipes, loaded.tasks))
    problems.raise_if_any()
    _check_weights(checkpoint)
    request = Request(
        checkpoint=checkpoint,
        recipes=recipes,
        loaded=loaded,
        tasks=tasks,
        languages=targets,
        seeds=seeds,
        limit=options.limit,
        location=DataLocation(options.data_root, options.offline),
        compute_settings=compute_settings(device, options.precision, options.gradient_checkpointing, options.quantised),
    )
    return make_plan(_pinned(request))


def _load_suite(name_or_file: str, own: set[str | None]) -> LoadedSuite:
    """Load a suite with the corpora that recipes name, as far as there are any of these names."""
    return load_suite(name_or_file, [name for name in own if name is not None])


def _targets(suite: Suite, languages: Sequence[str]) -> list[str]:
    return select_items("target language", [find(code).code for code in languages], suite.target_languages)


def _check_device(options: Options) -> str:
    device = find_device(options.device)
    check_precision(options.precision, device)
    check_quantised(options.quantised, device)
    return device


def _find_checkpoint(options: Options, suite: Suite, problems: Problems) -> Checkpoint:
    """Return the checkpoint, which may be downloaded: not if there are problems already.

    Raises:
        UserError: the problems, with those of the checkpoint.
    """
    name = options.checkpoint or suite.checkpoint or EMBEDDED
    if problems and name != EMBEDDED and not Path(name).is_dir():
        problems.raise_if_any()
    find_it = partial(
        resolve_checkpoint, name, options.revision, options.offline, options.trust_remote_code, options.allow_pickle
    )
    checkpoint = problems.attempt(find_it)
    if checkpoint is None:
        raise UserError(str(problems))
    return checkpoint


def run(
    plan: Plan,
    store: Store,
    output: Path,
    device: str | None,
    command: Sequence[str],
    on_event: OnEvent,
    execute: Executor = run_serially,
) -> tuple[Outcome, Evaluation | None]:
    """Run a plan and write what comes of it below `output`, after `check_output`; no evaluation where a stage failed.

    Several processes are to be given the same plan; the first one writes.

    Raises:
        UserError: bad data, or a disk that is full or gone. No file is half-written then.
    """
    outcome = execute(plan, store, run_context(plan.request, device), on_event)
    if outcome.failed:
        return outcome, None
    return outcome, distributed.broadcast(partial(_write, plan, store, output, command))


def _write(plan: Plan, store: Store, output: Path, command: Sequence[str]) -> Evaluation:
    request = plan.request
    results_root = output / "results"
    folders = [results_root / result_folder(plan, r.recipe) for r in plan.runs]
    with convert_os_errors(
        f"the results in {output}", "when that is mended, the same command writes them from the store"
    ):
        for folder in (results_root, *folders):
            remove_temporary_files(folder)
        results = [
            collect(plan, r, store, folder, _without_places(command))
            for r, folder in zip(plan.runs, folders, strict=True)
        ]
        comparisons: list[Comparison | None] = [None]
        for folder, result in zip(folders[1:], results[1:], strict=True):
            comparisons.append(_compare((folder, folders[0]), (result, results[0])))
        written = build(results_root, output)
        picture = f"{folders[0].parent.name}{part_of_suite(request)}.png"
        chart = draw_chart(results, comparisons, output / request.suite.id / picture)
    return Evaluation(results, comparisons, folders, written, chart)


def _compare(folders: tuple[Path, Path], results: tuple[Result, Result]) -> Comparison:
    """Return the comparison of a result with its baseline, the stored one if it is that of these results."""
    stored = stored_comparison(folders, results)
    if stored is not None:
        return stored
    from xrealign_bench.scoring.compare import compare  # loads metrics

    comparison = compare(*folders)
    write_comparison(folders[0], comparison)
    return comparison


def _without_places(command: Sequence[str]) -> str:
    """Join a command line, with the last name alone of every path from a root, a home or a folder above, and without
    the host of a Ray cluster: where somebody's files and machines are is nobody's business.

    >>> _without_places(["xrealign-bench", "evaluate", "--data-root=/home/ada/hub", "--checkpoint", "~/models/mine"])
    'xrealign-bench evaluate --data-root=hub --checkpoint mine'
    """
    words: list[str] = []
    for word in command:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        path = PureWindowsPath(value)  # which knows both kinds of slashes
        if value.startswith(("/", "~")) or path.is_absolute() or ".." in path.parts:
            value = path.name
        if value not in ("", "auto") and "--address" in (option, *words[-1:]):
            value = "HOST"
        words.append(option + equals + value)
    return shlex.join(words)


def run_context(request: Request, device: str | None) -> RunContext:
    """Return what the stages of a plan need from this machine."""
    settings = request.compute_settings
    return RunContext(
        request.checkpoint,
        request.location,
        find_device(device),
        settings.dtype,
        settings.gradient_checkpointing,
        settings.quantised,
    )


def _pinned(request: Request) -> Request:
    """Return the request with the data that the suite's lock names; unchanged without a lock."""
    lock, where = request.loaded.lock, request.location
    if lock is None:
        return request
    read = _corpora_read(request.suite, request.recipes)
    asked = [task.name for task in request.tasks]
    tasks = [pin(task, lock, where) for task in request.loaded.tasks]
    corpora = {name: pin(corpus, lock, where) for name, corpus in request.loaded.corpora.items() if name in read}
    loaded = replace(request.loaded, tasks=tasks, corpora={**request.loaded.corpora, **corpora})
    request = replace(request, loaded=loaded, tasks=[task for task in tasks if task.name in asked])
    check_lock(replace(loaded, tasks=request.tasks, corpora=corpora), request.languages, where)
    return request


def _corpora_read(suite: Suite, recipes: Sequence[Recipe]) -> set[str]:
    """Return the names of the corpora that the recipes realign on."""
    corpora: set[str] = set()
    for recipe in recipes:
        if recipe.realigns:
            corpora |= set(corpora_of(suite)) if recipe.parallel.corpus is None else {recipe.parallel.corpus}
    return corpora


def _find_recipes(asked: Sequence[str | Recipe], problems: Problems) -> list[Recipe]:
    """Return the baseline and the recipes that are asked for, each once."""
    given = [BASELINE, *(asked or [DEFAULT_RECIPE])]
    once = [recipe for place, recipe in enumerate(given) if recipe not in given[:place]]
    found = [
        recipe if isinstance(recipe, Recipe) else problems.attempt(partial(find_spec, recipe, Recipe))
        for recipe in once
    ]
    return [recipe for recipe in found if recipe is not None]


def _asked(tasks: list[Task], names: Sequence[str], targets: Sequence[str], *, named: bool) -> list[Task]:
    """Return the tasks of these names; if none was named, those that have one of the languages."""
    tested = [task for task in tasks if named or set(task.languages) & set(targets)]
    return [task for task in tested or tasks if task.name in names]


def block_count(checkpoint: Checkpoint) -> int | None:
    """Return the number of blocks in a checkpoint's configuration; None if it doesn't say.

    Raises:
        UserError: the configuration is refused.
    """

    def find() -> int | None:
        from xrealign_bench.models.config import load_config

        return getattr(load_config(checkpoint), "num_hidden_layers", None)

    about = [checkpoint.config_sha256, checkpoint.weights_sha256, checkpoint.trust_remote_code, version("transformers")]
    return recall("number of blocks", about, find)


def _check_weights(checkpoint: Checkpoint) -> None:
    """Refuse weights that are not finite, before stored stages are reused that an older version computed with them.

    Weights that were found to be good are recognised by their checksum.
    """

    def find() -> bool:
        from xrealign_bench.models.pretrained import check_weights

        check_weights(checkpoint)
        return True

    recall("weights are finite", checkpoint.weights_sha256, find)
