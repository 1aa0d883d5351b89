"""`list`, `show`, `validate` and `doctor`: what there is, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from xrealign_bench.cli.options import data_root_option, json_option, store_option
from xrealign_bench.cli.printing import print_json
from xrealign_bench.errors import UserError
from xrealign_bench.specs.core_schema import write_yaml

KINDS = ("recipes", "suites", "tasks", "languages", "checkpoints", "aligners")


class Kind(click.Choice[str]):
    """A kind of thing, named in the singular or the plural; its value is the plural."""

    def __init__(self) -> None:
        super().__init__(KINDS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(f"{value}s" if f"{value}s" in KINDS else value, param, ctx)


@click.command("list")
@click.argument("kind", type=Kind())
@json_option
def list_kind(kind: str, as_json: bool) -> None:
    """List what the harness knows.

    \b
    Examples:
      xrealign-bench list recipes
      xrealign-bench list languages --json
    """
    from xrealign_bench.listings import rows_of

    rows = rows_of(kind)
    if as_json:
        print_json(rows)
    else:
        click.echo(
            tabulate([{k: _short(v) for k, v in row.items()} for row in rows], headers="keys", disable_numparse=True)
        )


@click.command()
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
    from xrealign_bench.listings import describe

    content = describe(kind, name, source)
    if as_json:
        print_json(content)
    else:
        click.echo(write_yaml(content, sort_keys=False, allow_unicode=True, width=100).rstrip())


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check YAML files that you wrote.

    Recipes, suites, tasks and corpora; all problems are told at once.

    \b
    Example:
      xrealign-bench validate my-recipe.yaml my-suite.yaml
    """
    from xrealign_bench.listings import validate_file

    problems = []
    for file in files:
        try:
            click.echo(f"{file}: a good {validate_file(file)}")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


@click.command()
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
        print_json(findings)
    else:
        click.echo(tabulate(findings.items(), tablefmt="plain"))


def _short(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
