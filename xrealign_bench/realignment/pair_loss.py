"""The interface of a realignment method's loss."""

from __future__ import annotations

import pkgutil
from typing import Protocol

from torch import Tensor

from xrealign_bench.realignment.pairs import PairBatch
from xrealign_bench.specs import Objective
from xrealign_bench.specs.methods import METHODS


class PairLoss(Protocol):
    """The loss of a realignment method: which vectors it compares, and how.

    Args:
        objective: the options of the recipe.
    """

    def __init__(self, objective: Objective) -> None: ...

    def pool(self, hidden: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Pool hidden states (texts, tokens, dim) into the vectors (n, dim) to compare, text by text.

        Args:
            hidden: the states of some texts of a batch.
            starts: (texts, words), the first sub-word of each word; -1 for padding.
            ends: (texts, words), exclusive.
        """

    def loss(self, vectors: Tensor, batch: PairBatch) -> Tensor:
        """Return the scalar loss of all vectors of a batch, source texts first."""


def load_pair_loss(method: str, objective: Objective) -> PairLoss:
    """Import the loss of a method and create it with the recipe's options."""
    loss: type[PairLoss] = pkgutil.resolve_name(METHODS[method].loss)
    return loss(objective)
