"""Write the pages that follow from the code: the fields of specs, the commands, and what is shipped.

mkdocs runs this as a hook.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import click
from click.testing import CliRunner
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from xrealign_bench.cli import cli
from xrealign_bench.specs import Corpus, Recipe, RecipeFamily, Suite, Task
from xrealign_bench.specs.docstrings import docstring_of, docstrings_of
from xrealign_bench.specs.explain import describe

PROGRAM = "xrealign-bench"
SPECS: dict[type[BaseModel], str] = {
    Recipe: "A recipe says what is done to a checkpoint before fine-tuning ([how to write one](../how-to/recipe.md)).",
    RecipeFamily: "A family is one file for many recipes ([how to write one](../how-to/recipe.md#write-many-at-once)).",
    Suite: "A suite fixes everything that recipes share ([how to write one](../how-to/own-data.md#a-suite)).",
    Task: "A task names labelled data and how they are scored ([how to write one](../how-to/own-data.md#a-task)).",
    Corpus: "A corpus names parallel data for realignment ([how to write one](../how-to/own-data.md#a-corpus)).",
}
LISTS = {
    "recipes": "`xrealign-bench show recipe NAME` prints all settings of one.",
    "suites": "`xrealign-bench show suite NAME` prints what a suite fixes.",
    "tasks": "`xrealign-bench show task NAME` prints where the data of one come from.",
    "corpora": "`xrealign-bench show corpus NAME` prints where the parallel text of one comes from.",
    "aligners": "An aligner decides which words of a sentence pair translate each other.",
    "checkpoints": "Checkpoints whose pre-training languages are known; any other one can be evaluated as well.",
}


def on_files(files: Files, config: Any) -> None:
    pages = {f"reference/{spec.__name__.lower()}.md": spec_page(spec, lead) for spec, lead in SPECS.items()}
    pages |= {"reference/commands.md": command_page(), "reference/shipped.md": shipped_page()}
    for path, lines in pages.items():
        files.append(File.generated(config, path, content="\n".join(lines) + "\n"))


def cell(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).replace("|", "\\|").replace("<", "&lt;").strip()


# Fields of specs


def nested_models(expected: Any) -> list[type[BaseModel]]:
    if isinstance(expected, type) and issubclass(expected, BaseModel):
        return [expected]
    return [model for argument in get_args(expected) for model in nested_models(argument)]


def models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and every model that its fields hold, each once, in the order of the fields."""
    found = [model]
    for field in model.model_fields.values():
        for child in nested_models(field.annotation):
            found += [each for each in models_below(child) if each not in found]
    return found


def fields_of(model: type[BaseModel]) -> Iterator[str]:
    documented = docstrings_of(model)
    yield from ("| Field | Meaning | Default |", "| :-- | :-- | :-- |")
    for name, field in model.model_fields.items():
        expected = Annotated[field.annotation, field]
        value = cell(describe(expected))
        for child in nested_models(field.annotation):
            link = f"[{child.__name__}](#{child.__name__.lower()})"
            words = cell(describe(child))
            value = value.replace(words, link) if words in value else f"{value}: {link}"
        about = documented.get(name) or next(map(docstring_of, nested_models(field.annotation)), "")
        meaning = " <br>".join(part for part in (cell(about.split("\n\n")[0]), f"<small>{value}</small>") if part)
        yield f"| `{name}` | {meaning} | {default_of(field.get_default(call_default_factory=True))} |"


def default_of(default: Any) -> str:
    if default is PydanticUndefined:
        return "*required*"
    if isinstance(default, BaseModel):
        return "its defaults"
    return f"`{json.dumps(default)}`"


def spec_page(model: type[BaseModel], lead: str) -> Iterator[str]:
    yield from (f"# {model.__name__}", "", lead, "")
    for each in models_below(model):
        heading = [] if each is model else [f"## {each.__name__}", ""]
        yield from (*heading, docstring_of(each), "", *fields_of(each), "")


# Commands


def command_page() -> Iterator[str]:
    yield from ("# Commands", "", "`xrealign-bench COMMAND --help` prints the same.", "")
    yield from command_section(cli, None, PROGRAM, 2)


def command_section(command: click.Command, parent: click.Context | None, name: str, level: int) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    context.info_name = name
    path = context.command_path
    if parent is not None:
        yield from (f"{'#' * level} {path.removeprefix(PROGRAM + ' ')}", "")
        yield from description(command.help or "")
        yield from ("```text", f"{path} {' '.join(command.collect_usage_pieces(context))}", "```", "")
        records = [record for p in command.get_params(context) if (record := p.get_help_record(context))]
        if records:
            yield from ("| Option | Meaning |", "| :-- | :-- |")
            yield from (f"| `{cell(names)}` | {cell(meaning)} |" for names, meaning in records)
            yield ""
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from command_section(subcommand, context, child, level if parent is None else level + 1)


def description(text: str) -> Iterator[str]:
    """Give a command's help as Markdown: click marks paragraphs that keep their lines with a \\b of their own."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.splitlines()[1:]
            yield from (title, "", "```text", *(line.removeprefix("  ") for line in lines), "```", "")
        else:
            yield from (paragraph, "")


# What is shipped


def shipped_page() -> Iterator[str]:
    yield from ("# Shipped recipes, suites and tasks", "", "What `xrealign-bench list` prints.", "")
    for kind, lead in LISTS.items():
        rows = json.loads(CliRunner().invoke(cli, ["list", kind, "--json"], catch_exceptions=False).stdout)
        yield from (f"## {kind.capitalize()}", "", lead, "")
        yield from (f"| {' | '.join(rows[0])} |", f"|{' :-- |' * len(rows[0])}")
        yield from (f"| {' | '.join(shown(value) for value in row.values())} |" for row in rows)
        yield ""


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return cell(", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else value)
