"""The manifest of a result folder: its files with sizes and digests. It is written last and checked by every reader.

A manifest reveals damage: a flipped byte, or a file that is truncated, missing, added or from another result. It does
not reveal forgery, since whoever changes a file can write a new manifest. `scoring.recompute` finds figures that do not
follow from the predictions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems
from xrealign_bench.files import sha256_file, write_atomically
from xrealign_bench.results.migrations import read_version
from xrealign_bench.results.strict_json import parse_json
from xrealign_bench.specs import Count, Sha256, Spec
from xrealign_bench.specs.explain import explain

MANIFEST = "manifest.json"
FILES = r"(result|comparison|history)\.json|predictions-[a-z0-9][a-z0-9.-]{0,79}\.parquet"
"""Names of the files in a result folder, apart from the manifest."""
LINK = "is a symbolic link. Replace it by the file or folder that it points to"
LARGEST_JSON = 16 * 2**20
"""In bytes: twenty times the largest shipped result.json. Parsed JSON takes up to forty times its size in memory."""
LARGEST_TABLE = 50 * 2**20
"""In bytes: forty times the largest shipped predictions file."""


class SealedFile(Spec):
    """One file of a result folder."""

    name: Annotated[str, Field(pattern=f"^({FILES})$")]
    bytes: Count
    sha256: Sha256
    schema_version: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Null for predictions."""


class Manifest(Spec):
    """All files of a result folder except the manifest itself."""

    schema_version: Literal[1] = 1
    files: Annotated[list[SealedFile], Field(max_length=200)]

    @model_validator(mode="after")
    def _check_unique_names(self) -> Manifest:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("lists a file more than once")
        return self

    def find(self, name: str) -> SealedFile | None:
        """Return a file by name, or None if it is not listed."""
        return next((file for file in self.files if file.name == name), None)


def seal(folder: Path) -> None:
    """Write the manifest of a result folder. Call this after writing its other files."""
    files = [_sealed_file(path) for path in _members(folder) if re.fullmatch(FILES, path.name)]
    text = json.dumps(Manifest(files=files).model_dump(mode="json"), indent=1, sort_keys=True)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())


def read_sealed(folder: Path, name: str) -> bytes:
    """Read a file of a result folder, checked against the manifest.

    Raises:
        UserError: the folder has no manifest, or the file is missing, a link, too large or differs from the manifest.
    """
    path = folder / name
    sealed = read_manifest(folder).find(name)
    if sealed is None:
        where = "is not in" if path.exists() else "is missing, and not in"
        raise UserError(f"{path}: {where} {MANIFEST}. Restore the folder or evaluate again")
    if problem := _access_problem(path):
        raise UserError(problem)
    content = path.read_bytes()
    if problem := _difference(path, sealed, len(content), hashlib.sha256(content).hexdigest()):
        raise UserError(problem)
    return content


def check_folder(folder: Path) -> None:
    """Check every file of a result folder against its manifest, without parsing it.

    Raises:
        UserError: files are missing, added or changed (one line each).
    """
    if folder.is_symlink():
        raise UserError(f"{folder}: {LINK}")
    manifest = read_manifest(folder)
    problems = []
    for sealed in manifest.files:
        path = folder / sealed.name
        problems.append(_access_problem(path) or _difference(path, sealed, path.stat().st_size, sha256_file(path)))
    known = {sealed.name for sealed in manifest.files}
    problems += [
        f"{path}: is not in {MANIFEST}, so it is not part of the result. Remove it"
        for path in _members(folder)
        if path.name not in known
    ]
    if found := [problem for problem in problems if problem]:
        raise UserError("\n".join(found))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a result folder.

    Raises:
        UserError: the folder has no manifest, or it can't be read.
    """
    path = folder / MANIFEST
    if not folder.is_dir() or not any(_members(folder)):
        what = "no result in it" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: {what}. Results are in OUTPUT/results/SUITE/CHECKPOINT/RECIPE")
    if not path.exists():
        if (inner := next(folder.glob(f"*/**/{MANIFEST}"), None)) is not None:
            raise UserError(f"{folder}: holds folders of results; name one of them, such as {inner.parent}")
        raise UserError(
            f"{folder}: has no {MANIFEST}, so it can't be checked for damage. If an older version or an interrupted "
            f"run wrote it, run 'xrealign-bench leaderboard recompare {folder}': it checks the scores and writes one"
        )
    if problem := _access_problem(path):
        raise UserError(problem)
    try:
        known = Manifest.model_fields["schema_version"].default
        return Manifest.model_validate(read_version(parse_json(path.read_bytes(), str(path)), "Manifest", known, path))
    except ValidationError as error:
        raise UserError("\n".join(schema_problems(path, error, Manifest))) from None


def schema_problems(path: Path, error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line per problem of a JSON file that breaks its schema: the field, and what is allowed there."""
    problems = explain(error, model, {})
    lines = [
        f"{path}: {'.'.join(where) or 'the file'}: {message()}"
        for where, message in islice(problems.items(), MOST_PROBLEMS)
    ]
    return [*lines, *count_further_problems(str(path), len(problems))]


def _members(folder: Path) -> Iterator[Path]:
    """Yield the files of a result folder, without the manifest and without hidden files of unfinished writes."""
    return (path for path in sorted(folder.iterdir()) if path.name != MANIFEST and not path.name.startswith("."))


def _sealed_file(path: Path) -> SealedFile:
    version = None
    if path.suffix == ".json":
        try:
            version = json.loads(path.read_bytes())["schema_version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{path}: is not a file of a result. Restore it or evaluate again") from None
    return SealedFile(name=path.name, bytes=path.stat().st_size, sha256=sha256_file(path), schema_version=version)


def _difference(path: Path, sealed: SealedFile, size: int, sha256: str) -> str | None:
    """Return how a file differs from the manifest, in one sentence, or None if it does not."""
    if size != sealed.bytes:
        return f"{path}: has {size:,} bytes, but {MANIFEST} says {sealed.bytes:,}. Restore it or evaluate again"
    if sha256 != sealed.sha256:
        return (
            f"{path}: its sha256 is {sha256[:12]}, but {MANIFEST} says {sealed.sha256[:12]}, so it was changed. "
            "Restore it or evaluate again"
        )
    return None


def _access_problem(path: Path) -> str | None:
    """Return why a path must not be opened, or None if it may be."""
    if path.is_symlink():
        return f"{path}: {LINK}"
    if not path.exists():
        return f"{path}: is missing. Restore it or evaluate again"
    if not path.is_file():
        return f"{path}: is not a file. Restore it or evaluate again"
    largest = LARGEST_TABLE if path.suffix == ".parquet" else LARGEST_JSON
    if (size := path.stat().st_size) > largest:
        return f"{path}: has {size:,} bytes, more than the {largest:,} allowed. Restore it or evaluate again"
    return None
