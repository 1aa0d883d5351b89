"""Task heads: one for every architecture, so that recipes differ in the encoder and nowhere else."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from xrealign_bench.models.blocks import check_length
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
        self.classifier = nn.Linear(config.hidden_size, n_labels)
        nn.init.normal_(self.classifier.weight, std=getattr(config, "initializer_range", 0.02))
        nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor) -> Tensor:
        """Logits (batch, words, labels) of the words that begin at `starts` (batch, words).

        Where starts is -1 there is no word and the logits mean nothing.
        """
        check_length(self.encoder, input_ids)
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.classifier(self.dropout(pool_words(hidden, starts, starts, "first_subword")))
        return logits


class SpanClassifier(nn.Module):
    """Dropout and a linear layer on every sub-word: how well the answer begins, and how well it ends there.

    The layer starts as that of `TokenClassifier`.

    Args:
        encoder: as `load_encoder` gives it.
        dropout: as for `TokenClassifier`.
    """

    def __init__(self, encoder: nn.Module, dropout: float | None = None) -> None:
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(config) if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, 2)
        nn.init.normal_(self.classifier.weight, std=getattr(config, "initializer_range", 0.02))
        nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_types: Tensor) -> Tensor:
        """Logits (batch, tokens, 2) of start and end.

        `token_types` (0: question, 1: context, as the tokenizer has it) are read by encoders that were made for two
        kinds of tokens, and by no others.
        """
        check_length(self.encoder, input_ids)
        types = {"token_type_ids": token_types} if _reads_types(self.encoder) else {}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


def _reads_types(encoder: nn.Module) -> bool:
    kinds = getattr(encoder.config, "type_vocab_size", 0)
    return kinds > 1 and "token_type_ids" in inspect.signature(encoder.forward).parameters


def _dropout(config: object) -> float:
    # The names that transformers' configurations use, most specific first.
    for name in ("classifier_dropout", "cls_dropout", "hidden_dropout_prob", "dropout"):
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return 0.1
