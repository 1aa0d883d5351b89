"""The command `analyse`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xrealign_bench.cli.options import CollectingCommand, evaluation_options, list_option, option_problems
from xrealign_bench.cli.printing import print_json, say
from xrealign_bench.cli.process import FAILED, quiet_libraries
from xrealign_bench.cli.running import choose_executor, typed_command
from xrealign_bench.memo import kept_in
from xrealign_bench.plugins import load_plugins

if TYPE_CHECKING:
    from xrealign_bench.inside import Analysis
    from xrealign_bench.pipeline.plan import Plan

MEASURES = ("alignment", "drift", "probes", "gradients", "errors", "anchors")


@click.command(cls=CollectingCommand)
@list_option("--recipe", "recipes", help="Names or YAML files, comma-separated.  [default: alignfreeze-front]")
@click.option(
    "--sentences",
    type=click.IntRange(min=100),
    default=500,
    show_default=True,
    help="Read at most this many set-aside sentence pairs of each language.",
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "weighted_mean", "last_token"]),
    help="How a sentence becomes a vector.  [default: mean; of a decoder, weighted_mean]",
)
@list_option(
    "--measure", "measures", item=click.Choice(MEASURES), help="Only these measures, comma-separated.  [default: all]"
)
@list_option(
    "--corpus",
    "corpora",
    help="Parallel corpora to read, names or YAML files.  [default: what the suite's corpora set aside]",
)
@click.option("--no-compute", is_flag=True, help="Refuse to realign or fine-tune what is not stored.")
@evaluation_options
def analyse(
    sentences: int, pooling: Any, measures: Any, corpora: tuple[str, ...], no_compute: bool, **options: Any
) -> None:
    """Measure what recipes change inside a model.

    For the initial, realigned and fine-tuned model, by block and language: alignment (retrieval, MEXA, linked words),
    drift, what linear probes read, conflict between the gradients of both losses, errors by tag and frequency, and
    anchors among the words that a recipe loses. The sentences are those that no recipe of the suite realigns on. Stages
    that an evaluation stored are not run again.

    Writes a table (CSV and Parquet) and figures to OUTPUT/analysis.

    \b
    Examples:
      xrealign-bench analyse --seed 31                                the demo suite, one seed
      xrealign-bench analyse --recipe alignfreeze-full,alignfreeze-front --seed 31 --language de,sw,th
      xrealign-bench analyse --suite pos-lite --checkpoint ./my-encoder --data-root ./hub --sentences 200 --dry-run
      xrealign-bench analyse --suite alignfreeze --corpus ntrex --measure alignment,drift --no-compute
    """
    quiet_libraries(options["offline"])
    option_problems().attempt(partial(load_plugins, options.pop("plugins")))
    from xrealign_bench import inside as job
    from xrealign_bench.evaluation import Options, run_context
    from xrealign_bench.pipeline.planning.analysis import AnalysisOptions
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import ProgressBars
    from xrealign_bench.specs import Corpus, find_spec

    store, output, dry_run, as_json = (options.pop(name) for name in ("store", "output", "dry_run", "as_json"))
    problems = option_problems()
    execute = problems.attempt(partial(choose_executor, options))
    stages = problems.attempt(partial(Store, store))
    read = [problems.attempt(partial(find_spec, name, Corpus)) for name in corpora]
    asked = AnalysisOptions(sentences, pooling, measures, [corpus for corpus in read if corpus is not None])
    with kept_in(store.absolute() / ".memo.json"):
        plan = job.plan_inside(Options(**options), asked, problems)
    assert execute is not None and stages is not None
    if no_compute:
        job.check_trained(plan, stages)
    context = run_context(plan.request, options["device"])
    if dry_run:
        from xrealign_bench.cli.plans import print_plan

        print_plan(plan, stages, context, as_json)
        return
    _announce(plan, stages)
    with ProgressBars(len(plan.stages)) as progress:
        outcome = execute(plan, stages, context, progress)
    if outcome.failed:
        reasons = "\n".join(f"  {plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items())
        say(f"stages failed:\n{reasons}\nFinished stages are stored; run the same command again to resume.")
        sys.exit(FAILED)
    _print(job.write_inside(plan, stages, output, typed_command()), as_json)


def _announce(plan: Plan, stages: Any) -> None:
    from xrealign_bench.cli.plans import announcement, disk_warnings
    from xrealign_bench.inside import languages_read

    say(announcement(plan, stages))
    without = [code for code in plan.request.languages if code not in languages_read(plan)]
    if without:
        say(f"no set-aside sentences, left out: {', '.join(without)}")
    for line in disk_warnings(plan, stages):
        say(line)


def _print(analysis: Analysis, as_json: bool) -> None:
    from tabulate import tabulate

    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.leaderboard.inside_summary import shown_columns, summarise, value_with_spread

    if analysis.left_out:
        counts = ", ".join(f"{code} ({n})" for code, n in analysis.left_out.items())
        say(f"fewer than 100 different set-aside sentence pairs, left out: {counts}")
    if as_json:
        values = analysis.table.astype(object).where(analysis.table.notna(), None)
        print_json(values.to_dict("records"))
        return
    rows = summarise(analysis.table)
    columns = shown_columns(rows)
    shown = [[r.recipe, r.task, r.form, *(value_with_spread(r.means.get(name)) for name in columns)] for r in rows]
    seeds = pluralise(analysis.table["seed"].nunique(), "seed")
    click.echo(f"means over blocks, target languages and {seeds}; ± deviation over seeds, from three on")
    click.echo(tabulate(shown, ["recipe", "task", "form", *columns], disable_numparse=True))
    click.echo("\n" + "\n".join(map(str, analysis.files)))
