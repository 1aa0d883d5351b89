"""Commands for stored results: `rescore`, `compare`, `confusion`, `reproduce` and `submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xrealign_bench.cli.options import json_option, result_argument
from xrealign_bench.cli.printing import print_json, print_table, say
from xrealign_bench.cli.process import quiet_libraries
from xrealign_bench.errors import UserError

if TYPE_CHECKING:
    from xrealign_bench.results.language_confusion import Confusion

_SHOWN_LANGUAGES = 5
"""Languages of a row that `confusion` prints; `--json` has all."""
_CONFUSION = [
    "task", "language", "direction", "recipe", "answers", "chrF", "right %", "references %", "other languages %"
]  # fmt: skip


@click.command()
@result_argument
def rescore(result: Path) -> None:
    """Compute the scores and the comparison of a result again.

    RESULT is the folder of a result, or a folder with results below it. Files are checked against their manifest, and
    every figure against the stored predictions. The exit status is 2 if something differs.

    \b
    Examples:
      xrealign-bench rescore xrealign-output/results/demo-1.1/xrealign-mini/alignfreeze-front
      xrealign-bench rescore leaderboard/results
    """
    from tqdm import tqdm

    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.results.storage import find_results
    from xrealign_bench.scoring.recompute import Recomputed, recompute

    folders = find_results(result) or [result]
    done: list[Recomputed] = []
    problems: list[str] = []
    for folder in tqdm(folders, "rescoring", unit="result", leave=False, disable=None):
        try:
            done.append(recompute(folder))
        except UserError as error:
            problems += str(error).splitlines()
    if problems:
        raise UserError("\n".join(problems))
    scores, comparisons = sum(each.scores for each in done), sum(each.comparison for each in done)
    also = f" and {pluralise(comparisons, 'comparison')}" if comparisons else ""
    click.echo(f"{pluralise(scores, 'score')}{also} computed again from the predictions: all equal")
    if reported := sum(each.is_reported for each in done):
        say(f"{pluralise(reported, 'reported result')} without predictions: files checked against the manifest")


@click.command()
@result_argument
@click.argument("other", type=click.Path(path_type=Path, file_okay=False))
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Also draw a chart to this PNG file.")
@click.option(
    "--further-language",
    is_flag=True,
    help="Also print the predicted gain in one further language like a task's targets, with its 95 % interval.",
)
@json_option
def compare(result: Path, other: Path, chart: Path | None, further_language: bool, as_json: bool) -> None:
    """Compare two results with each other.

    RESULT and OTHER are the folders of two recipes' results with the same checkpoint, suite and seeds. Prints the gains
    of the first over the second by tier, band and language, with the same tests as against the baseline.

    \b
    Examples:
      cd leaderboard/results/demo-1.1/xrealign-mini
      xrealign-bench compare alignfreeze-front alignfreeze-full --chart ~/front-full.png
      xrealign-bench compare alignfreeze-full finetune-only --further-language
    """
    from xrealign_bench.leaderboard.chart import draw_chart
    from xrealign_bench.leaderboard.terminal import render_evaluation, render_further, render_languages
    from xrealign_bench.results.storage import read_result
    from xrealign_bench.scoring.compare import compare as compare_results

    comparison = compare_results(result, other)
    results, comparisons = [read_result(other), read_result(result)], [None, comparison]
    if chart is not None and draw_chart(results, comparisons, chart) is None:
        raise UserError(f"{chart}: there is nothing to draw, because no tier or language has a gain; leave out --chart")
    if as_json:
        print_json(comparison.model_dump(mode="json"))
        return
    text = render_evaluation(results, comparisons)
    languages = render_languages(results, comparisons)
    click.echo(text if languages in text else f"{text}\n\n{languages}")
    click.echo(
        "\nThese intervals are for one planned comparison. On a board, ranks are corrected for all pairs of rows."
    )
    if further_language:
        click.echo(f"\n{render_further(comparison)}")


@click.command()
@result_argument
@json_option
def confusion(result: Path, as_json: bool) -> None:
    """Print the languages that translations are in, before and after realignment.

    RESULT is the folder of a result, or a folder with results below it; only those with a task of translation are read.
    Shares are percentages of the answers of all seeds, into each language and out of it.

    \b
    Examples:
      xrealign-bench confusion xrealign-output/results/decoder-translation-1.0/my-decoder
      xrealign-bench confusion xrealign-output/results/decoder-translation-1.0/my-decoder/alignfreeze-full --json
    """
    from dataclasses import asdict

    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.results.language_confusion import find_confusion

    rows = find_confusion(result)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table([_confusion_cells(row) for row in rows], headers=_CONFUSION, missingval="–", floatfmt=".1f")
    unknown = list(dict.fromkeys(row.language for row in rows if row.direction == "forward" and row.right is None))
    if unknown:
        languages = ", ".join(unknown)
        say(f"{pluralise(len(unknown), 'language')} that the identifier does not know, with chrF only: {languages}")


def _confusion_cells(row: Confusion) -> list[object]:
    percent = [None if share is None else 100 * share for share in (row.chrf, row.right, row.references)]
    others = [f"{code} {100 * share:.1f}" for code, share in row.others.items()]
    others += [f"none {100 * row.no_language:.1f}"] if row.no_language else []
    shown = ", ".join(others[:_SHOWN_LANGUAGES]) + (" …" if len(others) > _SHOWN_LANGUAGES else "")
    return [row.task, row.language, row.direction, row.recipe, row.answers, *percent, shown]


@click.command()
@result_argument
@click.option(
    "--write",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the YAML of a suite, its tasks and corpora, and a recipe that are not shipped to this folder.",
)
def reproduce(result: Path, write: Path | None) -> None:
    """Print the commands that install a result's environment and compute it again.

    RESULT is the folder of the result. A result on your own suite has the suite, its tasks and its corpora in it, but
    no data: --write makes files from them, and comments name the data with their checksums.

    \b
    Examples:
      xrealign-bench reproduce leaderboard/results/demo-1.1/xrealign-mini/alignfreeze-front
      xrealign-bench reproduce xrealign-output/results/my-suite-1.0/xrealign-mini/finetune-only --write again
    """
    from xrealign_bench.results.reproduction import (
        evaluate_command,
        format_costs,
        install_command,
        reproduction_notes,
        write_specs,
    )
    from xrealign_bench.verification import read_computed

    stored = read_computed(result)
    if write is not None:
        for path in write_specs(stored, write):
            say(f"wrote {path}")
    for line in (*reproduction_notes(stored, write), format_costs(stored)):
        click.echo(f"# {line}")
    click.echo(install_command(stored))
    click.echo(evaluate_command(stored, write))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("xrealign-output/results"),
    show_default=True,
    help="Folder with the recipe's results; other results in it are ignored.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xrealign-submission"),
    show_default=True,
    help="Folder to write the submission to.",
)
@click.option(
    "--board",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the published results, to compare baselines and names with.  "
    "[default: leaderboard/results, if it exists]",
)
@click.option("--push", metavar="REPO", help="Open a pull request with the submission on this Hub data set, ORG/NAME.")
def submit(file: Path, results: Path, output: Path, board: Path | None, push: str | None) -> None:
    """Prepare a recipe and its results for a pull request.

    FILE is the recipe's YAML; a recipe of a shipped family is given by its name. Runs all checks of a review and prints
    every problem at once: the recipe, the suite and its tasks, complete results with a baseline, predictions with the
    suite's gold labels that give the stored scores and comparison. Then copies the files to their places in the
    repository.

    \b
    Example:
      xrealign-bench submit my-recipe.yaml --results xrealign-output/results
    """
    quiet_libraries(offline=False)
    from xrealign_bench.submit.checks import check_submission
    from xrealign_bench.submit.packaging import open_pull_request, write_submission

    here = Path("leaderboard", "results")
    board = board or (here if here.is_dir() else None)
    submission = check_submission(file, results, board)
    written = write_submission(submission, file, output)
    for path in written:
        click.echo(str(path))
    for folder in submission.left_out:
        say(f"{folder}: is on fresh seeds and not submitted; reviewers confirm on seeds of their own")
    for task, licence in submission.licences.items():
        say(f"predictions on {task}: its data are under {licence}")
    if board is None:
        say("baseline and names were not compared with the board: name its results with --board, as a review does")
    if push is None:
        say(f"all checks passed; copy {output}/ into a clone of the repository and open a pull request")
    else:
        click.echo(open_pull_request(output, push, f"Submit {submission.recipe.name}: {submission.recipe.title}"))
