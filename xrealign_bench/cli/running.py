"""Commands that run a plan: `evaluate`, `freeze-search` and `verify`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xrealign_bench import distributed
from xrealign_bench.cli.options import (
    CollectingCommand,
    code_option,
    data_root_option,
    device_option,
    evaluation_options,
    executor_options,
    import_plugins,
    list_option,
    offline_option,
    option_problems,
    pickle_option,
    plugin_option,
    result_argument,
)
from xrealign_bench.cli.printing import print_json, say
from xrealign_bench.cli.process import FAILED, quiet_libraries
from xrealign_bench.errors import UserError
from xrealign_bench.memo import kept_in
from xrealign_bench.plugins import load_plugins

if TYPE_CHECKING:
    from xrealign_bench.evaluation import Evaluation, Options
    from xrealign_bench.pipeline.executor import Executor


@click.command(cls=CollectingCommand)
@list_option("--recipe", "recipes", help="Names or YAML files, comma-separated.  [default: alignfreeze-front]")
@evaluation_options
def evaluate(store: Path, output: Path, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Realign, fine-tune, score zero-shot transfer.

    The checkpoint fine-tuned only (recipe finetune-only) is always evaluated beside the recipes. Every finished stage
    is stored: if a run is interrupted, run the same command again: it resumes after the last finished stage.

    A part of the suite (--task, --language, --seed, --limit) is shown on the board and not ranked. Its results lie
    beside those of the whole suite, in folders that say which part it is, such as alignfreeze-front--seed31 or
    alignfreeze-front--de-sw--limit64.

    \b
    Examples:
      xrealign-bench evaluate                all 5 seeds of the demo suite: 4 minutes on two cores
      xrealign-bench evaluate --seed 31      one of them: 1 minute; no gain is certain with one seed
      xrealign-bench evaluate --seed 1001 --seed 1002 --seed 1003    fresh seeds, to confirm what the board chose
      xrealign-bench evaluate --recipe alignfreeze-full --recipe my-recipe.yaml --seed 31
      xrealign-bench evaluate --checkpoint ./my-encoder --suite pos-lite --data-root ./hub --dry-run
      xrealign-bench evaluate --language sw --language th --limit 20 --json
      xrealign-bench evaluate --suite pos-lite --development --recipe my-recipe.yaml    choose without test sets
      xrealign-bench evaluate --executor ray --address auto --suite pos-lite --store /shared/store
    """
    quiet_libraries(options["offline"])
    import_plugins(options.pop("plugins"), option_problems())
    _join(options["device"])
    from xrealign_bench.evaluation import Options

    execute = option_problems().attempt(partial(choose_executor, options))
    _evaluate(Options(**options), execute, store, output, dry_run, as_json)


@click.command("freeze-search", cls=CollectingCommand)
@click.option("--recipe", default="alignfreeze-full", show_default=True, help="Name or YAML file; it freezes no block.")
@list_option(
    "--pattern",
    "patterns",
    item=click.Choice(["front", "back", "single", "second"]),
    help="Freeze the first k blocks, the last k, only block k, or every second block.  [default: front,single,second]",
)
@evaluation_options
def freeze_search(
    recipe: str, patterns: tuple[str, ...], store: Path, output: Path, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Study which blocks to freeze in realignment.

    Evaluates the recipe with the blocks of every pattern frozen, for every k, and draws the gain over fine-tuning only
    against the pattern, by tier. All recipes share what they can: data, alignments, the baseline. Their YAML is written
    beside the figure, so that each can be run again by itself. Patterns are compared on the suite's development data,
    if it has any: a pattern that was chosen on test sets looks better on them than it is.

    \b
    Examples:
      xrealign-bench freeze-search --seed 31                 the demo suite: 10 recipes, 6 minutes on two cores
      xrealign-bench freeze-search --pattern front --checkpoint FacebookAI/xlm-roberta-base --suite pos-lite --dry-run
    """
    quiet_libraries(options["offline"])
    import_plugins(options.pop("plugins"), option_problems())
    _join(options["device"])
    from xrealign_bench import freeze_search as search
    from xrealign_bench.evaluation import Options

    problems = option_problems()
    execute = problems.attempt(partial(choose_executor, options))
    asked = Options(**options)
    prepare = partial(search.prepare, asked, recipe, patterns or search.DEFAULT_PATTERNS, output, problems)
    found = distributed.broadcast(prepare)
    if not found.options.development:
        say("the suite has no development data, so patterns are compared on its test sets")
    evaluation = _evaluate(found.options, execute, store, output, dry_run, as_json)
    if evaluation is not None:
        write = partial(search.write_search, found, evaluation.results, evaluation.comparisons)
        for path in distributed.broadcast(write):
            say(str(path))


@click.command()
@result_argument
@click.option("--seed", type=int, help="One of the result's.  [default: its first]")
@click.option("--checkpoint", help="Hub id or folder.  [default: the result's]")
@click.option("--suite", default="", help="Name or YAML file.  [default: the result's]")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Percentage points that a task's mean may differ by where device, threads or versions differ.",
)
@data_root_option
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xrealign-verify"),
    show_default=True,
    help="Folder for the stages; what is found there is not computed again.",
)
@click.option("--record", is_flag=True, help="Record the verification beside RESULT: boards then show it as rerun.")
@device_option
@plugin_option
@offline_option
@code_option
@pickle_option
@executor_options
def verify(
    result: Path, seed: int | None, tolerance: float, store: Path, record: bool, device: str | None, **options: Any
) -> None:
    """Compute one seed of a result again and compare.

    RESULT is its folder. Everything is computed from the checkpoint and the data, in a store of its own. On the same
    kind of device, with the same number of threads and versions every score must be equal; elsewhere the mean of each
    task must agree within the tolerance. Exit status 2 if it does not.

    \b
    Examples:
      xrealign-bench verify leaderboard/results/demo-1.1/xrealign-mini/alignfreeze-front
      xrealign-bench verify ./result --seed 42 --checkpoint ./my-encoder --data-root ./hub --tolerance 0.5
    """
    quiet_libraries(options["offline"])
    load_plugins(options.pop("plugins"))
    _join(device)
    from tabulate import tabulate

    from xrealign_bench import verification as job
    from xrealign_bench.evaluation import Options, run_context
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import ProgressBars

    execute = choose_executor(options)
    stored, plan = distributed.broadcast(partial(job.plan_rerun, result, Options(device=device, **options), seed))
    stages = Store(store)
    with ProgressBars(len(plan.stages)) as progress:
        outcome = execute(plan, stages, run_context(plan.request, device), progress)
    say(f"{pluralise(len(outcome.done), 'stage')} run, {len(outcome.stored)} found in the store")
    if outcome.failed:
        raise UserError("; ".join(f"{plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items()))
    verification = job.compare_scores(stored, plan, stages, tolerance)
    for name, (then, here) in verification.differing.items():
        say(f"{name}: {then} in the result, {here} here")
    rows = [
        [task.name, task.metric, task.languages, 100 * task.stored, 100 * task.again, 100 * task.difference,
         f"{100 * task.worst_difference:+.2f} ({task.worst_language})"]
        for task in verification.tasks
    ]  # fmt: skip
    click.echo(
        tabulate(rows, ["task", "metric", "targets", "stored", "again", "difference", "largest"], floatfmt=".2f")
    )
    if not verification.holds:
        raise UserError(f"{result}: seed {plan.request.seeds[0]} computed again is not what is stored")
    click.echo("equal" if verification.same_compute_settings else f"within {tolerance} points")
    if record:
        job.record_rerun(result, stored, plan.request.seeds[0], verification)


def choose_executor(options: dict[str, Any]) -> Executor:
    """Return the executor for a command's options, and remove its options from them."""
    name, address, gpus_per_stage = (options.pop(option) for option in ("executor", "address", "gpus_per_stage"))
    if name == "ray":
        from xrealign_bench.pipeline.ray_executor import on_ray

        return on_ray(address, 1.0 if gpus_per_stage is None else gpus_per_stage)
    for option, given in (("--address", address), ("--gpus-per-stage", gpus_per_stage)):
        if given is not None:
            raise UserError(f"{option} {given} is about a Ray cluster; add --executor ray")
    from xrealign_bench.pipeline.executor import run_serially

    return run_serially


def _evaluate(
    options: Options, execute: Executor | None, store: Path, output: Path, dry_run: bool, as_json: bool
) -> Evaluation | None:
    """Run an evaluation and print it. Returns None for a dry run.

    Args:
        execute: None if the options for it are wrong, which is then in `option_problems()`.
    """
    from xrealign_bench import evaluation as job
    from xrealign_bench.cli.plans import announcement, disk_warnings, plan_notes, print_plan, rules_applied
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.leaderboard.terminal import render_evaluation
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import ProgressBars
    from xrealign_bench.results.paths import check_output

    problems = option_problems()
    stages = problems.attempt(partial(Store, store))
    with kept_in(store.absolute() / ".memo.json"):
        plan = distributed.broadcast(partial(job.prepare, options, problems))
    problems.raise_if_any()  # those of this rank alone
    assert execute is not None and stages is not None
    if dry_run:
        print_plan(plan, stages, job.run_context(plan.request, options.device), as_json)
        return None
    distributed.broadcast(partial(check_output, plan, output))
    for line in (announcement(plan, stages), *plan_notes(plan), *disk_warnings(plan, stages)):
        say(line)
    with ProgressBars(len(plan.stages)) as progress:
        outcome = execute(plan, stages, job.run_context(plan.request, options.device), progress)
        evaluation = None if outcome.failed else job.write_evaluation(plan, stages, output, typed_command())
    say(f"{pluralise(len(outcome.done), 'stage')} run, {len(outcome.stored)} found in the store")
    if evaluation is None:
        reasons = "\n".join(f"  {plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items())
        say(f"{pluralise(len(outcome.failed), 'stage')} failed, {len(outcome.skipped)} not run:\n{reasons}")
        say("Finished stages are stored; run the same command again to resume.")
        sys.exit(FAILED)
    for line in rules_applied(evaluation.results):
        say(line)
    if as_json:
        pairs = zip(evaluation.results, evaluation.comparisons, strict=True)
        print_json(
            [{"result": r.model_dump(mode="json"), "comparison": c and c.model_dump(mode="json")} for r, c in pairs]
        )
        return evaluation
    click.echo(render_evaluation(evaluation.results, evaluation.comparisons))
    click.echo("\nresults      " + "\n             ".join(map(str, evaluation.folders)))
    board = [path for path in evaluation.leaderboard if path.parent.name == plan.request.suite.id]
    click.echo(f"leaderboard  {board[0] if board else 'none: results on development data never stand on a board'}")
    if evaluation.chart is not None:
        click.echo(f"chart        {evaluation.chart}")
    return evaluation


def _join(device: str | None) -> None:
    """Initialise distributed training if there are several processes."""
    if distributed.world_size() > 1:
        from xrealign_bench.models.device import pick_device

        distributed.init(pick_device(device))
        click.get_current_context().call_on_close(distributed.shutdown)


def typed_command() -> list[str]:
    """Return the command line as a user would type it, without the path of the script."""
    return ["xrealign-bench", *sys.argv[1:]]
