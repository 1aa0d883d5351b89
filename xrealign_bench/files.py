"""Checksums of files, and getting files onto the disk whole."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path

from xrealign_bench.errors import UserError


def sha256_file(path: Path) -> str:
    """Sha256 (hex) of a file's bytes, read now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_unchanged(path: Path) -> str:
    """As `sha256_file`, but read once a process as long as the file's size and time stay the same.

    Raises:
        UserError: it is a pipe, a device or a folder; the first two may have no end.
        OSError: it can't be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"{path}: is no regular file; put a copy of the file there")
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file so that it is whole or as it was before: temporary sibling, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)  # the rename itself is on disk only when the folder is
    finally:
        temporary.unlink(missing_ok=True)
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files (`.NAME.PID.tmp`) that killed processes left in a folder.

    To be called before this process writes there. Accepted: a process of another machine on a shared disk looks dead.
    """
    for path in folder.glob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not _is_another(int(process)):
            path.unlink(missing_ok=True)


def _is_another(process: int) -> bool:
    """Is there a process of that number, other than this one?"""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # asks only
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return True


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)
