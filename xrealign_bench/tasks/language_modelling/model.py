"""Measure how well a decoder predicts plain text; nothing is fine-tuned.

Results are compared between languages on the same text, and by likelihood per byte, because tokens are shorter in some
languages than in others.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import numpy as np
import pyarrow as pa
import torch

from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.metric import METRIC
from xrealign_bench.tasks.likelihoods import TOKENS_PER_BATCH, log_likelihoods, new_model

__all__ = ["new_model", "predict", "train"]

train = None


def predict(
    model: LanguageModel,
    pad_id: int,
    tables: Mapping[str, pa.Table],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> pa.Table:
    """Compute, for every text, the bits needed to encode it, its bytes and its tokens.

    Args:
        model: from `add_output_layer`.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: not used; part of the interface.
        device: where to compute.
        tokens_per_batch: maximum tokens in a batch, padding included.
    """
    windows = tables["windows"].to_pydict()
    ids, starts = windows["input_ids"], windows["start"]
    bits = -log_likelihoods(model, pad_id, ids, starts, device=device, tokens_per_batch=tokens_per_batch) / log(2)
    tokens = [len(row) - start for row, start in zip(ids, starts, strict=True)]
    examples, first = np.unique(windows["example"], return_index=True)  # the windows of a text are consecutive
    sums = {
        name: np.add.reduceat(np.asarray(values), first)
        for name, values in {"bits": bits, "bytes": windows["bytes"], "tokens": tokens}.items()
    }
    return pa.table({"example": examples, **sums}, schema=METRIC.schema)
