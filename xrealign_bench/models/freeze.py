"""Freeze parts of an encoder for realignment (AlignFreeze, section 3.2), for any architecture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import find_parts
from xrealign_bench.specs import Freeze


@dataclass(frozen=True)
class FreezeReport:
    """What was frozen; the two numbers are of parameters and add up to the encoder's."""

    blocks: list[int]
    embeddings: bool
    trained: int
    frozen: int


def select_blocks(selection: str | list[int], n_blocks: int) -> list[int]:
    """The numbers of the blocks that a selection of a recipe means, ascending.

    The lower half of n blocks is 0 .. n//2 - 1, the upper half is the rest: of an odd number, the middle block
    belongs to the upper half.

    Raises:
        UserError: a number is out of range, or nothing is selected although something was asked for.

    >>> select_blocks("lower_half", 5), select_blocks("upper_half", 5), select_blocks("::2", 5)
    ([0, 1], [2, 3, 4], [0, 2, 4])
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
    elif selection in ("lower_half", "upper_half"):
        half = n_blocks // 2
        chosen = numbers[:half] if selection == "lower_half" else numbers[half:]
    else:
        chosen = numbers[slice(*(int(part) if part else None for part in selection.split(":")))]
    if not chosen:
        raise UserError(
            f"freeze.blocks {selection!r} selects none of the model's {n_blocks} blocks; write 'none' to freeze nothing"
        )
    return chosen


def freeze(encoder: nn.Module, spec: Freeze) -> FreezeReport:
    """Let exactly the parameters be trained that the recipe does not freeze.

    What stands between two blocks (DeBERTa-v2's convolution) goes with the lower one. What comes after the last
    block, such as a final norm, is never frozen. Dropout is not touched.

    Raises:
        UserError: the model's blocks can't be found, the selection doesn't fit them, or nothing is left to train.
    """
    parts = find_parts(encoder)
    blocks = select_blocks(spec.blocks, len(parts.blocks))
    frozen = [module for number in blocks for module in parts.blocks[number]]
    if spec.embeddings:
        frozen += parts.embeddings
    if len(blocks) == len(parts.blocks) and spec.embeddings:
        raise UserError("freeze: all blocks and the embeddings are frozen, so nothing is left to realign; freeze less")
    encoder.requires_grad_(True)
    for module in frozen:
        module.requires_grad_(False)
    return FreezeReport(
        blocks=blocks,
        embeddings=spec.embeddings,
        trained=_count(p for p in encoder.parameters() if p.requires_grad),
        frozen=_count(p for p in encoder.parameters() if not p.requires_grad),
    )


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)
