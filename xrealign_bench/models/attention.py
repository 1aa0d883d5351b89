"""Bidirectional attention for decoders."""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from xrealign_bench.errors import UserError


def make_bidirectional(encoder: nn.Module) -> None:
    """Make the attention of a decoder bidirectional, in place, as in LLM2Vec (BehnamGhader et al., COLM 2024).

    The padding mask (batch, tokens) is expanded to a mask over pairs of tokens, which transformers uses unchanged in
    place of the causal mask. It also replaces sliding-window masks.

    Raises:
        UserError: the model does not accept such a mask.
    """
    causal_forward = encoder.forward.__func__  # type: ignore[attr-defined]

    config: Any = encoder.config
    adds = config._attn_implementation == "eager"  # eager attention adds the mask to the scores; others take booleans

    @functools.wraps(causal_forward)
    def forward(self: nn.Module, *positional: Any, attention_mask: Tensor, **named: Any) -> Any:
        batch, tokens = attention_mask.shape
        read = attention_mask.bool()[:, None, None, :].expand(batch, 1, tokens, tokens)
        lowest = torch.finfo(torch.float32).min
        pairs = torch.zeros(read.shape, device=read.device).masked_fill(~read, lowest) if adds else read
        return causal_forward(self, *positional, attention_mask=pairs, **named)

    encoder.forward = MethodType(forward, encoder)
    if not _sees_all_but_padding(encoder):
        raise UserError(
            f"a {type(encoder).__name__} can't attend in both directions; leave attention: bidirectional out of the "
            "recipe"
        )


def _sees_all_but_padding(encoder: nn.Module) -> bool:
    """Return whether the first of three tokens depends on the last one exactly if that is not padding."""
    device, training = next(encoder.parameters()).device, encoder.training
    ids = torch.tensor([[1, 1, 1], [1, 1, 0]] * 2, device=device)
    mask = torch.tensor([[1, 1, 1]] * 2 + [[1, 1, 0]] * 2, device=device)
    encoder.eval()
    try:
        with torch.no_grad():
            first = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError):
        return False
    finally:
        encoder.train(training)
    return not torch.equal(first[0], first[1]) and torch.allclose(first[2], first[3], atol=1e-5)
