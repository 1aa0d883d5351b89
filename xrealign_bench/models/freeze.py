"""Freeze parts of an encoder for realignment (AlignFreeze, section 3.2), for any architecture."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.block_numbers import select_blocks as select_blocks
from xrealign_bench.models.blocks import find_parts
from xrealign_bench.specs import Freeze


@dataclass(frozen=True)
class FreezeReport:
    """What was frozen. `trained` and `frozen` count parameters and add up to the encoder's."""

    blocks: list[int]
    embeddings: bool
    trained: int
    frozen: int


def freeze(encoder: nn.Module, spec: Freeze, only: Collection[int] | None = None) -> FreezeReport:
    """Set `requires_grad` so that only parameters left unfrozen by the recipe are trained.

    Modules between two blocks (DeBERTa-v2's convolution) belong to the lower block. Modules after the last block, such
    as a final norm, are frozen by `train_only` alone. Dropout stays on.

    Args:
        encoder: as `load_encoder` returns it.
        spec: the recipe's freezing.
        only: ids of the parameters that may be trained, such as an adapter's; None: all.

    Raises:
        UserError: the model's blocks can't be found, the selection does not fit them, the model has no parameters of
            the kind that `train_only` names, or nothing is left to train.
    """
    parts = find_parts(encoder)
    blocks = select_blocks(spec.blocks, len(parts.blocks))
    frozen = [module for number in blocks for module in parts.blocks[number]]
    if spec.embeddings:
        frozen += parts.embeddings
    if len(blocks) == len(parts.blocks) and spec.embeddings:
        raise UserError("freeze: all blocks and the embeddings are frozen, so nothing is left to realign; freeze less")
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # quantised weights have no gradient
    for module in frozen:
        module.requires_grad_(False)
    if spec.train_only is not None:
        chosen = _chosen(encoder, spec.train_only)
        only = chosen if only is None else chosen & set(only)
    if only is not None:
        _train_only(encoder, only)
    return FreezeReport(
        blocks=blocks,
        embeddings=spec.embeddings,
        trained=_count(p for p in encoder.parameters() if p.requires_grad),
        frozen=_count(p for p in encoder.parameters() if not p.requires_grad),
    )


def _chosen(encoder: nn.Module, what: Literal["layer_norms", "biases"]) -> set[int]:
    if what == "biases":
        chosen = {id(p) for name, p in encoder.named_parameters() if name.rpartition(".")[2] == "bias"}
    else:  # norms are the only modules whose weight is a vector
        weights = [(module, module._parameters.get("weight")) for module in encoder.modules()]
        norms = [module for module, weight in weights if weight is not None and weight.dim() == 1]
        chosen = {id(p) for module in norms for p in module.parameters(recurse=False)}
    if not chosen:
        raise UserError(f"freeze.train_only: this {type(encoder).__name__} has no {what.replace('_', ' ')} to train")
    return chosen


def _train_only(encoder: nn.Module, only: Collection[int]) -> None:
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in only)
    if not any(p.requires_grad for p in encoder.parameters()):
        raise UserError("freeze: all that could be trained is frozen, so nothing is left to realign; freeze less")


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)
