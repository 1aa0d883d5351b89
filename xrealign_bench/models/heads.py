"""Task heads: one for every architecture, so that recipes differ in the encoder and nowhere else."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import check_length, output_width
from xrealign_bench.models.family import TEXT_POOLING, family_of
from xrealign_bench.models.length_bucketing import read_by_length
from xrealign_bench.models.text import pool_words


class TokenClassifier(nn.Module):
    """Dropout and a linear layer on the first sub-word of each word.

    The layer starts from normal numbers of the model's own `initializer_range` (bias zero), drawn from torch's
    generator: call `seed_everything` first.

    Args:
        encoder: as `load_encoder` gives it.
        n_labels: outputs a word.
        dropout: share; None: the encoder's own setting for classifiers, else for hidden states, else 0.1.
    """

    def __init__(self, encoder: nn.Module, n_labels: int, dropout: float | None = None) -> None:
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(config) if dropout is None else dropout)
        self.classifier = _linear(encoder, n_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor) -> Tensor:
        """Logits (batch, words, labels) of the words that begin at `starts` (batch, words).

        Where starts is -1 there is no word and the logits mean nothing.
        """
        hidden = _read(self.encoder, input_ids, attention_mask, None)
        logits: Tensor = self.classifier(self.dropout(pool_words(hidden, starts, starts, "first_subword")))
        return logits


class SequenceClassifier(nn.Module):
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
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(config) if dropout is None else dropout)
        self.classifier = _linear(encoder, n_labels)
        self.pooling = TEXT_POOLING[family_of(config.to_dict()) or "encoder"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Logits (batch, labels) of texts (batch, tokens) that are padded on the right.

        Raises:
            UserError: more tokens or more token types than the model has.
        """
        hidden = _read(self.encoder, input_ids, attention_mask, token_type_ids)
        logits: Tensor = self.classifier(self.dropout(self._pool(hidden, attention_mask)))
        return logits

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, dim)"""
        if self.pooling == "first_token":
            return hidden[:, 0]
        lengths = attention_mask.sum(1)
        if self.pooling == "last_token":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return (hidden * attention_mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)


class SpanClassifier(nn.Module):
    """Dropout and a linear layer on every sub-word: how well the answer begins, and how well it ends there.

    Args:
        encoder: as `load_encoder` gives it.
        dropout: as in `TokenClassifier`; the layer starts as there, too.
    """

    def __init__(self, encoder: nn.Module, dropout: float | None = None) -> None:
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(config) if dropout is None else dropout)
        self.classifier = _linear(encoder, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Logits (batch, tokens, 2) of start and end.

        Raises:
            UserError: more tokens or more token types than the model has.
        """
        hidden = _read(self.encoder, input_ids, attention_mask, token_type_ids)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


def token_types(encoder: nn.Module) -> int:
    """How many kinds of segments an encoder tells apart; 0: its forward takes none."""
    takes = "token_type_ids" in inspect.signature(encoder.forward).parameters
    return int(getattr(encoder.config, "type_vocab_size", 0) or 0) if takes else 0


def _read(encoder: nn.Module, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """Hidden states (batch, tokens, dim).

    Segments are told to encoders that tell them apart, as BERT does since its pre-training on pairs; to others
    (DistilBERT, ModernBERT; XLM-R with its single type) they are not.
    """
    check_length(encoder, input_ids)
    known = token_types(encoder)
    if known < 2:
        token_type_ids = None
    if token_type_ids is not None and (highest := int(token_type_ids.max())) >= known:
        raise UserError(
            f"the tokenizer numbers token types up to {highest}, but the model has only {known}; "
            "use the tokenizer that the model was trained with"
        )

    def read(ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        typed = {} if types is None else {"token_type_ids": types}
        hidden: Tensor = encoder(input_ids=ids, attention_mask=mask, **typed).last_hidden_state
        return hidden

    return read_by_length(encoder, read, input_ids, attention_mask, token_type_ids)


def _linear(encoder: nn.Module, n_labels: int) -> nn.Linear:
    config: Any = encoder.config
    layer = nn.Linear(output_width(encoder), n_labels)
    nn.init.normal_(layer.weight, std=getattr(config, "initializer_range", 0.02))
    nn.init.zeros_(layer.bias)
    return layer


def _dropout(config: object) -> float:
    # The names that transformers' configurations use, most specific first.
    for name in ("classifier_dropout", "cls_dropout", "hidden_dropout_prob", "dropout"):
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return 0.1
