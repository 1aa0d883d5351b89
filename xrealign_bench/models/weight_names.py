"""Recognise names in weight files that are not the model's: prefixes of wrappers, and constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor

from xrealign_bench.errors import UserError, shorten_list
from xrealign_bench.models.checkpoint import Checkpoint, weight_files
from xrealign_bench.models.finite_checks import read_tensors

_CONSTANTS = ("masked_bias", "inv_freq", "position_ids")
"""Buffers that older classes of transformers wrote beside their parameters."""


def find_wrapper_prefix(model: Any, loaded: Mapping[str, Any], what: str) -> str:
    """Return the prefix that a wrapper added to the names of a model's weights, or "" if there is none.

    torch.compile (`_orig_mod.`), DDP (`module.`) and sentence-transformers (`0.auto_model.`) write one. Transformers
    adds and removes the prefix of its own classes, but finds nothing behind any other.

    Args:
        model: a transformers model.
        loaded: transformers' loading information, with missing and unexpected names.
        what: names the checkpoint in errors.

    Raises:
        UserError: the files hold none of the model's weights, or those of several such models.
    """
    missing = set(loaded["missing_keys"])
    wanted = missing | {name.removeprefix(f"{model.base_model_prefix}.") for name in missing}
    ends = ((name, _end_in(wanted, name)) for name in loaded["unexpected_keys"])
    found = Counter(name.removesuffix(end) for name, end in ends if end is not None)
    unprefixed = sum(name not in missing for name, _ in model.named_parameters())
    most = max(found.values(), default=0)
    if most <= unprefixed:
        if loaded["unexpected_keys"] and not unprefixed:
            raise UserError(
                f"{what}: none of its weights is one of a {type(model).__name__}, which its config.json describes: "
                f"they are {shorten_list(sorted(loaded['unexpected_keys']))}; use the config.json that belongs to them"
            )
        return ""
    best = sorted(prefix for prefix, count in found.items() if count == most)
    if len(best) > 1:
        raise UserError(
            f"{what}: its weights are those of several models ({shorten_list([f'{prefix}*' for prefix in best])}); "
            "keep those of one"
        )
    return str(best[0])


def _end_in(wanted: Set[str], name: str) -> str | None:
    """Return the longest suffix of a dotted name that is wanted, or None."""
    parts = name.split(".")
    return next((end for n in range(len(parts)) if (end := ".".join(parts[n:])) in wanted), None)


def find_constants(checkpoint: Checkpoint, names: Sequence[str]) -> set[str]:
    """Return which of these tensors are constants of the architecture, so that they can be ignored.

    These are causal masks, recognised by their values, and the buffers in `_CONSTANTS`. Anything else was trained, such
    as an adapter or a block that the configuration does not have.
    """
    constant = {name for name in names if name.rpartition(".")[2] in _CONSTANTS}
    values: dict[str, list[bool]] = {name: [] for name in names if name not in constant}
    for end, tensor in _tensors(checkpoint, values.keys()):
        values[end].append(_is_causal_mask(tensor))
    return constant | {name for name, masks in values.items() if masks and all(masks)}


def _tensors(checkpoint: Checkpoint, ends: Set[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors whose name ends in one of these names, together with that name."""
    if not ends:
        return
    for path in weight_files(checkpoint):
        for name, tensor in read_tensors(path):
            if (end := _end_in(ends, name)) is not None:
                yield end, tensor


def _is_causal_mask(tensor: Tensor) -> bool:
    """Return whether a tensor is one square matrix of zeros and ones, with ones on the diagonal and zeros above it.

    >>> _is_causal_mask(torch.ones(1, 1, 4, 4).tril()), _is_causal_mask(torch.zeros(4, 4))
    (True, False)
    """
    size = tensor.shape[-1] if tensor.dim() >= 2 else 0
    if size < 2 or tensor.numel() != size * size or tensor.shape[-2] != size:
        return False
    square = tensor.reshape(size, size)
    binary = bool(((square == 0) | (square == 1)).all())
    return binary and bool(square.diagonal().all()) and torch.equal(square, square.tril())
