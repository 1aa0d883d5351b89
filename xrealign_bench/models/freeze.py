"""Freeze parts of an encoder for realignment (AlignFreeze, section 3.2), for any architecture."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import find_parts
from xrealign_bench.specs import Freeze

_CUTS = {
    "lower_half": (2, 0), "upper_half": (2, 1), "lower_third": (3, 0), "middle_third": (3, 1), "upper_third": (3, 2),
}  # fmt: skip
"""Name -> the number of parts into which the blocks are cut, and the index of the part."""


@dataclass(frozen=True)
class FreezeReport:
    """What was frozen. `trained` and `frozen` count parameters and add up to the encoder's."""

    blocks: list[int]
    embeddings: bool
    trained: int
    frozen: int


def select_blocks(selection: str | list[int], n_blocks: int) -> list[int]:
    """Return the numbers of the blocks that a recipe selects, ascending.

    The lower half of n blocks is 0 .. n//2 - 1, and the upper half is the rest: with an odd number, the middle block
    belongs to the upper half. Thirds are cut in the same way, at n//3 and 2n//3.

    Raises:
        UserError: a number is out of range, or a selection other than "none" selects nothing.

    >>> select_blocks("lower_half", 5), select_blocks("upper_half", 5), select_blocks("::2", 5)
    ([0, 1], [2, 3, 4], [0, 2, 4])
    >>> [select_blocks(f"{third}_third", 8) for third in ("lower", "middle", "upper")]
    [[0, 1], [2, 3, 4], [5, 6, 7]]
    """
    numbers = list(range(n_blocks))
    if selection == "none":
        return []
    if isinstance(selection, list):
        wrong = [number for number in selection if number not in numbers]
        if wrong:
            raise UserError(
                f"freeze.blocks names block {', '.join(map(str, wrong))}, but the model has {n_blocks}: "
                f"0 to {n_blocks - 1}, from the bottom"
            )
        chosen = sorted(set(selection))
    elif selection in _CUTS:
        parts, part = _CUTS[selection]
        chosen = numbers[part * n_blocks // parts : (part + 1) * n_blocks // parts]
    else:
        chosen = numbers[slice(*(int(part) if part else None for part in selection.split(":")))]
    if not chosen:
        raise UserError(
            f"freeze.blocks {selection!r} selects none of the model's {n_blocks} blocks; write 'none' to freeze nothing"
        )
    return chosen


def freeze(encoder: nn.Module, spec: Freeze, only: Collection[int] | None = None) -> FreezeReport:
    """Set `requires_grad` so that only parameters left unfrozen by the recipe are trained.

    Modules between two blocks (DeBERTa-v2's convolution) belong to the lower block. Modules after the last block, such
    as a final norm, are frozen by `train_only` alone. Dropout stays on.

    Args:
        encoder: as `load_encoder` returns it.
        spec: the recipe's freezing.
        only: ids of an adapter's parameters; no other parameter is trained.

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
        only = _chosen(encoder, spec.train_only)
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
