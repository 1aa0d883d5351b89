"""Read the types and first values of a split's columns, without downloading whole files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from xrealign_bench.data import hub, parquet
from xrealign_bench.data.download import START_BYTES, text_start
from xrealign_bench.data.formats.read import read_first_text_rows
from xrealign_bench.data.located import DataLocation, LocatedSplit, is_offline
from xrealign_bench.data.read import is_parquet
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import fetch
from xrealign_bench.errors import UserError

Pick = Callable[[Sequence[str]], Sequence[str]]
"""Selects columns from the names of all."""


def read_first_rows(located: LocatedSplit, pick: Pick, location: DataLocation) -> Rows | None:
    """Read selected columns of the first rows of a split, from its first file.

    Only the footer of a Parquet file is read, which has types and label names, and the first kilobytes of other files.

    Returns:
        The rows, without values if the file is Parquet; None if columns are known only from the whole file, as in JSON
        and in archives at URLs.

    Raises:
        UserError: a file can't be read, or `pick` raises it.
    """
    if not located.files:
        return None
    if located.columns:
        located = _select_sides(located, pick(located.columns))
    if is_parquet(located):
        return None if located.is_start else _read_footer(located, pick, location)
    if located.on_hub and not is_offline(location):
        return _read_start(located, pick)
    return read_first_text_rows(located, fetch(located, is_offline(location)), pick, located.is_start)


def _select_sides(located: LocatedSplit, columns: Sequence[str]) -> LocatedSplit:
    """Keep the files of some languages, of which each has its own file."""
    files = dict(zip(located.columns, located.files, strict=True))
    return replace(located, columns=tuple(columns), files=tuple(files[column] for column in columns))


def _read_footer(located: LocatedSplit, pick: Pick, location: DataLocation) -> Rows:
    if not located.on_hub or is_offline(location):
        return parquet.read_parquet_types(located, fetch(located, is_offline(location))[0], None, pick)
    file = located.files[0]
    footer = parquet.read_footer(hub.file_size(located, file), partial(hub.read_bytes, located, file))
    return parquet.read_parquet_types(located, f"{located.folder_or_id}/{file}", footer, pick)


def _read_start(located: LocatedSplit, pick: Pick) -> Rows | None:
    """Read the first rows of files on the Hub from copies of their first kilobytes."""
    with TemporaryDirectory() as folder:
        is_cut = False
        paths = []
        for file in located.files if located.columns else located.files[:1]:
            where = f"{located.folder_or_id}/{file}"
            start = hub.read_bytes(located, file, 0, min(hub.file_size(located, file), START_BYTES))
            lines, is_longer = text_start(where, start)
            is_cut = is_cut or is_longer
            path = Path(folder, where)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(lines)
            paths.append(str(path))
        try:
            rows = read_first_text_rows(located, paths, pick, is_cut)
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}/", "")) from None
    if rows is None:
        return None
    return replace(rows, lines=[(path.removeprefix(f"{folder}/"), line) for path, line in rows.lines])
