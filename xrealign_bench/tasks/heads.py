"""Task heads: one linear layer for every architecture, or the head of transformers' own class."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import check_length, output_width
from xrealign_bench.models.length_bucketing import run_by_length


class EncoderHead(nn.Module):
    """An encoder followed by dropout and a linear layer.

    The layer starts from normal numbers with the model's own `initializer_range` (bias zero), drawn from torch's
    generator: call `seed_everything` first.

    Args:
        encoder: from `load_encoder`.
        outputs: size of the linear layer's output.
        dropout: dropout probability; None: the encoder's own setting for classifiers, else for hidden states, else 0.1.
    """

    def __init__(self, encoder: nn.Module, outputs: int, dropout: float | None = None) -> None:
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(config) if dropout is None else dropout)
        self.classifier = nn.Linear(output_width(encoder), outputs)
        nn.init.normal_(self.classifier.weight, std=getattr(config, "initializer_range", 0.02))
        nn.init.zeros_(self.classifier.bias)

    @property
    def stored(self) -> nn.Module:
        """The module whose weights are stored: this one."""
        return self

    def encode(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the encoder's hidden states (batch, tokens, dim).

        Token types are passed only to encoders that distinguish them, such as BERT, which was pre-trained on pairs.
        DistilBERT, ModernBERT and XLM-R (with its single type) get none.

        Raises:
            UserError: there are more tokens or more token types than the model has.
        """
        token_type_ids = checked_token_types(self.encoder, input_ids, token_type_ids)

        def read(ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
            typed = {} if types is None else {"token_type_ids": types}
            hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask, **typed).last_hidden_state
            return hidden

        return run_by_length(self.encoder, read, input_ids, attention_mask, token_type_ids)

    def classify(self, vectors: Tensor) -> Tensor:
        """Apply dropout and the linear layer to (..., dim)."""
        logits: Tensor = self.classifier(self.dropout(vectors))
        return logits


class TransformersHead(nn.Module):
    """Transformers' own class for a task, such as `BertForSequenceClassification`.

    Args:
        whole: from `load_task_class`.
    """

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole

    @property
    def encoder(self) -> Any:
        """The encoder inside the class."""
        return self.whole.base_model

    @property
    def stored(self) -> nn.Module:
        """The module whose weights are stored, under the names that transformers gives them."""
        return self.whole  # type: ignore[no-any-return]

    def token_logits(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the class's logits as (batch, tokens, outputs); those of a text stand at its first token.

        Raises:
            UserError: as in `EncoderHead.encode`.
        """
        token_type_ids = checked_token_types(self.encoder, input_ids, token_type_ids)

        def read(ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
            typed = {} if types is None else {"token_type_ids": types}
            output = self.whole(input_ids=ids, attention_mask=mask, **typed)
            if "start_logits" in output:
                return torch.stack([output.start_logits, output.end_logits], -1)
            logits: Tensor = output.logits
            return logits if logits.dim() == 3 else functional.pad(logits[:, None], (0, 0, 0, ids.shape[1] - 1))

        return run_by_length(self.encoder, read, input_ids, attention_mask, token_type_ids)


def checked_token_types(encoder: nn.Module, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor | None:
    """Return the token types for an encoder that distinguishes them, else None.

    Raises:
        UserError: there are more tokens or more token types than the model has.
    """
    check_length(encoder, input_ids)
    known = token_types(encoder)
    if known < 2:
        return None
    if token_type_ids is not None and (highest := int(token_type_ids.max())) >= known:
        raise UserError(
            f"the tokenizer numbers token types up to {highest}, but the model has only {known}; "
            "use the tokenizer that the model was trained with"
        )
    return token_type_ids


def token_types(encoder: nn.Module) -> int:
    """Return how many token types an encoder distinguishes; 0 if its forward pass takes none."""
    takes = "token_type_ids" in inspect.signature(encoder.forward).parameters
    return int(getattr(encoder.config, "type_vocab_size", 0) or 0) if takes else 0


def _dropout(config: object) -> float:
    # The names that transformers' configurations use, most specific first.
    for name in ("classifier_dropout", "cls_dropout", "hidden_dropout_prob", "dropout"):
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return 0.1
