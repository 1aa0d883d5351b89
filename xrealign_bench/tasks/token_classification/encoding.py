"""Encode sentences of words as windows of sub-words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.windows import Window, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.tasks.token_classification.data import WordData
from xrealign_bench.tasks.token_classification.metric import gold_of

_SENTENCES = pa.schema(
    {
        "example": pa.int32(),
        "labels": pa.list_(pa.int16()),
        "scored": pa.list_(pa.bool_()),
        "groups": pa.list_(pa.string()),
    }
)


def encode(
    task: Task, data: WordData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `windows`; `sentences` with row, label numbers, scored words and groups; and counts of altered words."""
    windows = encode_words(tokenizer, data.words, max_length)
    gold = gold_of(task, data)
    sentences: dict[str, Sequence[Any]] = {
        "example": gold["example"],
        "labels": gold["gold"],
        "scored": gold["scored"],
        "groups": data.groups or [None] * len(data.words),
    }
    return {"windows": windows_table(windows), "sentences": pa.table(sentences, schema=_SENTENCES)}, altered(windows)


def altered(windows: Sequence[Window]) -> dict[str, int]:
    """Return how many words the model does not read unchanged, by reason."""
    counts = {
        "without_token": sum(window.without_token for window in windows),
        "shortened": sum(window.shortened for window in windows),
    }
    return {name: count for name, count in counts.items() if count}
