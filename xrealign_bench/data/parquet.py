"""Read rows of a located split: pyarrow reads exactly the located files, `datasets` gives the column types."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.data.rows import Rows
from xrealign_bench.errors import UserError, describe_os_error, shorten, unknown

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 10_000
_LIKELY_FOOTER = 2**16
"""Bytes; most footers are shorter."""


def read_parquet_rows(
    located: LocatedSplit, paths: Sequence[str], columns: Sequence[str], choose: Callable[[int], Sequence[int]]
) -> Rows:
    """Read selected columns of a split; see `data.read.read_rows`."""
    there = count_parquet_rows(located, paths)
    if there == 0:
        raise UserError(f"{located}: has no rows; fetch it again or name another split")
    wanted = choose(there)
    types = _ColumnTypes(located)
    read: dict[str, list[Any]] = {column: [] for column in columns}
    first = 0
    for path in paths:
        with _open_parquet(path) as file:
            types.add(path, file.schema_arrow, list(read))
            end = first + file.metadata.num_rows
            here = [row - first for row in wanted[bisect_left(wanted, first) : bisect_left(wanted, end)]]
            _read_file(path, file, here, read)
            first = end
    if any(len(values) != len(wanted) for values in read.values()):
        raise UserError(f"{located}: holds fewer rows than its files' footers say; fetch it again")
    return Rows(types.features, read, wanted, str(located))


def read_parquet_types(
    located: LocatedSplit, path: str, footer: bytes | None, pick: Callable[[Sequence[str]], Sequence[str]]
) -> Rows:
    """Read the types of selected columns; see `data.first_rows`.

    Args:
        located: the split.
        path: its first file.
        footer: end of the file with the footer; None: the file is a local one.
        pick: selects columns from the names of all.
    """
    with _open_parquet(path, footer) as file:
        if file.metadata.num_rows == 0 and len(located.files) == 1:
            raise UserError(f"{located}: has no rows; fetch it again or name another split")
        columns = pick(file.schema_arrow.names)
        types = _ColumnTypes(located)
        types.add(path, file.schema_arrow, columns)
    return Rows(types.features, {column: [] for column in columns}, (), str(located))


def read_footer(size: int, read: Callable[[int, int], bytes]) -> bytes:
    """Return the end of a file with its footer, whose length is in the last 8 bytes.

    Args:
        size: size of the file in bytes.
        read: reads a range of the file.
    """
    end = read(max(0, size - _LIKELY_FOOTER), size)
    length = int.from_bytes(end[-8:-4], "little") + 8
    is_longer = end.endswith(b"PAR1") and len(end) < length <= size
    return read(size - length, size) if is_longer else end


def parquet_column_names(path: str) -> list[str]:
    """Return the names of all columns of a file."""
    with _open_parquet(path) as file:
        names: list[str] = file.schema_arrow.names
    return names


class _ColumnTypes:
    """Types of the columns, which all files of a split must share.

    The type, with label names, comes from the card or the file's footer if the stored values fit it, otherwise from the
    stored values. Encodings of the same values (`string_view`, dictionaries, large and view lists, integer widths)
    count as one type.
    """

    def __init__(self, located: LocatedSplit) -> None:
        self.features: dict[str, Any] = {}
        self._located = located
        self._card = _card_features(located)
        self._seen: dict[str, tuple[str, pa.DataType]] = {}

    def add(self, path: str, schema: pa.Schema, columns: Sequence[str]) -> None:
        """Add the types of a file's columns.

        Raises:
            UserError: a column is missing or occurs twice, or its type or labels differ from those of another file.
        """
        import pyarrow as pa

        footer = _footer_features(path, schema)
        for column in columns:
            if column not in schema.names:
                raise unknown(f"column of {self._located}:", column, schema.names)
            if schema.names.count(column) > 1:
                raise UserError(f"{path}: has more than one column '{column}'; correct the data")
            stored = _plain(schema.field(column).type)
            feature = self._feature(path, column, stored, footer.get(column))
            if column not in self._seen or pa.types.is_null(self._seen[column][1]):
                self.features[column], self._seen[column] = feature, (path, stored)
                continue
            other, known = self._seen[column]
            if pa.types.is_null(stored):
                continue
            if stored != known or _label_names(feature) != _label_names(self.features[column]):
                raise UserError(
                    f"{path}: column '{column}' holds {_short(feature)}, and in {other} "
                    f"{_short(self.features[column])}; fetch the data set again"
                )

    def _feature(self, path: str, column: str, stored: pa.DataType, footer: Any) -> Any:
        import pyarrow as pa
        from datasets import Features

        said = [
            feature
            for feature in (self._card.get(column), footer)
            if feature is not None and _plain(Features({column: feature}).arrow_schema.field(column).type) == stored
        ]
        names = [_label_names(feature) for feature in said if _label_names(feature) is not None]
        if len(names) == 2 and names[0] != names[1]:
            raise UserError(
                f"{path}: the labels of column '{column}' are {_short(names[1])} in the file's footer and "
                f"{_short(names[0])} in the data set's card; correct one of them"
            )
        try:
            return said[0] if said else Features.from_arrow_schema(pa.schema([(column, stored)]))[column]
        except ValueError:
            raise UserError(
                f"{path}: column '{column}' holds {_short(stored)}, which is not read; name another in 'columns'"
            ) from None


def count_parquet_rows(located: LocatedSplit, paths: Sequence[str]) -> int:
    """Return the number of rows of a split, from the footers of its files."""
    there = 0
    for path in paths:
        with _open_parquet(path) as file:
            there += file.metadata.num_rows
    if located.rows_in_card not in (None, there):
        raise UserError(
            f"{located}: has {there} rows, and the data set's card says {located.rows_in_card} (num_examples); fetch "
            "it again, or, if these rows are meant, correct the number in a copy of the data set"
        )
    return there


@contextmanager
def _open_parquet(path: str, content: bytes | None = None) -> Iterator[pq.ParquetFile]:
    """Open one file by its literal path, which pyarrow and `datasets` could take for a pattern or a URL.

    If the content is given, the path is only its name in messages.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pa.OSFile(path) if content is None else pa.BufferReader(content)
        with opened as source, pq.ParquetFile(source) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"{path}: {describe_os_error(error).split(' (')[0]}; fetch the data set again") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: is damaged or no Parquet file ({said}); delete it and fetch it again") from error


def _read_file(path: str, file: pq.ParquetFile, rows: Sequence[int], read: Mapping[str, list[Any]]) -> None:
    """Append the values of selected rows (numbers in the file, ascending) to each column."""
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        own = rows[bisect_left(rows, start) : bisect_left(rows, end)]
        first = start
        for batch in file.iter_batches(_BATCH_ROWS, [group], list(read)) if own else ():
            here = own[bisect_left(own, first) : bisect_left(own, first + batch.num_rows)]
            for column, values in read.items():
                values += _decode(batch.column(column), here, first, f"{path}, column '{column}'")
            first += batch.num_rows
            if first > own[-1]:
                break
        start = end
    if start != file.metadata.num_rows:
        raise ValueError(f"its footer says {file.metadata.num_rows} rows and its row groups have {start}")


def _decode(column: pa.Array, rows: Sequence[int], first: int, where: str) -> list[Any]:
    """Return Python values of selected rows; `first` is the number of the column's first row."""
    try:
        if len(rows) == len(column):
            values: list[Any] = column.to_pylist()
            return values
        return [column[row - first].as_py() for row in rows]
    except UnicodeDecodeError:
        for row in rows:
            try:
                column[row - first].as_py()
            except UnicodeDecodeError as error:
                text = error.object.decode("utf-8", "backslashreplace")
                raise UserError(f"{where}, row {row}: '{shorten(text)}' is not UTF-8; convert the data") from None
        raise


def _card_features(located: LocatedSplit) -> Mapping[str, Any]:
    import datasets

    if not located.info:
        return {}
    try:
        infos = datasets.info.DatasetInfosDict.from_dataset_card_data({"dataset_info": dict(located.info)})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{located}: the 'features' in the data set's card are not read ({_short(error)}); correct the card"
        ) from error
    return infos["default"].features or {}


def _footer_features(path: str, schema: pa.Schema) -> Mapping[str, Any]:
    """Return the types that `datasets` wrote to a file's footer; empty if another library wrote the file."""
    import datasets

    try:
        written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features: Mapping[str, Any] = datasets.Features.from_dict((written.get("info") or {}).get("features") or {})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: the column types in its footer can't be read ({_short(error)}); fetch it again"
        ) from error
    return features


def _label_names(feature: Any) -> list[str] | None:
    """Return the names of a ClassLabel or of a list of ClassLabels, else None."""
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def _plain(stored: pa.DataType) -> pa.DataType:
    """Return the canonical type of all encodings of the same values."""
    import pyarrow as pa

    is_type = pa.types
    if is_type.is_dictionary(stored):
        return _plain(stored.value_type)
    if is_type.is_string(stored) or is_type.is_large_string(stored) or is_type.is_string_view(stored):
        return pa.string()
    if is_type.is_integer(stored):
        return pa.int64()
    if is_type.is_struct(stored):
        return pa.struct([(field.name, _plain(field.type)) for field in stored])
    if any(
        is_list(stored)
        for is_list in (
            is_type.is_list, is_type.is_large_list, is_type.is_list_view, is_type.is_large_list_view,
            is_type.is_fixed_size_list,
        )
    ):  # fmt: skip
        return pa.list_(_plain(stored.value_type))
    return stored


def _short(value: object) -> str:
    return shorten(" ".join(str(value).split()))
