"""The manifest of a result folder: its files with sizes and digests. It is written last, and every reader checks it.

A manifest shows damage: a flipped byte, a file that is cut, missing, added or from another result. It does not show
forgery, since whoever changes a file can write a new manifest: `scoring.recompute` finds figures that the predictions
do not give.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file, write_atomically
from xrealign_bench.results.strict_json import parse_json
from xrealign_bench.specs import Count, Sha256, Spec

MANIFEST = "manifest.json"
FILES = r"(result|comparison|history)\.json|predictions-[a-z0-9][a-z0-9.-]{0,79}\.parquet"
"""What a result folder holds beside its manifest."""
LARGEST_JSON = 16 * 2**20
"""Bytes: twenty times the largest shipped result.json. Parsed JSON takes up to forty times its size in memory."""
LARGEST_TABLE = 50 * 2**20
"""Bytes: forty times the largest shipped file of predictions."""


class SealedFile(Spec):
    """One file of a result folder."""

    name: Annotated[str, Field(pattern=f"^({FILES})$")]
    bytes: Count
    sha256: Sha256
    schema_version: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Of a JSON file; null for predictions."""


class Manifest(Spec):
    """All files of a result folder but the manifest itself, by name."""

    schema_version: Literal[1] = 1
    files: Annotated[list[SealedFile], Field(max_length=200)]

    @model_validator(mode="after")
    def _each_file_once(self) -> Manifest:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("names a file more than once")
        return self

    def find(self, name: str) -> SealedFile | None:
        return next((file for file in self.files if file.name == name), None)


def seal(folder: Path) -> None:
    """Write the manifest of a result folder, after all its other files."""
    files = [_sealed(path) for path in _members(folder) if re.fullmatch(FILES, path.name)]
    text = json.dumps(Manifest(files=files).model_dump(mode="json"), indent=1, sort_keys=True)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())


def read_sealed(folder: Path, name: str) -> bytes:
    """Read a file of a result folder, checked against the manifest.

    Raises:
        UserError: the folder has no manifest, or the file is missing, a link, too large or not the one that was sealed.
    """
    path = folder / name
    sealed = read_manifest(folder).find(name)
    if sealed is None:
        there = "is not in" if path.exists() else "is missing, and not in"
        raise UserError(f"{path}: {there} {MANIFEST}; restore the folder or evaluate again")
    if problem := _unfit(path):
        raise UserError(problem)
    content = path.read_bytes()
    if problem := _difference(path, sealed, len(content), hashlib.sha256(content).hexdigest()):
        raise UserError(problem)
    return content


def check_folder(folder: Path) -> None:
    """Check every file of a result folder against its manifest; no file is parsed.

    Raises:
        UserError: everything that is missing, added or changed, one line each.
    """
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link; put what it leads to there")
    manifest = read_manifest(folder)
    problems = []
    for sealed in manifest.files:
        path = folder / sealed.name
        problems.append(_unfit(path) or _difference(path, sealed, path.stat().st_size, sha256_file(path)))
    known = {sealed.name for sealed in manifest.files}
    problems += [
        f"{path}: is not in {MANIFEST}, so it is no part of the result; remove it"
        for path in _members(folder)
        if path.name not in known
    ]
    if told := [problem for problem in problems if problem]:
        raise UserError("\n".join(told))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a result folder.

    Raises:
        UserError: there is none, or it can't be read.
    """
    path = folder / MANIFEST
    if not folder.is_dir() or not any(_members(folder)):
        raise UserError(f"{folder}: no result in it; results lie below OUTPUT/results/SUITE/CHECKPOINT")
    if not path.exists():
        raise UserError(
            f"{folder}: has no {MANIFEST}, so nothing says whether it is whole. If an older version or an interrupted "
            f"run left it: 'xrealign-bench leaderboard recompare {folder}' checks its scores and writes one"
        )
    if problem := _unfit(path):
        raise UserError(problem)
    try:
        return Manifest.model_validate(parse_json(path.read_bytes(), str(path)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path}: is no manifest that can be read ({first['msg'][:80]}); restore it") from None


def _members(folder: Path) -> Iterator[Path]:
    """The files of a result folder, without the manifest and hidden ones, which unfinished writes leave."""
    return (path for path in sorted(folder.iterdir()) if path.name != MANIFEST and not path.name.startswith("."))


def _sealed(path: Path) -> SealedFile:
    version = None
    if path.suffix == ".json":
        try:
            version = json.loads(path.read_bytes())["schema_version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{path}: is no file of a result; restore it or evaluate again") from None
    return SealedFile(name=path.name, bytes=path.stat().st_size, sha256=sha256_file(path), schema_version=version)


def _difference(path: Path, sealed: SealedFile, size: int, sha256: str) -> str | None:
    """How a file differs from the sealed one, in one sentence; None: not at all."""
    if size != sealed.bytes:
        return f"{path}: has {size:,} bytes and not the {sealed.bytes:,} of {MANIFEST}; restore it or evaluate again"
    if sha256 != sealed.sha256:
        return (
            f"{path}: its sha256 is {sha256[:12]} and not the {sealed.sha256[:12]} of {MANIFEST}; this is not the "
            "file that was written: restore it or evaluate again"
        )
    return None


def _unfit(path: Path) -> str | None:
    """Why a path is not opened; None: it may be."""
    if path.is_symlink():
        return f"{path}: is a link; put what it leads to there"
    if not path.exists():
        return f"{path}: is missing; restore it or evaluate again"
    if not path.is_file():
        return f"{path}: is no file; restore it or evaluate again"
    largest = LARGEST_TABLE if path.suffix == ".parquet" else LARGEST_JSON
    if (size := path.stat().st_size) > largest:
        return f"{path}: has {size:,} bytes, more than the {largest:,} that it may have"
    return None
