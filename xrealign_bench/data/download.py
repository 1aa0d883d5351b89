"""Download files from the web to a cache: over https only, bounded in size, and resumed after an interruption."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock
from huggingface_hub import cached_assets_path, constants
from tqdm import tqdm

from xrealign_bench import __version__
from xrealign_bench.data.formats.lines import GZIP, open_bytes
from xrealign_bench.data.located import MissingConfigError, sha256_text
from xrealign_bench.errors import UserError, convert_os_errors, first_line
from xrealign_bench.files import write_atomically

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

_ATTEMPTS = 4
_MOST_REDIRECTS = 5
_TIMEOUT = 60.0
"""Seconds without an answer."""
_LONGEST_WAIT = 60.0
"""Seconds before the next attempt, whatever the server asks for."""
_CHUNK = 2**16
_HTML = re.compile(rb"\s*(<!doctype\s+html|<html[\s>])", re.IGNORECASE)
_ABSENT = (404, 410)
_REFUSED = 403
"""Stores that don't list their files, such as public buckets, also give this status for a file that they don't have."""
BUSY = (429, 500, 502, 503, 504)
"""Statuses of servers that may answer later."""
START_BYTES = 2**18
"""Start of a file that holds its first rows."""


@dataclass(frozen=True)
class Bounds:
    """How much of a file is read."""

    max_bytes: int
    """Also after unpacking gzip."""
    first_lines: int | None = None
    """Keep the first lines, unpacked; None: the whole file as it is."""


class _BusyError(Exception):
    """The server asks for another attempt later."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"it answered {status}")
        self.headers = headers


def download(url: str, bounds: Bounds, offline: bool) -> Path:
    """Download a file unless it is in the cache; return its path.

    Raises:
        MissingConfigError: the server does not have the file or forbids it, or it is not in the cache and the mode is
            offline.
        UserError: the server can't be reached or refuses, the file is a web page, too large or a damaged gzip, or a
            redirect leads to another scheme or a private address.
    """
    path = _cached_path(url, bounds)
    if path.is_file():
        return path
    if offline or constants.HF_HUB_OFFLINE:
        raise MissingConfigError(
            f"{url}: is not in the cache {path.parent}, and offline mode is on; run once without offline mode"
        )
    with convert_os_errors(url, "free some space or correct the permissions"), FileLock(f"{path}.lock"):
        if not path.is_file():
            partial = path.with_name(f"{path.name}.partial")
            _download(url, partial, bounds)
            partial.replace(path)
    return path


def download_start(url: str, bounds: Bounds) -> tuple[Path, int | None]:
    """Download the start of a file, unpacked if it is gzip, and cut it after the last whole line.

    Returns:
        The path of the start, and the size of the whole file if the server states it.

    Raises:
        UserError: as `download` does.
    """
    path = _cached_path(url, bounds)
    path = path.with_name(".start") / path.name.removesuffix(".gz")
    with convert_os_errors(url, "free some space or correct the permissions"):
        start, size = _retry(url, lambda client: _attempt_start(client, url))
        _check_size(url, size or 0, bounds)
        write_atomically(path, text_start(url, start)[0])
    return path, size


def is_cached(url: str, bounds: Bounds) -> bool:
    """Return whether a file was downloaded before."""
    return _cached_path(url, bounds).is_file()


def text_start(where: str, start: bytes) -> tuple[bytes, bool]:
    """Return the whole lines of a file's first `START_BYTES`, unpacked if it is gzip, and whether the file is longer.

    Raises:
        UserError: the gzip data are damaged. `where` names the file.
    """
    try:
        lines = zlib.decompressobj(wbits=31).decompress(start, START_BYTES) if start.startswith(GZIP) else start
    except zlib.error as error:
        raise _gzip_error(where, error) from None
    is_cut = max(len(start), len(lines)) >= START_BYTES
    return (lines[: lines.rfind(b"\n") + 1] or lines if is_cut else lines), is_cut


def seconds_to_wait(headers: Mapping[str, str], attempt: int) -> float:
    """Return how long to wait before asking a busy server again: what it asks for, within bounds.

    >>> seconds_to_wait({"Retry-After": "7"}, 1), seconds_to_wait({"Retry-After": "86400"}, 1), seconds_to_wait({}, 3)
    (7.0, 60.0, 8.0)
    """
    asked = headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 2.0**attempt, _LONGEST_WAIT)


def cut_copy(file: Path, bounds: Bounds) -> Path:
    """Return a file with the first lines of a local copy, from the cache if it was made before."""
    state = file.stat()
    path = _cached_path(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}", bounds).with_name(file.name)
    path = path.with_name(path.name.removesuffix(".gz"))
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            partial = path.with_name(f"{path.name}.partial")
            with file.open("rb") as source:
                _save_lines(str(file), iter(lambda: source.read(_CHUNK), b""), partial, bounds)
            partial.replace(path)
    return path


def _cached_path(url: str, bounds: Bounds) -> Path:
    cut = "" if bounds.first_lines is None else f" {bounds.first_lines}"
    folder: Path = cached_assets_path("xrealign-bench", "urls", sha256_text(url + cut)[:16])
    name = re.sub(r"[^\w.-]", "_", PurePosixPath(urlsplit(url).path).name)[-100:].lstrip(".") or "file"
    return folder / (name.removesuffix(".gz") if cut else name)


def _download(url: str, partial: Path, bounds: Bounds) -> None:
    try:
        _retry(url, lambda client: _attempt(client, url, partial, bounds))
    except _OutOfAttemptsError:
        raise
    except UserError:
        partial.unlink(missing_ok=True)
        raise
    _check_gzip(url, partial, bounds)


class _OutOfAttemptsError(UserError):
    """A server is busy or not reached in all attempts."""


def _retry(url: str, attempt: Callable[[httpx2.Client], T]) -> T:
    """Try a few times if the server is busy or the connection breaks."""
    import httpx2

    problem: Exception | None = None
    for number in range(_ATTEMPTS):
        if problem is not None:
            time.sleep(seconds_to_wait(problem.headers if isinstance(problem, _BusyError) else {}, number))
        try:
            with _client() as client:
                return attempt(client)
        except (httpx2.TransportError, _BusyError) as error:
            problem = error
    raise _OutOfAttemptsError(
        f"{url}: can't be fetched ({first_line(problem or Exception())}); check the connection and run the command "
        "again, which resumes the download"
    )


def _client() -> httpx2.Client:
    import httpx2

    return httpx2.Client(
        timeout=_TIMEOUT,
        follow_redirects=False,
        headers={"User-Agent": f"xrealign-bench/{__version__}", "Accept-Encoding": "identity"},
    )


def _attempt(client: httpx2.Client, url: str, partial: Path, bounds: Bounds) -> None:
    """Download a file, or the rest of it if an earlier attempt left its beginning and the server has the same file."""
    tag_file = partial.with_name(f"{partial.name}.etag")
    tag = tag_file.read_text() if partial.is_file() and tag_file.is_file() else ""
    done = partial.stat().st_size if tag else 0
    headers = {"Range": f"bytes={done}-", "If-Range": tag} if done else {}
    with _open(client, url, headers) as response:
        if response.status_code == 416:  # the beginning is the whole file, or longer
            tag_file.unlink()
            raise _BusyError(416, {"Retry-After": "0"})
        _check_answer(url, response)
        if bounds.first_lines is not None:
            _save_lines(url, response.iter_bytes(), partial, bounds)
            return
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            done = 0
        encoded = "Content-Encoding" in response.headers
        length = None if encoded else response.headers.get("Content-Length")
        size = None if length is None else int(length) + done
        _check_size(url, size or 0, bounds)
        tag = response.headers.get("ETag", "")
        tag_file.write_text("" if encoded or tag.startswith("W/") else tag)
        with partial.open("ab" if done else "wb") as file, _progress(url, done, size) as advance:
            for chunk in response.iter_bytes():
                if file.tell() == 0:
                    _check_no_page(url, chunk)
                file.write(chunk)
                advance(len(chunk))
                _check_size(url, file.tell(), bounds)
    tag_file.unlink(missing_ok=True)


def _attempt_start(client: httpx2.Client, url: str) -> tuple[bytes, int | None]:
    """Return the start of a file, and the size of the whole file if the server states it."""
    start = b""
    with _open(client, url, {"Range": f"bytes=0-{START_BYTES - 1}"}) as response:
        if response.status_code == 416:  # an empty file
            return start, 0
        _check_answer(url, response)
        is_range = response.status_code == 206
        stated = (
            response.headers.get("Content-Range", "").rpartition("/")[2]
            if is_range
            else (response.headers.get("Content-Length", ""))
        )
        for chunk in response.iter_raw():
            start += chunk
            if len(start) >= START_BYTES:
                break
    _check_no_page(url, start)
    return start[:START_BYTES], int(stated) if stated.isdecimal() else None


@contextmanager
def _open(client: httpx2.Client, url: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
    """Ask for a file and follow redirects to public https addresses."""
    target = url
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", target, headers=headers) as response:
            if not response.has_redirect_location:
                yield response
                return
            target = str(response.url.join(response.headers["Location"]))
            _check_redirect(url, target)
    raise UserError(f"{url}: redirects more than {_MOST_REDIRECTS} times; name the address of the file itself")


def _check_redirect(url: str, target: str) -> None:
    parts, host = urlsplit(target), urlsplit(target).hostname
    if parts.scheme != "https":
        raise UserError(
            f"{url}: redirects to {target}, which is not https; name another address, or download the file and name it "
            "with 'kind: files'"
        )
    if host != urlsplit(url).hostname and _is_private(host or ""):
        raise UserError(
            f"{url}: redirects to {target}, an address of a private network; name the address of the file itself"
        )


def _is_private(host: str) -> bool:
    try:
        addresses = socket.getaddrinfo(host, 443)
    except OSError:  # behind a proxy, only the proxy may know the host
        return False
    return not all(ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_global for address in addresses)


def _check_answer(url: str, response: httpx2.Response) -> None:
    status = response.status_code
    if status in _ABSENT:
        raise MissingConfigError(f"{url}: the server has no such file (status {status}); correct the address")
    if status in BUSY:
        raise _BusyError(status, response.headers)
    if status not in (200, 206):
        refused = MissingConfigError if status == _REFUSED else UserError
        raise refused(f"{url}: the server refuses (status {status}); correct the address, or download the file")
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html":
        raise _page_error(url)


def _check_no_page(url: str, start: bytes) -> None:
    if _HTML.match(start):
        raise _page_error(url)


def _page_error(url: str) -> UserError:
    return UserError(
        f"{url}: answered with a web page and not with data; name the address of the raw file (on GitHub: "
        "https://raw.githubusercontent.com/OWNER/REPOSITORY/COMMIT/PATH)"
    )


def _check_size(url: str, size: int, bounds: Bounds) -> None:
    if size > bounds.max_bytes:
        raise UserError(
            f"{url}: has more than the {bounds.max_bytes:,} bytes allowed; raise 'max_bytes', or set 'first_lines'"
        )


def _check_gzip(url: str, partial: Path, bounds: Bounds) -> None:
    """Unpack a gzipped file once, to find out whether it is whole; delete it if it is not."""
    with partial.open("rb") as file:
        if file.read(len(GZIP)) != GZIP:
            return
    size = 0
    try:
        with open_bytes(str(partial)) as file:
            while chunk := file.read(_CHUNK * 16):
                size += len(chunk)
                _check_size(url, size, bounds)
    except UserError as error:
        partial.unlink()
        said = str(error).removeprefix(f"{partial}: ").partition(";")[0]
        raise error if str(error).startswith(url) else UserError(f"{url}: {said}; run the command again") from None


def _save_lines(url: str, chunks: Iterable[bytes], partial: Path, bounds: Bounds) -> None:
    """Save the first lines of a file, unpacked, and read no more of it."""
    assert bounds.first_lines is not None
    remaining, size = bounds.first_lines, 0
    with partial.open("wb") as file, _progress(url, 0, None) as advance:
        for chunk in _unpack(url, chunks):
            if size == 0:
                _check_no_page(url, chunk)
            if chunk.count(b"\n") >= remaining:
                chunk = _first_lines(chunk, remaining)
            remaining -= chunk.count(b"\n")
            size += len(chunk)
            _check_size(url, size, bounds)
            file.write(chunk)
            advance(len(chunk))
            if remaining == 0:
                return


def _first_lines(chunk: bytes, number: int) -> bytes:
    end = 0
    for _ in range(number):
        end = chunk.index(b"\n", end) + 1
    return chunk[:end]


def _unpack(url: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a stream, unpacked if it is gzip, which may consist of several members."""
    unpacker = None
    is_first = True
    try:
        for chunk in chunks:
            if is_first and chunk.startswith(GZIP):
                unpacker = zlib.decompressobj(wbits=31)
            is_first = False
            if unpacker is None:
                yield chunk
                continue
            while chunk:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(wbits=31)
                yield unpacker.decompress(chunk)
                chunk = unpacker.unused_data
    except zlib.error as error:
        raise _gzip_error(url, error) from None
    if unpacker is not None and not unpacker.eof:
        raise UserError(f"{url}: its gzip data end early; run the command again")


def _gzip_error(where: str, error: zlib.error) -> UserError:
    return UserError(f"{where}: its gzip data are damaged ({first_line(error)}); run the command again")


@contextmanager
def _progress(url: str, done: int, size: int | None) -> Iterator[Callable[[int], object]]:
    """Show a progress bar on a terminal; yield a function that counts bytes."""
    name = PurePosixPath(urlsplit(url).path).name
    with tqdm(desc=name, initial=done, total=size, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        yield bar.update
