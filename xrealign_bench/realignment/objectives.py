"""The contrastive loss, on words or on sentences, and the pull towards the initial model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def contrastive(
    vectors: Tensor,
    anchors: Tensor,
    positives: Tensor,
    side: Tensor,
    temperature: float,
    negatives: Literal["both_languages", "other_language"],
) -> Tensor:
    """AlignFreeze's contrastive loss (Bakos et al. 2025, section 3.1), in one matrix product.

    Each aligned word of either side is an anchor; among all candidates its translation should be the nearest:
    ``-log(exp(s(a, p) / t) / sum over candidates c of exp(s(a, c) / t))``, with the cosine s and the temperature t,
    averaged over the anchors. With sentences in the place of words it is the loss of Nguyen et al. (2025, "Rethinking
    what Matters"): every sentence is an anchor.

    Args:
        vectors: (W, D), of all words of the batch, aligned or not, of both sides; or of all sentences.
        anchors: (A,) positions in `vectors`; each link gives two.
        positives: (A,) the anchors' translations.
        side: (W,) bool, whether the word is of the target side.
        temperature: t.
        negatives: candidates are all words but the anchor itself (`both_languages`, "strong"), or the words of the
            other side (`other_language`).

    Returns:
        A scalar.

    Raises:
        ValueError: there is no anchor.

    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> pair, swapped, side = torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([False, True])
    >>> float(contrastive(vectors, pair, swapped, side, 0.1, "both_languages"))  # nobody else to be nearer
    0.0
    """
    if len(anchors) == 0:
        raise ValueError("a batch without links has no loss")
    unit = functional.normalize(vectors, dim=-1)
    scores = unit[anchors] @ unit.T / temperature
    if negatives == "both_languages":
        excluded = torch.arange(len(vectors), device=vectors.device) == anchors.unsqueeze(1)
    else:
        excluded = side.unsqueeze(0) == side[anchors].unsqueeze(1)
    return functional.cross_entropy(scores.masked_fill(excluded, -torch.inf), positives)


def drift(hidden: Tensor, initial: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean squared difference of hidden states (batch, tokens, dim) to the initial model's, padding left out.

    Cao et al. (2020, section 3), averaged as in the code of Gaschi et al. (2023).

    >>> float(drift(torch.tensor([[[1.0, 3.0], [9.0, 9.0]]]), torch.zeros(1, 2, 2), torch.tensor([[1, 0]])))
    5.0
    """
    read = attention_mask.bool()
    return functional.mse_loss(hidden[read], initial[read])


def projection_head(dim: int, size: int) -> nn.Module:
    """Linear(dim, dim), ReLU, Linear(dim, size), without biases; random, and thrown away after realignment."""
    return nn.Sequential(nn.Linear(dim, dim, bias=False), nn.ReLU(), nn.Linear(dim, size, bias=False))
