"""How well a decoder predicts plain text, as it is; nothing is fine-tuned.

Read next to the same text in other languages: what is compared is the text's likelihood by its bytes, since tokens are
shorter in some languages than in others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from xrealign_bench.data import PlainTextData
from xrealign_bench.models.language_model import LanguageModel, encode_for_likelihood
from xrealign_bench.models.text import room_for_text
from xrealign_bench.specs import Task
from xrealign_bench.tasks.likelihoods import TOKENS_PER_BATCH, log_likelihoods

_WINDOWS = pa.schema(
    {"example": pa.int32(), "input_ids": pa.list_(pa.int32()), "start": pa.int32(), "bytes": pa.int32()}
)
_PREDICTIONS = pa.schema({"example": pa.int32(), "bits": pa.float64(), "bytes": pa.int32(), "tokens": pa.int32()})

train = None


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


def new_model(body: nn.Module, task: Task) -> nn.Module:
    return body


def predict(
    model: LanguageModel,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> pa.Table:
    """Of every text the bits that it takes to say it, its bytes and its tokens.

    Args:
        model: as `add_output_layer` gives it.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: unused here; other kinds need it.
        device: where to compute.
        tokens_per_batch: of a batch at most, padding included.
    """
    windows = tables["windows"]
    ids, starts = windows["input_ids"], windows["start"]
    bits = -log_likelihoods(model, pad_id, ids, starts, device=device, tokens_per_batch=tokens_per_batch) / log(2)
    tokens = [len(row) - start for row, start in zip(ids, starts, strict=True)]
    examples, first = np.unique(windows["example"], return_index=True)  # a text's windows stand together
    sums = {
        name: np.add.reduceat(np.asarray(values), first)
        for name, values in {"bits": bits, "bytes": windows["bytes"], "tokens": tokens}.items()
    }
    return pa.table({"example": examples, **sums}, schema=_PREDICTIONS)
