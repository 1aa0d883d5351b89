"""Continued pre-training. Truth: the loss that transformers' own classes compute for the same masked batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import BertForMaskedLM, DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from tests.realignment.test_before import CPU, changed, pairs
from tests.realignment.test_joint import finetune
from tests.realignment.toy import FIRST, PAD, WORDS, copy_of, tiny_bert
from xrealign_bench.models.language_model import replace_blocks
from xrealign_bench.models.output_layer import OutputLayer
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.continued_pretraining import LanguageModelLoss, token_masks
from xrealign_bench.realignment.joint import JointRealignment
from xrealign_bench.realignment.losses import RealignmentLog
from xrealign_bench.realignment.pairs import PairBatch, PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Freeze, Schedule

SIZE = FIRST + 3 * WORDS
MASK = SIZE - 1


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the toy language, whose last word is the mask."""
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, **{f"w{n}": n for n in range(FIRST, SIZE)}}
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[SEP]"}
    backend = Tokenizer(models.WordLevel(words, unk_token="[SEP]"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special, mask_token=f"w{MASK}")


def with_output_layer(encoder: Any, own: bool = True) -> OutputLayer:
    if not own:
        return OutputLayer(encoder, None)
    torch.manual_seed(1)
    whole = BertForMaskedLM(encoder.config)
    replace_blocks(whole, encoder)
    return OutputLayer(encoder, whole)


def loss_on(encoder: Any, *, own: bool = True, masked: bool = True, seed: int = 3) -> LanguageModelLoss:
    masks = token_masks(tokenizer(), seed) if masked else None
    return LanguageModelLoss(with_output_layer(encoder, own), masks)


def batch() -> PairBatch:
    return PairCorpus(pairs(), PAD).batch([(language, n) for language in pairs() for n in range(20)])


def summed(parts: Iterator[Tensor]) -> float:
    return sum(part.item() for part in parts)


def test_the_loss_is_that_of_transformers_for_the_same_masked_batch() -> None:
    encoder = tiny_bert(dropout=0.0)
    loss, given = loss_on(encoder), batch()
    masks = token_masks(tokenizer(), 3)
    ids, labels = masks.torch_mask_tokens(given.windows.input_ids.clone())
    assert (labels != -100).sum() > 20
    whole: Any = loss.head.whole
    expected = whole(input_ids=ids, attention_mask=given.windows.attention_mask, labels=labels).loss.item()
    assert summed(loss.step(given, CPU)(1)) == pytest.approx(expected, abs=1e-5)


def test_tokens_are_masked_as_for_bert() -> None:
    """15 % of the tokens that are not special are predicted: 80 % masked, 10 % replaced, 10 % kept."""
    masks = token_masks(tokenizer(), 0)
    ids = torch.full((200, 102), FIRST)
    ids[:, 0], ids[:, -1] = 1, PAD
    read, labels = masks.torch_mask_tokens(ids.clone())
    predicted = labels != -100
    assert (labels[predicted] == FIRST).all() and not predicted[:, [0, -1]].any()
    assert predicted[:, 1:-1].float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(read[~predicted], ids[~predicted])
    assert (read[predicted] == MASK).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (read[predicted] == FIRST).float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_a_replacement_without_an_embedding_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer may have more tokens than the model."""
    replaced = torch.full_like(batch().windows.input_ids, SIZE + 5)

    def replace(_: object, ids: Tensor) -> tuple[Tensor, Tensor]:
        return replaced, ids.masked_fill(ids < FIRST, -100)

    monkeypatch.setattr(DataCollatorForLanguageModeling, "torch_mask_tokens", replace)
    encoder = tiny_bert(dropout=0.0)
    assert math.isfinite(summed(loss_on(encoder).step(batch(), CPU)(1)))


def test_the_next_token_is_that_of_transformers_causal_loss() -> None:
    """The shifted labels and the padding of `ForCausalLM`, on an encoder that stands for a decoder here."""
    encoder = tiny_bert(dropout=0.0)
    loss, given = loss_on(encoder, masked=False), batch().windows
    whole: Any = loss.head.whole
    logits = whole(input_ids=given.input_ids, attention_mask=given.attention_mask).logits
    labels = given.input_ids.masked_fill(given.attention_mask == 0, -100)
    expected = whole.loss_function.__globals__["ForCausalLMLoss"](logits, labels, SIZE).item()
    assert summed(loss.step(batch(), CPU)(1)) == pytest.approx(expected, abs=1e-5)


def test_without_an_output_layer_the_embeddings_are_it() -> None:
    encoder = tiny_bert(dropout=0.0)
    head = with_output_layer(encoder, own=False)
    assert (head.source, head.own_parameters()) == ("input_embeddings", [])
    hidden = torch.randn(5, 32)
    assert torch.allclose(head(hidden), hidden @ encoder.embeddings.word_embeddings.weight.T)


def test_the_layer_alone_is_computed_on_given_states() -> None:
    encoder = tiny_bert(dropout=0.0)
    head = with_output_layer(encoder)
    ids = batch().windows.input_ids
    hidden = encoder(input_ids=ids).last_hidden_state
    whole: Any = head.whole
    expected = whole(input_ids=ids).logits
    assert torch.allclose(head(hidden[ids == 4]), expected[ids == 4], atol=1e-6)
    assert torch.equal(encoder(input_ids=ids).last_hidden_state, hidden)  # it computes again


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_have_the_loss_and_the_gradient_of_the_whole(masked: bool, parts: int) -> None:
    found = []
    for number in (1, parts):
        encoder = tiny_bert(dropout=0.0)
        step = loss_on(encoder, masked=masked).step(batch(), CPU)
        value = 0.0
        for part in step(number):
            part.backward()  # type: ignore[no-untyped-call]
            value += part.item()
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
        found.append((value, gradients))
        assert summed(step(number)) == pytest.approx(value, abs=1e-6)  # the same masks when a step is repeated
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_batch_without_masked_tokens_has_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        DataCollatorForLanguageModeling, "torch_mask_tokens", lambda self, ids: (ids, torch.full_like(ids, -100))
    )
    (part,) = loss_on(tiny_bert()).step(batch(), CPU)(1)
    part.backward()  # type: ignore[no-untyped-call]
    assert part.item() == 0.0


def run(encoder: Any, *, own: bool = True, steps: int = 4, rate: float = 1e-3, **settings: Any) -> RealignmentLog:
    schedule = Schedule(steps=steps, learning_rate=rate, batch_size=8)
    seed = settings.pop("seed", 3)
    loss = loss_on(encoder, own=own, seed=seed)
    realignment = Realignment("continued_pretraining", schedule=schedule, language_model=loss, **settings)
    corpus = PairCorpus(pairs(), PAD)
    return realign(encoder, corpus, realignment, seed=seed, device=CPU, progress=lambda done, total, note: None)


@pytest.mark.parametrize("own", [True, False])
def test_it_learns_to_predict_and_leaves_an_encoder(own: bool) -> None:
    encoder = tiny_bert(layers=2)
    names = set(copy_of(encoder))
    log = run(encoder, own=own, steps=150, rate=3e-3)
    assert sum(log.losses[-10:]) < 0.9 * sum(log.losses[:10])
    assert log.output_layer == ("checkpoint" if own else "input_embeddings")
    assert set(copy_of(encoder)) == names
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.modules())
    assert log.pairs_seen == {"one": 600, "two": 600}
    assert log.trained == sum(parameter.numel() for parameter in encoder.parameters())  # the top block too


def test_frozen_parameters_stay() -> None:
    encoder = tiny_bert()
    before = copy_of(encoder)
    run(encoder, freeze=Freeze(blocks="lower_half", embeddings=True))
    assert {name.split(".")[2] for name in changed(before, encoder)} == {"2", "3"}


def test_the_same_seed_gives_the_same_bits() -> None:
    encoders = [tiny_bert(), tiny_bert(), tiny_bert()]
    logs = [run(encoder, seed=seed) for encoder, seed in zip(encoders, (5, 5, 6), strict=True)]
    assert logs[0] == logs[1] != logs[2]
    assert changed(copy_of(encoders[0]), encoders[1]) == set()


def test_it_runs_beside_fine_tuning() -> None:
    encoder = tiny_bert()
    loss = loss_on(encoder)
    before = {id(parameter): parameter.detach().clone() for parameter in loss.parameters}
    schedule = Schedule(when="during", batch_size=6, weight=0.5)
    realignment = Realignment("continued_pretraining", schedule=schedule, language_model=loss)
    joint = JointRealignment(encoder, PairCorpus(pairs(), PAD), realignment, steps=3, seed=4, device=CPU)
    finetune(encoder, joint)
    log = joint.log(1)
    assert len(log.losses) == 3
    assert log.losses[0] == pytest.approx(math.log(SIZE), abs=0.5)
    assert before and all(not torch.equal(before[id(p)], p) for p in loss.parameters)
