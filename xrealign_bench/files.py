"""Checksums of files, atomic writes, and the default store."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path

from xrealign_bench.errors import UserError


def default_store() -> Path:
    """Return the folder that stores finished stages if none is named.

    Raises:
        UserError: the user has no home folder, as in a container run under a user id without an account.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "xrealign-bench", "store")
    except RuntimeError:
        raise UserError("there is no home folder to store finished stages in; name a folder with --store") from None


def sha256_file(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file, cached per process until its size or modification time changes.

    Raises:
        UserError: the path is a pipe, a device or a folder; reading the first two may never end.
        OSError: the file can't be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"{path}: is not a regular file; put a copy of the file there")
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


def allow_reading(path: Path) -> None:
    """Give a file the access rights of any new file: safetensors 0.8 writes files that only the owner may read."""
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def fsync(path: Path) -> None:
    """Flush a file, or a folder's directory entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file atomically: temporary file in the same folder, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)  # makes the rename durable
    finally:
        temporary.unlink(missing_ok=True)
    return path


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files (`.NAME.PID.tmp`) left by killed processes.

    Call it before this process writes to the folder. On a shared disk, processes of other machines look dead; their
    temporary files are removed too.
    """
    for path in folder.glob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not _is_another_process(int(process)):
            path.unlink(missing_ok=True)


def _is_another_process(process: int) -> bool:
    """Return whether another process with this id is running."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # signal 0 only checks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # the process belongs to another user
    return True


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)
