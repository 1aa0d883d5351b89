"""Classify texts by which label a decoder finds likeliest in a prompt, as it is; nothing is fine-tuned.

The prompt is filled in with what stands for each label (its verbaliser) in turn. The label is predicted whose text has
the highest log-likelihood, summed over its tokens; so the verbaliser may stand at the end or between two texts, as in
XGLM's prompts (Lin et al., EMNLP 2022). The tokens that all of them begin with are left out: they are equally likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.likelihoods import TOKENS_PER_BATCH, log_likelihoods
from xrealign_bench.tasks.prompted_classification.metric import METRIC

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
    """The likeliest label of every text, of equally likely ones the first, beside the right one.

    Args:
        model: as `add_output_layer` gives it.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: its number of labels is read.
        device: where to compute.
        tokens_per_batch: of a batch at most, padding included.
    """
    rows, step = tables["candidates"], len(task.labels)
    ids, starts = rows["input_ids"], rows["start"]
    sums = log_likelihoods(model, pad_id, ids, starts, device=device, tokens_per_batch=tokens_per_batch)
    columns = {
        "example": rows["example"][::step],
        "gold": rows["gold"][::step],
        "predicted": np.argmax(sums.reshape(-1, step), axis=1),
    }
    return pa.table(columns, schema=METRIC.schema)
