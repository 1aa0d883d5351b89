"""Windows: stretches of sentences as the model reads them, as rows of a table and in padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of whole words of one sentence, as the model reads it.

    `starts` and `ends` are positions in `input_ids`: word w of the window is sub-words starts[w] up to, not
    including, ends[w]; a marker of a word's beginning that stands alone (a bare `▁`) is not part of it.
    """

    sentence: int
    """Number of the sentence among those that were given."""
    first_word: int
    """The window's first word, counted in the sentence."""
    input_ids: list[int]
    starts: list[int]
    ends: list[int]
    without_token: int = 0
    """Words that the tokenizer drops altogether; the model reads the unknown token in their place."""
    shortened: int = 0
    """Words longer than a whole window, of which only the first sub-words are read."""


_INTS = pa.list_(pa.int32())


_WINDOWS = pa.schema(
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


class Windows(Sequence[Window]):
    """Windows as columns of numbers, a tenth of the memory that they take one by one.

    Args:
        table: from `windows_table`.
    """

    def __init__(self, table: pa.Table) -> None:
        columns = [table.column(name).combine_chunks() for name in _WINDOWS.names]
        self._columns = [
            (column.offsets.to_numpy(), column.values.to_numpy()) if column.type == _INTS else (None, column.to_numpy())
            for column in columns
        ]
        self._size = len(table)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, number: int) -> Window: ...
    @overload
    def __getitem__(self, number: slice) -> list[Window]: ...
    def __getitem__(self, number: int | slice) -> Window | list[Window]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._size))]
        if not -self._size <= number < self._size:
            raise IndexError(number)
        place = number % self._size
        fields: list[Any] = [
            int(values[place]) if offsets is None else values[offsets[place] : offsets[place + 1]].tolist()
            for offsets, values in self._columns
        ]
        return Window(*fields)


@dataclass(frozen=True)
class WindowBatch:
    """Windows of a batch, padded: all torch.long."""

    input_ids: Tensor
    """(batch, tokens)"""
    attention_mask: Tensor
    """(batch, tokens), 1 where there is a token"""
    starts: Tensor
    """(batch, words), -1 where there is no word"""
    ends: Tensor
    """(batch, words), likewise"""

    def to(self, device: torch.device) -> WindowBatch:
        return WindowBatch(
            self.input_ids.to(device), self.attention_mask.to(device), self.starts.to(device), self.ends.to(device)
        )


def collate(windows: Sequence[Window], pad_id: int) -> WindowBatch:
    """Pad windows to the longest of them."""
    ids = _padded([w.input_ids for w in windows], pad_id)
    lengths = torch.tensor([len(w.input_ids) for w in windows])
    return WindowBatch(
        input_ids=ids,
        attention_mask=(torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        starts=_padded([w.starts for w in windows], -1),
        ends=_padded([w.ends for w in windows], -1),
    )


def windows_table(windows: Sequence[Window]) -> pa.Table:
    """Windows as rows, to be stored."""
    columns = {name: [getattr(window, name) for window in windows] for name in _WINDOWS.names}
    return pa.table(columns, schema=_WINDOWS)


def windows_of(rows: Mapping[str, Sequence[Any]]) -> list[Window]:
    """The windows that `windows_table` was made of, from its columns."""
    return [Window(*row) for row in zip(*(rows[name] for name in _WINDOWS.names), strict=True)]


def altered(windows: Sequence[Window]) -> dict[str, int]:
    """How many words the model does not read as they are, by reason."""
    counts = {name: sum(getattr(w, name) for w in windows) for name in ("without_token", "shortened")}
    return {name: count for name, count in counts.items() if count}


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    out = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(out)
