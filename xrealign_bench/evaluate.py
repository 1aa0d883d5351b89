"""The main job: checkpoint x recipes on a suite, from names to results, comparisons and a leaderboard."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PureWindowsPath

from xrealign_bench import distributed
from xrealign_bench.data import DataLocation, check_lock, corpora_of, pin, read_lock
from xrealign_bench.errors import UserError, convert_os_errors
from xrealign_bench.files import remove_temporary_files
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.chart import draw_chart
from xrealign_bench.listings import check_name
from xrealign_bench.models.blocks import resolve_layer
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.device import (
    Precision,
    Quantised,
    check_precision,
    check_quantised,
    compute_settings,
    pick_device,
)
from xrealign_bench.models.freeze import select_blocks
from xrealign_bench.models.pretrained import check_weights
from xrealign_bench.pipeline.executor import Event, Execute, Outcome, run_serially
from xrealign_bench.pipeline.plan import Plan, Request, Sources, make_plan
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.collection import collect
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.records import ComputeSettings
from xrealign_bench.results.result import BASELINE, Result, digest_suite
from xrealign_bench.results.storage import find_results, read_comparison, read_result, write_comparison
from xrealign_bench.scoring.compare import compare
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, digest, find_in_suite, find_spec
from xrealign_bench.specs.suite import select_items, select_seeds

DEFAULT_RECIPE = "alignfreeze-front"
DEFAULT_SUITE = "demo"
LONGEST_LIST = 30
"""Characters of a folder's name that may list tasks, languages or seeds; more of them are counted instead."""


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
        UserError: whatever is unknown, missing or contradictory.
    """
    suite = find_spec(options.suite, Suite)
    targets = select_items("target language", [find(code).code for code in options.languages], suite.target_languages)
    tasks = [suite.limit_test_examples(find_in_suite(name, Task, options.suite)) for name in suite.tasks]
    asked = [BASELINE, *(options.recipes or [DEFAULT_RECIPE])]
    once = [given for place, given in enumerate(asked) if given not in asked[:place]]
    recipes = [given if isinstance(given, Recipe) else find_spec(given, Recipe) for given in once]
    for recipe in recipes:
        check_name(recipe)
    _names_differ(recipes)
    corpora = {name: find_in_suite(name, Corpus, options.suite) for name in _corpora(suite, recipes)}
    device = pick_device(options.device)
    check_precision(options.precision, device)
    check_quantised(options.quantised, device)
    name = options.checkpoint or suite.checkpoint or EMBEDDED
    checkpoint = resolve_checkpoint(
        name, options.revision, options.offline, options.trust_remote_code, options.allow_pickle
    )
    check_weights(checkpoint)  # before stored stages are reused that an older version computed with them
    _check_blocks(recipes, tasks, checkpoint)
    return _plan_locked(
        options.suite,
        Request(
            checkpoint=checkpoint,
            recipes=recipes,
            suite=suite,
            suite_tasks=tasks,
            tasks=_asked(tasks, select_items("task", options.tasks, suite.tasks), targets, named=bool(options.tasks)),
            languages=targets,
            seeds=select_seeds(options.seeds, suite.seeds),
            corpora=corpora,
            limit=options.limit,
            location=DataLocation(options.data_root, options.offline),
            compute_settings=compute_settings(
                device, options.precision, options.gradient_checkpointing, options.quantised
            ),
        ),
    )


def run(
    plan: Plan,
    store: Store,
    output: Path,
    device: str | None,
    command: Sequence[str],
    on_event: Callable[[Event], None],
    execute: Execute = run_serially,
) -> tuple[Outcome, Evaluation | None]:
    """Run a plan and write what comes of it below `output`, after `check_output`; no evaluation where a stage failed.

    Several processes are to be given the same plan; the first one writes.

    Raises:
        UserError: bad data, or a disk that is full or gone. No file is half-written then.
    """
    outcome = execute(plan, store, sources_of(plan.request, device), on_event)
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
        for folder in folders[1:]:
            comparison = compare(folder, folders[0])
            write_comparison(folder, comparison)
            comparisons.append(comparison)
        written = build(results_root, output)
        picture = f"{folders[0].parent.name}{part_of_suite(request)}.png"
        chart = draw_chart(results, comparisons, output / request.suite.id / picture)
    return Evaluation(results, comparisons, folders, written, chart)


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


def sources_of(request: Request, device: str | None) -> Sources:
    """Where the stages of a plan find what they need."""
    return Sources(
        request.checkpoint,
        request.location,
        str(pick_device(device)),
        request.compute_settings["dtype"],
        request.compute_settings.get("gradient_checkpointing", False),
        request.compute_settings.get("quantised"),
    )


def part_of_suite(request: Request) -> str:
    """Which part of the suite is asked for, and in what precision if not in fp32, as the end of a folder's name:
    `--de-sw--limit64`, `--bf16`; empty for all of it.

    Parts that differ have ends that differ. A long list is told by its length and a digest.
    """
    suite = request.suite
    parts = []
    if len(request.tasks) != len(suite.tasks):
        parts.append(_listed("task-", "_", [task.name for task in request.tasks], "tasks"))  # names may have hyphens
    if request.languages != suite.target_languages:
        parts.append(_listed("", "-", request.languages, "languages"))
    if request.seeds != suite.seeds:
        parts.append(_listed("seed", "-", [str(seed) for seed in request.seeds], "seeds"))
    if request.limit is not None:
        parts.append(f"limit{request.limit}")
    return "".join(f"--{part}" for part in parts) + ComputeSettings(**request.compute_settings).suffix


def _listed(before: str, between: str, names: list[str], what: str) -> str:
    whole = before + between.join(names)
    return whole if len(whole) <= LONGEST_LIST else f"{len(names)}-{what}-{digest(names)[:8]}"


def result_folder(plan: Plan, recipe: Recipe) -> Path:
    """Where a result lies below the results' root: that of a part of the suite beside that of all of it."""
    request = plan.request
    checkpoint = request.checkpoint
    place = checkpoint.id.replace("/", "--")
    if checkpoint.revision is None and checkpoint.id != EMBEDDED:  # other folders may have the same name
        place += f"-{checkpoint.weights_sha256[:8]}"
    return Path(request.suite.id, place, recipe.name + part_of_suite(request))


def check_output(plan: Plan, output: Path) -> None:
    """Find out before the compute whether results can be written, and stand on one leaderboard with what is there.

    Raises:
        UserError: they can't.
    """
    results_root = output / "results"
    _check_writable(results_root)
    _check_others(results_root, [results_root / result_folder(plan, r.recipe) for r in plan.runs], plan)


def _check_writable(folder: Path) -> None:
    probe = folder / f".{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"the output folder {folder} can't be written to ({error.strerror}); choose another with --output"
        ) from None


def _check_others(results_root: Path, own: list[Path], plan: Plan) -> None:
    """Refuse results that stay and can't be read, or are of another suite with this one's name and version."""
    request = plan.request
    suite, ours = request.suite, digest_suite(request.suite, request.suite_tasks, request.corpora)
    for folder in find_results(results_root):
        if folder in own:
            continue
        other, _ = read_result(folder), read_comparison(folder)
        if other.reported is None and other.suite.id == suite.id and other.suite_digest != ours:
            raise UserError(
                f"{folder}: is a result of another suite called {suite.id}; raise the version of the "
                "suite that was changed, or choose another --output"
            )


def _plan_locked(name_or_file: str, request: Request) -> Plan:
    """Plan with the data that the suite's lock names, or, where it has none, with those that are there."""
    lock = read_lock(name_or_file)
    if lock is None:
        return make_plan(request)
    suite, where = request.suite, request.location
    realigned = {r.parallel.corpus for r in request.recipes if r.realigns}
    read = (realigned - {None}) | (corpora_of(suite).keys() if None in realigned else set())
    asked = [task.name for task in request.tasks]
    tasks = [pin(task, lock, where) for task in request.suite_tasks]
    corpora = {name: pin(corpus, lock, where) for name, corpus in request.corpora.items() if name in read}
    request = replace(
        request,
        suite_tasks=tasks,
        tasks=[task for task in tasks if task.name in asked],
        corpora={**request.corpora, **corpora},
    )
    check_lock(lock, suite, request.tasks, request.languages, corpora, where)
    return make_plan(request)


def _asked(tasks: list[Task], names: Sequence[str], targets: Sequence[str], *, named: bool) -> list[Task]:
    """The tasks of these names; where none was named, those that have one of the languages."""
    tested = [task for task in tasks if named or set(task.languages) & set(targets)]
    return [task for task in tested or tasks if task.name in names]


def _corpora(suite: Suite, recipes: list[Recipe]) -> list[str]:
    own = [recipe.parallel.corpus for recipe in recipes if recipe.parallel.corpus]
    return sorted({*suite.parallel.corpora, *own})


def _check_blocks(recipes: list[Recipe], tasks: list[Task], checkpoint: Checkpoint) -> None:
    """Find out before the compute that a recipe or a task names blocks which the checkpoint lacks."""
    count = block_count(checkpoint)
    if count is None:  # found out by running the model
        return
    for recipe in recipes:
        try:
            select_blocks(recipe.freeze.blocks, count)
            resolve_layer(recipe.objective.layer, count)
        except UserError as error:
            raise UserError(f"recipe '{recipe.name}': {error}") from None
    for task in tasks:
        try:
            resolve_layer(task.layer, count)
        except UserError as error:
            raise UserError(f"task '{task.name}': {error}") from None


def block_count(checkpoint: Checkpoint) -> int | None:
    """How many blocks its configuration says that a checkpoint has; None: it does not say.

    Raises:
        UserError: the configuration is refused.
    """
    from xrealign_bench.models.config import load_config

    return getattr(load_config(checkpoint), "num_hidden_layers", None)


def _names_differ(recipes: list[Recipe]) -> None:
    names = [recipe.name for recipe in recipes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"two of the recipes have the name {', '.join(twice)}; give each its own, results are kept under it"
        )
