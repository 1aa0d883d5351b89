"""Realignment. Truth: bit-identity where it is promised, and a cipher that the model must learn."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.realignment.toy import PAD, WORDS, cipher_pairs, copy_of, tiny_bert
from xrealign_bench.errors import UserError
from xrealign_bench.models.training import TrainingError
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.losses import RealignmentLog
from xrealign_bench.realignment.pairs import EncodedPairs, PairBatch, PairCorpus, batch_pairs
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Freeze, Objective, Schedule

CPU = torch.device("cpu")


def pairs() -> dict[str, EncodedPairs]:
    return {"one": cipher_pairs(1, 40, seed=1), "two": cipher_pairs(2, 40, seed=2)}


def run(encoder: nn.Module, **settings: Any) -> RealignmentLog:
    steps, rate = settings.pop("steps", 4), settings.pop("learning_rate", 1e-3)
    schedule = Schedule(
        steps=steps, learning_rate=rate, batch_size=8, lr_schedule=settings.pop("lr_schedule", "constant")
    )
    corpus = PairCorpus(settings.pop("pairs", pairs()), PAD)
    call = {"seed": settings.pop("seed", 3), "progress": settings.pop("progress", lambda done, total, note: None)}
    realignment = Realignment(**{"method": "word_contrastive", "schedule": schedule, **settings})
    return realign(encoder, corpus, realignment, device=CPU, **call)


def changed(before: dict[str, Tensor], encoder: nn.Module) -> set[str]:
    return {name for name, parameter in encoder.named_parameters() if not torch.equal(parameter, before[name])}


def block(number: int) -> str:
    return f"encoder.layer.{number}."


@pytest.mark.parametrize(
    ("freezing", "frozen_blocks", "embeddings"),
    [
        (Freeze(), [], False),
        (Freeze(blocks="lower_half"), [0, 1], False),
        (Freeze(blocks="lower_half", embeddings=True), [0, 1], True),
        (Freeze(blocks="upper_half"), [2, 3], False),
        (Freeze(blocks=[1]), [1], False),
    ],
    ids=str,
)
def test_exactly_what_is_not_frozen_changes(freezing: Freeze, frozen_blocks: list[int], embeddings: bool) -> None:
    encoder = tiny_bert()
    before = copy_of(encoder)
    log = run(encoder, freeze=freezing, objective=Objective(layer="last"))
    still = {n for n in before if n.startswith(tuple(block(b) for b in frozen_blocks))} if frozen_blocks else set()
    if embeddings:
        still |= {name for name in before if name.startswith("embeddings.")}
    # Adding the same number to all keys of a query leaves attention as it is: their bias has no gradient but noise.
    ignored = {name for name in before if name.endswith("key.bias")}
    assert changed(before, encoder) - ignored == set(before) - still - ignored
    assert changed(before, encoder).isdisjoint(still)
    assert (log.frozen.blocks, log.frozen.embeddings) == (frozen_blocks, embeddings)
    assert log.frozen.frozen == sum(before[name].numel() for name in still)


def test_the_top_block_stays_when_the_loss_sits_below_it() -> None:
    encoder = tiny_bert()
    before = copy_of(encoder)
    run(encoder, objective=Objective(layer="penultimate"))
    assert not any(name.startswith(block(3)) for name in changed(before, encoder))
    assert any(name.startswith(block(2)) for name in changed(before, encoder))


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second, other = tiny_bert(), tiny_bert(), tiny_bert()
    logs = [run(first, seed=5), run(second, seed=5), run(other, seed=6)]
    assert logs[0] == logs[1] != logs[2]
    assert changed(copy_of(first), second) == set()
    assert changed(copy_of(first), other)


def test_the_encoder_is_left_ready_for_fine_tuning() -> None:
    encoder = tiny_bert()
    names = set(copy_of(encoder))
    run(encoder, freeze=Freeze(blocks="lower_half", embeddings=True))
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.modules())
    assert set(copy_of(encoder)) == names  # no projection
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in encoder.modules())


def test_dropout_is_on() -> None:
    losses = [run(tiny_bert(dropout=share), steps=1).losses[0] for share in (0.0, 0.3)]
    assert losses[0] != losses[1]


def test_both_sides_in_one_pass_are_the_two_sides_apart() -> None:
    encoder, head = tiny_bert(), projection_head(32, 8)
    chosen = pairs()["one"].pairs[:5]
    together = batch_pairs(chosen, PAD)
    loss = BatchLoss(encoder, head, "word_contrastive", Objective(layer="penultimate")).whole(together)
    words = []
    for window in [p.source for p in chosen] + [p.target for p in chosen]:  # each by itself, without any padding
        hidden = encoder(torch.tensor([window.input_ids]), output_hidden_states=True).hidden_states[-2]
        words.append(head(hidden[0, window.starts]))
    unit = functional.normalize(torch.cat(words), dim=-1)
    scores = (unit @ unit.T / 0.1).fill_diagonal_(-torch.inf)
    expected = functional.cross_entropy(scores[together.anchors], together.positives)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def retrieved(encoder: nn.Module, held_out: EncodedPairs) -> float:
    """Return the share of linked words whose nearest word in the other sentence is their translation."""
    right = total = 0
    for pair in held_out.pairs:
        source, target = (
            functional.normalize(
                encoder(torch.tensor([side.input_ids])).last_hidden_state[0, side.starts].detach(), dim=-1
            )
            for side in (pair.source, pair.target)
        )
        nearest = (source @ target.T).argmax(1)
        right += int((nearest[pair.links[:, 0]] == torch.from_numpy(pair.links[:, 1])).sum())
        total += len(pair.links)
    return right / total


def test_a_cipher_is_learnt() -> None:
    encoder = tiny_bert(layers=2)
    held_out = cipher_pairs(1, 40, seed=99)
    before = retrieved(encoder, held_out)
    log = run(encoder, objective=Objective(layer="last", temperature=0.2), steps=120, learning_rate=3e-3)
    assert sum(log.losses[-10:]) < 0.7 * sum(log.losses[:10])
    assert before < 0.5  # about one in 4.5 by chance
    assert retrieved(encoder, held_out) > 0.9


def test_what_was_done_is_logged() -> None:
    calls: list[tuple[int, int, str]] = []
    log = run(tiny_bert(), steps=3, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]
    assert len(log.losses) == 3
    assert log.pairs_seen == {"one": 12, "two": 12}
    assert log.tokens >= 3 * 16 * 5  # sentences have at least three words and two special tokens


def test_a_loss_that_is_not_a_number_stops_the_training() -> None:
    encoder = tiny_bert()
    encoder.embeddings.word_embeddings.weight.data[WORDS] = torch.nan
    with pytest.raises(TrainingError, match=r"step 1 of 4 is nan, before anything was learnt"):
        run(encoder)


def test_a_language_without_links_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to realign in three: no word is linked"):
        run(tiny_bert(), pairs={**pairs(), "three": EncodedPairs([], 0)})


def test_a_step_is_adams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's first step changes each weight by lr * g / (|g| + eps)."""
    encoder = tiny_bert(dropout=0.0)
    reference = copy.deepcopy(encoder)
    given: list[tuple[nn.Module, PairBatch]] = []
    real = BatchLoss.whole

    def noting(loss: BatchLoss, batch: PairBatch) -> Tensor:
        given.append((copy.deepcopy(loss.head), batch))
        return real(loss, batch)

    monkeypatch.setattr(BatchLoss, "whole", noting)
    run(encoder, steps=1, learning_rate=1e-3)
    head, batch = given[0]
    real(BatchLoss(reference, head, "word_contrastive", Objective()), batch).backward()
    moved = dict(encoder.named_parameters())
    for name, parameter in reference.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        # Where the gradient is next to nothing, its sign is noise of the summation.
        clear = (gradient.abs() > 1e-6) | (gradient == 0)
        expected = parameter.data - 1e-3 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(moved[name].data[clear], expected[clear], atol=2e-5, rtol=0)
