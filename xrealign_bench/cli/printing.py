"""What commands print: results on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def print_yaml(value: Any, **style: Any) -> None:
    """Print a value as YAML on stdout; `style` is passed on to PyYAML."""
    from xrealign_bench.specs.core_schema import write_yaml

    click.echo(write_yaml(value, **style).rstrip())


def print_table(rows: Iterable[Any], **style: Any) -> None:
    """Print rows as a table on stdout; `style` is passed on to tabulate."""
    from tabulate import tabulate

    click.echo(tabulate(rows, **style))


def say(text: str) -> None:
    """Print a message on stderr."""
    click.echo(text, err=True)


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar on a terminal; yield a function of the number done, of all, and the name of the next one."""
    from tqdm import tqdm

    with tqdm(unit=unit, file=sys.stderr, dynamic_ncols=True, leave=False, disable=None) as bar:

        def draw(done: int, total: int, next_one: str) -> None:
            bar.total = total
            bar.set_postfix_str(next_one, refresh=False)
            bar.update(done - bar.n)

        yield draw
