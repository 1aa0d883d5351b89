"""The realignment loss of one batch of pairs, whole or in parts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from xrealign_bench import distributed
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.device import generator_states, restore_generators
from xrealign_bench.models.length_bucketing import run_by_length
from xrealign_bench.models.training import StepLoss
from xrealign_bench.models.windows import WindowBatch
from xrealign_bench.realignment.drift import DriftPenalty
from xrealign_bench.realignment.pair_loss import load_pair_loss
from xrealign_bench.realignment.pairs import PairBatch
from xrealign_bench.specs import Objective


class BatchLoss:
    """The loss of a realignment method, plus the drift penalty if the objective has one.

    Args:
        encoder: the encoder to train.
        head: projects the method's vectors before they are compared.
        method: a name in `specs.methods.METHODS`.
        objective: the recipe's.
        initial: the encoder before realignment, for the drift penalty.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, method: str, objective: Objective, initial: nn.Module | None = None
    ) -> None:
        self._encoder, self.head = encoder, head
        self._layer = objective.layer
        self._pair_loss = load_pair_loss(method, objective)
        self._drift = None if initial is None else DriftPenalty(initial, objective)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the head."""
        return list(self.head.parameters())

    def step(self, batch: PairBatch, device: torch.device) -> StepLoss:
        """Return the loss of a step."""
        return partial(self.in_parts, batch.to(device))

    def whole(self, batch: PairBatch) -> Tensor:
        """Return the loss of a batch; both sides go through the encoder in one pass."""
        vectors, penalty = self._read(batch.windows, slice(None))
        return self._pair_loss.loss(vectors, batch) + penalty

    def in_parts(self, batch: PairBatch, parts: int) -> Iterator[Tensor]:
        """Yield parts that add up to `whole`, with the same negatives, by gradient caching (Gao et al., RepL4NLP 2021).

        All vectors are computed without a graph, then the loss and its gradient with respect to them. Then each part
        is read again with a graph and the same dropout; its loss is the product of its vectors and that gradient.
        Each rank reads its own parts, and every rank knows all vectors.
        """
        if parts == 1:
            yield self.whole(batch)
            return
        texts = len(batch.windows.input_ids)
        size = -(-texts // parts)
        pieces = [slice(begin, begin + size) for begin in range(0, texts, size)]
        own_pieces = distributed.shard(pieces)
        generators = generator_states()
        with torch.no_grad():
            first = [self._read(batch.windows, piece) for piece in own_pieces]
        nothing = torch.zeros(0, device=batch.side.device)  # for a rank without a piece
        penalty = sum(distributed.all_gather(sum((part for _, part in first), start=nothing.sum()).item()))
        vectors, own_rows = distributed.all_gather_rows(torch.cat([nothing, *(vectors for vectors, _ in first)]))
        vectors.requires_grad_()
        loss = self._pair_loss.loss(vectors, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        value = loss.detach() + penalty
        gradients = torch.split(vectors.grad[own_rows], [len(vectors) for vectors, _ in first])
        restore_generators(generators)
        for piece, gradient in zip(own_pieces, gradients, strict=True):
            again, part = self._read(batch.windows, piece)
            surrogate = (again * gradient).sum() + part
            yield surrogate - surrogate.detach() + value / len(pieces)

    def _read(self, windows: WindowBatch, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the vectors (n, dim) of some texts of a batch, and their share of the drift penalty."""
        ids, mask, starts, ends = (
            part[rows] for part in (windows.input_ids, windows.attention_mask, windows.starts, windows.ends)
        )
        hidden = run_by_length(self._encoder, partial(block_output, self._encoder, self._layer), ids, mask)
        vectors = self.head(self._pair_loss.pool(hidden, starts, ends))
        penalty = hidden.new_zeros(()) if self._drift is None else self._drift.of_part(hidden, windows, rows)
        return vectors, penalty
