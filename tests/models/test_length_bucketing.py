"""Length bucketing. Truth: all ways to split a batch, and the batch in one group."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from tests.models.conftest import new_encoder
from xrealign_bench.models import length_bucketing
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.length_bucketing import group_by_length, run_by_length
from xrealign_bench.models.tokenizer import load_tokenizer


def cost(groups: list[list[int]], of: list[int], a_pass: float) -> float:
    return sum(len(group) * max(of[number] for number in group) + a_pass for group in groups)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("a_pass", [0.0, 1.5, 7.0, 40.0, 1e9])
def test_no_other_way_to_cut_a_batch_is_cheaper(seed: int, a_pass: float) -> None:
    random = np.random.default_rng(seed)
    of = random.integers(1, 15, size=random.integers(1, 9)).tolist()
    groups = group_by_length(of, a_pass)
    assert sorted(number for group in groups for number in group) == list(range(len(of)))
    assert all(of[group[0]] == max(of[number] for number in group) for group in groups)
    order = sorted(range(len(of)), key=lambda number: -of[number])
    cuts = [c for n in range(len(of)) for c in combinations(range(1, len(of)), n)]
    every = [[order[a:b] for a, b in zip([0, *c], [*c, len(of)], strict=True)] for c in cuts]
    assert cost(groups, of, a_pass) == pytest.approx(min(cost(one, of, a_pass) for one in every))
    if a_pass == 1e9:
        assert len(groups) == 1


@pytest.mark.parametrize("layer", ["last", pytest.param(2, marks=pytest.mark.few_families)])
@pytest.mark.distinct_families
def test_reading_by_length_is_reading(checkpoint: Checkpoint, layer: Any) -> None:
    encoder, tokenizer = new_encoder(checkpoint), load_tokenizer(checkpoint)
    assert tokenizer.pad_token_id is not None
    of, random = [4, 17, 5, 16, 4, 9], torch.Generator().manual_seed(1)
    ids = torch.randint(9, 30, (len(of), max(of)), generator=random)
    mask = (torch.arange(max(of)) < torch.tensor(of)[:, None]).long()
    ids[mask == 0] = tokenizer.pad_token_id
    calls = []

    def read(*given: torch.Tensor) -> torch.Tensor:
        calls.append(given[0].shape)
        return block_output(encoder, layer, *given)

    outputs, gradients = [], []
    for a_pass in (0.0, 2.0, 1e9):
        with mock.patch.object(length_bucketing, "_tokens_a_pass", lambda *_, fixed=a_pass: fixed):
            hidden = run_by_length(encoder, read, ids, mask)
        encoder.zero_grad()
        (hidden * mask.unsqueeze(-1)).pow(2).sum().backward()
        outputs.append(hidden.detach()[mask == 1])
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert [len(calls[:5]), len(calls)] == [5, 5 + 3 + 1]  # every length; three groups; one
    for hidden, gradient in zip(outputs[:2], gradients[:2], strict=True):
        torch.testing.assert_close(hidden, outputs[2], atol=2e-5, rtol=1e-4)
        for own, whole in zip(gradient, gradients[2], strict=True):
            torch.testing.assert_close(own, whole, atol=1e-3, rtol=1e-3)


@pytest.mark.few_families
def test_a_larger_model_is_worth_more_groups(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    small = length_bucketing._tokens_a_pass(encoder, torch.device("cpu"))
    encoder.layers_more = torch.nn.Linear(400, 400)
    assert length_bucketing._tokens_a_pass(encoder, torch.device("cpu")) < small


def test_other_tensors_are_read_with_their_texts() -> None:
    ids, mask = torch.tensor([[1, 2, 3, 4], [5, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])
    types = ids + 10

    def read(ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor, nothing: None) -> torch.Tensor:
        assert nothing is None and torch.equal(types, ids + 10) and bool(mask.all())
        return ids.unsqueeze(-1).float()

    with mock.patch.object(length_bucketing, "_tokens_a_pass", lambda *_: 0.0):
        hidden = run_by_length(None, partial(read), ids, mask, types, None)
    assert hidden.squeeze(-1).tolist() == [[1, 2, 3, 4], [5, 0, 0, 0]]
