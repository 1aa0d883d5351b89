"""Task heads: one for every architecture, so that recipes differ in the encoder and nowhere else."""

from __future__ import annotations

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


def _dropout(config: object) -> float:
    # The names that transformers' configurations use, most specific first.
    for name in ("classifier_dropout", "cls_dropout", "hidden_dropout_prob", "dropout"):
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return 0.1
