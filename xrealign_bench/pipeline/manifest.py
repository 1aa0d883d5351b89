"""Manifest of a store entry: its description, its costs, and the checksums of its files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from xrealign_bench import __version__
from xrealign_bench.errors import UserError
from xrealign_bench.files import fsync, sha256_file
from xrealign_bench.specs.base import Spec, digest
from xrealign_bench.specs.fields import Moment

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class DamagedError(Exception):
    """An entry doesn't match its manifest. The message says how."""


class FileRecord(Spec):
    sha256: str
    size: int
    """Bytes."""


class Manifest(Spec):
    """Manifest of an entry. The file also has `sha256`, the checksum of its canonical JSON without that field."""

    schema_version: Literal[1] = 1
    kind: str
    key: str
    description: dict[str, Any]
    """Content of the key as plain JSON, for people."""
    seconds: float
    """Wall time."""
    peak_memory_bytes: int | None
    """Peak resident memory of the process without its children, or null if the system doesn't tell."""
    costs: dict[str, float]
    """Further costs that the stage counted, such as `flops`."""
    created: Moment
    harness_version: str
    files: dict[str, FileRecord]
    """Path relative to the entry's folder -> file."""


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Sync every file below `folder` to disk, and return checksums and sizes.

    Raises:
        ValueError: there is no file, or something other than plain files.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()) or name == MANIFEST:
            raise ValueError(f"an entry of the store can't hold {name}: no links, devices or {MANIFEST}")
        fsync(path)
        if path.is_file():
            files[name] = FileRecord(sha256=sha256_file(path), size=path.stat().st_size)
    if not files:
        raise ValueError("a stage left no file to store")
    return files


def write_manifest(path: Path, manifest: Manifest) -> None:
    content = manifest.model_dump(mode="json")
    with path.open("w", encoding="utf-8") as file:
        json.dump(content | {"sha256": digest(content)}, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DamagedError: it is missing or was changed.
        UserError: a newer version of this package wrote it.
    """
    if path.exists() and not path.is_file():
        raise DamagedError(f"{MANIFEST} is no regular file")
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop("sha256")
        intact = checksum == digest(content)
    except OSError as error:
        raise DamagedError(f"{MANIFEST}: {error.strerror}") from None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise DamagedError(f"{MANIFEST} is cut off or not a manifest") from None
    if not intact:
        raise DamagedError(f"{MANIFEST} has another checksum than when it was written")
    if content["schema_version"] != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {content['schema_version']}, this xrealign-bench {__version__} reads "
            f"{SCHEMA_VERSION}; update xrealign-bench or choose another folder for the store"
        )
    return Manifest.model_validate(content)
