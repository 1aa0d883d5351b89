"""Pool the vectors of sub-words to one vector per word or sentence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from xrealign_bench.specs.recipe import SentencePooling


def pool_words(hidden: Tensor, starts: Tensor, ends: Tensor, pooling: Literal["first_subword", "mean"]) -> Tensor:
    """Pool to one vector per word: its first sub-word (AlignFreeze, section 3.1), or the mean of its sub-words.

    Args:
        hidden: (batch, tokens, dim).
        starts: (batch, words), -1 where there is no word; the result is zero there.
        ends: (batch, words), exclusive.
        pooling: `first_subword` or `mean`.

    Returns:
        (batch, words, dim), in the type of `hidden`; the mean is computed in float32.

    >>> hidden = torch.tensor([[[9.0], [1.0], [2.0], [4.0], [9.0]]])
    >>> starts, ends = torch.tensor([[1, 2, -1]]), torch.tensor([[2, 4, -1]])
    >>> pool_words(hidden, starts, ends, "first_subword").flatten().tolist()
    [1.0, 2.0, 0.0]
    >>> pool_words(hidden, starts, ends, "mean").flatten().tolist()
    [1.0, 3.0, 0.0]
    """
    if pooling == "first_subword":
        index = starts.clamp(min=0).unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
        return hidden.gather(1, index) * (starts >= 0).unsqueeze(-1)
    position = torch.arange(hidden.shape[1], device=hidden.device)
    inside = ((position >= starts.unsqueeze(-1)) & (position < ends.unsqueeze(-1))).float()
    # A product with the membership matrix: differences of cumulative sums would lose digits late in a sentence.
    mean = inside @ hidden.float() / inside.sum(-1, keepdim=True).clamp(min=1)
    return mean.to(hidden.dtype)


def pool_sentences(hidden: Tensor, starts: Tensor, ends: Tensor, pooling: SentencePooling) -> Tensor:
    """Pool to one vector per sentence (Nguyen et al. 2025, "Rethinking what Matters").

    `mean` averages the sub-words of all words of the window, without special tokens, padding and word markers that are
    tokens of their own. `weighted_mean` weights them by their rank, 1 to n, for decoders, whose later tokens have read
    more (SGPT, Muennighoff 2022). `last_token` takes the last of them. `as_run` averages the first n positions of a
    sentence of n words: the special token in front, then the sub-words of the first words. That is what the paper's
    released code did (after deleting lone markers).

    Args:
        hidden: (batch, tokens, dim).
        starts: (batch, words), -1 where there is no word; each row has at least one word.
        ends: (batch, words), exclusive.

    Returns:
        (batch, dim), in the type of `hidden`; the mean is computed in float32.

    >>> hidden = torch.tensor([[[9.0], [1.0], [2.0], [6.0], [9.0]]])
    >>> starts, ends = torch.tensor([[1, 2, -1]]), torch.tensor([[2, 4, -1]])
    >>> pool_sentences(hidden, starts, ends, "mean").tolist(), pool_sentences(hidden, starts, ends, "as_run").tolist()
    ([[3.0]], [[5.0]])
    >>> [round(pool_sentences(hidden, starts, ends, way).item(), 3) for way in ("weighted_mean", "last_token")]
    [3.833, 6.0]
    """
    position = torch.arange(hidden.shape[1], device=hidden.device)
    inside = ((position >= starts.unsqueeze(-1)) & (position < ends.unsqueeze(-1))).any(1)
    if pooling == "as_run":
        inside = position < (starts >= 0).sum(-1, keepdim=True)
    weights = inside.float()
    if pooling == "weighted_mean":
        weights = weights * inside.cumsum(1)
    elif pooling == "last_token":
        weights = (position == ends.amax(1, keepdim=True) - 1).float()
    weights = weights / weights.sum(-1, keepdim=True)
    return (weights.unsqueeze(1) @ hidden.float()).squeeze(1).to(hidden.dtype)
