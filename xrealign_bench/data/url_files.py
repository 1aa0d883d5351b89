"""Locate files and members of archives at URLs."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from xrealign_bench.data.download import START_BYTES, Bounds, cut_copy, download, download_start, is_cached
from xrealign_bench.data.located import (
    DataLocation,
    LocatedSplit,
    MissingConfigError,
    digest_own_files,
    is_offline,
    sha256_text,
)
from xrealign_bench.data.patterns import fill, match, pick_pattern
from xrealign_bench.errors import UserError, convert_os_errors, first_line
from xrealign_bench.files import cached_sha256, write_atomically
from xrealign_bench.specs import UrlData

_COMMIT = re.compile(r"/([0-9a-f]{40})(?:/|$)")


def locate_url(source: UrlData, config: str | None, split: str, location: DataLocation) -> LocatedSplit:
    """Locate the files of one split, downloading them unless they are in the cache; see `sources.locate`."""
    split, pattern = pick_pattern(source, split, "the source")
    url = fill(pattern, config)
    bounds = Bounds(source.max_bytes, source.first_lines)
    if location.starts_only and location.root is None and not is_offline(location) and not is_cached(url, bounds):
        start = _locate_start(source, config, split, url, bounds)
        if start.bytes_at_url is None or start.bytes_at_url > START_BYTES:
            return start
    path = _obtain(url, bounds, location)
    files: dict[Path, str | None] = {path: None}
    title = url
    if source.member is not None:
        member = fill(source.member, config)
        title = f"{url}, {member}"
        files = _extract(path, member, title, source.max_bytes)
    commit = _COMMIT.search(url)
    return LocatedSplit(
        str(path.parent),
        config,
        split,
        commit[1] if commit else None,
        digest_own_files(list(files)),
        tuple(str(file.relative_to(path.parent)) for file in files),
        title=title,
        reading=source,
        columns=tuple(language for language in files.values() if language is not None),
    )


def _locate_start(source: UrlData, config: str | None, split: str, url: str, bounds: Bounds) -> LocatedSplit:
    """Locate the start of a file that is not in the cache; of an archive, no file."""
    path, size = download_start(url, bounds)
    commit = _COMMIT.search(url)
    return LocatedSplit(
        str(path.parent),
        config,
        split,
        commit[1] if commit else None,
        digest_own_files([path]),
        () if source.member else (path.name,),
        title=url,
        reading=source,
        is_start=True,
        bytes_at_url=size,
    )


def _obtain(url: str, bounds: Bounds, location: DataLocation) -> Path:
    """Return the path of a URL's file: below the data root if there is one, otherwise in the cache."""
    if location.root is None:
        return download(url, bounds, location.offline)
    parts = urlsplit(url)
    path = location.root / str(parts.hostname) / PurePosixPath(unquote(parts.path)).relative_to("/")
    if ".." in path.parts or not path.is_file():
        raise MissingConfigError(
            f"{path}: no such file; put the file of {url} there, or leave out the data root to download it"
        )
    return path if bounds.first_lines is None else cut_copy(path, bounds)


def _extract(archive: Path, pattern: str, where: str, max_bytes: int) -> dict[Path, str | None]:
    """Extract the members that match a pattern to a folder beside the archive; return their paths and languages."""
    with _reading(archive, where):
        sizes = _list_members(archive, cached_sha256(archive))
        found = match(pattern, sizes)
        if not found:
            raise MissingConfigError(f"{where}: the archive has no such file; correct 'source.member'")
        folder = archive.with_name(f"{archive.name}.members")
        files = {member: folder / f"{sha256_text(member)[:12]}-{PurePosixPath(member).name}" for member in found}
        for member, file in files.items():
            if sizes[member] > max_bytes:
                raise UserError(f"{where}: has more than the {max_bytes:,} bytes allowed; raise 'max_bytes'")
            if not file.is_file():
                with _open_member(archive, member) as content:
                    write_atomically(file, content.read(max_bytes + 1))
    return {files[member]: language for member, language in found.items()}


@lru_cache(maxsize=16)
def _list_members(archive: Path, digest: str) -> dict[str, int]:
    """Return the size of each file in an archive, by name."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            return {info.filename: info.file_size for info in zipped.infolist() if not info.is_dir()}
    with tarfile.open(archive) as tar:
        return {info.name.removeprefix("./"): info.size for info in tar if info.isreg()}


@contextmanager
def _open_member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as content:
            yield content
        return
    with tarfile.open(archive) as tar:
        member = next(info for info in tar if info.name.removeprefix("./") == name)
        content_of: Callable[[tarfile.TarInfo], IO[bytes] | None] = tar.extractfile
        file = content_of(member)
        assert file is not None  # only regular files are listed
        with file:
            yield file


@contextmanager
def _reading(archive: Path, where: str) -> Iterator[None]:
    try:
        with convert_os_errors(where, "free some space or correct the permissions"):
            yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"{where}: can't be read as a zip or tar archive ({first_line(error)}); delete {archive} and fetch it "
            "again, or remove 'member'"
        ) from None
