"""The files that stages leave in the store for one another: Parquet for rows, JSON for the rest, no pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_rows(path: Path, columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> None:
    """Write columns of equal length as one zstd Parquet file; an absent column of the schema is all null."""
    length = len(next(iter(columns.values())))
    arrays = {field.name: columns.get(field.name, [None] * length) for field in schema}
    pq.write_table(pa.table(arrays, schema=schema), path, compression="zstd")


def read_rows(path: Path) -> dict[str, list[Any]]:
    """All columns of a Parquet file."""
    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return columns


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


_INTS = pa.list_(pa.int32())

WINDOWS = pa.schema(
    {
        "sentence": pa.int32(),
        "first_word": pa.int32(),
        "input_ids": _INTS,
        "starts": _INTS,
        "ends": _INTS,
        "without_token": pa.int32(),
        "shortened": pa.int32(),
    }
)
"""Tokenised text: the fields of `models.text.Window`."""

SENTENCES = pa.schema({"labels": pa.list_(pa.int16()), "scored": pa.list_(pa.bool_()), "groups": pa.list_(pa.string())})
"""A word's label number, whether it counts in the score, and its group."""

PAIRS = pa.schema(
    {
        "source_words": pa.list_(pa.string()),
        "target_words": pa.list_(pa.string()),
        "links": pa.list_(pa.list_(pa.int32())),
    }
)
"""A translated pair with its word alignment: [source word, target word] each."""

LINKS = pa.schema({"links": PAIRS.field("links").type})

PREDICTIONS = pa.schema(
    {
        "example": pa.int32(),
        "gold": pa.list_(pa.int16()),
        "predicted": pa.list_(pa.int16()),
        "scored": pa.list_(pa.bool_()),
        "group": pa.list_(pa.string()),
    }
)
"""One sentence of one language and seed; results keep these with the columns language and seed in front."""
