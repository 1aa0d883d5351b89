"""The numbers of the blocks that recipes and tasks name."""

from __future__ import annotations

from xrealign_bench.errors import UserError
from xrealign_bench.specs.fields import LayerName

_CUTS = {
    "lower_half": (2, 0), "upper_half": (2, 1), "lower_third": (3, 0), "middle_third": (3, 1), "upper_third": (3, 2),
}  # fmt: skip
"""Name -> into how many parts the blocks are cut, and which of them it is."""


def resolve_layer(layer: LayerName | int, n_blocks: int) -> int:
    """The number of the block that a recipe's `objective.layer`, or a retrieval task's `layer`, means.

    Raises:
        UserError: the model has no such block.

    >>> resolve_layer("last", 12), resolve_layer("penultimate", 12), resolve_layer(3, 12)
    (11, 10, 3)
    >>> resolve_layer("middle", 12), resolve_layer("middle", 32), resolve_layer("middle", 1)
    (5, 15, 0)
    """
    named = {"last": n_blocks - 1, "penultimate": n_blocks - 2, "middle": max(0, n_blocks // 2 - 1)}
    number = named[layer] if isinstance(layer, str) else layer
    if not 0 <= number < n_blocks:
        raise UserError(f"layer {layer!r}: the model has no such block; it has {n_blocks}, from 0 at the bottom")
    return number


def select_blocks(selection: str | list[int], n_blocks: int) -> list[int]:
    """The numbers of the blocks that a selection of a recipe means, ascending.

    The lower half of n blocks is 0 .. n//2 - 1, the upper half is the rest: of an odd number, the middle block
    belongs to the upper half. Thirds are cut likewise, at n//3 and 2n//3.

    Raises:
        UserError: a number is out of range, or nothing is selected although something was asked for.

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
