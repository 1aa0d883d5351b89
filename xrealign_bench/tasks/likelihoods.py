"""Log-likelihoods of many texts, in batches of about equal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.sequences import collate_texts

TOKENS_PER_BATCH = 1024
"""Padding included: with 256,000 tokens to choose from, their probabilities take 1 GB."""


def log_likelihoods(
    model: LanguageModel,
    pad_id: int,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    *,
    device: torch.device,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> NDArray[np.float64]:
    """(sequences,): the log-likelihood in nats of each sequence's tokens from `starts` on, given those before.

    Args:
        model: as `add_output_layer` gives it.
        pad_id: the tokenizer's padding token.
        sequences: token numbers.
        starts: one a sequence, at least 1.
        device: where to compute.
        tokens_per_batch: of a batch at most, padding included.

    Raises:
        UserError: a likelihood is not finite.
    """
    sums = np.zeros(len(sequences))
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in by_length([len(ids) for ids in sequences], tokens_per_batch):
            batch = collate_texts([sequences[number] for number in chosen], None, pad_id)
            rows = model(batch.input_ids.to(device), batch.attention_mask.to(device)).cpu().numpy().astype(np.float64)
            for number, row in zip(chosen, rows, strict=True):
                sums[number] = row[starts[number] - 1 : len(sequences[number]) - 1].sum()
            check_finite_outputs(sums[chosen], "likelihoods of texts", model)
    return sums
