"""`list`, `show`, `new`, `validate` and `doctor`: names of specs, your own files, and your installation."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from xrealign_bench.cli.options import (
    data_root_option,
    import_plugins,
    json_option,
    language_option,
    offline_option,
    plugin_option,
    store_option,
    task_option,
)
from xrealign_bench.cli.printing import print_json, print_table, print_yaml, progress_bar, say
from xrealign_bench.cli.process import FAILED, quiet_libraries
from xrealign_bench.errors import Problems, UserError, escape_invisible, shorten_list, unknown
from xrealign_bench.plugins import load_plugins

if TYPE_CHECKING:
    from xrealign_bench.availability import CheckedSplit
    from xrealign_bench.inspection import Inspection

CATEGORIES = {
    "recipes": "recipe",
    "suites": "suite",
    "tasks": "task",
    "corpora": "corpus",
    "languages": "language",
    "checkpoints": "checkpoint",
    "methods": "method",
    "aligners": "aligner",
    "task-types": "task-type",
}
"""Plural -> singular."""
LONGEST_EXAMPLE = 66
"""Characters of the first example in a table of 120 columns."""


class CategoryChoice(click.Choice[str]):
    """Choice of a category, in the singular or the plural; its value is the plural."""

    def __init__(self) -> None:
        super().__init__(CATEGORIES)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Convert `recipe` and `recipes` to `recipes`.

        Raises:
            UserError: no such category.
        """
        plural = next((many for many, one in CATEGORIES.items() if value in (many, one)), None)
        if plural is None:
            raise unknown("category", value, CATEGORIES)
        return plural


@click.command("list")
@click.argument("category", type=CategoryChoice())
@plugin_option
@json_option
def list_category(category: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """List recipes, suites, tasks, corpora, languages, checkpoints, methods, aligners or task types.

    Recipes that differ only in a published subset of languages are one line, NAME-SUBSET; --json lists each of them,
    and `xrealign-bench languages subsets` the subsets.

    \b
    Examples:
      xrealign-bench list recipes
      xrealign-bench list methods
      xrealign-bench list languages --json
    """
    from xrealign_bench.listings import rows_of, without_families

    load_plugins(plugins)
    rows = rows_of(category)
    if as_json:
        print_json(rows)
    else:
        shown = without_families(rows) if category == "recipes" else rows
        print_table(
            [{name: _short(value) for name, value in row.items()} for row in shown],
            headers="keys",
            disable_numparse=True,
        )


@click.command()
@click.argument("category", type=CategoryChoice(), metavar=f"{{{'|'.join(CATEGORIES.values())}}}")
@click.argument("name")
@click.option("--source", default="en", show_default=True, help="Source language, for distances of a language.")
@click.option("--protocol", is_flag=True, help="Of a suite that follows a paper: what differs from the paper's code.")
@plugin_option
@json_option
def show(category: str, name: str, source: str, protocol: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show every field of one recipe, suite, task, corpus, language, checkpoint, method, aligner or task type.

    A recipe is printed as YAML that `evaluate --recipe FILE` accepts.

    \b
    Examples:
      xrealign-bench show recipe alignfreeze-front
      xrealign-bench show language sw --source fr
      xrealign-bench show suite alignfreeze --protocol
    """
    from xrealign_bench.listings import describe

    load_plugins(plugins)
    if protocol:
        _show_protocol(category, name, as_json)
        return
    content = describe(category, name, source)
    if as_json:
        print_json(content)
    else:
        print_yaml(content, sort_keys=False, allow_unicode=True, width=100)


def _show_protocol(category: str, name: str, as_json: bool) -> None:
    """Print the points in which a suite differs from what a paper's code ran."""
    from xrealign_bench.protocols import find_protocol
    from xrealign_bench.specs import Suite, find_spec

    if category != "suites":
        raise UserError(f"--protocol: is about a suite, and {name} is a {CATEGORIES[category]}; leave it out")
    suite = find_spec(name, Suite)
    protocol = find_protocol(suite.name)
    if suite.version != protocol.version:
        raise UserError(f"suite {suite.id}: was compared with the paper in version {protocol.version}; show that one")
    if as_json:
        print_json(protocol.model_dump(mode="json"))
        return
    same = len(protocol.points) - len(protocol.differences)
    click.echo(f"{suite.id} {protocol.relation} {protocol.source}")
    click.echo(f"{same} of {len(protocol.points)} points are as the code ran (docs/protocols.md); these differ:")
    for point in protocol.differences:
        click.echo(f"\n{point.topic}\n  described  {point.described}\n  run        {point.run}")
        click.echo(f"  here       {point.ours}\n  size       {point.size}")


@click.command()
@click.argument("spec_type", type=click.Choice(["suite", "task", "corpus", "recipe"]))
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="this folder",
    help="Folder to write NAME.yaml to.",
)
def new(spec_type: str, name: str, output: Path) -> None:
    """Write a commented YAML file to start a suite, task, corpus or recipe from.

    A recipe is valid at once. In the others, replace the data and the languages; `validate` says what it finds.

    \b
    Examples:
      xrealign-bench new task my-tags
      xrealign-bench new suite my-suite --output study
    """
    from xrealign_bench.specs.new import write_template

    click.echo(write_template(spec_type, name, output))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", help="Also check that the recipes can be evaluated on this suite: name or YAML file.")
@click.option("--checkpoint", help="With --suite: and with this checkpoint, a folder or Hub id.")
@data_root_option
@plugin_option
@offline_option
def validate(
    files: tuple[Path, ...],
    suite: str | None,
    checkpoint: str | None,
    data_root: Path | None,
    plugins: tuple[str, ...],
    offline: bool,
) -> None:
    """Check your recipes, suites, tasks and corpora, and the data behind them.

    FILES are YAML files. All problems are listed at once, each with its line: those of a suite, and of the tasks,
    corpora and the lock that it names. Data that are on this machine are opened: rows by language and split, the first
    example, how often each label occurs, and whether they are as locked. No data are downloaded.

    \b
    Examples:
      xrealign-bench validate my-recipe.yaml my-suite.yaml
      xrealign-bench validate my-recipe.yaml --suite my-suite.yaml
    """
    quiet_libraries(offline)
    from xrealign_bench.data import DataLocation
    from xrealign_bench.inspection import inspect_file
    from xrealign_bench.listings import spec_type, validate_file
    from xrealign_bench.specs import Recipe, RecipeFamily

    problems = Problems()
    import_plugins(plugins, problems)
    inspected: set[Path] = set()
    for file in files:
        if (found := problems.attempt(partial(validate_file, file))) is not None:
            inspections = list(inspect_file(file, DataLocation(data_root), inspected))
            bad_data = any(inspection.problems for inspection in inspections)
            click.echo(f"{file}: a {'valid' if bad_data else 'good'} {found}{', with problems in its data' * bad_data}")
            for inspection in inspections:
                _print_inspection(inspection)
                problems.add(str(inspection.problems).splitlines())
    if suite is not None:
        recipes = [str(file) for file in files if spec_type(file) in (Recipe, RecipeFamily)]
        _check_on_suite(recipes, suite, checkpoint, offline, problems)
    elif checkpoint is not None:
        problems.add([f"--checkpoint {checkpoint}: is checked together with a suite; add --suite"])
    problems.raise_if_any()


def _print_inspection(inspection: Inspection) -> None:
    from xrealign_bench.inspection import label_rows
    from xrealign_bench.leaderboard.formatting import pluralise

    rows = [
        {
            "language": each.language,
            "split": each.split,
            "rows": each.rows,
            "used": each.examples,
            "dropped": each.dropped or "",
            "first example": _cut(each.example),
        }
        for each in inspection.splits
    ]
    if rows:
        click.echo(f"\n{inspection.name}: {pluralise(len({row['language'] for row in rows}), 'language')}\n")
        print_table(rows, headers="keys", disable_numparse=True, colalign=("left", "left", "right", "right", "right"))
        if inspection.labels:
            labels = [row | {"not in": shorten_list(row["not in"])} for row in label_rows(inspection)]
            click.echo()
            aligned = ["left", *["right"] * (len(labels[0]) - 2), "left"]
            print_table(labels, headers="keys", disable_numparse=True, colalign=aligned)
        click.echo()
    if inspection.not_here:
        say(
            f"{inspection.name}: not opened, because the data are not on this machine: "
            f"{shorten_list(list(inspection.not_here))}. Fetch the suite, or name their folder with --data-root"
        )


def _cut(text: str) -> str:
    """Shorten an example so that the table fits 120 columns."""
    visible = escape_invisible(" ".join(text.split()))
    return visible if len(visible) <= LONGEST_EXAMPLE else f"{visible[: LONGEST_EXAMPLE - 1]}…"


def _check_on_suite(recipes: list[str], suite: str, checkpoint: str | None, offline: bool, problems: Problems) -> None:
    """Add the problems that `evaluate` would find in recipes on a suite and with a checkpoint."""
    from xrealign_bench.evaluation import Options, resolve, resolve_specs
    from xrealign_bench.specs.recipe import BASELINE

    options = Options(recipes=recipes or [BASELINE], suite=suite, checkpoint=checkpoint, device="cpu", offline=offline)
    if checkpoint is None:
        resolve_specs(options, problems)
    else:
        problems.attempt(partial(resolve, options, problems))


@click.command()
@click.option("--suite", help="Check this suite's data instead: name or YAML file.")
@data_root_option
@task_option
@language_option
@store_option
@json_option
def doctor(
    suite: str | None,
    data_root: Path | None,
    tasks: tuple[str, ...],
    languages: tuple[str, ...],
    store: Path,
    as_json: bool,
) -> None:
    """Check the installation, or whether a suite's data are available.

    Without --suite: packages, devices, disk and Hub access. With --suite: every split that the suite reads, with its
    columns, labels and lock. Only listings, footers and first kilobytes are downloaded. The exit status is 1 if a split
    is missing, moved, not readable or not as locked.

    \b
    Examples:
      xrealign-bench doctor --json
      xrealign-bench doctor --suite xrealign
      xrealign-bench doctor --suite pos-lite --language de,fi --data-root ./hub
    """
    if suite is not None:
        _check_data(suite, data_root, tasks, languages, as_json)
        return
    if tasks or languages:
        raise UserError(f"{'--task' if tasks else '--language'} is about a suite's data; add --suite")
    from xrealign_bench.doctor import examine

    findings = examine(data_root, store)
    if as_json:
        print_json(findings)
    else:
        print_table(findings.items(), tablefmt="plain")


def _check_data(
    suite: str, data_root: Path | None, tasks: tuple[str, ...], languages: tuple[str, ...], as_json: bool
) -> None:
    """Print one row per split of a suite and all problems; exit with status 1 if there are any."""
    quiet_libraries(offline=False)
    from xrealign_bench.availability import check_availability

    with progress_bar("split") as draw:
        found = check_availability(suite, tasks, languages, data_root, draw)
    if as_json:
        print_json({"suite": found.suite, "there": found.there, "splits": [asdict(split) for split in found.splits]})
    else:
        rows = [
            [_place(split), ", ".join(split.read_by), split.state, shorten_list(split.columns), split.labels]
            for split in found.splits
        ]
        print_table(rows, headers=["split", "read by", "state", "columns", "labels"])
        for problem in _merge_alike(found.splits):
            click.echo(f"\n{problem}")
        click.echo(f"\n{found.suite}: {found.there} of {len(found.splits)} splits are there")
    if found.there < len(found.splits):
        sys.exit(FAILED)


def _place(split: CheckedSplit) -> str:
    """Name a split, without the middle of a long address, which the problem and the JSON have."""
    host = urlsplit(split.dataset).hostname
    return "/".join(split.key if host is None else (host, "…", split.config, split.split))


def _merge_alike(splits: Iterable[CheckedSplit]) -> Iterator[str]:
    """Yield the problems of splits, once for all configs in whose name alone they differ.

    Parts of the name may be in another order, as in the config of a language pair.
    """
    config_of: dict[str, str] = {}
    for split in splits:
        for problem in split.problems:
            # Leave out the names of all configs, which would be repeated for each missing one.
            config_of.setdefault(problem.partition(" Known: ")[0], split.config)
    alike: dict[str, list[str]] = {}
    for problem, config in config_of.items():
        parts = "|".join(map(re.escape, re.split("[-_]", config)))
        what, _, hint = problem.partition("; did you mean")
        alike.setdefault(re.sub(rf"(?<![^\W_])({parts})(?![^\W_])", "*", what) + hint, []).append(problem)
    for problems in alike.values():
        first, *others = problems
        yield first + (f"\n  likewise {', '.join(config_of[problem] for problem in others)}" if others else "")


def _short(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
