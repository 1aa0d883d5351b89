"""`leaderboard`: build boards and the site from results, and maintain published results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xrealign_bench.cli.options import OrderedGroup, result_argument
from xrealign_bench.cli.printing import say
from xrealign_bench.cli.process import FAILED
from xrealign_bench.errors import UserError, shorten_list

if TYPE_CHECKING:
    from xrealign_bench.leaderboard.interchange.export import Format
    from xrealign_bench.leaderboard.interchange.importing import Format as ImportFormat


@click.group(cls=OrderedGroup)
def leaderboard() -> None:
    """Build the leaderboard from results."""


results_argument = click.argument(
    "results", type=click.Path(path_type=Path, file_okay=False), default=Path("leaderboard/results")
)


@contextmanager
def collect_damaged() -> Iterator[Callable[[UserError], None]]:
    """Collect errors about single results, print them at the end, and exit with status 1 if there are any."""
    from xrealign_bench.leaderboard.formatting import pluralise

    damaged: list[UserError] = []
    try:
        yield damaged.append
    finally:
        for error in damaged:
            for line in str(error).splitlines():
                say(f"error: {line}")
    if damaged:
        say(f"{pluralise(len(damaged), 'result')} left out")
        sys.exit(FAILED)


@leaderboard.command("build")
@results_argument
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.  [default: beside RESULTS]"
)
def leaderboard_build(results: Path, output: Path | None) -> None:
    """Write a board for each suite version of the results below RESULTS.

    A board is a folder with README.md, leaderboard.csv, languages.csv and leaderboard.json. Results whose files differ
    from their manifest are named and left out, and the exit status is 1.

    \b
    Example:
      xrealign-bench leaderboard build xrealign-output/results
    """
    from xrealign_bench.leaderboard.build import build, default_output

    output = output or default_output(results)
    with collect_damaged() as on_damaged:
        for path in build(results, output, on_damaged):
            click.echo(path)


@leaderboard.command("site")
@results_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("site"),
    show_default=True,
    help="Folder to write to; an earlier site is replaced.",
)
def leaderboard_site(results: Path, output: Path) -> None:
    """Write a site of all results below RESULTS.

    The site is a folder of HTML pages that need no server and no network: sortable boards, heat maps, charts and maps
    of gains, and a page for each result, checkpoint and language. Results whose files differ from their manifest are
    named and left out, and the exit status is 1.

    \b
    Example:
      xrealign-bench leaderboard site xrealign-output/results --output site
    """
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.leaderboard.site.build import build_site

    with collect_damaged() as on_damaged:
        pages = build_site(results, output, on_damaged)
        click.echo(pages[0])
        say(f"{pluralise(len(pages), 'page')} written; open the first")


@leaderboard.command("serve")
@results_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the site to.  [default: a temporary folder]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to serve on; 0 for any free port.",
)
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open a browser.")
def leaderboard_serve(results: Path, output: Path | None, port: int, open_browser: bool) -> None:
    """Build the site of all results below RESULTS and open it.

    The site is served to this machine only, until you press Ctrl-C.

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


@leaderboard.command("export")
@results_argument
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["mteb", "lm-eval", "hf-evals", "csv", "parquet"]),
    required=True,
    help="Files of MTEB's results repository, results of lm-eval, model-index of the Hub's model cards, or one table.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="New folder to write to; for csv and parquet a file, or a folder for scores.csv or scores.parquet.",
)
def leaderboard_export(results: Path, file_format: Format, output: Path) -> None:
    """Write the scores of the results below RESULTS in the format of another program.

    Scores are means over seeds for each task and language, from 0 to 1. The tables have a row for each seed and metric
    instead, and published results too.

    \b
    Examples:
      xrealign-bench leaderboard export leaderboard/results --format parquet --output scores.parquet
      xrealign-bench leaderboard export xrealign-output/results --format mteb --output exported
    """
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.leaderboard.interchange.export import FOLDERS, export

    written = export(results, file_format, output)
    click.echo(output if file_format in FOLDERS else written[0])
    say(f"{pluralise(len(written), 'file')} written")


@leaderboard.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "file_format", type=click.Choice(["mteb", "lm-eval"]), required=True, help="Program that wrote FILES."
)
@click.option("--suite", required=True, help="Suite on whose board the figures are shown: name or YAML file.")
@click.option("--source", required=True, help="Where the files are published, such as an address or a citation.")
@click.option("--licence", required=True, help="Licence of the figures, such as 'CC BY 4.0' or 'unknown'.")
@click.option(
    "--checkpoint", help="Hub id of the model.  [default: as in the files, or in model_meta.json beside them]"
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("leaderboard/results"),
    show_default=True,
    help="Folder of results to add to.",
)
def leaderboard_import(
    files: tuple[Path, ...], file_format: ImportFormat, suite: str, results: Path, checkpoint: str | None, **origin: str
) -> None:  # fmt: skip
    """Add the figures of another program to a board, as reported rows.

    FILES are those of one model: TASK.json of MTEB's results repository, or results_DATE.json of lm-eval. Figures of
    tasks on the data of the suite's tasks are shown in tables of their own, with source, licence and what differs in
    protocol. No rank, mean or test uses them. Build the boards afterwards.

    \b
    Example:
      xrealign-bench leaderboard import SIB200Classification.json --format mteb --suite xrealign-lite \\
          --source https://github.com/embeddings-benchmark/results --licence unknown
      xrealign-bench leaderboard build leaderboard/results
    """
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.leaderboard.interchange.importing import Origin, import_reports

    imported = import_reports(files, file_format, suite, results, Origin(**origin), checkpoint)
    click.echo(imported.folder)
    say(f"{pluralise(imported.taken, 'figure')} taken")
    if left := imported.left_out:
        say(
            f"{pluralise(len(left), 'figure')} left out, on other data or in another language, split or metric than "
            f"{imported.suite}: {shorten_list(left)}"
        )
    say(f"next: xrealign-bench leaderboard build {results}")


@leaderboard.command("recompare")
@results_argument
def leaderboard_recompare(results: Path) -> None:
    """Update results of an earlier scoring version, from stored predictions.

    All results below RESULTS are compared with their baselines again: tiers, intervals and verdicts are updated.
    Nothing is trained. Build the boards afterwards.

    \b
    Example:
      xrealign-bench leaderboard recompare leaderboard/results
      xrealign-bench leaderboard build leaderboard/results
    """
    from tabulate import tabulate

    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.scoring.recompare import recompare

    done = recompare(results)
    rows = []
    for suite in dict.fromkeys(each.suite for each in done):
        of_suite = [each for each in done if each.suite == suite]
        counts = [sum(pair) for pair in zip(*((*each.before, *each.after) for each in of_suite), strict=True)]
        rows.append([suite, len(of_suite), *(f"{helped} / {harmed}" for helped, harmed in (counts[:2], counts[2:]))])
    click.echo(tabulate(rows, ["suite", "comparisons", "helped / harmed before", "after"]))
    say(f"{pluralise(len(done), 'comparison')} updated; next: xrealign-bench leaderboard build {results}")


@leaderboard.command("withdraw")
@result_argument
@click.option("--reason", required=True, help="What is wrong with the result; shown on the board.")
def leaderboard_withdraw(result: Path, reason: str) -> None:
    """Remove a result's rank, and say why.

    RESULT is the result's folder, which stays with its scores. Results that were compared with it lose their rank too.

    \b
    Example:
      xrealign-bench leaderboard withdraw leaderboard/results/demo-1.1/xrealign-mini/mine --reason "wrong corpus"
    """
    from xrealign_bench.results.corrections import withdraw

    withdraw(result, reason)


@leaderboard.command("correct")
@result_argument
@click.argument("by", type=click.Path(path_type=Path, file_okay=False))
@click.option("--reason", required=True, help="What was wrong; shown on the board.")
def leaderboard_correct(result: Path, by: Path, reason: str) -> None:
    """Replace a result, and say why.

    RESULT is the folder of the wrong result, BY that of the right one, with the same recipe, checkpoint, suite and
    seeds.

    \b
    Example:
      xrealign-bench leaderboard correct leaderboard/results/demo-1.1/xrealign-mini/mine \\
          xrealign-output/results/demo-1.1/xrealign-mini/mine --reason "computed with a faulty driver"
    """
    from xrealign_bench.results.corrections import correct

    correct(result, by, reason)
