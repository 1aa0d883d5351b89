"""Read rows of a located split, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xrealign_bench.data import parquet
from xrealign_bench.data.formats.read import count_text_rows, read_text_rows, text_column_names
from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import check_unchanged, fetch
from xrealign_bench.errors import UserError, unknown


def read_rows(
    located: LocatedSplit, columns: Sequence[str], offline: bool, choose: Callable[[int], Sequence[int]] = range
) -> Rows:
    """Read selected columns of a split.

    Args:
        located: the split.
        columns: names of the columns.
        offline: read Hub data only from the local cache.
        choose: maps the number of rows to the row numbers to read, ascending; all by default.

    Raises:
        UserError: a file can't be read or has text that is not UTF-8, a column does not exist or differs between
            files, the number of rows differs from the card's, or the files changed since they were located.
    """
    paths = fetch(located, offline)
    read = parquet.read_parquet_rows if is_parquet(located) else read_text_rows
    rows = read(located, paths, columns, choose)
    check_unchanged(located)
    return rows


def column_names(located: LocatedSplit, offline: bool) -> list[str]:
    """Return the names of all columns of a split.

    Raises:
        UserError: the first file can't be read.
    """
    paths = fetch(located, offline)
    return parquet.parquet_column_names(paths[0]) if is_parquet(located) else text_column_names(located, paths)


def count_rows(located: LocatedSplit, offline: bool) -> int:
    """Return the number of rows of a split.

    Raises:
        UserError: a file can't be read or is not available offline, or the number differs from the card's.
    """
    paths = fetch(located, offline)
    return parquet.count_parquet_rows(located, paths) if is_parquet(located) else count_text_rows(located, paths)


def is_parquet(located: LocatedSplit) -> bool:
    """Return whether a split's files are Parquet.

    Raises:
        UserError: some are and some are not.
    """
    if located.reading is None:
        return True
    formats = {located.reading.format_of(file) == "parquet" for file in located.files}
    if len(formats) > 1:
        raise UserError(f"{located}: its files have different formats; name those of one format")
    return formats == {True}


def pick_column(written: str, there: Sequence[str], located: LocatedSplit) -> str:
    """Return the column that a spec names; of alternatives (`eng_Latn | eng`) exactly one must exist.

    Raises:
        UserError: none exists, or more than one.
    """
    names = [name.strip() for name in written.split("|")]
    found = [name for name in names if name in there]
    if len(found) > 1:
        raise UserError(f"{located}: has the columns {' and '.join(found)}; name one in 'columns'")
    if not found:
        raise unknown(f"column of {located}:", names[0], there)
    return found[0]
