"""Options and arguments shared by several commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any, get_args

import click

from xrealign_bench.errors import Problems, UserError, unknown
from xrealign_bench.files import default_store
from xrealign_bench.models.dtypes import PRECISIONS, Quantised
from xrealign_bench.plugins import load_plugins


class OrderedGroup(click.Group):
    """Command group that lists its commands in the order of their definition, and suggests the nearest one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of their definition."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UserError: no such command.
        """
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


class CommaSeparated(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """Value of an option that takes several: `de` or `de,sw`, each item of the given type."""

    def __init__(self, item: click.ParamType[Any]) -> None:
        self.item = item
        self.name = item.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the item type's placeholder for the help text."""
        return self.item.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Convert each item of a comma-separated list."""
        items = [text.strip() for text in str(value).split(",")]
        if not all(items):
            self.fail(f"'{value}' has an empty item", param, ctx)
        return tuple(self.item(item, param, ctx) for item in items)


class CollectingCommand(click.Command):
    """Command that reports wrong values of its options together with the problems that it finds itself.

    It must raise the problems in `option_problems()`.
    """


class CollectingOption(click.Option):
    """Option of a `CollectingCommand`: a wrong value is a problem, and the default is used instead."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Convert the value, or collect the problem."""
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as error:
            if not isinstance(ctx.command, CollectingCommand) or self.name not in opts:
                raise
            option_problems(ctx).add([describe_usage_error(error)])
            return super().handle_parse_result(ctx, {}, args)


def option_problems(context: click.Context | None = None) -> Problems:
    """Return the problems of the options of this context's command, the running one by default."""
    problems: Problems = (context or click.get_current_context()).meta.setdefault("option problems", Problems())
    return problems


def import_plugins(plugins: Sequence[str], problems: Problems) -> None:
    """Import plugins. Specs that name them can't be checked without them.

    Raises:
        UserError: a plugin can't be imported; the message has the problems found before, too.
    """
    try:
        load_plugins(plugins)
    except UserError as error:
        problems.add(str(error).splitlines())
        problems.raise_if_any()


def describe_usage_error(error: click.UsageError) -> str:
    """Return one line about a command that click could not parse, with the nearest option or where to look."""
    command = error.ctx.command_path if error.ctx else "xrealign-bench"
    if isinstance(error, click.NoSuchOption):
        hint = f"did you mean {' or '.join(error.possibilities)}? " if error.possibilities else ""
        return f"unknown option '{error.option_name}'; {hint}`{command} --help` lists all"
    problem = " ".join(error.format_message().split()).rstrip(".")
    return f"{problem[0].lower()}{problem[1:]}; see `{command} --help`"


_option = partial(click.option, cls=CollectingOption)


def list_option(
    *names: str, help: str, item: click.ParamType[Any] = click.STRING
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make an option that takes several values, repeated (`--seed 31 --seed 42`) or comma-separated (`--seed 31,42`).

    The command receives one tuple of all values.
    """

    def joined(_context: click.Context, _option: click.Parameter, given: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
        return tuple(value for values in given for value in values)

    return _option(*names, multiple=True, type=CommaSeparated(item), callback=joined, help=help)


store_option = _option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: default_store(),
    envvar="XREALIGN_BENCH_STORE",
    help="Folder that stores finished stages for reuse.  [default: ~/.cache/xrealign-bench/store]",
)
data_root_option = _option(
    "--data-root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="XREALIGN_BENCH_DATA_ROOT",
    help="Read data sets from this folder in Hub layout (ORG/NAME/CONFIG/SPLIT-*.parquet) instead of the Hub.",
)
device_option = _option("--device", help="cpu, cuda, cuda:1 or mps.  [default: cuda if available, else cpu]")
offline_option = _option(
    "--offline", is_flag=True, envvar="HF_HUB_OFFLINE", help="Never contact the Hub; use local files only."
)
code_option = _option("--trust-remote-code", is_flag=True, help="Allow a checkpoint to run its own code.")
pickle_option = _option(
    "--allow-pickle", is_flag=True, help="Load pytorch_model.bin from a checkpoint without safetensors."
)
plugin_option = list_option(
    "--plugin",
    "plugins",
    help="Import plugins: Python files, or package/name of installed packages, comma-separated.",
)
result_argument = click.argument("result", type=click.Path(path_type=Path, file_okay=False))
task_option = list_option("--task", "tasks", help="Only these tasks of the suite, comma-separated.")
language_option = list_option(
    "--language", "languages", help="Only these target languages of the suite, such as de,sw."
)
json_option = _option("--json", "as_json", is_flag=True, help="Print only JSON on stdout.")


EXECUTOR_OPTIONS = (
    _option(
        "--executor",
        type=click.Choice(["serial", "ray"]),
        default="serial",
        show_default=True,
        help="Run stages one after another, or in parallel on a Ray cluster.",
    ),
    _option(
        "--address",
        metavar="ADDRESS",
        help="Address of a running Ray cluster: auto or HOST:PORT.  [default: start one on this machine]",
    ),
    _option(
        "--gpus-per-stage",
        type=click.FloatRange(min=0, min_open=True, max=1),
        help="Share of a GPU that each stage reserves on a Ray cluster.  [default: 1]",
    ),
)
"""Options of commands that run stages."""

EVALUATION_OPTIONS = (
    _option("--checkpoint", help="Hub id or local folder.  [default: the suite's, else xrealign-mini]"),
    _option("--revision", help="Branch, tag or commit of a Hub checkpoint."),
    _option("--suite", default="demo", show_default=True, help="Suite name or YAML file."),
    task_option,
    language_option,
    list_option(
        "--seed",
        "seeds",
        item=click.IntRange(min=0),
        help="Only these seeds of the suite, such as 31,42; or new seeds instead of the suite's.",
    ),
    _option(
        "--limit",
        type=click.IntRange(min=1),
        help="Use at most this many examples (evenly spaced) and sentence pairs (the first) per language.",
    ),
    _option(
        "--development",
        is_flag=True,
        help="Score the suite's development data, to choose a recipe; such results never stand on a board.",
    ),
    data_root_option,
    _option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("xrealign-output"),
        show_default=True,
        help="Folder for results and leaderboard.",
    ),
    store_option,
    device_option,
    _option(
        "--precision",
        type=click.Choice(list(PRECISIONS)),
        default="fp32",
        show_default=True,
        callback=lambda _context, _option, name: PRECISIONS[name],
        help="Precision of the encoder's computation; weights, heads and losses stay fp32.",
    ),
    _option(
        "--quantise",
        "quantised",
        type=click.Choice(get_args(Quantised)),
        help="Quantise linear layers; needs an adapter to realign, and tasks without fine-tuning.",
    ),
    _option(
        "--gradient-checkpointing",
        is_flag=True,
        help="Recompute activations to save memory; training takes about a third longer.",
    ),
    plugin_option,
    offline_option,
    code_option,
    pickle_option,
    *EXECUTOR_OPTIONS,
    _option("--dry-run", is_flag=True, help="Print the plan and its estimated cost; run nothing."),
    json_option,
)


def evaluation_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options shared by `evaluate` and `freeze-search`."""
    return _with_options(command, EVALUATION_OPTIONS)


def evaluation_option(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option of `evaluate` that passes this argument to the command."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in EVALUATION_OPTIONS:
            probe: Any = option(lambda: None)
            if probe.__click_params__[0].name == name:
                return option(command)
        raise ValueError(f"evaluate has no option for the argument {name}")

    return add


def executor_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that run stages."""
    return _with_options(command, EXECUTOR_OPTIONS)


def _with_options(command: Callable[..., None], options: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
