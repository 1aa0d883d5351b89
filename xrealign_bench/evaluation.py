"""Evaluate recipes on a suite: plan the stages from names, and write results and a leaderboard from their outputs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path, PureWindowsPath

from xrealign_bench import distributed
from xrealign_bench.data import DataLocation, check_lock, corpora_of, pin
from xrealign_bench.data.loaded_suite import LoadedSuite, collect_suite, development_part
from xrealign_bench.errors import Problems, UserError, convert_os_errors
from xrealign_bench.files import remove_temporary_files
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.chart import draw_chart
from xrealign_bench.memo import recall
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED, is_on_hub
from xrealign_bench.models.compute_settings import compute_settings
from xrealign_bench.models.device import check_precision, check_quantised, find_device
from xrealign_bench.models.dtypes import Precision, Quantised
from xrealign_bench.pipeline.plan import Plan, Request
from xrealign_bench.pipeline.planning import make_plan
from xrealign_bench.pipeline.preflight import (
    block_problems,
    checkpoint_problems,
    combination_problems,
    file_problems,
    head_problems,
    in_file,
    length_problems,
    mask_problems,
    name_conflicts,
    quantisation_problems,
    untested_targets,
)
from xrealign_bench.pipeline.stage import RunContext
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.collection import collect
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.paths import part_of_suite, result_folder
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import read_comparison, write_comparison
from xrealign_bench.scoring.stored import stored_comparison
from xrealign_bench.specs import Recipe, Suite, Task, find_spec_file
from xrealign_bench.specs.recipe import BASELINE
from xrealign_bench.specs.suite import select_items, select_seeds
from xrealign_bench.specs.yaml import collect_recipes, place_of

DEFAULT_RECIPE = "alignfreeze-front"
DEFAULT_SUITE = "demo"


@dataclass(frozen=True)
class Options:
    """Options of an evaluation, by name as on the command line. A recipe may also be passed as an object."""

    checkpoint: str | None = None
    revision: str | None = None
    recipes: Sequence[str | Recipe] = ()
    suite: str = DEFAULT_SUITE
    tasks: Sequence[str] = ()
    languages: Sequence[str] = ()
    seeds: Sequence[int] = ()
    limit: int | None = None
    development: bool = False
    """Score development data instead of test sets."""
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
    """Results of an evaluation, one per recipe with the baseline first, and the files made from them."""

    results: list[Result]
    comparisons: list[Comparison | None]
    folders: list[Path]
    leaderboard: list[Path]
    """Empty for development data, which never stand on a board."""
    chart: Path | None
    """None if there is nothing to draw, for example for the baseline alone."""


@dataclass(frozen=True)
class Specs:
    """Specs that an evaluation's options name, as far as they could be found."""

    recipes: list[Recipe]
    """The baseline first."""
    loaded: LoadedSuite | None
    """None: the suite is unknown or invalid, and so there are no tasks, languages and seeds."""
    tasks: list[Task]
    languages: list[str]
    seeds: list[int]


def prepare(options: Options, problems: Problems | None = None) -> Plan:
    """Resolve every name and plan the stages. Nothing is computed, and no checkpoint is downloaded for wrong specs.

    Args:
        options: what to evaluate.
        problems: problems of the command line, to be reported together with all others.

    Raises:
        UserError: something is unknown, missing or contradictory. The message has one line per problem.
    """
    request = resolve(options, problems or Problems())
    _check_weights(request.checkpoint)
    return make_plan(_pin_request(request))


def resolve(options: Options, problems: Problems) -> Request:
    """Resolve every name, and check that recipes, suite and checkpoint fit together.

    Raises:
        UserError: they don't, or `problems` has problems already. The message has one line per problem.
    """
    specs = resolve_specs(options, problems)
    device = problems.attempt(partial(_check_device, options))
    # Without torch in the process the settings are recalled, so this precedes reading the checkpoint's configuration.
    settings = device and compute_settings(device, options.precision, options.gradient_checkpointing, options.quantised)
    checkpoint = _find_checkpoint(options, specs.loaded, problems)
    if checkpoint is not None:
        problems.add(checkpoint_problems(checkpoint, specs.recipes, specs.tasks))
        problems.add(mask_problems(checkpoint, specs.recipes))
        if specs.loaded is not None:
            problems.add(head_problems(checkpoint, specs.loaded.suite, specs.tasks))
            problems.add(length_problems(checkpoint, specs.loaded.suite, specs.tasks))
        if (count := problems.attempt(partial(block_count, checkpoint))) is not None:
            problems.add(block_problems(count, specs.recipes, specs.loaded.tasks if specs.loaded else []))
    problems.raise_if_any()
    assert specs.loaded and settings and checkpoint
    return Request(
        checkpoint=checkpoint,
        recipes=specs.recipes,
        loaded=specs.loaded,
        tasks=specs.tasks,
        languages=specs.languages,
        seeds=specs.seeds,
        limit=options.limit,
        location=DataLocation(options.data_root, options.offline),
        compute_settings=settings,
    )


def resolve_specs(options: Options, problems: Problems) -> Specs:
    """Find the recipes and the suite, and add every problem that they have without regard to a checkpoint."""
    recipes, corpora = _find_recipes(options.recipes, problems)
    loaded = collect_suite(options.suite, problems, check=file_problems, corpora=corpora)
    if loaded is not None and loaded.is_complete and options.development:
        loaded = problems.attempt(partial(_for_development, loaded))
    languages = _find_languages(options.languages, problems)
    problems.add(name_conflicts(recipes))
    if loaded is None:
        problems.add(quantisation_problems(options.quantised, recipes, []))
        return Specs(recipes, None, [], [], [])
    specs = _select(replace(options, languages=languages), recipes, loaded, problems)
    if loaded.is_complete:
        targets = untested_targets(loaded, specs.languages)
        problems.add(in_file(find_spec_file(options.suite, Suite), targets))
        problems.add(combination_problems(loaded, recipes, specs.tasks, specs.languages, options.quantised))
    return specs


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


def write_evaluation(plan: Plan, store: Store, output: Path, command: Sequence[str]) -> Evaluation:
    """Write results, comparisons, leaderboard and chart of a plan that has been run.

    Call it on every rank; rank 0 writes.

    Args:
        plan: its stages are all stored.
        store: where they are stored.
        output: folder that `check_output` accepted.
        command: the command line, recorded in the results without local paths.

    Raises:
        UserError: the disk is full or gone. No file is half-written then.
    """
    return distributed.broadcast(partial(_write, plan, store, output, command))


def block_count(checkpoint: Checkpoint) -> int | None:
    """Return the number of blocks in a checkpoint's configuration, or None if the configuration doesn't say.

    Raises:
        UserError: the configuration is refused.
    """

    def find() -> int | None:
        from xrealign_bench.models.config import load_config

        return getattr(load_config(checkpoint), "num_hidden_layers", None)

    about = [checkpoint.config_sha256, checkpoint.weights_sha256, checkpoint.trust_remote_code, version("transformers")]
    return recall("number of blocks", about, find)


def _find_recipes(
    names: Sequence[str | Recipe], problems: Problems
) -> tuple[list[Recipe], dict[str, Callable[[], str]]]:
    """Return the baseline and the requested recipes, each once, and the corpora that they name with the place."""
    given = [BASELINE, *(names or [DEFAULT_RECIPE])]
    recipes: list[Recipe] = []
    corpora: dict[str, Callable[[], str]] = {}
    for recipe in (recipe for number, recipe in enumerate(given) if recipe not in given[:number]):
        if isinstance(recipe, Recipe):
            found, path = [recipe], None
        else:
            found, path = collect_recipes(recipe, problems, file_problems)
        recipes += [each for each in found if each not in recipes]
        for each in found:
            in_recipe = partial(str, f"recipe '{each.name}': parallel.corpus")
            place = in_recipe if path is None else partial(place_of, path, ("parallel", "corpus"))
            if each.parallel.corpus is not None:
                corpora.setdefault(each.parallel.corpus, place)
    return recipes, corpora


def _for_development(loaded: LoadedSuite) -> LoadedSuite:
    if (part := development_part(loaded)) is None:
        raise UserError(
            f"--development: suite '{loaded.suite.name}' has no development data. Give its tasks a development_split, "
            "or the suite development_languages"
        )
    return part


def _check_device(options: Options) -> str:
    device = find_device(options.device)
    check_precision(options.precision, device)
    check_quantised(options.quantised, device)
    return device


def _find_languages(codes: Sequence[str], problems: Problems) -> list[str]:
    found = [problems.attempt(partial(find, code)) for code in codes]
    return [language.code for language in found if language is not None]


def _select(options: Options, recipes: list[Recipe], loaded: LoadedSuite, problems: Problems) -> Specs:
    """Select the tasks, target languages and seeds to evaluate; all of the suite's where the selection is wrong."""
    suite = loaded.suite
    languages = problems.attempt(partial(select_items, "target language", options.languages, suite.target_languages))
    names = problems.attempt(partial(select_items, "task", options.tasks, suite.tasks)) or suite.tasks
    seeds = problems.attempt(partial(select_seeds, options.seeds, suite.seeds)) or suite.seeds
    languages = languages or suite.target_languages
    tasks = [task for task in loaded.tasks if task.name in names]
    if not options.tasks:  # those without any of the languages are left out, unless that leaves none
        tasks = [task for task in tasks if set(task.languages) & set(languages)] or tasks
    return Specs(recipes, loaded, tasks, languages, seeds)


def _find_checkpoint(options: Options, loaded: LoadedSuite | None, problems: Problems) -> Checkpoint | None:
    """Return the checkpoint, or None if it is wrong, or unknown or on the Hub while there are other problems."""
    of_suite = None if loaded is None else loaded.suite.checkpoint or EMBEDDED
    name = options.checkpoint or of_suite
    if name is None or (problems and is_on_hub(name)):
        return None
    settings = options.revision, options.offline, options.trust_remote_code, options.allow_pickle
    return problems.attempt(partial(resolve_checkpoint, name, *settings))


def _check_weights(checkpoint: Checkpoint) -> None:
    """Refuse weights that are not finite, before stored stages are reused that an older version computed with them.

    Weights that passed are recognised by their checksum.
    """

    def find() -> bool:
        from xrealign_bench.models.pretrained import check_weights

        check_weights(checkpoint)
        return True

    recall("weights are finite", checkpoint.weights_sha256, find)


def _pin_request(request: Request) -> Request:
    """Return the request with its data pinned to the suite's lock; unchanged without a lock."""
    loaded, location = request.loaded, request.location
    lock = loaded.lock
    if lock is None:
        return request
    names = _corpora_read(request.suite, request.recipes)
    pinned = {name: pin(corpus, lock, location) for name, corpus in loaded.corpora.items() if name in names}
    tasks = {task.name: pin(task, lock, location) for task in loaded.tasks}
    loaded = replace(loaded, tasks=list(tasks.values()), corpora={**loaded.corpora, **pinned})
    request = replace(request, loaded=loaded, tasks=[tasks[task.name] for task in request.tasks])
    check_lock(replace(loaded, tasks=request.tasks, corpora=pinned), request.languages, location)
    return request


def _corpora_read(suite: Suite, recipes: Sequence[Recipe]) -> set[str]:
    """Return the names of the corpora that the recipes realign on."""
    corpora: set[str] = set()
    for recipe in recipes:
        if recipe.realigns:
            corpora |= set(corpora_of(suite)) if recipe.parallel.corpus is None else {recipe.parallel.corpus}
    return corpora


def _write(plan: Plan, store: Store, output: Path, command: Sequence[str]) -> Evaluation:
    request = plan.request
    results_root = output / "results"
    folders = [results_root / result_folder(plan, run.recipe) for run in plan.runs]
    remedy = "when that is mended, the same command writes them from the store"
    with convert_os_errors(f"the results in {output}", remedy):
        for folder in (results_root, *folders):
            remove_temporary_files(folder)
        results = [
            collect(plan, run, store, folder, redact_command(command))
            for run, folder in zip(plan.runs, folders, strict=True)
        ]
        comparisons = [
            None if number == 0 else _compare((folder, folders[0]), (result, results[0]))
            for number, (folder, result) in enumerate(zip(folders, results, strict=True))
        ]
        written = build(results_root, output) if results[0].may_stand_on_board else []
        picture = f"{folders[0].parent.name}{part_of_suite(request)}.png"
        chart = draw_chart(results, comparisons, output / request.suite.id / picture)
    return Evaluation(results, comparisons, folders, written, chart)


def _compare(folders: tuple[Path, Path], results: tuple[Result, Result]) -> Comparison | None:
    """Return the comparison of a result with its baseline, as stored; compare first unless that is up to date."""
    if (stored := stored_comparison(folders, results)) is not None:
        return stored
    from xrealign_bench.scoring.compare import compare  # loads metrics

    write_comparison(folders[0], compare(*folders))
    return read_comparison(folders[0])  # so that this run prints the same as the next one


def redact_command(command: Sequence[str]) -> str:
    """Join a command line for a result, without local paths or the host of a Ray cluster.

    Paths that are absolute, or start with a home or parent folder, are reduced to their last name.

    >>> redact_command(["xrealign-bench", "evaluate", "--data-root=/home/ada/hub", "--checkpoint", "~/models/mine"])
    'xrealign-bench evaluate --data-root=hub --checkpoint mine'
    """
    words: list[str] = []
    for word in command:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        path = PureWindowsPath(value)  # accepts both kinds of slashes
        if value.startswith(("/", "~")) or path.is_absolute() or ".." in path.parts:
            value = path.name
        if value not in ("", "auto") and "--address" in (option, *words[-1:]):
            value = "HOST"
        words.append(option + equals + value)
    return shlex.join(words)
