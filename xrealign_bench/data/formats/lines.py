"""Lines of text files, gzipped or not."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from xrealign_bench.errors import UserError, describe_os_error, first_line, shorten

GZIP = b"\x1f\x8b"
"""First bytes of gzip data."""
LONGEST_LINE = 64 * 2**20
"""Bytes; a longer one is hardly text, and might not fit into memory."""


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """Open a file and unpack gzip.

    Raises:
        UserError: the file can't be read, or its gzip data are damaged or end early.
    """
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(len(GZIP)) == GZIP
            file.seek(0)
            with gzip.open(file) if is_gzip else file as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile has what readers use
    except EOFError:
        raise UserError(f"{path}: its gzip data end early; delete it and fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path}: its gzip data are damaged ({first_line(error)}); delete it and fetch it again"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: can't be read: {describe_os_error(error)}") from None


def read_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and text of each line, with its line break and without a byte-order mark.

    Raises:
        UserError: the file can't be read, is not UTF-8, or has a line that is too long.
    """
    with open_bytes(path) as file:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise UserError(f"{path}:{number}: has more than {LONGEST_LINE:,} bytes; is it a text file?")
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError:
                text = raw.decode("utf-8", "backslashreplace").strip()
                raise UserError(f"{path}:{number}: '{shorten(text)}' is not UTF-8; convert the file") from None
