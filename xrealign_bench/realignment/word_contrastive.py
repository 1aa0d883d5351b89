"""Word contrastive realignment (AlignFreeze; Bakos et al. 2025)."""

from __future__ import annotations

from torch import Tensor

from xrealign_bench.models.pooling import pool_words
from xrealign_bench.realignment.contrastive import contrastive
from xrealign_bench.realignment.pairs import PairBatch
from xrealign_bench.specs import Objective


class WordContrastive:
    """Contrasts words: each linked word should be nearest to its translation among all words of the batch."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def pool(self, hidden: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return one vector per word."""
        return pool_words(hidden, starts, ends, self._objective.pooling)[starts >= 0]

    def loss(self, vectors: Tensor, batch: PairBatch) -> Tensor:
        """Return the mean contrastive loss over all linked words."""
        temperature, negatives = self._objective.temperature, self._objective.negatives
        return contrastive(vectors, batch.anchors, batch.positives, batch.side, temperature, negatives)
