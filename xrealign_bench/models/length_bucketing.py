"""Read texts of about equal length together, so that little is padded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_OPERATIONS_A_PASS = {"cpu": 2e8, "cuda": 2e10, "mps": 2e10}
"""What one pass more through a block, forwards and back, costs beside its tokens, in floating-point operations: about
2 ms on a CPU core (measured), 0.4 ms of starting kernels on a GPU (estimated)."""


def by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Numbers of examples of about equal length, the longest first, so that memory is short at once or never.

    Args:
        lengths: sub-words of each example.
        tokens: of a batch at most, padding included; a longer example is a batch of its own.

    >>> list(by_length([3, 9, 4, 4], 8))
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


def cheapest_groups(lengths: Sequence[int], a_pass: float) -> list[list[int]]:
    """Cut a batch into groups of about equal length, so that the tokens that are computed are fewest.

    Args:
        lengths: sub-words of each text.
        a_pass: what each group costs beside its tokens and padding, in tokens.

    >>> cheapest_groups([9, 3, 3, 8], 0), cheapest_groups([9, 3, 3, 8], 2), cheapest_groups([9, 3, 3, 8], 20)
    ([[0], [3], [1, 2]], [[0, 3], [1, 2]], [[0, 3, 1, 2]])
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for number, length in enumerate(lengths):
        alike[length].append(number)
    longest = sorted(alike, reverse=True)
    texts = [0, *accumulate(len(alike[length]) for length in longest)]
    # Of the n greatest lengths: what their texts cost, and the length with which their last group begins.
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


def read_by_length(
    encoder: Any, read: Callable[..., Tensor], input_ids: Tensor, attention_mask: Tensor, *others: Tensor | None
) -> Tensor:
    """Hidden states (batch, tokens, dim) of a batch that is padded on the right, read in groups of about equal length.

    What is computed is the same but for the order of sums, and for the numbers that dropout draws. Where a text is
    padded the hidden states may be zero.

    Args:
        encoder: what reads, from whose size follows how many groups are worth their while.
        read: gives hidden states of some of the texts, from their part of what comes next.
        input_ids: (batch, tokens).
        attention_mask: (batch, tokens), 1 where there is a token.
        others: likewise, or None.
    """
    lengths = attention_mask.sum(1).tolist()
    groups = cheapest_groups(lengths, _tokens_a_pass(encoder, input_ids.device))
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
    """What one pass more costs, in tokens: each is six operations a parameter of a block."""
    blocks: int = getattr(encoder.config, "num_hidden_layers", 1)
    parameters: int = encoder.num_parameters(exclude_embeddings=True)
    return _OPERATIONS_A_PASS[device.type] * blocks / (6 * parameters)
