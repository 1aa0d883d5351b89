"""Pooling of sub-words. Truth: plain loops and sums by hand."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.models.sentences import random_sentences
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.pooling import pool_sentences, pool_words
from xrealign_bench.models.windows import collate


@pytest.mark.parametrize("pooling", ["first_subword", "mean"])
def test_pooling_is_the_plain_loop(tokenizers: dict[str, PreTrainedTokenizerFast], pooling: str) -> None:
    sentences = [words for words in random_sentences(4, 30) if words]
    batch = collate(encode_words(tokenizers["unigram"], sentences, 32), 0)
    hidden = torch.randn(*batch.input_ids.shape, 6, generator=torch.Generator().manual_seed(1)) + 100
    pooled = pool_words(hidden, batch.starts, batch.ends, pooling)  # type: ignore[arg-type]
    assert pooled.shape == (*batch.starts.shape, 6)
    for row, (starts, ends) in enumerate(zip(batch.starts.tolist(), batch.ends.tolist(), strict=True)):
        for word, (start, end) in enumerate(zip(starts, ends, strict=True)):
            states = hidden[row, start:end].double()
            expected = torch.zeros(6) if start < 0 else states[0] if pooling == "first_subword" else states.mean(0)
            assert torch.allclose(pooled[row, word].double(), expected.double(), rtol=1e-6, atol=0)


def test_the_mean_of_half_precision_is_taken_in_full() -> None:
    hidden = torch.full((1, 4096, 1), 17.0, dtype=torch.float16)  # the sum is beyond float16's range
    mean = pool_words(hidden, torch.tensor([[0]]), torch.tensor([[4096]]), "mean")
    assert mean.dtype == torch.float16 and mean.item() == 17.0


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bytes"])
def test_a_sentence_is_the_mean_of_its_words_sub_words(
    tokenizers: dict[str, PreTrainedTokenizerFast], kind: str
) -> None:
    sentences = [words for words in random_sentences(5, 30) if words]
    windows = encode_words(tokenizers[kind], sentences, 32)
    batch = collate(windows, 0)
    hidden = torch.randn(*batch.input_ids.shape, 6, generator=torch.Generator().manual_seed(1)) + 100
    mean = pool_sentences(hidden, batch.starts, batch.ends, "mean")
    as_run = pool_sentences(hidden, batch.starts, batch.ends, "as_run")
    for row, window in enumerate(windows):
        inside = [place for a, b in zip(window.starts, window.ends, strict=True) for place in range(a, b)]
        assert torch.allclose(mean[row].double(), hidden[row, inside].double().mean(0), rtol=1e-6, atol=0)
        first = hidden[row, : len(window.starts)].double().mean(0)
        assert torch.allclose(as_run[row].double(), first, rtol=1e-6, atol=0)
    if kind == "wordpiece":  # the others have lone markers, which are left out: here only special tokens are
        assert all(w.starts[0] == 1 and w.ends[-1] == len(w.input_ids) - 1 for w in windows)


def test_padded_words_get_no_gradient() -> None:
    hidden = torch.ones(1, 3, 2, requires_grad=True)
    pool_words(hidden, torch.tensor([[1, -1]]), torch.tensor([[2, -1]]), "first_subword").sum().backward()
    assert hidden.grad is not None and hidden.grad.tolist() == [[[0, 0], [1, 1], [0, 0]]]
