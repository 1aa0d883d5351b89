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

from xrealign_bench.errors import UserError
from xrealign_bench.models.family import TEXT_POOLING, family_of
from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.specs import Finetuning, Task
from xrealign_bench.tasks.finetuning import Batch, finetune
from xrealign_bench.tasks.heads import EncoderHead
from xrealign_bench.tasks.sequence_classification.encoding import TextBatch, collate_texts
from xrealign_bench.tasks.sequence_classification.metric import METRIC


class SequenceClassifier(EncoderHead):
    """Dropout and a linear layer on the vector of a text (`models.family.TEXT_POOLING`).

    Of an encoder that is the first token, which the tokenizer puts in front of a text (`[CLS]`, `<s>`): it stands for
    no word and is the one that BERT, XLM-R and their kin were fine-tuned with for classification. A pooler of the
    model's own does not come between: some have none, XLM-R's was never trained, and `load_encoder` leaves it out, so
    that recipes differ in the encoder alone.

    Args:
        encoder: as `load_encoder` gives it.
        n_labels: outputs a text.
        dropout: as in `TokenClassifier`; the layer starts as there, too.
    """

    def __init__(self, encoder: nn.Module, n_labels: int, dropout: float | None = None) -> None:
        super().__init__(encoder, n_labels, dropout)
        config: Any = encoder.config
        self.pooling = TEXT_POOLING[family_of(config.to_dict()) or "encoder"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Logits (batch, labels) of texts (batch, tokens) that are padded on the right.

        Raises:
            UserError: more tokens or more token types than the model has.
        """
        hidden = self.encode(input_ids, attention_mask, token_type_ids)
        return self.classify(self._pool(hidden, attention_mask))

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, dim)"""
        if self.pooling == "first_token":
            return hidden[:, 0]
        lengths = attention_mask.sum(1)
        if self.pooling == "last_token":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return (hidden * attention_mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)


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
    return pa.table(columns, schema=METRIC.schema)


def _batch(examples: Mapping[str, Sequence[Any]], chosen: Sequence[int], pad_id: int) -> TextBatch:
    ids, types = ([examples[column][number] for number in chosen] for column in ("input_ids", "token_type_ids"))
    return collate_texts(ids, None if types[0] is None else types, pad_id)


def _logits(model: SequenceClassifier, batch: TextBatch) -> Tensor:
    logits: Tensor = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    return logits


def _loss(model: SequenceClassifier, batch: TextBatch, gold: Tensor) -> Tensor:
    return functional.cross_entropy(_logits(model, batch), gold)
