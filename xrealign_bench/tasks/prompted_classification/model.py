"""Classify texts by the label that a decoder finds likeliest in a prompt; nothing is fine-tuned.

The prompt is filled in with the text of each label (its verbaliser) in turn. The predicted label is the one whose
prompt has the highest log-likelihood, summed over its tokens, so the verbaliser may stand at the end or between two
texts, as in XGLM's prompts (Lin et al., EMNLP 2022). Tokens that all prompts begin with are left out: they are equally
likely.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch

from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.likelihoods import TOKENS_PER_BATCH, log_likelihoods, new_model
from xrealign_bench.tasks.prompted_classification.metric import METRIC

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
    """Predict the likeliest label of every text; ties go to the first label.

    Args:
        model: from `add_output_layer`.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: the task, for its number of labels.
        device: where to compute.
        tokens_per_batch: maximum tokens in a batch, padding included.
    """
    rows, labels = tables["candidates"].to_pydict(), len(task.labels)
    ids, starts = rows["input_ids"], rows["start"]
    sums = log_likelihoods(model, pad_id, ids, starts, device=device, tokens_per_batch=tokens_per_batch)
    columns = {
        "example": rows["example"][::labels],
        "gold": rows["gold"][::labels],
        "predicted": np.argmax(sums.reshape(-1, labels), axis=1),
    }
    return pa.table(columns, schema=METRIC.schema)
