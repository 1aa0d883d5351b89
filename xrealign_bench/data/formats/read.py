"""Read rows of a located split in a format other than Parquet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from xrealign_bench.data.formats.conll import read_conll, read_conllu
from xrealign_bench.data.formats.delimited import integers, read_delimited
from xrealign_bench.data.formats.objects import read_json, read_jsonl
from xrealign_bench.data.formats.translations import read_text, read_tmx
from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.data.rows import Line, Rows
from xrealign_bench.errors import UserError, shorten, unknown
from xrealign_bench.files import cached_sha256
from xrealign_bench.specs.data import FileFormat
from xrealign_bench.specs.readers import READERS, ShippedFormat

TEXT_COLUMN = "text"
FIRST_ROWS = 20
"""Rows that show what columns and labels a file has."""
_SPANNING_LINES: tuple[ShippedFormat, ...] = ("json", "tmx", "csv", "tsv")
"""Formats in which a row may go on after the end of a line, where a file may be cut."""
_IRREGULAR: tuple[ShippedFormat, ...] = ("jsonl", "json", "tmx")
"""Formats in which a row may lack columns that others have."""
_UNTYPED: tuple[ShippedFormat, ...] = ("csv", "tsv")
"""Formats in which a number looks like a string."""

Row = tuple[Line, dict[str, Any]]


def read_text_rows(
    located: LocatedSplit, paths: Sequence[str], columns: Sequence[str], choose: Callable[[int], Sequence[int]]
) -> Rows:
    """Read selected columns of a split; see `data.read.read_rows`."""
    parts = [_Part(located, path, columns) for path in paths]
    if located.columns:
        return _read_sides(located, parts, columns, choose)
    counts = [part.count() for part in parts]
    wanted = choose(_check_not_empty(located, sum(counts)))
    values: dict[str, list[Any]] = {column: [] for column in columns}
    lines: list[tuple[str, Line]] = []
    there: dict[str, None] = {}
    first = 0
    for part, count in zip(parts, counts, strict=True):
        here = wanted[bisect_left(wanted, first) : bisect_left(wanted, first + count)]
        for line, row in part.select([row - first for row in here]):
            there.update(dict.fromkeys(row))
            lines.append((part.path, line))
            for column in columns:
                values[column].append(row.get(column))
        first += count
    if absent := [column for column in columns if column not in there]:
        raise unknown(f"column of {located}:", absent[0], there)
    if all(part.format in _UNTYPED for part in parts):
        values = {column: integers(own) for column, own in values.items()}
    return _typed(located, values, wanted, lines)


def read_first_text_rows(
    located: LocatedSplit, paths: Sequence[str], pick: Callable[[Sequence[str]], Sequence[str]], is_cut: bool
) -> Rows | None:
    """Read selected columns of the first rows; see `data.first_rows`.

    Args:
        located: the split; of files with one language each, only the files at `paths`.
        paths: the files.
        pick: selects columns from the names of all.
        is_cut: the files are cut after a line.

    Returns:
        None if the format can't be read from a cut file, or no row is whole.
    """
    if located.columns:
        sides = [list(islice(_Part(located, path, ()).rows(), FIRST_ROWS)) for path in paths]
        texts = zip(located.columns, sides, strict=True)
        return _typed(located, {name: [row[TEXT_COLUMN] for _, row in side] for name, side in texts}, (), [])
    part = _Part(located, paths[0], ())
    rows: list[Row] = []
    try:
        rows.extend(islice(part.rows(), FIRST_ROWS))
    except UserError:
        if not is_cut or part.format not in _SPANNING_LINES:
            raise
    if not rows and is_cut:
        return None
    _check_not_empty(located, len(rows))
    there = dict.fromkeys(name for _, row in rows for name in row)
    values = {column: [row.get(column) for _, row in rows] for column in pick(list(there))}
    if part.format in _UNTYPED:
        values = {column: integers(own) for column, own in values.items()}
    return _typed(located, values, range(len(rows)), [(part.path, line) for line, _ in rows])


def text_column_names(located: LocatedSplit, paths: Sequence[str]) -> list[str]:
    """Return the names of all columns of a split."""
    if located.columns:
        return list(located.columns)
    return _Part(located, paths[0], ()).column_names()


def count_text_rows(located: LocatedSplit, paths: Sequence[str]) -> int:
    """Return the number of rows of a split."""
    counts = [_Part(located, path, ()).count() for path in paths]
    return counts[0] if located.columns else sum(counts)


def _read_sides(
    located: LocatedSplit, parts: Sequence[_Part], columns: Sequence[str], choose: Callable[[int], Sequence[int]]
) -> Rows:
    """Read one file per column, whose lines are translations of each other."""
    for column in columns:
        if column not in located.columns:
            raise unknown(f"column of {located}:", column, located.columns)
    sides = [parts[located.columns.index(column)] for column in columns]
    counts = [side.count() for side in sides]
    for side, count in zip(sides[1:], counts[1:], strict=True):
        if count != counts[0]:
            raise UserError(
                f"{sides[0].path} has {counts[0]:,} lines and {side.path} {count:,}; each line must be the translation "
                "of the line with the same number"
            )
    wanted = choose(_check_not_empty(located, counts[0]))
    read = [list(side.select(wanted)) for side in sides]
    values = {column: [row[TEXT_COLUMN] for _, row in rows] for column, rows in zip(columns, read, strict=True)}
    return _typed(located, values, wanted, [(sides[0].path, line) for line, _ in read[0]])


class _Part:
    """One file of a split."""

    def __init__(self, located: LocatedSplit, path: str, columns: Sequence[str]) -> None:
        assert located.reading is not None
        self.path = path
        self._reading = located.reading
        self.format = _format_of(located.reading, path, located)
        self._columns = () if located.columns else columns

    def rows(self) -> Iterator[Row]:
        return _read(self.path, self._reading, self.format)

    def count(self) -> int:
        digest = cached_sha256(Path(self.path))
        return _count(self.path, digest, self._reading, self.format)

    def column_names(self) -> list[str]:
        names: dict[str, None] = {}
        for _, row in self.rows():
            names.update(dict.fromkeys(row))
            if self.format not in _IRREGULAR:
                break
        return list(names)

    def select(self, wanted: Sequence[int]) -> Iterator[Row]:
        """Yield rows by number, ascending.

        Raises:
            UserError: the file lacks a column.
        """
        remaining = iter(wanted)
        next_one = next(remaining, None)
        for number, (line, row) in enumerate(self.rows()):
            if number == 0 and self.format not in _IRREGULAR:
                self._check_columns(row)
            if next_one is None:
                return
            if number == next_one:
                yield line, row
                next_one = next(remaining, None)

    def _check_columns(self, row: Mapping[str, Any]) -> None:
        if absent := [column for column in self._columns if column not in row]:
            raise unknown(f"column of {self.path}:", absent[0], row)


@lru_cache(maxsize=4096)
def _count(path: str, digest: str, reading: FileFormat, file_format: str) -> int:
    return sum(1 for _ in _read(path, reading, file_format))


def _format_of(reading: FileFormat, path: str, located: LocatedSplit) -> str:
    found: str | None = "text" if located.columns else reading.format_of(path)
    if found is None:
        raise UserError(f"{path}: its suffix is that of no known format; set 'format' in the source")
    return found


def _read(path: str, reading: FileFormat, file_format: str) -> Iterator[Row]:
    if (plugin := READERS[file_format]) is not None:
        return plugin().read(path)
    match file_format:
        case "conllu":
            return read_conllu(path, reading.lines)
        case "conll":
            return read_conll(path, reading.names)
        case "csv":
            return read_delimited(path, reading, ",")
        case "tsv":
            return read_delimited(path, reading, "\t")
        case "jsonl":
            return read_jsonl(path)
        case "json":
            return read_json(path)
        case "text":
            return read_text(path, TEXT_COLUMN)
        case "tmx":
            return read_tmx(path)
        case "parquet":
            raise AssertionError("Parquet is read by data.parquet")
    raise AssertionError(f"no reader of {file_format}")


def _check_not_empty(located: LocatedSplit, there: int) -> int:
    if there == 0:
        raise UserError(f"{located}: has no rows; name another file")
    return there


def _typed(
    located: LocatedSplit, values: dict[str, list[Any]], wanted: Sequence[int], lines: list[tuple[str, Line]]
) -> Rows:
    """Determine the type of each column, which all of its values must have."""
    import pyarrow as pa
    from datasets import Features

    for column, own in values.items():
        if not _has_one_type(own):
            raise _mixed_types(column, own, lines)
    types = [(column, pa.array(own).type) for column, own in values.items()]
    features = Features.from_arrow_schema(pa.schema(types))
    return Rows(features, values, wanted, str(located), lines)


def _mixed_types(column: str, values: Sequence[Any], lines: Sequence[tuple[str, Line]]) -> UserError:
    """Make the error for the first value that does not go with those before it."""
    good, bad = 0, len(values)  # lengths of the longest beginning with one type and of the shortest with two
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _has_one_type(values[:middle]) else (good, middle)
    path, line = lines[bad - 1]
    where = f"{path}:{line}" if isinstance(line, int) else path
    return UserError(
        f"{where}: column '{column}' holds '{shorten(values[bad - 1])}', of another type than the rows before; mend it"
    )


def _has_one_type(values: Sequence[Any]) -> bool:
    import pyarrow as pa

    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return False
    return True
