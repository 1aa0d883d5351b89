"""`cache`: the store of finished stages."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xrealign_bench.cli.options import OrderedGroup, json_option, store_option
from xrealign_bench.cli.printing import print_json, print_table
from xrealign_bench.cli.process import FAILED
from xrealign_bench.errors import UserError


@click.group(cls=OrderedGroup)
def cache() -> None:
    """List, verify or prune the store of finished stages."""


def _existing(store: Path) -> Path:
    if not store.is_dir():
        raise UserError(f"{store}: there is no store; `evaluate --store` makes one")
    return store


@cache.command("list")
@store_option
@json_option
def cache_list(store: Path, as_json: bool) -> None:
    """List stored stages by type, with their number, size and computing time.

    \b
    Example:
      xrealign-bench cache list
    """
    from xrealign_bench.listings import stored_rows

    rows = stored_rows(_existing(store))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, headers="keys", floatfmt=".1f")


@cache.command("verify")
@store_option
def cache_verify(store: Path) -> None:
    """Check every stored file against its checksum.

    Damaged entries are listed and removed; they are computed again when needed. Exit status 1 if there were any.

    \b
    Example:
      xrealign-bench cache verify --store /shared/store
    """
    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.pipeline.store import Store

    damaged = Store(_existing(store)).verify()
    for damage in damaged:
        click.echo(f"damaged: {damage.kind} {damage.key}: {damage.problem}")
    click.echo(pluralise(len(damaged), "damaged entry", "damaged entries"))
    sys.exit(FAILED if damaged else 0)


@cache.command("prune")
@store_option
@click.option(
    "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Remove only stages unused for DAYS days."
)
@click.confirmation_option("--yes", prompt="Remove stored stages? They are computed again when needed.")
def cache_prune(store: Path, older_than: int | None) -> None:
    """Remove stored stages.

    \b
    Examples:
      xrealign-bench cache prune --yes               everything, without asking
      xrealign-bench cache prune --older-than 30 --yes
    """
    from datetime import timedelta

    from xrealign_bench.leaderboard.formatting import pluralise
    from xrealign_bench.pipeline.store import Store

    removed = Store(_existing(store)).prune(older_than=None if older_than is None else timedelta(days=older_than))
    entries = pluralise(len(removed), "entry", "entries")
    click.echo(f"{entries} removed, {sum(entry.size for entry in removed) / 1e6:.1f} MB freed")
