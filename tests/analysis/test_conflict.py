"""Gradients of two losses of one model. Truth: a loss compared with itself, and weights to the bit."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.realignment.toy import PAD, cipher_pairs, copy_of, tiny_bert
from xrealign_bench.analysis.gradient_conflict import EMBEDDINGS, TwoLosses, conflict_by_block, conflict_rows
from xrealign_bench.models.embedding_rows import shrink_embeddings
from xrealign_bench.models.training import FinetuningLog, optimise
from xrealign_bench.realignment.losses import RealignmentLosses
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Finetuning, Freeze, Objective, Schedule
from xrealign_bench.tasks.finetuning import FinetuningRun

CPU = torch.device("cpu")
CORPUS = PairCorpus({"de": cipher_pairs(1, 30, 1), "sw": cipher_pairs(2, 30, 2)}, PAD)
REALIGNMENT = Realignment("word_contrastive", Objective(projection=16), Freeze(), Schedule(batch_size=8))
SETTINGS = Finetuning(steps=99, batch_size=8, max_length=24, learning_rate={"default": 1e-3})


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = tiny_bert(dropout=0.0)


def train_on(
    change: Callable[[Tensor], Tensor],
) -> Callable[[Any, int, Mapping[str, Any], FinetuningRun], FinetuningLog]:
    """A task whose loss is that of realignment, with the same seed and batches, changed in some way."""

    def train(model: Any, pad_id: int, tables: Mapping[str, Any], run: FinetuningRun) -> FinetuningLog:
        losses = RealignmentLosses(model.encoder, CORPUS, REALIGNMENT, run.seed, run.device)

        def changed(loss_of: Any, parts: int) -> Iterator[Tensor]:
            yield from map(change, loss_of(parts))

        with shrink_embeddings(model.encoder, CORPUS.texts()):
            log = optimise(
                model.parameters(),
                (partial(changed, loss_of) for loss_of in losses.draw(run.settings.known_steps)),
                steps=run.settings.known_steps,
                batch_size=8,
                learning_rate=run.settings.learning_rate["default"],
                schedule="linear",
                warmup_steps=0,
                progress=run.progress,
                joint=run.joint,
            )
        return FinetuningLog(log.losses, 1, 0)

    return train


def conflict(change: Callable[[Tensor], Tensor], realignment: Realignment = REALIGNMENT) -> dict[int, list[float]]:
    run = FinetuningRun(SETTINGS, 3, CPU, lambda *_: None)
    return conflict_by_block(Model(), TwoLosses(realignment, CORPUS, train_on(change), {}, run), batches=3)


def test_a_loss_does_not_conflict_with_itself() -> None:
    """The objective sits on the penultimate block, so the last one has no gradient and no cosine."""
    found = conflict(lambda loss: 3 * loss)
    assert list(found) == [EMBEDDINGS, 0, 1, 2]
    assert all(values == pytest.approx([1.0] * 3, abs=1e-5) for values in found.values())


def test_a_loss_conflicts_with_its_negative() -> None:
    assert all(values == pytest.approx([-1.0] * 3, abs=1e-5) for values in conflict(lambda loss: -loss).values())


def test_frozen_blocks_are_compared_too() -> None:
    frozen = Realignment("word_contrastive", REALIGNMENT.objective, Freeze(blocks=[0, 1]), REALIGNMENT.schedule)
    assert conflict(lambda loss: loss, frozen) == conflict(lambda loss: loss)


def test_comparing_gradients_changes_no_weight() -> None:
    model = Model()
    before = copy_of(model)
    run = FinetuningRun(SETTINGS, 3, CPU, lambda *_: None)
    conflict_by_block(model, TwoLosses(REALIGNMENT, CORPUS, train_on(lambda loss: loss), {}, run), batches=2)
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_rows_have_the_mean_and_the_deviation_over_batches() -> None:
    rows = list(conflict_rows("initial", {0: [0.1, 0.4, 0.3], 1: [0.5]}))
    assert [(row.block, row.measure, row.n) for row in rows] == [
        (0, "gradient_cosine", 3),
        (0, "gradient_cosine_std", 3),
        (1, "gradient_cosine", 1),
    ]
    assert rows[0].value == pytest.approx(statistics.fmean([0.1, 0.4, 0.3]))
    assert rows[1].value == pytest.approx(statistics.stdev([0.1, 0.4, 0.3]))
