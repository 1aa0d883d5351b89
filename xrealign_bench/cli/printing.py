"""What commands print: results on stdout, messages on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
