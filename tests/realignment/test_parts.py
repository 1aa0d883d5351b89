"""Batches in parts, when memory is short. Truth: the whole batch."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.realignment.test_before import run
from tests.realignment.test_joint import finetune, joint_with
from tests.realignment.toy import PAD, cipher_pairs, tiny_bert
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.pooling import pool_sentences
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.contrastive import contrastive, projection_head
from xrealign_bench.realignment.pairs import batch_pairs
from xrealign_bench.specs import Objective, Regularisation
from xrealign_bench.specs.methods import METHODS

PULLED = Objective(layer=1, projection=8, regularisation=Regularisation(weight=0.7))


def with_little_memory(encoder: nn.Module, texts: int) -> nn.Module:
    """Make an encoder raise a GPU's out-of-memory error if it is given more texts at once."""
    whole = type(encoder).forward

    def forward(self: nn.Module, *positional: Any, **named: Any) -> Any:
        if len(named["input_ids"]) > texts and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return whole(self, *positional, **named)

    encoder.forward = MethodType(forward, encoder)
    return encoder


def gradients(*modules: nn.Module) -> list[Tensor]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


@pytest.mark.parametrize("parts", [2, 3, 5, 12])
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.is_contrastive])
@pytest.mark.parametrize("objective", [Objective(projection=8), PULLED], ids=["plain", "pulled"])
def test_parts_have_the_loss_and_the_gradient_of_the_whole(method: str, objective: Objective, parts: int) -> None:
    """All vectors of the batch remain negatives of each other."""
    encoder, head = tiny_bert(dropout=0.0), projection_head(32, 8)
    initial = copy.deepcopy(encoder).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    batch = batch_pairs(cipher_pairs(1, 6, seed=3).pairs, PAD)
    loss = BatchLoss(encoder, head, method, objective, initial)
    whole = loss.whole(batch)
    whole.backward()
    expected = [gradient.clone() for gradient in gradients(encoder, head)]
    encoder.zero_grad()
    head.zero_grad()
    values = []
    for part in loss.in_parts(batch, parts):
        values.append(part.item())
        part.backward()
    assert len(values) == {2: 2, 3: 3, 5: 4, 12: 12}[parts]  # of twelve texts
    assert sum(values) == pytest.approx(whole.item(), abs=1e-5)
    assert any(gradient.any() for gradient in expected)
    for found, wanted in zip(gradients(encoder, head), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_what_dropout_leaves_out_is_the_same_in_both_passes() -> None:
    """Compare with the same parts computed with one graph, from the same generator state."""
    encoder, head = tiny_bert(dropout=0.3).train(), projection_head(32, 8)
    batch = batch_pairs(cipher_pairs(1, 6, seed=3).pairs, PAD)
    torch.manual_seed(5)
    values = []
    for part in BatchLoss(encoder, head, "sentence_contrastive", Objective(projection=8)).in_parts(batch, 3):
        values.append(part.item())
        part.backward()
    found = [gradient.clone() for gradient in gradients(encoder, head)]
    encoder.zero_grad()
    head.zero_grad()
    read, vectors = batch.windows, []
    torch.manual_seed(5)
    for rows in torch.arange(12).chunk(3):
        states = block_output(encoder, "penultimate", read.input_ids[rows], read.attention_mask[rows])
        vectors.append(head(pool_sentences(states, read.starts[rows], read.ends[rows], "mean")))
    anchors = torch.arange(12)
    loss = contrastive(torch.cat(vectors), anchors, anchors.roll(6), anchors >= 6, 0.1, "both_languages")
    loss.backward()
    assert sum(values) == pytest.approx(loss.item(), abs=1e-5)
    for gradient, wanted in zip(found, gradients(encoder, head), strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


def test_realignment_with_little_memory_is_realignment() -> None:
    plenty, little = tiny_bert(dropout=0.0), with_little_memory(tiny_bert(dropout=0.0), texts=5)
    logs = [run(encoder) for encoder in (plenty, little)]  # eight pairs, sixteen texts: four at a time
    assert [log.batch_parts for log in logs] == [1, 4]
    assert logs[1].losses == pytest.approx(logs[0].losses, abs=1e-4)
    assert logs[1].pairs_seen == logs[0].pairs_seen and logs[1].tokens == logs[0].tokens
    assert logs[1].trained == logs[0].trained


def test_joint_realignment_with_little_memory_is_joint_realignment() -> None:
    outcomes = []
    for texts in (100, 3):
        encoder = with_little_memory(tiny_bert(dropout=0.0), texts)
        joint = joint_with(encoder)
        losses = finetune(encoder, joint)[1]
        outcomes.append((losses, joint.loss.history, joint.log(1).trained))
    assert outcomes[1][0] == pytest.approx(outcomes[0][0], abs=1e-4)
    assert outcomes[1][1] == pytest.approx(outcomes[0][1], abs=1e-4)
    assert outcomes[1][2] == outcomes[0][2] and len(outcomes[0][1]) == 3
