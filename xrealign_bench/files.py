"""Checksums of files, and getting files onto the disk."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Sha256 (hex) of a file's bytes, read now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_unchanged(path: Path) -> str:
    """As `sha256_file`, but read once a process as long as the file's size and time stay the same."""
    state = path.stat()
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)
