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

from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.metric import METRIC
from xrealign_bench.tasks.likelihoods import TOKENS_PER_BATCH, log_likelihoods

train = None


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
    return pa.table({"example": examples, **sums}, schema=METRIC.schema)
