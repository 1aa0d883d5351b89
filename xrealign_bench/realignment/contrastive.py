"""The contrastive loss, and the projection head in front of it."""

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
    """Compute AlignFreeze's contrastive loss (Bakos et al. 2025, section 3.1) in one matrix product.

    For an anchor a with its translation p, cosine similarity s and temperature t, the loss is
    ``-log(exp(s(a, p) / t) / sum over candidates c of exp(s(a, c) / t))``, averaged over the anchors. Anchors are the
    linked words of both sides, or all sentences (Nguyen et al. 2025, "Rethinking what Matters").

    Args:
        vectors: (W, D), all words of the batch, linked or not, of both sides; or all sentences.
        anchors: (A,) positions in `vectors`; each link gives two.
        positives: (A,) the translation of each anchor.
        side: (W,) bool, whether the vector belongs to the target side.
        temperature: t.
        negatives: candidates are all vectors except the anchor (`both_languages`, "strong"), or the vectors of the
            other side (`other_language`).

    Returns:
        A scalar.

    Raises:
        ValueError: there is no anchor.

    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> pair, swapped, side = torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([False, True])
    >>> float(contrastive(vectors, pair, swapped, side, 0.1, "both_languages"))  # the translation is the only candidate
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


def projection_head(dim: int, size: int) -> nn.Module:
    """Return a random head Linear(dim, dim), ReLU, Linear(dim, size) without biases. It is discarded in the end."""
    return nn.Sequential(nn.Linear(dim, dim, bias=False), nn.ReLU(), nn.Linear(dim, size, bias=False))
