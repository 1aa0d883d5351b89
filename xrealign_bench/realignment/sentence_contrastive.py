"""Sentence contrastive realignment (Nguyen et al. 2025, "Rethinking what Matters")."""

from __future__ import annotations

import torch
from torch import Tensor

from xrealign_bench.models.pooling import pool_sentences
from xrealign_bench.realignment.contrastive import contrastive
from xrealign_bench.realignment.pairs import PairBatch
from xrealign_bench.specs import Objective


class SentenceContrastive:
    """Contrasts sentences: each sentence should be nearest to its translation among all sentences of the batch."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def pool(self, hidden: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return one vector per sentence."""
        return pool_sentences(hidden, starts, ends, self._objective.sentence_pooling)

    def loss(self, vectors: Tensor, batch: PairBatch) -> Tensor:
        """Return the mean contrastive loss over all sentences."""
        anchors = torch.arange(len(vectors), device=vectors.device)
        pairs = len(anchors) // 2
        positives = anchors.roll(pairs)  # sources come first, then their translations in the same order
        temperature, negatives = self._objective.temperature, self._objective.negatives
        return contrastive(vectors, anchors, positives, anchors >= pairs, temperature, negatives)
