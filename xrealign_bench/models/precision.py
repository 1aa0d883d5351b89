"""Lower precision for the encoder's forward pass, and gradients in less memory."""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import torch
from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import output_width
from xrealign_bench.models.device import Precision

_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def compute_in(encoder: nn.Module, precision: Precision, device: torch.device) -> None:
    """Let an encoder's forward pass, and so its backward pass, be computed in a precision, in place.

    By torch's autocast: weights, their updates and the hidden states that come out stay float32, and so do heads and
    losses.

    Raises:
        UserError: the model can't be computed in it.
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
        return output

    encoder.forward = MethodType(forward, encoder)  # a method, so that a copy of the encoder runs the copy
    try:
        output_width(encoder)
    except RuntimeError as error:
        raise UserError(
            f"a {type(encoder).__name__} can't be computed in {precision} ({error}); use --precision fp32"
        ) from None


def loss_scaler(encoder: nn.Module, device: torch.device) -> torch.amp.GradScaler:
    """What keeps small gradients from becoming zero in an encoder that computes in float16 (Micikevicius et al., ICLR
    2018); idle in the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=getattr(encoder, "precision", "float32") == "float16")


def checkpoint_gradients(encoder: Any) -> None:
    """Keep of each block nothing but its input, and compute the block again on the way back.

    The numbers are the same, in some models (GPT-2) but for the last bits of sums.

    Raises:
        UserError: the model is not made for it.
    """
    try:
        encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError:
        raise UserError(
            f"a {type(encoder).__name__} is not made for gradient checkpointing; leave --gradient-checkpointing out"
        ) from None
