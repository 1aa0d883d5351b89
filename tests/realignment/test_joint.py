"""Realignment during fine-tuning. Truth: the gradients of the two losses, computed apart and added; bit-identity."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from tests.realignment.toy import PAD, cipher_pairs, copy_of, tiny_bert
from xrealign_bench.models.training import StepLoss, TrainingError, optimise
from xrealign_bench.models.windows import windows_table
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.joint import JointRealignment
from xrealign_bench.realignment.pairs import EncodedPairs, PairBatch, PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Finetuning, Freeze, Objective, Schedule
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.token_classification.model import TokenClassifier, train

CPU = torch.device("cpu")
OBJECTIVE = Objective(layer="penultimate", projection=8)


def pairs() -> dict[str, EncodedPairs]:
    return {"one": cipher_pairs(1, 12, seed=1), "two": cipher_pairs(2, 12, seed=2)}


def joint_with(encoder: nn.Module, **changes: Any) -> JointRealignment:
    batch_size, when = changes.pop("batch_size", 6), changes.pop("when", "during")
    weight = changes.pop("weight", 0.5 if when == "during" else 1.0)
    call = {"steps": changes.pop("steps", 3), "seed": changes.pop("seed", 4)}
    schedule = Schedule(when=when, batch_size=batch_size, weight=weight)
    realignment = Realignment("word_contrastive", OBJECTIVE, schedule=schedule, **changes)
    return JointRealignment(encoder, PairCorpus(pairs(), PAD), realignment, device=CPU, **call)


def batch_of(loss: StepLoss) -> PairBatch:
    """Return the batch of a step's loss, which is its last argument."""
    assert isinstance(loss, partial)
    batch = loss.args[-1]
    assert isinstance(batch, PairBatch)
    return batch


def quiet(done: int, total: int, note: str) -> None:
    pass


def finetune(encoder: nn.Module, joint: JointRealignment | None, steps: int = 3) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    classifier = TokenClassifier(encoder, 2)
    windows = [replace(pair.source, sentence=n) for n, pair in enumerate(cipher_pairs(1, 16, seed=5).pairs)]
    labels = [[place % 2 for place in range(len(w.starts))] for w in windows]
    tables = {"windows": windows_table(windows), "sentences": pa.table({"labels": labels})}
    finetuning = Finetuning(steps=steps, batch_size=4, learning_rate={"default": 1e-3}, warmup=0)
    log = train(
        classifier, PAD, tables, FinetuningRun(finetuning, 7, CPU, quiet, None if joint is None else joint.loss)
    )
    return classifier, log.losses


@pytest.mark.parametrize(
    ("freezing", "frozen"),
    [
        (Freeze(), ()),
        (Freeze(blocks="lower_half", embeddings=True), ("embeddings.", "encoder.layer.0.", "encoder.layer.1.")),
        (Freeze(blocks="upper_half"), ("encoder.layer.2.", "encoder.layer.3.")),
    ],
    ids=["nothing", "front", "back"],
)
def test_the_gradient_is_the_sum_of_both_but_for_frozen_parameters(freezing: Freeze, frozen: tuple[str, ...]) -> None:
    """Compare the gradients of the first step with those of the two losses."""
    encoder = tiny_bert(dropout=0.0)
    joint = joint_with(encoder, freeze=freezing)
    head = joint._losses.head
    reference, reference_head = copy.deepcopy(encoder), copy.deepcopy(head)
    source = cipher_pairs(1, 1, seed=8).pairs[0].source

    def task_loss(model: nn.Module) -> Tensor:
        hidden: Tensor = model(torch.tensor([source.input_ids])).last_hidden_state
        return hidden.pow(3).mean()

    gradients: dict[str, Tensor | None] = {}

    def note(done: int, total: int, text: str) -> None:
        gradients.update({name: parameter.grad for name, parameter in encoder.named_parameters()})

    # Which batch is read is known from the same joint realignment of a copy.
    batch = batch_of(next(joint_with(copy.deepcopy(encoder), freeze=freezing).loss.losses))
    optimise(
        encoder.parameters(), [lambda parts: iter([task_loss(encoder)])],
        steps=1, batch_size=1, learning_rate=1e-4, schedule="constant", warmup_steps=0, progress=note, joint=joint.loss,
    )  # fmt: skip
    expected_loss = BatchLoss(reference, reference_head, "word_contrastive", OBJECTIVE).whole(batch)
    names, parameters = zip(*reference.named_parameters(), strict=True)
    by_pairs = torch.autograd.grad(expected_loss, parameters, allow_unused=True)
    by_task = torch.autograd.grad(task_loss(reference), parameters, allow_unused=True)
    for name, pair_gradient, task_gradient in zip(names, by_pairs, by_task, strict=True):
        expected = torch.zeros_like(gradients[name]) if task_gradient is None else task_gradient
        if pair_gradient is not None and not name.startswith(frozen or "none"):
            expected = expected + 0.5 * pair_gradient
        torch.testing.assert_close(gradients[name], expected, atol=1e-6, rtol=1e-4)
    assert joint.loss.history == pytest.approx([expected_loss.item()], abs=1e-5)
    reached = {n for n, g in zip(names, by_pairs, strict=True) if g is not None and not n.startswith(frozen or "none")}
    assert joint.log(1).trained == sum(p.numel() for n, p in reference.named_parameters() if n in reached)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_alternating_is_one_adam_step_on_the_pairs_and_then_one_on_the_task() -> None:
    encoder = tiny_bert(dropout=0.0)
    joint = joint_with(encoder, when="alternate", freeze=Freeze(blocks="upper_half"))
    plain, plain_head = copy.deepcopy(encoder), copy.deepcopy(joint._losses.head)
    ids = torch.tensor([cipher_pairs(1, 1, seed=8).pairs[0].source.input_ids])

    def task_loss(model: nn.Module) -> Tensor:
        hidden: Tensor = model(ids).last_hidden_state
        return hidden.pow(3).mean()

    batches = [batch_of(loss) for loss in joint_with(copy.deepcopy(encoder), when="alternate").loss.losses]
    optimise(
        encoder.parameters(), [lambda parts: iter([task_loss(encoder)])] * 3,
        steps=3, batch_size=1, learning_rate=1e-3, schedule="constant", warmup_steps=0, progress=quiet,
        joint=joint.loss,
    )  # fmt: skip
    adam = torch.optim.Adam([*plain.parameters(), *plain_head.parameters()], lr=1e-3)
    pulled = BatchLoss(plain, plain_head, "word_contrastive", OBJECTIVE)
    history = []
    for batch in batches:
        adam.zero_grad()
        loss = pulled.whole(batch)
        loss.backward()
        for name, parameter in plain.named_parameters():
            if name.startswith(("encoder.layer.2.", "encoder.layer.3.")):
                parameter.grad = None
        adam.step()
        history.append(loss.item())
        adam.zero_grad()
        task_loss(plain).backward()
        adam.step()
    assert len(batches) == 3 and joint.loss.history == pytest.approx(history, abs=1e-5)
    for (name, mine), theirs in zip(encoder.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3, msg=name)


def test_fine_tuning_trains_what_is_frozen_for_realignment() -> None:
    encoder = tiny_bert()
    before = copy_of(encoder)
    finetune(encoder, joint_with(encoder, freeze=Freeze(blocks="lower_half", embeddings=True)))
    frozen = {n for n in before if n.startswith(("embeddings.word", "encoder.layer.0.output"))}
    assert frozen
    assert not any(torch.equal(before[name], dict(encoder.named_parameters())[name]) for name in frozen)


def test_without_weight_and_dropout_it_is_fine_tuning_alone() -> None:
    """A tiny weight gives the losses of plain fine-tuning, on the same batches in the same order."""
    models = []
    for weight in (None, 1e-12):
        encoder = tiny_bert(dropout=0.0)
        joint = None if weight is None else joint_with(encoder, weight=weight)
        models.append(finetune(encoder, joint))
    assert models[0][1] == pytest.approx(models[1][1], abs=1e-5)


def test_the_projection_is_trained_and_not_kept() -> None:
    encoder = tiny_bert()
    joint = joint_with(encoder)
    before = copy_of(joint._losses.head)
    classifier, _ = finetune(encoder, joint)
    assert all(not torch.equal(before[name], p) for name, p in joint._losses.head.named_parameters())
    assert {name.partition(".")[0] for name, _ in classifier.named_parameters()} == {"encoder", "classifier"}


def test_the_same_seed_gives_the_same_bits_and_the_log_tells_what_was_done() -> None:
    runs = []
    for seed in (4, 4, 5):
        encoder = tiny_bert()
        joint = joint_with(encoder, seed=seed)
        runs.append((finetune(encoder, joint)[1], joint.log(1), copy_of(encoder)))
    (losses, log, weights), again, other = runs
    assert (losses, log) == again[:2]
    assert all(torch.equal(weights[name], again[2][name]) for name in weights)
    assert log.losses != other[1].losses
    assert len(log.losses) == len(losses) == 3
    assert log.pairs_seen == {"one": 9, "two": 9}
    assert log.tokens >= 3 * 12 * 5
    assert log.losses[0] != losses[0]


def test_a_realignment_loss_that_is_no_number_is_named() -> None:
    encoder = tiny_bert()
    joint = joint_with(encoder)
    joint.loss.losses = iter([lambda parts: iter([torch.tensor(torch.nan, requires_grad=True)])])
    with pytest.raises(TrainingError, match="the realignment loss of step 1 of 3 is nan"):
        finetune(encoder, joint)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_pairs_are_mixed_as_asked() -> None:
    encoder = tiny_bert()
    joint = joint_with(encoder, mixing="round_robin_first_exhausted", batch_size=24, steps=2)
    first, second = list(joint.loss.losses)
    assert torch.equal(batch_of(first).windows.input_ids, batch_of(second).windows.input_ids)  # each a whole pass
    assert joint.log(1).pairs_seen == {"one": 24, "two": 24}
