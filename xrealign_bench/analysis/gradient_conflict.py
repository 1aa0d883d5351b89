"""Cosine between the gradients of two losses, by block (Veitsman et al., arXiv 2603.18863)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xrealign_bench.models.blocks import find_parts

EMBEDDINGS = -1
"""Number that stands for the embeddings before the first block."""


def parameters_by_block(encoder: nn.Module) -> dict[int, list[nn.Parameter]]:
    """Return the trainable parameters of the embeddings (`EMBEDDINGS`) and of each block.

    Raises:
        UserError: the blocks can't be found.
    """
    parts = find_parts(encoder)
    modules = {EMBEDDINGS: parts.embeddings, **dict(enumerate(parts.blocks))}
    return {
        block: [p for module in own for p in module.parameters() if p.requires_grad] for block, own in modules.items()
    }


def gradient_cosine(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> float | None:
    """Return the cosine between two gradients, each given by parameter; None if a loss does not reach them.

    Args:
        first: gradient of each parameter, None if the loss does not reach it.
        second: likewise, of the same shapes.

    >>> gradient_cosine([torch.tensor([1.0, 0.0]), None], [torch.tensor([2.0, 0.0]), torch.tensor([1.0])])
    0.8944271909999159
    """
    product = sum(float((a.double() * b.double()).sum()) for a, b in _both(first, second))
    lengths = [sum(float(g.double().square().sum()) for g in side if g is not None) for side in (first, second)]
    return None if min(lengths) == 0 else product / (lengths[0] * lengths[1]) ** 0.5


def _both(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
    pairs = zip(first, second, strict=True)
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def gradients_of(loss: Tensor, by_block: dict[int, list[nn.Parameter]]) -> dict[int, list[Tensor | None]]:
    """Return the gradients of a loss by block; `.grad` of the parameters stays as it is."""
    flat = [parameter for own in by_block.values() for parameter in own]
    found = iter(torch.autograd.grad(loss, flat, allow_unused=True))
    return {block: [next(found) for _ in own] for block, own in by_block.items()}
