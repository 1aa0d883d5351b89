"""Encode texts for a language model, and compute their log-likelihoods in batches of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.tokenisation import has_embedding, run_tokenizer
from xrealign_bench.models.windows import collate_tokens
from xrealign_bench.specs import Task

TOKENS_PER_BATCH = 1024
"""Padding included: with a vocabulary of 256,000 tokens, the probabilities take 1 GB."""


def new_model(body: nn.Module, task: Task) -> nn.Module:
    """Return the language model as it is: a task that compares likelihoods adds no head."""
    return body


@dataclass(frozen=True)
class Tokens:
    """A text encoded for a language model."""

    input_ids: list[int]
    start: int
    """Number of tokens in front of the text: they are given, never predicted."""
    unknown: bool
    """Part of the text is read as the unknown token, so that the likelihood is not the text's."""


def encode_for_likelihood(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Tokens]:
    """Tokenise texts with the special tokens that the tokenizer puts in front of a text, but not those behind it.

    If there are none in front, the beginning-of-text token stands there, or else the end-of-text token: the first token
    of a text must be predicted from something (the lm-evaluation-harness does the same).

    Raises:
        UserError: the tokenizer has none of these tokens.
    """
    ends = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    first = next((number for number in ends if number is not None and has_embedding(tokenizer, number)), None)
    read = []
    for encoding in run_tokenizer(tokenizer, texts, return_special_tokens_mask=True):
        text = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
        start, end = (text[0], text[-1] + 1) if text else (0, 0)
        before = list(encoding.ids[:start]) or ([] if first is None else [first])
        if not before:
            raise UserError("the tokenizer has no token that begins or ends a text; use another checkpoint")
        ids = before + list(encoding.ids[start:end])
        read.append(Tokens(ids, len(before), tokenizer.unk_token_id in ids[len(before) :]))
    return read


def log_likelihoods(
    model: LanguageModel,
    pad_id: int,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    *,
    device: torch.device,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> NDArray[np.float64]:
    """Return the log-likelihood (sequences,), in nats, of each sequence's tokens from `starts` on, given those before.

    Args:
        model: from `add_output_layer`.
        pad_id: the tokenizer's padding token.
        sequences: token ids.
        starts: the first predicted token of each sequence, at least 1.
        device: where to compute.
        tokens_per_batch: maximum tokens in a batch, padding included.

    Raises:
        UserError: a likelihood is not finite.
    """
    sums = np.zeros(len(sequences))
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(ids) for ids in sequences], tokens_per_batch):
            batch = collate_tokens([sequences[number] for number in chosen], pad_id).to(device)
            rows = model(batch.input_ids, batch.attention_mask).cpu().numpy().astype(np.float64)
            for number, row in zip(chosen, rows, strict=True):
                sums[number] = row[starts[number] - 1 : len(sequences[number]) - 1].sum()
            check_finite_outputs(sums[chosen], "likelihoods of texts", model)
    return sums
