"""The interface of a realignment method's loss, and how to register one."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from xrealign_bench.arguments import names_arguments
from xrealign_bench.plugins import check_protocol
from xrealign_bench.specs import Objective
from xrealign_bench.specs.methods import METHODS, Method, Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from xrealign_bench.realignment.pairs import PairBatch

Loss = TypeVar("Loss", bound="type[PairLoss]")


class PairLoss(Protocol):
    """The loss of a realignment method: which vectors it compares, and how.

    The harness reads a batch of translation pairs, runs the encoder, and calls `pool` on the hidden states of
    `objective.layer`, all of the batch at once or, if memory is short, a few texts at a time. The projection head of
    `objective` is applied to each vector that `pool` returns. `loss` then gets all vectors of the batch, in the order
    of the texts: all source texts, then their translations. It must be differentiable with respect to the vectors.

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
        """Return the scalar loss of all vectors of a batch, source texts first.

        `batch.anchors` and `batch.positives` are positions of linked words and of their translations among all words
        of the batch, and `batch.side` says for each word whether it belongs to a target text.
        """


@names_arguments
def register_method(
    name: str, *, version: str, needs_links: bool, contrasts: str = "words", pooling: Pooling | None = None
) -> Callable[[Loss], Loss]:
    """Register a class with the methods of `PairLoss`, so that a recipe can name it under `method`.

    Args:
        name: the name that recipes give.
        version: raise it when the loss changes.
        needs_links: whether it reads a word alignment; without one, `batch.anchors` is empty.
        contrasts: what it compares, in the plural, for messages.
        pooling: the option of `objective` that it reads; a recipe that sets the other one is refused.

    Raises:
        UserError: the class lacks a method or an argument.
    """

    def register(loss: Loss) -> Loss:
        check_protocol(loss, PairLoss)
        METHODS.add(loss, name, version, Method(contrasts, needs_links, pooling, loss))
        return loss

    return register


def load_pair_loss(method: str, objective: Objective) -> PairLoss:
    """Import the loss of a method and create it with the recipe's options."""
    named = METHODS[method].loss
    if named is None:
        raise ValueError(f"method '{method}' compares no pairs")
    loss: type[PairLoss] = pkgutil.resolve_name(named) if isinstance(named, str) else named
    return loss(objective)
