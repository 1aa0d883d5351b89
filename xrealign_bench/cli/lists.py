"""`list`, `show`, `validate` and `doctor`: recipes, suites and other names, your own files, and your installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xrealign_bench.cli.options import data_root_option, json_option, store_option
from xrealign_bench.cli.printing import print_json, print_table, print_yaml, say
from xrealign_bench.errors import UserError, unknown

CATEGORIES = ("recipes", "suites", "tasks", "languages", "checkpoints", "aligners")


class CategoryChoice(click.Choice[str]):
    """Choice of a category, in the singular or the plural; its value is the plural."""

    def __init__(self) -> None:
        super().__init__(CATEGORIES)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Convert `recipe` and `recipes` to `recipes`.

        Raises:
            UserError: no such category.
        """
        plural = f"{value.removesuffix('s')}s"
        if plural not in CATEGORIES:
            raise unknown("category", value, CATEGORIES)
        return plural


@click.command("list")
@click.argument("category", type=CategoryChoice())
@json_option
def list_category(category: str, as_json: bool) -> None:
    """List recipes, suites, tasks, languages, checkpoints or aligners.

    \b
    Examples:
      xrealign-bench list recipes
      xrealign-bench list languages --json
    """
    from xrealign_bench.listings import rows_of

    rows = rows_of(category)
    if as_json:
        print_json(rows)
    else:
        print_table(
            [{name: _short(value) for name, value in row.items()} for row in rows],
            headers="keys",
            disable_numparse=True,
        )


@click.command()
@click.argument("category", type=CategoryChoice(), metavar=f"{{{'|'.join(name.rstrip('s') for name in CATEGORIES)}}}")
@click.argument("name")
@click.option("--source", default="en", show_default=True, help="Source language, for distances of a language.")
@json_option
def show(category: str, name: str, source: str, as_json: bool) -> None:
    """Show every field of one recipe, suite, task, language, checkpoint or aligner.

    A recipe is printed as YAML that `evaluate --recipe FILE` accepts.

    \b
    Examples:
      xrealign-bench show recipe alignfreeze-front
      xrealign-bench show language sw --source fr
    """
    from xrealign_bench.listings import describe

    content = describe(category, name, source)
    if as_json:
        print_json(content)
    else:
        print_yaml(content, sort_keys=False, allow_unicode=True, width=100)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check your recipes, suites, tasks and corpora.

    FILES are YAML files. Problems are listed with their line; of a recipe, all at once.

    \b
    Example:
      xrealign-bench validate my-recipe.yaml my-suite.yaml
    """
    from xrealign_bench.listings import validate_file

    problems = []
    for file in files:
        try:
            valid = validate_file(file)
            click.echo(f"{file}: a good {valid.spec_type}")
            for warning in valid.warnings:
                say(f"warning: {warning}")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


@click.command()
@data_root_option
@store_option
@json_option
def doctor(data_root: Path | None, store: Path, as_json: bool) -> None:
    """Check the installation: packages, devices, disk and Hub access.

    \b
    Example:
      xrealign-bench doctor --json
    """
    from xrealign_bench.doctor import examine

    findings = examine(data_root, store)
    if as_json:
        print_json(findings)
    else:
        print_table(findings.items(), tablefmt="plain")


def _short(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
