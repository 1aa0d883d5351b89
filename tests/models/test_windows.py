"""Windows as columns and in batches. Truth: the windows one by one, and tensors by hand."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.models.sentences import random_sentences
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.windows import Window, Windows, collate, windows_table


def test_windows_as_columns_are_the_windows(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    windows = encode_words(tokenizers["unigram"], random_sentences(5, 30), 16)
    columns = Windows(windows_table(windows), Window)
    assert list(columns) == [columns[number] for number in range(len(columns))] == windows
    assert (columns[3:9:2], columns[-1]) == (windows[3:9:2], windows[-1])
    assert list(Windows(windows_table(windows).slice(4, 7), Window)) == windows[4:11]
    for beyond in (len(windows), -len(windows) - 1):
        with pytest.raises(IndexError):
            columns[beyond]
    assert list(Windows(windows_table([]), Window)) == []


def test_collate_by_hand() -> None:
    batch = collate([Window(0, 0, [2, 7, 8, 3], [1], [3]), Window(0, 1, [2, 9, 3], [1, 1], [2, 2])], pad_id=5)
    assert batch.input_ids.tolist() == [[2, 7, 8, 3], [2, 9, 3, 5]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.starts.tolist() == [[1, -1], [1, 1]]
    assert batch.ends.tolist() == [[3, -1], [2, 2]]
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.starts, batch.ends)} == {torch.long}
