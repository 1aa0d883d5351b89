"""Options and arguments that several commands take."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import click

from xrealign_bench.errors import UserError
from xrealign_bench.models.device import PRECISIONS, Quantised


class Listing(click.Group):
    """Commands in the order in which they are written, the order in which they are learnt."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


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
    """Return the folder where finished stages are kept unless `--store` names one.

    Raises:
        UserError: the user has no home folder, as in a container that runs as a bare number.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "xrealign-bench", "store")
    except RuntimeError:
        raise UserError("there is no home folder to keep finished stages in; name a folder with --store") from None


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
        help="Share of a GPU that a stage takes on a Ray cluster, if it computes on one.  [default: 1]",
    ),
)
"""For what runs a plan."""

EVALUATION_OPTIONS = (
    click.option("--checkpoint", help="Hub id or folder.  [default: the suite's, else xrealign-mini]"),
    click.option("--revision", help="Branch, tag or commit of a Hub checkpoint."),
    click.option("--suite", default="demo", show_default=True, help="Name or YAML file."),
    click.option("--task", "tasks", multiple=True, help="Only this task of the suite; may be repeated."),
    click.option("--language", "languages", multiple=True, help="Only this target language; may be repeated."),
    click.option(
        "--seed",
        "seeds",
        multiple=True,
        type=click.IntRange(min=0),
        help="Only this seed of the suite, or fresh seeds in place of the suite's; may be repeated.",
    ),
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
