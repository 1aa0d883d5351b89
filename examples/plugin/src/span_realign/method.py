"""Span-contrastive realignment: each linked word is contrasted together with its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

import xrealign_bench as xb

WIDTH = 1
"""Words on each side of a linked word that belong to its span."""


@xb.register_method("span-contrastive", version="1", needs_links=True, contrasts="spans of words")
class SpanContrastive:
    """Contrast the mean vectors of spans around linked words with InfoNCE."""

    def __init__(self, objective: xb.Objective) -> None:
        self._temperature = objective.temperature

    def pool(self, hidden: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return one vector per word: the mean over the sub-words of the word and its neighbours."""
        last = (starts >= 0).sum(1, keepdim=True) - 1
        place = torch.arange(starts.shape[1], device=starts.device).unsqueeze(0)
        begin = starts.gather(1, (place - WIDTH).clamp(min=0).expand_as(starts))
        end = ends.gather(1, torch.minimum(place + WIDTH, last.clamp(min=0)))
        token = torch.arange(hidden.shape[1], device=hidden.device)
        inside = (token >= begin.unsqueeze(2)) & (token < end.unsqueeze(2))
        sums = inside.to(hidden.dtype) @ hidden
        return (sums / inside.sum(2, keepdim=True).clamp(min=1))[starts >= 0]

    def loss(self, vectors: Tensor, batch: xb.PairBatch) -> Tensor:
        """Return the mean cross-entropy of finding each span's translation among all spans of the other side."""
        unit = functional.normalize(vectors, dim=-1)
        scores = unit[batch.anchors] @ unit.T / self._temperature
        own_side = batch.side.unsqueeze(0) == batch.side[batch.anchors].unsqueeze(1)
        return functional.cross_entropy(scores.masked_fill(own_side, -torch.inf), batch.positives)
