"""Windows of token ids: one by one, as columns of a table, and as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

INTS = pa.list_(pa.int32())


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive whole words of one sentence, between the tokenizer's special tokens.

    `starts` and `ends` are positions in `input_ids`: word w of the window consists of sub-words starts[w] up to, but
    not including, ends[w]. A word marker that is a token of its own (a bare `▁`) is not part of the word.
    """

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        {
            "sentence": pa.int32(),
            "first_word": pa.int32(),
            "input_ids": INTS,
            "starts": INTS,
            "ends": INTS,
            "without_token": pa.int32(),
            "shortened": pa.int32(),
        }
    )
    sentence: int
    """Number of the sentence among those that were encoded."""
    first_word: int
    """Number of the window's first word in the sentence."""
    input_ids: list[int]
    starts: list[int]
    ends: list[int]
    without_token: int = 0
    """Words for which the tokenizer returns no token; the unknown token stands in their place."""
    shortened: int = 0
    """Words of which only the first sub-words are kept: those longer than a whole window, or cut by its end."""


class AnyWindow(Protocol):
    """A dataclass whose fields are the columns of its schema: whole numbers and lists of them."""

    SCHEMA: ClassVar[pa.Schema]

    @property
    def input_ids(self) -> list[int]: ...


W = TypeVar("W", bound=AnyWindow)


class Windows(Sequence[W]):
    """Windows stored as columns, which take a tenth of the memory of objects. Reading one creates the object.

    Args:
        table: from `windows_table`.
        window: the class of the windows.
    """

    def __init__(self, table: pa.Table, window: type[W]) -> None:
        columns = [table.column(name).combine_chunks() for name in window.SCHEMA.names]
        self._columns = [
            (column.offsets.to_numpy(), column.values.to_numpy())
            if pa.types.is_list(column.type)
            else (None, column.to_numpy())
            for column in columns
        ]
        self._size = len(table)
        self._window = window

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[W]:
        columns: list[Any] = []
        for offsets, values in self._columns:
            numbers = values.tolist()
            if offsets is not None:
                numbers = [numbers[begin:end] for begin, end in pairwise(offsets.tolist())]
            columns.append(numbers)
        return map(self._window, *columns)

    @overload
    def __getitem__(self, number: int) -> W: ...
    @overload
    def __getitem__(self, number: slice) -> list[W]: ...
    def __getitem__(self, number: int | slice) -> W | list[W]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._size))]
        if not -self._size <= number < self._size:
            raise IndexError(number)
        row = number % self._size
        return self._window(
            *(
                int(values[row]) if offsets is None else values[offsets[row] : offsets[row + 1]].tolist()
                for offsets, values in self._columns
            )
        )


def windows_table(windows: Sequence[AnyWindow], window: type[AnyWindow] = Window) -> pa.Table:
    """Return a table with one row per window, as it is stored."""
    columns = {name: [getattr(each, name) for each in windows] for name in window.SCHEMA.names}
    return pa.table(columns, schema=window.SCHEMA)


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Token ids padded on the right. All tensors are torch.long, (batch, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    """1 for tokens, 0 for padding."""
    token_type_ids: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: each if each is None else each.to(device) for name, each in tensors.items()}
        return type(self)(**moved)


@dataclass(frozen=True, kw_only=True)
class WindowBatch(TokenBatch):
    """Padded windows of words."""

    starts: Tensor
    """(batch, words), -1 where there is no word."""
    ends: Tensor
    """(batch, words), likewise."""


def collate(windows: Sequence[Window], pad_id: int) -> WindowBatch:
    """Pad windows of words to the longest of them."""
    tokens = collate_tokens([window.input_ids for window in windows], pad_id)
    return WindowBatch(
        input_ids=tokens.input_ids,
        attention_mask=tokens.attention_mask,
        starts=pad([window.starts for window in windows], -1),
        ends=pad([window.ends for window in windows], -1),
    )


def collate_tokens(
    input_ids: Sequence[Sequence[int]], pad_id: int, token_type_ids: Sequence[Sequence[int]] | None = None
) -> TokenBatch:
    """Pad sequences of tokens to the longest of them."""
    ids = pad(input_ids, pad_id)
    lengths = torch.tensor([len(row) for row in input_ids])
    return TokenBatch(
        input_ids=ids,
        attention_mask=(torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        token_type_ids=None if token_type_ids is None else pad(token_type_ids, 0),
    )


def pad(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Pad rows on the right to the longest of them: torch.long, (rows, longest).

    >>> pad([[1, 2], [3]], fill=-1)
    tensor([[ 1,  2],
            [ 3, -1]])
    """
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(inside.shape, fill, dtype=np.int64)
    padded[inside] = np.concatenate(rows)
    return torch.from_numpy(padded)
