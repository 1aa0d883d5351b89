"""Fine-tune a classifier of texts or pairs of texts in the source language, and classify in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.family import TEXT_POOLING, TextPooling, family_of
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.training import FinetuningLog
from xrealign_bench.models.windows import TokenBatch, collate_tokens
from xrealign_bench.specs import Task
from xrealign_bench.tasks.finetuning import Batch, FinetuningRun, finetune
from xrealign_bench.tasks.heads import EncoderHead, TransformersHead
from xrealign_bench.tasks.sequence_classification.metric import METRIC


class SequenceClassifier(EncoderHead):
    """A head that classifies the vector of a text (`models.family.TEXT_POOLING`).

    For encoders that is the first token, which the tokenizer puts in front of a text (`[CLS]`, `<s>`): BERT, XLM-R and
    similar models are fine-tuned with it for classification. The model's own pooler is not used: some models have none,
    XLM-R's was never trained, and `load_encoder` leaves it out, so that recipes differ in the encoder alone.

    Args:
        encoder: from `load_encoder`.
        n_labels: outputs per text.
        dropout: as in `EncoderHead`.
    """

    def __init__(self, encoder: nn.Module, n_labels: int, dropout: float | None = None) -> None:
        super().__init__(encoder, n_labels, dropout)
        self.pooling = text_pooling(encoder)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the logits (batch, labels) of texts (batch, tokens) that are padded on the right.

        Raises:
            UserError: there are more tokens or more token types than the model has.
        """
        hidden = self.encode(input_ids, attention_mask, token_type_ids)
        return self.classify(self._pool(hidden, attention_mask))

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the vectors (batch, dim) of the texts."""
        if self.pooling == "first_token":
            return hidden[:, 0]
        lengths = attention_mask.sum(1)
        if self.pooling == "last_token":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return (hidden * attention_mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)


class TransformersSequenceClassifier(TransformersHead):
    """Transformers' own classifier of texts: in BERT the pooler and a linear layer, in XLM-R a dense layer and one."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the logits (batch, labels) of texts (batch, tokens) that are padded on the right."""
        return self.token_logits(input_ids, attention_mask, token_type_ids)[:, 0]


Classifier = SequenceClassifier | TransformersSequenceClassifier


new_transformers_model = TransformersSequenceClassifier


def new_model(encoder: nn.Module, task: Task) -> SequenceClassifier:
    return SequenceClassifier(encoder, len(task.labels))


def text_pooling(encoder: Any) -> TextPooling:
    """Return how an encoder's hidden states of a text become one vector."""
    return TEXT_POOLING[family_of(encoder.config.to_dict()) or "encoder"]


@dataclass(frozen=True)
class _Examples:
    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    pad_id: int

    @classmethod
    def of(cls, table: pa.Table, pad_id: int) -> _Examples:
        types = table["token_type_ids"]
        return cls(table["input_ids"].to_pylist(), None if types.null_count else types.to_pylist(), pad_id)

    def collate(self, numbers: list[int]) -> TokenBatch:
        ids, types = [self.input_ids[number] for number in numbers], None
        if self.token_type_ids is not None:
            types = [self.token_type_ids[number] for number in numbers]
        return collate_tokens(ids, self.pad_id, types)


def train(model: Classifier, pad_id: int, tables: Mapping[str, pa.Table], run: FinetuningRun) -> FinetuningLog:
    """Fine-tune all parameters in place, with dropout. The loss is the mean cross-entropy over a batch's examples.

    Args:
        model: a new model; its encoder may be realigned.
        pad_id: the tokenizer's padding token.
        tables: training data, from `encode`.
        run: settings, seed and device.

    Raises:
        UserError: the model classifies a text by its first token, and the tokenizer adds no special token there.
        TrainingError: the loss is not a finite number.
    """
    examples, labels = _Examples.of(tables["examples"], pad_id), tables["examples"]["label"].to_pylist()
    texts = examples.input_ids
    if text_pooling(model.encoder) == "first_token" and len({ids[0] for ids in texts}) > 1:
        raise UserError(
            "the tokenizer puts no token of its own in front of a text, which is what a text is classified by; use "
            "another checkpoint"
        )

    def read(numbers: list[int]) -> Batch:
        batch = examples.collate(numbers).to(run.device)
        gold = torch.tensor([labels[number] for number in numbers], device=run.device)
        return Batch(int(batch.attention_mask.sum()), len(numbers), partial(_loss, model, batch, gold))

    return finetune(model, texts, pad_id, read, run)


def predict(
    model: Classifier,
    pad_id: int,
    tables: Mapping[str, pa.Table],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> pa.Table:
    """Predict the label number of every example.

    Args:
        model: a fine-tuned model.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: not used; part of the interface.
        device: where to compute.
        tokens_per_batch: maximum sub-words in a batch, padding included.

    Raises:
        UserError: a logit is not finite.
    """
    table = tables["examples"]
    examples = _Examples.of(table, pad_id)
    predicted = np.zeros(len(table), dtype=np.int16)
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(ids) for ids in examples.input_ids], tokens_per_batch):
            logits = _logits(model, examples.collate(chosen).to(device))
            check_finite_outputs(logits, "logits of labels", model)
            predicted[chosen] = logits.argmax(-1).cpu().numpy()
    columns = {"example": table["example"], "gold": table["label"], "predicted": predicted}
    return pa.table(columns, schema=METRIC.schema)


def _logits(model: Classifier, batch: TokenBatch) -> Tensor:
    logits: Tensor = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    return logits


def _loss(model: Classifier, batch: TokenBatch, gold: Tensor) -> Tensor:
    return functional.cross_entropy(_logits(model, batch), gold)
