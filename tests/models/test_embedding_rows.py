"""Training with some rows of the embedding table. Truth: training with the whole table, to the bit."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import new_encoder
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.embedding_rows import shrink_embeddings
from xrealign_bench.models.tokenizer import load_tokenizer


def batches(pad_id: int, vocabulary: int) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(2)
    read = [torch.randint(vocabulary // 2, vocabulary, (3, 9), generator=random) for _ in range(4)]
    for ids in read:
        ids[0, 6:] = pad_id
    return [(ids, (ids != pad_id).long()) for ids in read]


def train(encoder: Any, given: list[tuple[Tensor, Tensor]], own_rows: bool) -> tuple[list[float], dict[str, Tensor]]:
    """A few steps of Adam, dropout on, with some texts that are read again and some rows that are read once."""
    encoder.train()
    torch.manual_seed(5)
    losses = []
    texts = (row.tolist() for ids, _ in given for row in ids)
    with shrink_embeddings(encoder, texts) if own_rows else nullcontext():
        adam = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=1e-2, fused=True)
        for ids, mask in [*given, given[0]]:
            adam.zero_grad()
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            loss = (hidden * mask.unsqueeze(-1)).pow(2).mean() + hidden[:, 0].mean()
            loss.backward()
            adam.step()
            losses.append(loss.item())
    return losses, encoder.state_dict()


@pytest.mark.distinct_families
def test_the_weights_are_those_of_training_all_rows(checkpoint: Checkpoint) -> None:
    tokenizer, encoder = load_tokenizer(checkpoint), new_encoder(checkpoint)
    assert tokenizer.pad_token_id is not None
    other, table = copy.deepcopy(encoder), encoder.get_input_embeddings()
    given = batches(tokenizer.pad_token_id, len(table.weight))
    before, padding = table.weight.detach().clone(), table.padding_idx
    losses, weights = train(encoder, given, own_rows=True)
    expected_losses, expected = train(other, given, own_rows=False)
    assert losses == expected_losses
    assert (
        all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
        and weights.keys() == expected.keys()
    )
    read = torch.cat([ids.flatten() for ids, _ in given]).unique()
    moved = (table.weight.detach() != before).any(-1).nonzero().flatten()
    assert 0 < len(moved) <= len(read) < len(before) and set(moved.tolist()) <= set(read.tolist())
    assert table.padding_idx == padding and table.weight.grad is None


def test_gradients_have_the_size_of_what_is_read(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    table = encoder.get_input_embeddings()
    with shrink_embeddings(encoder, [[7, 9], [9, 30]]):
        ids = torch.tensor([[9, 30, 7]])
        encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.sum().backward()
        assert table.weight.grad.shape[0] == 3
        with pytest.raises(IndexError):  # never another row in its place
            encoder(input_ids=ids + 1, attention_mask=torch.ones_like(ids))


@pytest.mark.few_families
@pytest.mark.parametrize("why", ["frozen", "shared"])
def test_a_table_that_is_not_its_own_to_change_stays_whole(checkpoint: Checkpoint, why: str) -> None:
    encoder = new_encoder(checkpoint)
    table = encoder.get_input_embeddings()
    if why == "frozen":
        table.weight.requires_grad_(False)
    else:
        encoder.output = nn.Linear(2, 2)
        encoder.output.weight = table.weight
    size = len(table.weight)
    with shrink_embeddings(encoder, [[7, 9]]):
        assert len(table.weight) == size


@pytest.mark.few_families
def test_what_is_interrupted_leaves_the_table_whole(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    table = encoder.get_input_embeddings()
    before = table.weight.detach().clone()
    with pytest.raises(KeyboardInterrupt), shrink_embeddings(encoder, [[7, 9]]):
        table.weight.data[:] = 1.0
        raise KeyboardInterrupt
    before[[7, 9]] = 1.0
    assert torch.equal(table.weight, before)
    ids = torch.tensor([[11, 12]])
    encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
