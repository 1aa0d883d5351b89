"""Content-addressed store: each entry is a folder with a stage's output, under the key of all that determined it.

    root/<kind>/<first two digits of the key>/<key>/    the stage's files and manifest.json
    root/.work/<kind>-<key>/                            work in progress; moved to the above by one rename
    root/.locks/<kind>-<key>.lock                       held while a process makes or removes the entry

An entry appears whole or not at all: files are synced to disk, then the manifest with their checksums is
written, then the folder is renamed into place. Locks belong to the operating system, which frees them when a
process dies, so an interrupted stage leaves only a work folder, which the next store on this root removes. A
file that changed afterwards fails its checksum: the entry is removed with a warning and made again.

Accepted: `prune` may remove an entry that another process is reading; lock files (empty) are never removed,
because removing one that a process waits for would let two processes in.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from xrealign_bench import __version__
from xrealign_bench.errors import UserError
from xrealign_bench.files import fsync, sha256_file
from xrealign_bench.pipeline.manifest import (
    MANIFEST,
    DamagedError,
    Manifest,
    read_manifest,
    record_files,
    write_manifest,
)

_log = logging.getLogger(__name__)
_KIND = re.compile(r"[a-z][a-z0-9_-]*")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """Finished output: `folder` contains the files listed in `manifest`. Read-only."""

    folder: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        """Total size of the files, in bytes."""
        return sum(file.size for file in self.manifest.files.values())

    @property
    def last_used(self) -> datetime:
        return datetime.fromtimestamp((self.folder / MANIFEST).stat().st_mtime, UTC)


class Damage(NamedTuple):
    kind: str
    key: str
    problem: str


class Store:
    """Store below `root`, which is created if needed. Waiting and damage are logged as warnings.

    Raises:
        UserError: `root` can't be written to, or its file system has no locks.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._verified: dict[tuple[str, str], Entry] = {}
        try:
            for folder in (self._locks, self._works):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._works):
                pass
        except OSError as error:
            raise UserError(
                f"the store {self.root} can't be written to ({error.strerror}); choose another folder for it"
            ) from None
        self._remove_interrupted_work()

    def has(self, kind: str, key: str) -> bool:
        """Return whether the entry exists and its files have the right sizes. Contents are verified by `open`."""
        return self.look(kind, key) is not None

    def look(self, kind: str, key: str) -> Entry | None:
        """Return the entry without reading its files, or None if it is missing or looks damaged."""
        try:
            return self._look(kind, key)
        except DamagedError:
            return None

    def open(self, kind: str, key: str) -> Entry | None:
        """Return the entry, or None if it is missing.

        Files are read and verified once per `Store`. A damaged entry is removed with a warning and counts as missing.
        """
        try:
            entry = self._verify(kind, key)
        except DamagedError:
            with self._lock(kind, key):
                entry = self._or_discard(self._verify, kind, key)
        if entry is not None:
            with suppress(PermissionError):  # another user's entry in a shared store
                os.utime(entry.folder / MANIFEST)
        return entry

    def read(self, kind: str, key: str) -> Entry:
        """Return an entry that must exist.

        Raises:
            UserError: it is missing, because it was removed after it was made.
        """
        if (entry := self.open(kind, key)) is None:
            raise UserError(
                f"{kind} {key[:12]} was removed from the store {self.root} while it was needed; "
                "the same command makes it again"
            )
        return entry

    def produce(
        self,
        kind: str,
        key: str,
        description: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, float] | None],
    ) -> Entry:
        """Return the entry, calling `make` to create it if it is missing.

        If another process is making the same entry, wait for it and return its entry.

        Args:
            kind: the type of stage, such as `realign`.
            key: sha256 (hex) of everything that determines the output.
            description: content of the key as plain JSON, stored for people.
            make: writes files to the empty folder that it is given, and may return costs. If it raises, nothing is
                left behind.
        """
        if (entry := self.open(kind, key)) is not None:
            return entry
        with self._lock(kind, key):
            # Another process may have made it while this one waited for the lock.
            return self._or_discard(self._verify, kind, key) or self._make(kind, key, description, make)

    def entries(self) -> list[Entry]:
        """Return all entries that look complete, sorted by kind and key. Warn about the others."""
        found = []
        for kind, key in self._keys():
            try:
                entry = self._look(kind, key)
            except DamagedError as damage:
                _log.warning("%s %s in the store is damaged (%s) and counts as absent", kind, key, damage)
            else:
                found += [entry] if entry else []
        return found

    @property
    def size(self) -> int:
        """Total size of all entries, in bytes."""
        return sum(entry.size for entry in self.entries())

    def verify(self) -> list[Damage]:
        """Verify the checksums of all entries again. Damaged entries are removed with a warning and returned."""
        self._verified.clear()
        found = []
        for kind, key in self._keys():
            try:
                self._verify(kind, key)
            except DamagedError as damage:
                found.append(Damage(kind, key, str(damage)))
                with self._lock(kind, key):
                    self._or_discard(self._verify, kind, key)
        return found

    def prune(self, *, keep: Container[tuple[str, str]] = (), older_than: timedelta | None = None) -> list[Entry]:
        """Remove all entries except those in `keep`, pairs of (kind, key), and return the removed ones.

        With `older_than`, remove only entries that were last made or opened longer ago than that. Entries locked by
        another process stay.
        """
        removed = []
        for kind, key in self._keys():
            with self._lock(kind, key, wait=False) as locked:
                entry = self._or_discard(self._look, kind, key) if locked else None
                if entry is None or (kind, key) in keep:
                    continue
                if older_than is not None and datetime.now(UTC) - entry.last_used < older_than:
                    continue
                self._discard(kind, key)
                removed.append(entry)
        return removed

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty temporary folder on the store's disk, which is removed afterwards."""
        work = self._works / f"scratch-{uuid.uuid4().hex}"
        with self._lock_name(work.name, wait=True):
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)  # the next store on this root removes leftovers
                (self._locks / f"{work.name}.lock").unlink()  # no other process waits for this name

    @property
    def _locks(self) -> Path:
        return self.root / ".locks"

    @property
    def _works(self) -> Path:
        return self.root / ".work"

    @contextmanager
    def mark(self) -> Iterator[Path]:
        """Yield a locked file below the root, by which other nodes can check that they see the store and its locks."""
        name = f"run-{uuid.uuid4().hex}"
        path = self._locks / f"{name}.lock"
        with self._lock_name(name, wait=True):
            try:
                yield path
            finally:
                path.unlink()

    def _folder(self, kind: str, key: str) -> Path:
        if not _KIND.fullmatch(kind) or not _KEY.fullmatch(key):
            raise ValueError(f"no kind and sha256 of an entry: {kind!r}, {key!r}")
        return self.root / kind / key[:2] / key

    def _keys(self) -> list[tuple[str, str]]:
        """Return kind and key of every entry, ignoring other files below the root."""
        folders = self.root.glob("[a-z]*/??/*/")
        return sorted((f.parent.parent.name, f.name) for f in folders if _KEY.fullmatch(f.name))

    def _lock(self, kind: str, key: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        return self._lock_name(f"{kind}-{key}", wait)

    @contextmanager
    def _lock_name(self, name: str, wait: bool) -> Iterator[bool]:
        """Hold a lock. Yields whether it was acquired, which is always true with `wait`."""
        lock = FileLock(self._locks / f"{name}.lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if not wait:
                yield False
                return
            _log.warning("waiting for another process that is making %s", name[:-52])
            lock.acquire()
        except NotImplementedError:
            raise UserError(
                f"the file system of the store {self.root} has no locks; choose a folder on another one"
            ) from None
        try:
            yield True
        finally:
            lock.release()

    def _look(self, kind: str, key: str) -> Entry | None:
        """Return the entry without reading its files, or None if it is missing.

        Raises:
            DamagedError: the manifest can't be used, or a file is missing or has another size.
        """
        folder = self._folder(kind, key)
        if not folder.is_dir():
            return None
        manifest = read_manifest(folder / MANIFEST)
        if (manifest.kind, manifest.key) != (kind, key):
            raise DamagedError(f"{MANIFEST} is that of {manifest.kind} {manifest.key}")
        for name, file in manifest.files.items():
            try:
                state = (folder / name).stat()
            except OSError as error:
                raise DamagedError(f"{name}: {error.strerror}") from None
            if not stat.S_ISREG(state.st_mode):
                raise DamagedError(f"{name} is no regular file")
            if state.st_size != file.size:
                raise DamagedError(f"{name} has {state.st_size} bytes instead of {file.size}")
        return Entry(folder, manifest)

    def _verify(self, kind: str, key: str) -> Entry | None:
        """Return the entry as `_look` does, and verify all checksums the first time."""
        known = self._verified.get((kind, key))
        if known is not None and (known.folder / MANIFEST).exists():
            return known
        entry = self._look(kind, key)
        if entry is not None:
            for name, file in entry.manifest.files.items():
                try:
                    found = sha256_file(entry.folder / name)
                except OSError as error:
                    raise DamagedError(f"{name}: {error.strerror}") from None
                if found != file.sha256:
                    raise DamagedError(f"{name} has another checksum than when it was written")
            self._verified[kind, key] = entry
        return entry

    def _or_discard(self, look: Callable[[str, str], Entry | None], kind: str, key: str) -> Entry | None:
        """Look again under the lock, and discard an entry that is still damaged."""
        try:
            return look(kind, key)
        except DamagedError as damage:
            _log.warning("%s %s in the store was damaged (%s) and is removed", kind, key, damage)
            self._discard(kind, key)
            return None

    def _discard(self, kind: str, key: str) -> None:
        """Remove the entry, by one rename at first. The caller holds the lock."""
        self._verified.pop((kind, key), None)
        work = self._works / f"{kind}-{key}"
        if work.exists():
            shutil.rmtree(work)
        self._folder(kind, key).rename(work)
        shutil.rmtree(work)

    def _make(
        self,
        kind: str,
        key: str,
        description: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, float] | None],
    ) -> Entry:
        """Make the entry in a work folder and rename it into place. The caller holds the lock."""
        folder, work = self._folder(kind, key), self._works / f"{kind}-{key}"
        if work.exists():
            shutil.rmtree(work)
        try:
            work.mkdir()
            measures_memory = _reset_peak_memory()
            started = time.perf_counter()
            costs = make(work)
            manifest = Manifest(
                kind=kind,
                key=key,
                description=dict(description),
                seconds=time.perf_counter() - started,
                peak_memory_bytes=_peak_memory() if measures_memory else None,
                costs=dict(costs or {}),
                created=datetime.now(UTC),
                harness_version=__version__,
                files=record_files(work),
            )
            write_manifest(work / MANIFEST, manifest)
            fsync(work)
            for parent in (folder.parent.parent, folder.parent):
                if not parent.is_dir():
                    parent.mkdir(exist_ok=True)
                    fsync(parent.parent)
            work.rename(folder)
            fsync(folder.parent)
        except BaseException:  # Ctrl-C too
            # The next store on this root removes leftovers.
            shutil.rmtree(work, ignore_errors=True)
            raise
        entry = self._verified[kind, key] = Entry(folder, manifest)
        return entry

    def _remove_interrupted_work(self) -> None:
        for work in self._works.iterdir():
            with self._lock_name(work.name, wait=False) as locked:
                if locked and work.is_dir():
                    shutil.rmtree(work)


def _reset_peak_memory() -> bool:
    """Reset this process's peak memory; returns False except on Linux (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_memory() -> int:
    return _status("VmHWM")


def resident_memory() -> int | None:
    """Return the resident memory of this process in bytes, or None if the system doesn't tell."""
    try:
        return _status("VmRSS")
    except OSError:
        return None


def _status(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024
