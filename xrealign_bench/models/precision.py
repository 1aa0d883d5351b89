"""Mixed precision and gradient checkpointing."""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import torch
from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import output_width
from xrealign_bench.models.dtypes import Precision

_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def set_precision(encoder: nn.Module, precision: Precision, device: torch.device) -> None:
    """Run the encoder under autocast in the given precision. Modifies the module in place.

    Weights, their updates, the returned hidden states, heads and losses stay in float32.

    Raises:
        UserError: the model does not run in this precision.
    """
    encoder.precision = precision  # type: ignore[assignment]
    if precision == "float32":
        return
    whole = encoder.forward.__func__  # type: ignore[attr-defined]

    @functools.wraps(whole)
    def forward(self: nn.Module, *positional: Any, **named: Any) -> Any:
        with torch.autocast(device.type, _TYPES[precision]):
            output = whole(self, *positional, **named)
        output.last_hidden_state = output.last_hidden_state.float()
        if getattr(output, "pooler_output", None) is not None:  # of transformers' own heads
            output.pooler_output = output.pooler_output.float()
        return output

    encoder.forward = MethodType(forward, encoder)  # a bound method, so that a deep copy of the encoder calls the copy
    try:
        output_width(encoder)
    except RuntimeError as error:
        raise UserError(
            f"a {type(encoder).__name__} can't be computed in {precision} ({error}); use --precision fp32"
        ) from None


def loss_scaler(encoder: nn.Module, device: torch.device) -> torch.amp.GradScaler:
    """Return a gradient scaler (Micikevicius et al., ICLR 2018), disabled unless the encoder runs in float16."""
    return torch.amp.GradScaler(device.type, enabled=getattr(encoder, "precision", "float32") == "float16")


def enable_gradient_checkpointing(encoder: Any) -> None:
    """Enable gradient checkpointing on every block.

    Results are the same, except for rounding in some models (GPT-2).

    Raises:
        UserError: the model does not support it.
    """
    try:
        encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError:
        raise UserError(
            f"a {type(encoder).__name__} is not made for gradient checkpointing; leave --gradient-checkpointing out"
        ) from None
