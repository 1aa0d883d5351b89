"""Read the rows of a located split with `datasets`, which converts Parquet once and caches the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xrealign_bench.data.sources import Located, fetch
from xrealign_bench.errors import UserError, unknown


def read_rows(located: Located, columns: Sequence[str], offline: bool) -> Any:
    """All rows of some columns, as a `datasets.Dataset` with its features: in memory are those that are asked of it.

    Raises:
        UserError: a file that can't be read, or a column that does not exist.
    """
    data = _load(located, offline)
    for column in columns:
        if column not in data.column_names:
            raise unknown(f"column of {located}:", column, data.column_names)
    return data.select_columns(list(dict.fromkeys(columns)))


def column_names(located: Located, offline: bool) -> list[str]:
    """The names of all columns of a split."""
    names: list[str] = _load(located, offline).column_names
    return names


def count_rows(located: Located, offline: bool) -> int:
    """How many rows a split has, by the footers of its files.

    Raises:
        UserError: a file that can't be read, or is not on this machine and not to be fetched.
    """
    import pyarrow.parquet as pq

    paths = fetch(located, offline)
    try:
        return sum(pq.read_metadata(path).num_rows for path in paths)
    except (OSError, ValueError) as error:
        raise _unreadable(located, paths, error) from error


def pick_column(written: str, there: Sequence[str], located: Located) -> str:
    """The column that a spec names; of alternatives (`eng_Latn | eng`) exactly one must exist.

    Raises:
        UserError: none does, or more than one.
    """
    names = [name.strip() for name in written.split("|")]
    found = [name for name in names if name in there]
    if len(found) > 1:
        raise UserError(f"{located}: has the columns {' and '.join(found)}; name one in 'columns'")
    if not found:
        raise unknown(f"column of {located}:", names[0], there)
    return found[0]


def _load(located: Located, offline: bool) -> Any:
    import datasets
    from datasets.exceptions import DatasetGenerationError

    paths = fetch(located, offline)
    infos = datasets.info.DatasetInfosDict.from_dataset_card_data({"dataset_info": dict(located.info or {})})
    try:
        with _quiet():
            return datasets.load_dataset(
                "parquet",
                # The cache of `datasets` knows local files by path and time; the name adds their content.
                name=f"xrealign-{located.fingerprint[:32]}",
                data_files={located.split: paths},
                split=located.split,
                features=infos["default"].features if located.info else None,
            )
    except (DatasetGenerationError, ValueError, TypeError, OSError) as error:
        cause = error.__cause__ or error
        raise _unreadable(located, paths, cause) from error


def _unreadable(located: Located, paths: list[str], cause: BaseException) -> UserError:
    import pyarrow.parquet as pq

    rows = 0
    for path in paths:
        try:
            rows += pq.read_table(path).num_rows
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            reason = str(error).splitlines()[0]
            return UserError(f"{path}: is damaged or no Parquet file ({reason}); delete it and fetch it again")
    if rows == 0:
        return UserError(f"{located}: has no rows; fetch it again or name another split")
    return UserError(f"{located}: can't be read: {type(cause).__name__}: {cause}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of `datasets`, and without its own report of an error that is raised."""
    from datasets.utils import logging
    from datasets.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    level, shown = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            enable_progress_bars()
