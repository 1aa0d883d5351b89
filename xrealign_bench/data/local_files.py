"""Locate local files that a task or corpus names."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from xrealign_bench.data.located import LocatedSplit, MissingConfigError, digest_own_files
from xrealign_bench.data.patterns import CONFIG, LANGUAGE, fill, match, match_configs, pick_pattern
from xrealign_bench.errors import UserError
from xrealign_bench.specs import FilesData


def locate_files(source: FilesData, config: str | None, split: str) -> LocatedSplit:
    """Locate the files of one split; see `sources.locate`."""
    split, pattern = pick_pattern(source, split, f"the files in {source.folder}")
    path = fill(pattern, config)
    found = match(path, _list_files(source.folder, path))
    title = str(source.folder / path)
    if not found:
        raise MissingConfigError(f"{title}: no such file; put it there or correct 'source.{split}'")
    columns = tuple(language for language in found.values() if language is not None)
    files = [source.folder / file for file in found]
    return LocatedSplit(
        str(source.folder), config, split, None, digest_own_files(files), tuple(found),
        title=title, reading=source, columns=columns,
    )  # fmt: skip


def list_configs(source: FilesData, split: str) -> set[str]:
    """Return the configs that have files of a split."""
    _, pattern = pick_pattern(source, split, f"the files in {source.folder}")
    return match_configs(pattern, _list_files(source.folder, pattern))


def _list_files(folder: Path, pattern: str) -> list[str]:
    """Return the files that a pattern may match, as written in it: relative paths are relative to the folder."""
    wild = glob.escape(pattern).replace(CONFIG, "*").replace(LANGUAGE, "*")
    wild = wild.replace("[*]", "*").replace("[?]", "?")
    try:
        there = glob.glob(wild, root_dir=folder, recursive=True)
    except OSError as error:
        raise UserError(f"{folder / pattern}: can't be searched ({error.strerror})") from None
    return [file.removeprefix("./") for file in there if os.path.isfile(folder / file)]
