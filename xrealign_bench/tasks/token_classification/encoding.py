"""Encode sentences of words as windows of sub-words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.windows import Window, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.specs.suite import LoneWordMarkers, LongSentences
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
    task: Task,
    data: WordData,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    *,
    long_sentences: LongSentences = "windows",
    lone_word_markers: LoneWordMarkers = "keep",
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `windows`; `sentences` with row, label numbers, scored words and groups; and counts of altered words.

    If long sentences are truncated, `sentences` has also the number of words in the window of each (`words_read`).
    """
    windows = encode_words(
        tokenizer, data.words, max_length, long_sentences=long_sentences, lone_word_markers=lone_word_markers
    )
    gold = gold_of(task, data)
    sentences: dict[str, Sequence[Any]] = {
        "example": gold["example"],
        "labels": gold["gold"],
        "scored": gold["scored"],
        "groups": data.groups or [None] * len(data.words),
    }
    table = pa.table(sentences, schema=_SENTENCES)
    if long_sentences == "truncate":
        read = [len(window.starts) for window in windows]  # every sentence has words, and so one window
        table = table.append_column("words_read", pa.array(read, pa.int32()))
    return {"windows": windows_table(windows), "sentences": table}, altered(windows, sum(map(len, data.words)))


def altered(windows: Sequence[Window], words: int) -> dict[str, int]:
    """Return how many of a number of words the model does not read unchanged, by reason."""
    counts = {
        "without_token": sum(window.without_token for window in windows),
        "shortened": sum(window.shortened for window in windows),
        "beyond_window": words - sum(len(window.starts) for window in windows),
    }
    return {name: count for name, count in counts.items() if count}
