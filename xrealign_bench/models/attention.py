"""Let a decoder see both sides."""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from xrealign_bench.errors import UserError


def see_both_sides(encoder: nn.Module) -> None:
    """Let every token of a decoder attend to all others, in place, as in LLM2Vec (BehnamGhader et al., COLM 2024).

    The attention mask of the padding, (batch, tokens), is handed on as one of every pair of tokens, which transformers
    takes as it is: windows of sliding attention are open too.

    Raises:
        UserError: the model does not take such a mask.
    """
    one_sided = encoder.forward.__func__  # type: ignore[attr-defined]

    config: Any = encoder.config
    adds = config._attn_implementation == "eager"  # the mask to the scores; else it says what is read

    @functools.wraps(one_sided)
    def forward(self: nn.Module, *positional: Any, attention_mask: Tensor, **named: Any) -> Any:
        batch, tokens = attention_mask.shape
        read = attention_mask.bool()[:, None, None, :].expand(batch, 1, tokens, tokens)
        lowest = torch.finfo(torch.float32).min
        pairs = torch.zeros(read.shape, device=read.device).masked_fill(~read, lowest) if adds else read
        return one_sided(self, *positional, attention_mask=pairs, **named)

    encoder.forward = MethodType(forward, encoder)
    if not _sees_all_but_padding(encoder):
        raise UserError(
            f"a {type(encoder).__name__} can't be made to see both sides; leave attention: bidirectional out of the "
            "recipe"
        )


def _sees_all_but_padding(encoder: nn.Module) -> bool:
    """Whether the first token of three depends on the last one where that is read, and there alone."""
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
