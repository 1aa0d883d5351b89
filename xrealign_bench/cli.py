"""The commands. What they do lives in the folders; heavy libraries are imported only where a command needs them."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import asdict
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import yaml
from tabulate import tabulate

from xrealign_bench import __version__
from xrealign_bench.errors import UserError, reason
from xrealign_bench.languages import METHODS
from xrealign_bench.languages.tiers import TIERS
from xrealign_bench.models import processes
from xrealign_bench.models.device import PRECISIONS, Quantised, pick_device

if TYPE_CHECKING:
    from xrealign_bench.evaluate import Evaluation, Options
    from xrealign_bench.pipeline.estimate import Row, Total
    from xrealign_bench.pipeline.executor import Execute
    from xrealign_bench.pipeline.plan import Plan, Sources
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.results.schema import Result

KINDS = ("recipes", "suites", "tasks", "languages", "checkpoints", "aligners")
SHARED = ("evaluate", "freeze-search", "verify")
"""What several processes do together; of the other commands the first process alone does the work."""
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class Listing(click.Group):
    """Commands in the order in which they are written, the order in which they are learnt."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Listing, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="xrealign-bench")
@click.pass_context
def cli(context: click.Context) -> None:
    """Compare cross-lingual realignment recipes under one fixed protocol.

    \b
    Examples:
      xrealign-bench evaluate                            the embedded checkpoint and suite, offline
      xrealign-bench list recipes                        what can be compared
      xrealign-bench show recipe alignfreeze-front       what a recipe does
      xrealign-bench evaluate --checkpoint FacebookAI/xlm-roberta-base --suite pos-lite \\
          --recipe alignfreeze-full --recipe alignfreeze-front
    """
    if context.invoked_subcommand not in SHARED and not processes.is_first():
        context.exit()


class Kind(click.Choice[str]):
    """A kind of thing, named in the singular or the plural; its value is the plural."""

    def __init__(self) -> None:
        super().__init__(KINDS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(f"{value}s" if f"{value}s" in KINDS else value, param, ctx)


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: default_store(),
    envvar="XREALIGN_BENCH_STORE",
    help="Folder where finished stages are kept and found again.  [default: ~/.cache/xrealign-bench/store]",
)
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="XREALIGN_BENCH_DATA_ROOT",
    help="Folder with data sets in Hub layout (ORG/NAME/CONFIG/SPLIT-*.parquet), read instead of the Hub.",
)
device_option = click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: a GPU if there is one]")
offline_option = click.option(
    "--offline", is_flag=True, envvar="HF_HUB_OFFLINE", help="Never ask the Hub; use what is on this machine."
)
code_option = click.option("--trust-remote-code", is_flag=True, help="Run the code that a checkpoint brings along.")
pickle_option = click.option(
    "--allow-pickle", is_flag=True, help="Read a checkpoint's pytorch_model.bin where it has no safetensors."
)
result_argument = click.argument("result", type=click.Path(path_type=Path, file_okay=False))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")


def default_store() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "xrealign-bench", "store")


EXECUTOR_OPTIONS = (
    click.option(
        "--executor",
        type=click.Choice(["serial", "ray"]),
        default="serial",
        show_default=True,
        help="One stage after the other, or as many at once as a Ray cluster has room for.",
    ),
    click.option(
        "--address",
        metavar="ADDRESS",
        help="Of the Ray cluster that this machine belongs to: auto or HOST:PORT.  [default: one is started here]",
    ),
    click.option(
        "--gpus-per-stage",
        type=click.FloatRange(min=0, min_open=True, max=1),
        default=1.0,
        show_default=True,
        help="Share of a GPU that a stage takes on a Ray cluster, if it computes on one.",
    ),
)
"""For what runs a plan."""

EVALUATION_OPTIONS = (
    click.option("--checkpoint", help="Hub id or folder.  [default: the suite's, else xrealign-mini]"),
    click.option("--revision", help="Branch, tag or commit of a Hub checkpoint."),
    click.option("--suite", default="demo", show_default=True, help="Name or YAML file."),
    click.option("--task", "tasks", multiple=True, help="Only this task of the suite; may be repeated."),
    click.option("--language", "languages", multiple=True, help="Only this target language; may be repeated."),
    click.option("--seed", "seeds", multiple=True, type=int, help="Only this seed of the suite; may be repeated."),
    click.option(
        "--limit",
        type=click.IntRange(min=1),
        help="At most so many examples (evenly spread) and sentence pairs (the first) a language.",
    ),
    data_root_option,
    click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("xrealign-output"),
        show_default=True,
        help="Folder for results and leaderboard.",
    ),
    store_option,
    device_option,
    click.option(
        "--precision",
        type=click.Choice(list(PRECISIONS)),
        default="fp32",
        show_default=True,
        callback=lambda _context, _option, name: PRECISIONS[name],
        help="What encoders compute in; weights, heads and losses stay fp32.",
    ),
    click.option(
        "--quantise",
        "quantised",
        type=click.Choice(get_args(Quantised)),
        help="Load linear layers in so few bits; what is fine-tuned can't be, what is realigned must be an adapter.",
    ),
    click.option("--gradient-checkpointing", is_flag=True, help="Train in less memory, a third more slowly."),
    offline_option,
    code_option,
    pickle_option,
    *EXECUTOR_OPTIONS,
    click.option("--dry-run", is_flag=True, help="Print the plan: stages, which are stored, what the rest will cost."),
    json_option,
)


def evaluation_options(command: Callable[..., None]) -> Callable[..., None]:
    """What `evaluate` and `freeze-search` take alike, in this order."""
    return _with_options(command, EVALUATION_OPTIONS)


def executor_options(command: Callable[..., None]) -> Callable[..., None]:
    return _with_options(command, EXECUTOR_OPTIONS)


def _with_options(command: Callable[..., None], options: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


@cli.command()
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    help="Name or YAML file; may be given several times.  [default: alignfreeze-front]",
)
@evaluation_options
def evaluate(store: Path, output: Path, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Realign, fine-tune, score zero-shot transfer.

    The checkpoint fine-tuned only (recipe finetune-only) is always evaluated beside the recipes. Every finished stage
    is stored: an interrupted run goes on where it was when the same command is given again.

    A part of the suite (--task, --language, --seed, --limit) is shown on the board and not ranked. Its results lie
    beside those of the whole suite, in folders that say which part it is, such as alignfreeze-front--seed31 or
    alignfreeze-front--de-sw--limit64.

    \b
    Examples:
      xrealign-bench evaluate                all 3 seeds of the demo suite: 2 to 3 minutes on two cores
      xrealign-bench evaluate --seed 31      one of them: 1 minute
      xrealign-bench evaluate --recipe alignfreeze-full --recipe my-recipe.yaml --seed 31
      xrealign-bench evaluate --checkpoint ./my-encoder --suite pos-lite --data-root ./hub --dry-run
      xrealign-bench evaluate --language sw --language th --limit 20 --json
      xrealign-bench evaluate --executor ray --address auto --suite pos-lite --store /shared/store
    """
    _quiet_libraries(options["offline"])
    _join(options["device"])
    from xrealign_bench.evaluate import Options

    execute = _executor(options)
    _evaluate(Options(**options), execute, store, output, dry_run, as_json)


@cli.command("freeze-search")
@click.option("--recipe", default="alignfreeze-full", show_default=True, help="Name or YAML file; it freezes no block.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    type=click.Choice(["front", "back", "single", "second"]),
    help="The first k blocks, the last k, block k alone, every second one; may be repeated.  [default: all but back]",
)
@evaluation_options
def freeze_search_(
    recipe: str, patterns: tuple[str, ...], store: Path, output: Path, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Study which blocks to freeze in realignment.

    Evaluates the recipe with the blocks of every pattern frozen, for every k, and draws the gain over fine-tuning only
    against the pattern, by tier. All recipes share what they can: data, alignments, the baseline. Their YAML is written
    beside the figure, so that each can be run again by itself.

    \b
    Examples:
      xrealign-bench freeze-search --seed 31                 the demo suite: 10 recipes, 6 minutes on two cores
      xrealign-bench freeze-search --pattern front --checkpoint FacebookAI/xlm-roberta-base --suite pos-lite --dry-run
    """
    _quiet_libraries(options["offline"])
    _join(options["device"])
    from xrealign_bench import freeze_search as search
    from xrealign_bench.evaluate import Options

    execute = _executor(options)
    asked = Options(**options)
    found = processes.from_first(partial(search.prepare, asked, recipe, patterns or search.DEFAULT_PATTERNS, output))
    evaluation = _evaluate(found.options, execute, store, output, dry_run, as_json)
    if evaluation is not None:
        write = partial(search.write_search, found, evaluation.results, evaluation.comparisons)
        for path in processes.from_first(write):
            _say(str(path))


def _executor(options: dict[str, Any]) -> Execute:
    """What runs a plan, by its options, which are taken out of a command's."""
    name, address, gpus_per_stage = (options.pop(option) for option in ("executor", "address", "gpus_per_stage"))
    if name == "ray":
        from xrealign_bench.pipeline.ray_executor import on_ray

        return on_ray(address, gpus_per_stage)
    if address is not None:
        raise UserError(f"--address {address} is that of a Ray cluster; add --executor ray")
    from xrealign_bench.pipeline.executor import run_serially

    return run_serially


def _evaluate(
    options: Options, execute: Execute, store: Path, output: Path, dry_run: bool, as_json: bool
) -> Evaluation | None:
    """Run an evaluation and print it; None: nothing was to be run."""
    from xrealign_bench import evaluate as job
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.leaderboard.text import render_evaluation
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import Progress

    stages = Store(store)
    plan = processes.from_first(partial(job.prepare, options))
    if dry_run:
        _print_plan(plan, stages, job.sources_of(plan.request, options.device), as_json)
        return None
    processes.from_first(partial(job.check_output, plan, output))
    for line in (_announcement(plan, stages), *_said_of(plan), *_short_of_room(plan, stages)):
        _say(line)
    with Progress(len(plan.stages)) as progress:
        outcome, evaluation = job.run(plan, stages, output, options.device, _command(), progress, execute)
    _say(f"{counted(len(outcome.done), 'stage')} run, {len(outcome.stored)} found in the store")
    if evaluation is None:
        reasons = "\n".join(f"  {plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items())
        _say(f"{counted(len(outcome.failed), 'stage')} failed, {len(outcome.skipped)} not run:\n{reasons}")
        _say("What was finished is stored; the same command goes on from there.")
        sys.exit(FAILED)
    if as_json:
        pairs = zip(evaluation.results, evaluation.comparisons, strict=True)
        _print_json(
            [{"result": r.model_dump(mode="json"), "comparison": c and c.model_dump(mode="json")} for r, c in pairs]
        )
        return evaluation
    click.echo(render_evaluation(evaluation.results, evaluation.comparisons))
    click.echo("\nresults      " + "\n             ".join(map(str, evaluation.folders)))
    board = next(path for path in evaluation.leaderboard if path.parent.name == plan.request.suite.id)
    click.echo(f"leaderboard  {board}")
    for line in _dropped(evaluation.results):
        _say(line)
    if evaluation.chart is not None:
        click.echo(f"chart        {evaluation.chart}")
    return evaluation


@cli.command("fetch")
@click.option("--suite", required=True, help="Name or YAML file.")
@data_root_option
@click.option("--task", "tasks", multiple=True, help="Only this task of the suite; may be repeated.")
@click.option("--language", "languages", multiple=True, help="Only this target language; may be repeated.")
@click.option("--write-lock", is_flag=True, help="Write the lock beside the suite's file instead of checking it.")
@json_option
def fetch_data(
    suite: str,
    data_root: Path | None,
    tasks: tuple[str, ...],
    languages: tuple[str, ...],
    write_lock: bool,
    as_json: bool,
) -> None:
    """Fetch the data of a suite and check them.

    They are held to the suite's lock, NAME.lock.yaml; afterwards the suite runs with --offline. If it is interrupted,
    the same command goes on. With a data root nothing is downloaded, and what is there is checked.

    \b
    Examples:
      xrealign-bench fetch --suite pos-lite
      xrealign-bench fetch --suite pos-lite --data-root ./hub
      xrealign-bench fetch --suite my-suite.yaml --write-lock
    """
    _quiet_libraries(offline=False)
    from tqdm import tqdm

    from xrealign_bench.fetch import fetch_suite

    with tqdm(unit="split", file=sys.stderr, dynamic_ncols=True, leave=False, disable=None) as bar:

        def draw(done: int, total: int, next_one: str) -> None:
            bar.total = total
            bar.set_postfix_str(next_one, refresh=False)
            bar.update(done - bar.n)

        fetched = fetch_suite(suite, tasks, languages, data_root, write_lock, draw)
    if as_json:
        _print_json(asdict(fetched) | {"lock": fetched.lock and str(fetched.lock)})
        return
    by_data_set: dict[str, list[Any]] = {}
    for split in fetched.splits:
        by_data_set.setdefault(split.dataset, []).append(split)
    table = [
        [name, len(splits), sum(s.files for s in splits), sum(s.bytes for s in splits) / 1e6]
        + [sum(s.state == state for s in splits) for state in ("verified", "pinned", "not pinned")]
        for name, splits in by_data_set.items()
    ]
    click.echo(
        tabulate(
            table,
            headers=["data set", "splits", "files", "MB", "verified", "pinned only", "not pinned"],
            floatfmt=".1f",
        )
    )
    for lexicons in fetched.lexicons:
        none = f"; none for {', '.join(lexicons.absent)}" if lexicons.absent else ""
        click.echo(f"\nlexicons of {lexicons.corpus}: {lexicons.files}, {lexicons.bytes / 1e6:.1f} MB{none}")
    if write_lock:
        click.echo(f"\nlock {fetched.lock}")
    elif data_root is None:
        click.echo(f"\n{fetched.suite}: all data are on this machine; evaluate runs with --offline now")


@cli.command("list")
@click.argument("kind", type=Kind())
@json_option
def list_kind(kind: str, as_json: bool) -> None:
    """List what the harness knows.

    \b
    Examples:
      xrealign-bench list recipes
      xrealign-bench list languages --json
    """
    from xrealign_bench.catalogue import rows_of

    rows = rows_of(kind)
    if as_json:
        _print_json(rows)
    else:
        click.echo(
            tabulate([{k: _short(v) for k, v in row.items()} for row in rows], headers="keys", disable_numparse=True)
        )


@cli.command()
@click.argument("kind", type=Kind(), metavar=f"{{{'|'.join(kind.rstrip('s') for kind in KINDS)}}}")
@click.argument("name")
@click.option("--source", default="en", show_default=True, help="Source language that distances are measured to.")
@json_option
def show(kind: str, name: str, source: str, as_json: bool) -> None:
    """Show one thing of a list whole.

    \b
    Examples:
      xrealign-bench show recipe alignfreeze-front
      xrealign-bench show language sw --source fr
    """
    from xrealign_bench.catalogue import describe

    content = describe(kind, name, source)
    if as_json:
        _print_json(content)
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).rstrip())


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check YAML files that you wrote.

    Recipes, suites, tasks and corpora; all problems are told at once.

    \b
    Example:
      xrealign-bench validate my-recipe.yaml my-suite.yaml
    """
    from xrealign_bench.catalogue import validate_file

    problems = []
    for file in files:
        try:
            click.echo(f"{file}: a good {validate_file(file)}")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


@cli.group(cls=Listing)
def languages() -> None:
    """Choose languages to realign; look at those of a suite."""


@languages.command("select")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="uriel",
    show_default=True,
    help="As far apart, of as many families or scripts as possible, or at random.",
)
@click.option("--n", type=click.IntRange(min=1), required=True, help="How many; the source language is not counted.")
@click.option(
    "--pool",
    "pool_name",
    default="lowresource-65",
    show_default=True,
    help="A name of `languages subsets`, inventory, suite:NAME for its targets, or codes with commas.",
)
@click.option("--source", default="en", show_default=True, help="Source language; it is never chosen.")
@click.option(
    "--anchor-source/--no-anchor-source",
    default=True,
    show_default=True,
    help="Put the source language in the set first: its distances count.",
)
@click.option("--tier", "tier_name", type=click.Choice(list(TIERS)), help="Only languages of this resource tier.")
@click.option("--seen", metavar="CHECKPOINT", help="Only languages of its pre-training data.")
@click.option("--unseen", metavar="CHECKPOINT", help="Only languages that are not in its pre-training data.")
@click.option("--latin/--non-latin", default=None, help="Only languages (not) in Latin script.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the method random.")
@json_option
def languages_select(as_json: bool, **options: Any) -> None:
    """Choose n languages of a pool.

    The first line can be pasted below `parallel:` in a recipe. Distances are URIEL's featural ones; `exact` means that
    no set is better, `exchange` that swapping one language makes it no better.

    \b
    Examples:
      xrealign-bench languages select --n 10
      xrealign-bench languages select --method family --n 20 --pool suite:demo
      xrealign-bench languages select --n 5 --unseen FacebookAI/xlm-roberta-base --latin
      xrealign-bench languages select --method random --n 3 --pool de,fi,sw,th --seed 7 --json
    """
    from xrealign_bench.catalogue import chosen_languages

    chosen = chosen_languages(**options)
    if as_json:
        _print_json(chosen)
        return
    pool, between = chosen["pool"], chosen["distance"]
    click.echo(yaml.safe_dump({"languages": chosen["languages"]}, default_flow_style=None, width=10**6))
    click.echo(tabulate(chosen["rows"], headers="keys", disable_numparse=True))
    click.echo(f"\n{pool['name']}: {pool['languages']} languages, {pool['meet_conditions']} meet the conditions")
    for code, why in pool["left_out"].items():
        click.echo(f"left out: {code}, {why}")
    if between["pairs"]:
        among = f", {chosen['source']} among them" if chosen["source_in_set"] else ""
        mean = f"mean {between['mean']:.4f} of {between['pairs']} pairs"
        click.echo(f"{chosen['found']}: sum of distances {between['sum']:.4f}, {mean}{among}")


@languages.command("suite")
@click.argument("name")
@json_option
def languages_suite(name: str, as_json: bool) -> None:
    """Show the target languages of a suite (name or file).

    What is known of each, how many tasks test it, and how many languages there are of each tier, band, script and
    family.

    \b
    Examples:
      xrealign-bench languages suite xrealign-lite
      xrealign-bench languages suite my-suite.yaml --json
    """
    from xrealign_bench.catalogue import suite_languages

    found = suite_languages(name)
    if as_json:
        _print_json(found)
        return
    click.echo(tabulate([r | {"tasks": len(r["tasks"])} for r in found["rows"]], headers="keys", disable_numparse=True))
    click.echo(f"\n{len(found['rows'])} target languages")
    for what, counts in found["counts"].items():
        click.echo(f"{what}: {', '.join(f'{value} {count}' for value, count in counts.items())}")


@languages.command("subsets")
@json_option
def languages_subsets(as_json: bool) -> None:
    """List the subsets that studies published.

    A recipe names one as `languages: {subset: NAME}`.

    \b
    Example:
      xrealign-bench languages subsets --json
    """
    from xrealign_bench.catalogue import published_rows

    rows = published_rows()
    if as_json:
        _print_json(rows)
    else:
        table = [[row["name"], row["n"], row["note"], " ".join(row["languages"])] for row in rows]
        click.echo(tabulate(table, headers=["name", "n", "note", "languages"], disable_numparse=True))


@cli.group(cls=Listing)
def leaderboard() -> None:
    """Make the leaderboard from results."""


results_argument = click.argument(
    "results", type=click.Path(path_type=Path, file_okay=False), default=Path("leaderboard/results")
)


@leaderboard.command("build")
@results_argument
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.  [default: beside RESULTS]"
)
def leaderboard_build(results: Path, output: Path | None) -> None:
    """Write Markdown and CSV tables of all results below RESULTS, one folder a suite version.

    \b
    Example:
      xrealign-bench leaderboard build xrealign-output/results
    """
    from xrealign_bench.leaderboard.build import build

    for path in build(results, output or results.parent):
        click.echo(path)


@leaderboard.command("site")
@results_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("site"),
    show_default=True,
    help="Folder to write to; a site that is there is replaced.",
)
def leaderboard_site(results: Path, output: Path) -> None:
    """Write the boards of all results below RESULTS as a site.

    A folder of HTML pages that need no server and no network: boards to sort and filter, heat maps, charts and maps of
    gains, a page a result and a page a language.

    \b
    Example:
      xrealign-bench leaderboard site xrealign-output/results --output site
    """
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.leaderboard.site.build import build_site

    pages = build_site(results, output)
    click.echo(pages[0])
    _say(f"{counted(len(pages), 'page')} written; open the first")


@leaderboard.command("serve")
@results_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the site to, and to keep.  [default: a temporary one]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the browser.")
def leaderboard_serve(results: Path, output: Path | None, port: int, open_browser: bool) -> None:
    """Build the site of all results below RESULTS and open it.

    It is served on this machine alone until you press Ctrl-C.

    \b
    Example:
      xrealign-bench leaderboard serve xrealign-output/results --port 8765
    """
    import tempfile
    import webbrowser

    from xrealign_bench.leaderboard.site.build import build_site
    from xrealign_bench.leaderboard.site.serve import serve

    def ready(address: str) -> None:
        click.echo(address)
        if open_browser:
            webbrowser.open(address)

    with tempfile.TemporaryDirectory(prefix="xrealign-bench-") as temporary:
        folder = output or Path(temporary, "site")
        build_site(results, folder)
        serve(folder, port, ready)


@leaderboard.command("withdraw")
@result_argument
@click.option("--reason", required=True, help="What is wrong with it; it stands on the board.")
def leaderboard_withdraw(result: Path, reason: str) -> None:
    """Take a result's rank away, and say why.

    RESULT is its folder. It stays where it is, and so do its scores; what was compared with it has no rank either.

    \b
    Example:
      xrealign-bench leaderboard withdraw leaderboard/results/demo-1.0/xrealign-mini/mine --reason "wrong corpus"
    """
    from xrealign_bench.results.history import withdraw

    withdraw(result, reason)


@leaderboard.command("correct")
@result_argument
@click.argument("by", type=click.Path(path_type=Path, file_okay=False))
@click.option("--reason", required=True, help="What was wrong; it stands on the board.")
def leaderboard_correct(result: Path, by: Path, reason: str) -> None:
    """Replace a result, and say why.

    RESULT is the folder of the wrong one, BY that of the right one: of the same recipe, checkpoint, suite and seeds.

    \b
    Example:
      xrealign-bench leaderboard correct leaderboard/results/demo-1.0/xrealign-mini/mine \\
          xrealign-output/results/demo-1.0/xrealign-mini/mine --reason "computed with a faulty driver"
    """
    from xrealign_bench.results.history import correct

    correct(result, by, reason)


@cli.command()
@result_argument
def rescore(result: Path) -> None:
    """Compute the scores of a result again.

    RESULT is its folder. Every score is computed from the stored predictions; exit status 2 if a figure differs.

    \b
    Example:
      xrealign-bench rescore xrealign-output/results/demo-1.0/xrealign-mini/alignfreeze-front
    """
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.results.rescore import rescore as compute_again

    click.echo(f"{counted(compute_again(result), 'score')} computed again from the predictions: all equal")


@cli.command()
@result_argument
@click.argument("other", type=click.Path(path_type=Path, file_okay=False))
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw a picture into this PNG file too.")
@json_option
def compare(result: Path, other: Path, chart: Path | None, as_json: bool) -> None:
    """Compare two results with one another.

    RESULT and OTHER are folders of two recipes' results, of one checkpoint, suite and list of seeds: gains of the first
    over the second by tier, band and language, with the same tests as against the baseline.

    \b
    Example:
      cd leaderboard/results/demo-1.0/xrealign-mini
      xrealign-bench compare alignfreeze-front alignfreeze-full --chart ~/front-full.png
    """
    from xrealign_bench.leaderboard.chart import draw_chart
    from xrealign_bench.leaderboard.text import render_evaluation, render_languages
    from xrealign_bench.results.files import read_result
    from xrealign_bench.scoring.compare import compare as compare_results

    comparison = compare_results(result, other)
    results, comparisons = [read_result(other), read_result(result)], [None, comparison]
    if chart is not None and draw_chart(results, comparisons, chart) is None:
        raise UserError(f"{chart}: there is nothing to draw, no gain of a tier or language")
    if as_json:
        _print_json(comparison.model_dump(mode="json"))
        return
    text = render_evaluation(results, comparisons)
    languages = render_languages(results, comparisons)
    click.echo(text if languages in text else f"{text}\n\n{languages}")


@cli.command()
@result_argument
def reproduce(result: Path) -> None:
    """Print the environment and the command that give a result.

    RESULT is its folder.

    \b
    Example:
      xrealign-bench reproduce leaderboard/results/demo-1.0/xrealign-mini/alignfreeze-front
    """
    from xrealign_bench.reproduce import read_computed
    from xrealign_bench.results.command import command_of, environment_of, remarks_on

    stored = read_computed(result)
    for line in remarks_on(stored):
        click.echo(f"# {line}")
    click.echo(environment_of(stored))
    click.echo(command_of(stored))


@cli.command()
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
@click.option("--record", is_flag=True, help="Note beside RESULT that it held: boards then show it as rerun.")
@device_option
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
      xrealign-bench verify leaderboard/results/demo-1.0/xrealign-mini/alignfreeze-front
      xrealign-bench verify ./result --seed 42 --checkpoint ./my-encoder --data-root ./hub --tolerance 0.5
    """
    _quiet_libraries(options["offline"])
    _join(device)
    from xrealign_bench import reproduce as job
    from xrealign_bench.evaluate import Options
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import Progress

    execute = _executor(options)
    stored, plan = processes.from_first(partial(job.prepare, result, Options(device=device, **options), seed))
    stages = Store(store)
    with Progress(len(plan.stages)) as progress:
        outcome, verification = job.verify(stored, plan, stages, device, tolerance, progress, execute)
    _say(f"{counted(len(outcome.done), 'stage')} run, {len(outcome.stored)} found in the store")
    if verification is None:
        raise UserError("; ".join(f"{plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items()))
    for name, (then, here) in verification.differing.items():
        _say(f"{name}: {then} in the result, {here} here")
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
    click.echo("equal" if verification.same_numerics else f"within {tolerance} points")
    if record:
        job.record(result, stored, plan.request.seeds[0], verification)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("xrealign-output/results"),
    show_default=True,
    help="Folder with the recipe's results; others in it are left alone.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xrealign-submission"),
    show_default=True,
    help="Folder that the submission is written to.",
)
@click.option("--push", metavar="REPO", help="Open a pull request with it on this Hub data set, ORG/NAME.")
def submit(file: Path, results: Path, output: Path, push: str | None) -> None:
    """Make a recipe and its results ready for a pull request.

    FILE is the recipe's YAML. Everything is checked that a review checks, and whatever is wrong or missing is told at
    once: the recipe, the suite and its tasks, that the results are complete and have their baseline, that predictions
    give the same scores and the same comparison. Then the files are copied to where they belong in the repository.

    \b
    Example:
      xrealign-bench submit my-recipe.yaml --results xrealign-output/results
    """
    _quiet_libraries(offline=False)
    from xrealign_bench import submit as job

    submission = job.check(file, results)
    written = job.write(submission, file, output)
    for path in written:
        click.echo(str(path))
    for task, licence in submission.licences.items():
        _say(f"predictions on {task}: its data are under {licence}")
    if push is None:
        _say(f"all checks passed; copy {output}/ into a clone of the repository and open a pull request")
    else:
        click.echo(job.push(output, push, f"Submit {submission.recipe.name}: {submission.recipe.title}"))


@cli.group(cls=Listing)
def cache() -> None:
    """Look after the store of finished stages."""


@cache.command("list")
@store_option
@json_option
def cache_list(store: Path, as_json: bool) -> None:
    """List stored stages by kind: how many, how large, what they cost.

    \b
    Example:
      xrealign-bench cache list
    """
    from xrealign_bench.catalogue import stored_rows

    rows = stored_rows(store)
    if as_json:
        _print_json(rows)
    else:
        click.echo(tabulate(rows, headers="keys", floatfmt=".1f"))


@cache.command("verify")
@store_option
def cache_verify(store: Path) -> None:
    """Read every stored byte again; what is damaged is removed and told, and made again when needed.

    \b
    Example:
      xrealign-bench cache verify --store /shared/store
    """
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.pipeline.store import Store

    damaged = Store(store).verify()
    for damage in damaged:
        click.echo(f"damaged: {damage.kind} {damage.key}: {damage.problem}")
    click.echo(counted(len(damaged), "damaged entry", "damaged entries"))
    sys.exit(FAILED if damaged else 0)


@cache.command("prune")
@store_option
@click.option(
    "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Only what was not used for so many days."
)
@click.confirmation_option("--yes", prompt="Remove stored stages? They are computed again when needed.")
def cache_prune(store: Path, older_than: int | None) -> None:
    """Remove stored stages.

    \b
    Example:
      xrealign-bench cache prune --older-than 30 --yes
    """
    from datetime import timedelta

    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.pipeline.store import Store

    removed = Store(store).prune(older_than=None if older_than is None else timedelta(days=older_than))
    entries = counted(len(removed), "entry", "entries")
    click.echo(f"{entries} removed, {sum(entry.size for entry in removed) / 1e6:.1f} MB freed")


@cli.command()
@data_root_option
@store_option
@json_option
def doctor(data_root: Path | None, store: Path, as_json: bool) -> None:
    """Tell what is installed and reachable.

    \b
    Example:
      xrealign-bench doctor --json
    """
    from xrealign_bench.doctor import examine

    findings = examine(data_root, store)
    if as_json:
        _print_json(findings)
    else:
        click.echo(tabulate(findings.items(), tablefmt="plain"))


def _print_plan(plan: Plan, store: Store, sources: Sources, as_json: bool) -> None:
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.pipeline.estimate import estimate, free_bytes
    from xrealign_bench.progress import measuring

    with measuring() as tell:
        found = estimate(plan, store, sources, tell)
    whole, free = found.total, free_bytes(store)
    if as_json:
        stages = [
            {"kind": ref.kind, "key": ref.key, "label": stage.label, "stored": store.has(ref.kind, ref.key)}
            for ref, stage in plan.stages.items()
        ]
        rows = [asdict(row) for row in found.rows]
        estimated = {"estimate": rows, "total": asdict(whole), "unmeasured": found.unmeasured, "free_disk_bytes": free}
        _print_json({"stages": stages, **estimated})
        return
    request = plan.request
    recipes = ", ".join(recipe.name for recipe in request.recipes)
    click.echo(f"{request.suite.id} with {request.checkpoint.id}: {recipes}")
    tasks, seeds = ", ".join(task.name for task in request.tasks), ", ".join(map(str, request.seeds))
    tested = {code for task in request.tasks for code in task.languages} & set(request.languages)
    click.echo(f"tasks {tasks}; {counted(len(tested), 'target language')}; seeds {seeds}\n")
    table = [[row.kind, row.stages, row.stored, _about(row.seconds), *_room(row)] for row in found.rows]
    more = " and more" * bool(whole.without_timing)
    table.append(["total", whole.stages, whole.stored, _about(whole.seconds) + more, *_room(whole)])
    headers = ["stage", "in the plan", "stored", "roughly takes", "memory", "disk", "GPU memory"]
    if whole.gpu_memory_bytes is None:
        headers, table = headers[:-1], [row[:-1] for row in table]
    click.echo(tabulate(table, headers=headers, colalign=("left", *["right"] * (len(headers) - 1))))
    for line in (*(f"no timing: {why}" for why in found.unmeasured), *_said_of(plan)):
        click.echo(f"\n{line}")
    click.echo(f"\nstore {store.root}, {_bytes(free)} free; nothing was run")
    if whole.disk_bytes > free:
        _say(f"warning: this does not fit; choose a --store on a disk with {_bytes(whole.disk_bytes)} free")


def _announcement(plan: Plan, store: Store) -> str:
    """What is about to be run, in one line."""
    from xrealign_bench.leaderboard.numbers import counted
    from xrealign_bench.pipeline.estimate import estimate

    seeds, whole = plan.request.seeds, estimate(plan, store).total
    parts = [
        f"{counted(whole.stages, 'stage')} over {counted(len(seeds), 'seed')} ({', '.join(map(str, seeds))})",
        f"{whole.stored} stored",
    ]
    if whole.seconds:
        parts.append(f"the rest takes roughly {_about(whole.seconds)}")
    if whole.without_timing:
        parts.append(f"no timing yet for {', '.join(whole.without_timing)} (--dry-run measures)")
    if len(seeds) > 1 and whole.stored < whole.stages:
        parts.append(f"less with --seed {seeds[0]}")
    return "; ".join(parts)


def _short_of_room(plan: Plan, store: Store) -> list[str]:
    """A warning where the weights that are still to be trained don't fit on the store's disk."""
    from xrealign_bench.pipeline.estimate import free_bytes, weights_bytes

    needed, free = weights_bytes(plan, store), free_bytes(store)
    if needed <= free:
        return []
    return [
        f"warning: the weights alone will take {_bytes(needed)} in the store {store.root}, where {_bytes(free)} are "
        "free; what is finished till the disk is full stays stored"
    ]


def _dropped(results: Sequence[Result]) -> list[str]:
    """A line for what the data's rules left out; by split it stands in each result."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for record in (record for result in results for record in result.data):
        for rule, count in record.dropped.items():
            if not rule.startswith("link "):
                counts.setdefault((record.name, rule), {})[f"{record.language} {record.split}"] = count
    parts = [f"{sum(splits.values())} of {name} ({rule})" for (name, rule), splits in counts.items()]
    return [f"dropped by rule, see 'data' in the results: {', '.join(parts)}"] if parts else []


def _said_of(plan: Plan) -> list[str]:
    """A line for tasks that are left out, for each choice of languages, and for each list that can't be realigned."""
    request = plan.request
    tested = {task.name for task in request.tasks}
    idle = [
        task.name
        for task in request.suite_tasks
        if task.name not in tested and not set(task.languages) & set(request.languages)
    ]
    said = [f"tasks without these languages are left out: {', '.join(idle)}"] if idle else []
    said += [
        f"{run.recipe.name} realigns {', '.join(run.align)}"
        for run in plan.runs
        if run.recipe.realigns and run.recipe.parallel.languages != "suite_targets"
    ]
    recipes: dict[tuple[str, ...], list[str]] = {}
    for run in plan.runs:
        if run.without_data:
            recipes.setdefault(tuple(run.without_data), []).append(run.recipe.name)
    return said + [
        f"{', '.join(names)}: no parallel data for {', '.join(codes)}: left out of realignment, evaluated all the same"
        if set(codes) <= set(plan.request.languages)
        else f"{', '.join(names)}: no parallel data for {', '.join(codes)}: left out of realignment"
        for codes, names in recipes.items()
    ]


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "no timing yet"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _room(cost: Row | Total) -> list[str]:
    """Memory, room on the disk, memory of the GPU."""
    return [
        "" if size is None else _bytes(size) for size in (cost.memory_bytes, cost.disk_bytes, cost.gpu_memory_bytes)
    ]


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def _say(text: str) -> None:
    click.echo(text, err=True)


def _short(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _command() -> list[str]:
    """The command as a user would give it, without the place of the script."""
    return ["xrealign-bench", *sys.argv[1:]]


def _quiet_libraries(offline: bool) -> None:
    """Before they are imported: libraries draw no bars of their own, and never ask the Hub when told not to."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    # PEFT asks transformers by a name of old, and bitsandbytes for a kernel of 4 bits that 8 bits have no use for.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _join(device: str | None) -> None:
    """Before anything that several processes do together."""
    if processes.count() > 1:
        processes.join(pick_device(device))
        click.get_current_context().call_on_close(processes.leave)


def main() -> None:
    """Run a command: 0 good, 1 a stage failed, 2 the input is wrong or the system refuses, 130 interrupted.

    Of several processes the first one prints; all of them end alike.
    """
    with ExitStack() as silence:
        if not processes.is_first():
            nowhere = silence.enter_context(open(os.devnull, "w"))
            silence.enter_context(redirect_stdout(nowhere))
            silence.enter_context(redirect_stderr(nowhere))
        _run()


def _run() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        cli(standalone_mode=False)
    except UserError as error:
        _say(f"error: {error}")
        sys.exit(BAD_INPUT)
    except OSError as error:
        _say(f"error: {reason(error)}")
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort) as error:
        declined = isinstance(error, click.Abort) and not isinstance(error.__cause__, KeyboardInterrupt)
        stored = "interrupted; finished stages are stored, and the same command goes on from there"
        _say("nothing was done" if declined else stored)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
