"""`fetch`: a suite's data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from xrealign_bench.cli.options import data_root_option, json_option, language_option, task_option
from xrealign_bench.cli.printing import print_json, print_table, progress_bar
from xrealign_bench.cli.process import quiet_libraries

if TYPE_CHECKING:
    from xrealign_bench.fetch import FetchedSplit


@click.command("fetch")
@click.option("--suite", required=True, help="Suite name or YAML file.")
@data_root_option
@task_option
@language_option
@click.option(
    "--write-lock", is_flag=True, help="Write the lock file next to the suite instead of checking against it."
)
@json_option
def fetch_data(
    suite: str,
    data_root: Path | None,
    tasks: tuple[str, ...],
    languages: tuple[str, ...],
    write_lock: bool,
    as_json: bool,
) -> None:
    """Download a suite's data and check them against its lock file.

    The lock file, NAME.lock.yaml, has the expected checksums. Afterwards `evaluate` runs with --offline. If
    interrupted, run the same command again: it resumes the download. With --data-root nothing is downloaded; the files
    in that folder are checked.

    \b
    Examples:
      xrealign-bench fetch --suite pos-lite
      xrealign-bench fetch --suite pos-lite --data-root ./hub
      xrealign-bench fetch --suite my-suite.yaml --write-lock
    """
    quiet_libraries(offline=False)
    from xrealign_bench.fetch import fetch_suite

    with progress_bar("split") as draw:
        fetched = fetch_suite(suite, tasks, languages, data_root, write_lock, draw)
    if as_json:
        print_json(asdict(fetched) | {"lock": fetched.lock and str(fetched.lock)})
        return
    _print_splits(fetched.splits)
    for lexicons in fetched.lexicons:
        none = f"; none for {', '.join(lexicons.absent)}" if lexicons.absent else ""
        click.echo(f"\nlexicons of {lexicons.corpus}: {lexicons.files}, {lexicons.bytes / 1e6:.1f} MB{none}")
    if write_lock:
        click.echo(f"\nlock {fetched.lock}")
    elif data_root is None:
        click.echo(f"\n{fetched.suite}: all data are on this machine; `evaluate` can now run with --offline")


def _print_splits(fetched: Iterable[FetchedSplit]) -> None:
    """Print a table with one row per data set, and one for all files of a server or of this machine."""
    by_data_set: dict[str, list[FetchedSplit]] = {}
    for split in fetched:
        local = "local files" if split.dataset.startswith("./") else split.dataset
        name = str(urlsplit(local).hostname) if local.startswith("https:") else local
        by_data_set.setdefault(name, []).append(split)
    table = [
        [name, len(splits), sum(s.files for s in splits), sum(s.bytes for s in splits) / 1e6]
        + [sum(s.state == state for s in splits) for state in ("verified", "pinned", "not pinned")]
        for name, splits in by_data_set.items()
    ]
    print_table(
        table,
        headers=["data set", "splits", "files", "MB", "verified", "pinned only", "not pinned"],
        floatfmt=".1f",
    )
