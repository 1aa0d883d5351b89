"""Encode plain texts as windows for a language model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.tokenizer import room_for_text
from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.likelihoods import encode_for_likelihood

_WINDOWS = pa.schema(
    {"example": pa.int32(), "input_ids": pa.list_(pa.int32()), "start": pa.int32(), "bytes": pa.int32()}
)


def encode(
    task: Task, data: PlainTextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`windows`: row, tokens, how many of them are given, and the bytes of the text (0 but in its first window).

    A text longer than a window is read in several, one behind the other, none looking into the one before. Counted
    are the texts that are (`split`), and those whose likelihood is not their own (`unknown`: part of them is read as
    the unknown token; `without_token`: nothing of them is left).
    """
    rows: dict[str, list[Any]] = {name: [] for name in _WINDOWS.names}
    counts = dict.fromkeys(("split", "unknown", "without_token"), 0)
    for row, text, read in zip(data.rows, data.text, encode_for_likelihood(tokenizer, data.text), strict=True):
        room = room_for_text(tokenizer, max_length, read.start)
        before, ids = read.input_ids[: read.start], read.input_ids[read.start :]
        pieces = [ids[begin : begin + room] for begin in range(0, len(ids), room)] or [[]]
        for number, piece in enumerate(pieces):
            size = len(text.encode()) if number == 0 else 0
            for name, value in zip(_WINDOWS.names, (row, before + piece, read.start, size), strict=True):
                rows[name].append(value)
        counts["split"] += len(pieces) > 1
        counts["unknown"] += read.unknown
        counts["without_token"] += not ids
    return {"windows": pa.table(rows, schema=_WINDOWS)}, {name: count for name, count in counts.items() if count}
