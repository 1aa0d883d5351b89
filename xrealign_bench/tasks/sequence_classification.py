"""Classify texts and pairs of texts: fine-tune a classifier in the source language, predict in any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from xrealign_bench.data import TextData
from xrealign_bench.errors import UserError
from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.heads import SequenceClassifier
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.sequences import TextBatch, collate_texts, encode_texts
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.specs import Finetuning, Task
from xrealign_bench.tasks.batches import Batch, finetune

_EXAMPLES = pa.schema(
    {
        "example": pa.int32(),
        "input_ids": pa.list_(pa.int32()),
        "token_type_ids": pa.list_(pa.int32()),
        "label": pa.int16(),
    }
)
_PREDICTIONS = pa.schema({"example": pa.int32(), "gold": pa.int16(), "predicted": pa.int16()})


def encode(
    task: Task, data: TextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`examples`: row, sub-words, their token types (null where the tokenizer gives none), the label's number."""
    encoded = encode_texts(tokenizer, data.text, data.text_pair, max_length)
    columns: dict[str, Sequence[Any]] = {
        "example": data.rows,
        "input_ids": encoded.input_ids,
        "token_type_ids": encoded.token_type_ids or [None] * len(data),
        "label": data.labels,
    }
    return {"examples": pa.table(columns, schema=_EXAMPLES)}, encoded.altered


def new_model(encoder: nn.Module, task: Task) -> SequenceClassifier:
    return SequenceClassifier(encoder, len(task.labels))


def train(
    model: SequenceClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    joint: JointLoss | None = None,
) -> FinetuningLog:
    """Fine-tune all parameters in place; dropout is on. The loss is the mean cross-entropy over a batch's examples.

    Args:
        model: a fresh one, its encoder realigned or not.
        pad_id: the tokenizer's padding token.
        tables: of the training data, from `encode`.
        finetuning: steps, batch size and the schedule of the learning rate, of which `default` is taken.
        seed: of the order of examples and of dropout.
        device: where to compute.
        progress: told after each step.
        joint: a second loss, of realignment, beside that of the task.

    Raises:
        UserError: the model reads a text by its first token, and the tokenizer puts none of its own there.
        TrainingError: the loss is not a finite number.
    """
    examples = tables["examples"]
    if model.pooling == "first_token" and len({ids[0] for ids in examples["input_ids"]}) > 1:
        raise UserError(
            "the tokenizer puts no token of its own in front of a text, which is what a text is classified by; use "
            "another checkpoint"
        )

    def read(chosen: list[int]) -> Batch:
        batch = _batch(examples, chosen, pad_id).to(device)
        gold = torch.tensor([examples["label"][number] for number in chosen], device=device)
        return Batch(int(batch.attention_mask.sum()), len(chosen), partial(_loss, model, batch, gold))

    texts = examples["input_ids"]
    return finetune(model, texts, pad_id, read, finetuning, seed=seed, device=device, progress=progress, joint=joint)


def predict(
    model: SequenceClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> pa.Table:
    """The label number of every example, beside the right one.

    Args:
        model: a trained one.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: unused here; other kinds need it.
        device: where to compute.
        tokens_per_batch: sub-words of a batch at most, padding included.

    Raises:
        UserError: a logit is not finite.
    """
    examples = tables["examples"]
    gold = examples["label"]
    predicted = np.zeros(len(gold), dtype=np.int16)
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in by_length([len(ids) for ids in examples["input_ids"]], tokens_per_batch):
            logits = _logits(model, _batch(examples, chosen, pad_id).to(device))
            check_finite_outputs(logits, "logits of labels", model)
            predicted[chosen] = logits.argmax(-1).cpu().numpy()
    columns = {"example": examples["example"], "gold": gold, "predicted": predicted}
    return pa.table(columns, schema=_PREDICTIONS)


def _batch(examples: Mapping[str, Sequence[Any]], chosen: Sequence[int], pad_id: int) -> TextBatch:
    ids, types = ([examples[column][number] for number in chosen] for column in ("input_ids", "token_type_ids"))
    return collate_texts(ids, None if types[0] is None else types, pad_id)


def _logits(model: SequenceClassifier, batch: TextBatch) -> Tensor:
    logits: Tensor = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    return logits


def _loss(model: SequenceClassifier, batch: TextBatch, gold: Tensor) -> Tensor:
    return functional.cross_entropy(_logits(model, batch), gold)
