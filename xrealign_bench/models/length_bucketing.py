"""Length bucketing: run texts of similar length together, to save padding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_OPERATIONS_A_PASS = {"cpu": 2e8, "cuda": 2e10, "mps": 2e10}
"""Fixed cost of one more forward and backward pass through a block, in floating-point operations: about 2 ms on a CPU
core (measured), 0.4 ms of kernel launches on a GPU (estimated)."""


def batch_by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Yield batches of similar length, longest first, so that an out-of-memory error shows up immediately.

    Args:
        lengths: sub-words of each example.
        tokens: the most sub-words of a batch, padding included. A longer example is a batch of its own.

    Yields:
        The numbers of the examples of a batch.

    >>> list(batch_by_length([3, 9, 4, 4], 8))
    [[1], [2, 3], [0]]
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def group_by_length(lengths: Sequence[int], a_pass: float) -> list[list[int]]:
    """Split a batch into groups of similar length that together cost the least.

    Args:
        lengths: sub-words of each text.
        a_pass: fixed cost of each group, in tokens; the rest is its tokens and padding.

    >>> group_by_length([9, 3, 3, 8], 0), group_by_length([9, 3, 3, 8], 2), group_by_length([9, 3, 3, 8], 20)
    ([[0], [3], [1, 2]], [[0, 3], [1, 2]], [[0, 3, 1, 2]])
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for number, length in enumerate(lengths):
        alike[length].append(number)
    longest = sorted(alike, reverse=True)
    texts = [0, *accumulate(len(alike[length]) for length in longest)]
    # Dynamic programming over the n greatest lengths: their cost, and the length at which their last group begins.
    cost, begins = [0.0], [0]
    for end in range(1, len(longest) + 1):
        least, begin = min((cost[n] + (texts[end] - texts[n]) * longest[n], n) for n in range(end))
        cost.append(least + a_pass)
        begins.append(begin)
    groups, end = [], len(longest)
    while end:
        groups.append([number for length in longest[begins[end] : end] for number in alike[length]])
        end = begins[end]
    return groups[::-1]


def run_by_length(
    encoder: Any, read: Callable[..., Tensor], input_ids: Tensor, attention_mask: Tensor, *others: Tensor | None
) -> Tensor:
    """Return the hidden states (batch, tokens, dim) of a right-padded batch, computed in groups of similar length.

    Results are the same except for the order of sums and the random numbers of dropout. At padding the hidden states
    may be zero.

    Args:
        encoder: the encoder that `read` runs; its size decides how many groups pay off.
        read: returns hidden states from rows of `input_ids`, `attention_mask` and `others`.
        input_ids: (batch, tokens).
        attention_mask: (batch, tokens), 1 for tokens and 0 for padding.
        others: further inputs (batch, tokens), or None.
    """
    lengths = attention_mask.sum(1).tolist()
    groups = group_by_length(lengths, _tokens_a_pass(encoder, input_ids.device))
    if len(groups) == 1:
        return read(input_ids, attention_mask, *others)
    hidden = []
    for group in groups:
        longest = lengths[group[0]]
        own = [None if part is None else part[group, :longest] for part in (input_ids, attention_mask, *others)]
        hidden.append(functional.pad(read(*own), (0, 0, 0, input_ids.shape[1] - longest)))
    place = torch.tensor([number for group in groups for number in group]).argsort()
    return torch.cat(hidden)[place.to(input_ids.device)]


def _tokens_a_pass(encoder: Any, device: torch.device) -> float:
    """Return the fixed cost of one more pass, in tokens; a token takes six operations per block parameter."""
    blocks: int = getattr(encoder.config, "num_hidden_layers", 1)
    parameters: int = encoder.num_parameters(exclude_embeddings=True)
    return _OPERATIONS_A_PASS[device.type] * blocks / (6 * parameters)
