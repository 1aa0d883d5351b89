"""Read tables of predictions from untrusted bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.registry import metric_of

CELL = {"language": pa.string(), "seed": pa.int64(), "example": pa.int32()}
"""The first columns of every table; those of the task type follow."""
LARGEST_TABLE = 256 * 2**20
"""Bytes in memory."""
MOST_VALUES = 30_000_000
"""Values in all columns together: twenty times as many as in the largest shipped table."""
LONGEST_NAME = 80
_ROWS = 4096
"""Rows read at once, before their size is checked."""


def read_table(content: bytes, task: Task) -> pa.Table:
    """Read the predictions of a task from the bytes of a Parquet file, and check every value.

    Strings are read as dictionaries, and rows in small parts, so that a small file can't fill the memory.

    Returns:
        A table with exactly the columns of `CELL` and those of the task type.

    Raises:
        ValueError: there are other columns or types, a value out of range, or too many values or bytes.
        pa.ArrowException, OSError: it is not a Parquet file, or it is damaged.
    """
    columns = {**CELL, **metric_of(task).columns}
    metadata = pq.read_metadata(pa.BufferReader(content))
    stored = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    texts = [column.path for column in stored if column.physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts, arrow_extensions_enabled=False)
    if file.schema_arrow.names != list(columns):
        raise ValueError(f"has the columns {', '.join(file.schema_arrow.names)[:200]} and not {', '.join(columns)}")
    parts = list(_parts(file))
    read = pa.Table.from_batches(parts, file.schema_arrow if not parts else parts[0].schema)
    table = pa.table({name: _cast(read[name], dtype, name) for name, dtype in columns.items()})
    _check_values(table, task)
    return table


def _parts(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    size = values = 0
    for part in file.iter_batches(batch_size=_ROWS):
        size += part.nbytes
        values += sum(map(_count_values, part.columns))
        if size > LARGEST_TABLE or values > MOST_VALUES:
            raise ValueError(f"has more than {MOST_VALUES:,} values or {LARGEST_TABLE:,} bytes")
        yield part


def _count_values(column: pa.Array) -> int:
    while pa.types.is_list(column.type):
        column = column.flatten()
    return len(column)


def _cast(column: pa.ChunkedArray, dtype: pa.DataType, name: str) -> pa.ChunkedArray:
    """Cast a column to its type after checking that it has it, or its dictionary form."""
    if name == "group" and pa.types.is_null(column.type):
        return column.cast(dtype)
    if not column.type.equals(_as_read(dtype)) and not column.type.equals(dtype):
        raise ValueError(f"column '{name}' holds {column.type} and not {dtype}")
    for chunk in column.chunks:
        words = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if pa.types.is_dictionary(words.type):
            longest = pc.max(pc.binary_length(words.dictionary)).as_py() or 0
            if longest > LONGEST_NAME:
                raise ValueError(f"column '{name}' has a name of {longest:,} bytes, more than {LONGEST_NAME}")
    return column.cast(dtype)


def _as_read(dtype: pa.DataType) -> pa.DataType:
    """Return the type as read, with strings as dictionaries."""
    words = pa.dictionary(pa.int32(), pa.string())
    if dtype.equals(pa.string()):
        return words
    return pa.list_(words) if dtype.equals(pa.list_(pa.string())) else dtype


def _check_values(table: pa.Table, task: Task) -> None:
    for name in table.column_names:
        if name != "group" and _count_nulls(table[name]):
            raise ValueError(f"column '{name}' has nulls")
    labels = len(task.labels)
    # Words past the window of a truncated sentence have no predicted label.
    unread = NOT_LABELLED if task.base_type == "token_classification" else 0
    for name, low in (("gold", NOT_LABELLED), ("predicted", unread)):
        if name in table.column_names and task.base_type != "question_answering":
            values = _flat(table[name])
            strange = values[(values >= labels) | ((values < 0) & (values != low))]
            if len(strange):
                raise ValueError(f"column '{name}' has the label {strange[0]}, and the task has {labels}")
    if task.base_type == "translation":
        from xrealign_bench.tasks.translation.metric import check_table  # imports sacrebleu

        check_table(table)
    for name in ("example", "forward", "backward", "bits", "bytes", "tokens"):
        if name in table.column_names:
            values = table[name].to_numpy()
            if not np.isfinite(values).all() or (values < 0).any():
                raise ValueError(f"column '{name}' has values that are negative or not finite")


def _count_nulls(column: pa.ChunkedArray) -> int:
    """Count the nulls, including those inside lists."""
    nulls: int = column.null_count
    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
        nulls += column.null_count
    return nulls


def _flat(column: pa.ChunkedArray) -> NDArray[np.int16]:
    flat: NDArray[np.int16] = (pc.list_flatten(column) if pa.types.is_list(column.type) else column).to_numpy()
    return flat
