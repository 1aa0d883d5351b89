"""File formats of stage outputs: Parquet for tables, JSON for the rest, no pickles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xrealign_bench.data import LocatedSplit

Rows = Mapping[str, Sequence[Any]]
"""Column -> values."""

_ROWS_IN_MEMORY = 8192


def write_table(path: Path, table: pa.Table) -> None:
    """Write rows as one zstd Parquet file."""
    pq.write_table(table, path, compression="zstd")


def read_tables(folder: Path) -> dict[str, pa.Table]:
    """Return the Parquet tables of a folder by name."""
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def read_rows(path: Path) -> dict[str, list[Any]]:
    """Read all columns of a Parquet file."""
    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return columns


def rows_in_parts(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield some columns of a Parquet file in batches of rows, so that memory doesn't grow with the file."""
    for part in pq.ParquetFile(path).iter_batches(_ROWS_IN_MEMORY, columns=columns):
        yield part.to_pydict()


@contextmanager
def table_in_parts(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that appends rows to a Parquet file. It must be called at least once."""
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def add(part: pa.Table) -> None:
            nonlocal writer
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, part.schema, compression="zstd"))
            writer.write_table(part)

        yield add


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


PAIRS = pa.schema(
    {
        "source_words": pa.list_(pa.string()),
        "target_words": pa.list_(pa.string()),
        "links": pa.list_(pa.list_(pa.int32())),
    }
)
"""A translated pair with its word alignment: [source word, target word] each."""


def data_record(
    used_as: str, name: str, language: str, located: LocatedSplit, examples: int, dropped: Mapping[str, int]
) -> dict[str, Any]:
    """Return what a result says of one split that a stage read."""
    return {
        "used_as": used_as,
        "name": name,
        "language": language,
        "config": located.config,
        "split": located.split,
        "revision": located.revision,
        "fingerprint": located.fingerprint,
        "examples": examples,
        "dropped": dict(dropped),
    }
