"""Encode plain texts as windows for a language model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.tokenisation import room_for_text
from xrealign_bench.models.windows import INTS
from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.likelihoods import encode_for_likelihood

_WINDOWS = pa.schema({"example": pa.int32(), "input_ids": INTS, "start": pa.int32(), "bytes": pa.int32()})


def encode(
    task: Task, data: PlainTextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `windows`: row in the data, tokens, how many of them are given, and the bytes of the text.

    A text longer than a window is split into consecutive windows, none of which sees the one before. The first has the
    bytes of the whole text, the others have 0.

    The counts are of texts with several windows (`split`) and of texts whose likelihood is not their own: parts are
    read as the unknown token (`unknown`), or the tokenizer returns no token (`without_token`).
    """
    rows: list[dict[str, Any]] = []
    counts = dict.fromkeys(("split", "unknown", "without_token"), 0)
    for row, text, read in zip(data.rows, data.text, encode_for_likelihood(tokenizer, data.text), strict=True):
        room = room_for_text(tokenizer, max_length, read.start)
        given, ids = read.input_ids[: read.start], read.input_ids[read.start :]
        pieces = [ids[begin : begin + room] for begin in range(0, len(ids), room)] or [[]]
        for number, piece in enumerate(pieces):
            size = len(text.encode()) if number == 0 else 0
            rows.append({"example": row, "input_ids": given + piece, "start": read.start, "bytes": size})
        counts["split"] += len(pieces) > 1
        counts["unknown"] += read.unknown
        counts["without_token"] += not ids
    windows = pa.Table.from_pylist(rows, schema=_WINDOWS)
    return {"windows": windows}, {name: count for name, count in counts.items() if count}
