"""Sentence realignment. Truth: the definition as plain loops, one sentence and one sub-word at a time."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from transformers import BertModel

from tests.realignment.toy import CLS, FIRST, PAD, SEP, WORDS, cipher_pairs, tiny_bert
from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.pairs import EncodedPair, EncodedPairs, PairCorpus, batch_pairs, pair_up
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Objective, Regularisation, Schedule
from xrealign_bench.specs.methods import METHODS

SETTINGS = [
    Objective(layer="last", temperature=0.3),
    Objective(layer=1, negatives="other_language"),
    Objective(layer="penultimate", projection=None, sentence_pooling="as_run"),
    Objective(layer=0, temperature=0.05, negatives="other_language", sentence_pooling="as_run"),
]


def split_window(number: int, sizes: list[int], *, marker: bool, first: int) -> Window:
    """Return a sentence whose word w has sizes[w] sub-words, with an optional marker before the second word."""
    ids, starts, ends = [CLS], [], []
    for word, size in enumerate(sizes):
        if marker and word == 1:
            ids.append(FIRST)
        starts.append(len(ids))
        ids += [FIRST + (first + 5 * word + part) % WORDS for part in range(size)]
        ends.append(len(ids))
    return Window(number, 0, [*ids, SEP], starts, ends)


def sentences() -> EncodedPairs:
    sources = [split_window(n, [2, 1, 3][: n + 1], marker=n == 2, first=n) for n in range(4)]
    targets = [split_window(n, [1, 1, 2, 1][n:], marker=n == 1, first=n + 7) for n in range(4)]
    return pair_up(sources, targets, [None] * 4)


def definition(encoder: BertModel, head: nn.Module, pairs: list[EncodedPair], objective: Objective) -> Tensor:
    vectors, layers = [], {"last": 4, "penultimate": 3}
    layer = layers[objective.layer] if isinstance(objective.layer, str) else objective.layer + 1
    for window in [p.source for p in pairs] + [p.target for p in pairs]:  # each by itself, without any padding
        hidden = encoder(torch.tensor([window.input_ids]), output_hidden_states=True).hidden_states[layer][0]
        if objective.sentence_pooling == "mean":
            read = [place for a, b in zip(window.starts, window.ends, strict=True) for place in range(a, b)]
        else:
            read = list(range(len(window.starts)))
        total = torch.zeros(hidden.shape[1])
        for place in read:
            total = total + hidden[place]
        vectors.append(head(total / len(read)))
    losses = []
    for anchor in range(2 * len(pairs)):
        positive = (anchor + len(pairs)) % (2 * len(pairs))
        below, above = torch.zeros(()), torch.zeros(())
        for candidate in range(2 * len(pairs)):
            same_side = (anchor < len(pairs)) == (candidate < len(pairs))
            if candidate == anchor or (objective.negatives == "other_language" and same_side):
                continue
            a, c = vectors[anchor], vectors[candidate]
            cosine = (a * c).sum() / (a.pow(2).sum().sqrt() * c.pow(2).sum().sqrt())
            below = below + torch.exp(cosine / objective.temperature)
            if candidate == positive:
                above = torch.exp(cosine / objective.temperature)
        losses.append(-torch.log(above / below))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("objective", SETTINGS, ids=str)
def test_loss_and_gradients_are_those_of_the_definition(objective: Objective) -> None:
    encoder, pairs = tiny_bert(), sentences().pairs
    head = nn.Identity() if objective.projection is None else projection_head(32, 8)
    plain_encoder, plain_head = copy.deepcopy(encoder), copy.deepcopy(head)
    loss = BatchLoss(encoder, head, "sentence_contrastive", objective).whole(batch_pairs(pairs, PAD))
    expected = definition(plain_encoder, plain_head, pairs, objective)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss.item() > 0.01
    for module, plain in ((encoder, plain_encoder), (head, plain_head)):
        reference = dict(plain.named_parameters())
        for name, parameter in module.named_parameters():
            if parameter.grad is None:
                assert reference[name].grad is None or not reference[name].grad.any()
            else:
                torch.testing.assert_close(parameter.grad, reference[name].grad, atol=1e-5, rtol=1e-4)


def test_two_pairs_worked_out_by_hand() -> None:
    """The source vectors are orthogonal and equal to their translations, so all cosines are 1 or 0."""

    class Given(nn.Module):
        def forward(self, vectors: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]])

    batch = batch_pairs(sentences().pairs[:2], PAD)
    # Candidates of each: its translation and two others ("strong"), or its translation and one other.
    for negatives, others in (("both_languages", 2), ("other_language", 1)):
        objective = Objective.model_validate({"temperature": 0.5, "negatives": negatives})
        loss = BatchLoss(tiny_bert(), Given(), "sentence_contrastive", objective).whole(batch)
        assert loss.item() == pytest.approx(math.log(1 + others * math.exp(-2)), abs=1e-6)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.is_contrastive])
def test_regularisation_adds_the_mean_squared_drift_of_the_source_side(method: str) -> None:
    encoder, initial = tiny_bert(), tiny_bert()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    pairs = cipher_pairs(1, 5, seed=3).pairs
    plain = Objective(layer=1)
    pulled = Objective(layer=1, regularisation=Regularisation(weight=0.7))
    batch = batch_pairs(pairs, PAD)
    losses = [BatchLoss(encoder, nn.Identity(), method, o, initial).whole(batch) for o in (plain, pulled)]
    squares, count = 0.0, 0
    for pair in pairs:
        states = [m(torch.tensor([pair.source.input_ids]), output_hidden_states=True) for m in (encoder, initial)]
        difference = states[0].hidden_states[2] - states[1].hidden_states[2]
        squares, count = squares + float(difference.detach().pow(2).sum()), count + difference.numel()
    assert squares > 0
    assert (losses[1] - losses[0]).item() == pytest.approx(0.7 * squares / count, abs=1e-5)


def trained(objective: Objective, pairs: EncodedPairs, steps: int = 60) -> BertModel:
    encoder = tiny_bert(layers=2)
    schedule = Schedule(steps=steps, learning_rate=3e-3, batch_size=8)
    realign(
        encoder,
        PairCorpus({"one": pairs}, PAD),
        Realignment("sentence_contrastive", objective, schedule=schedule),
        seed=1,
        device=torch.device("cpu"),
        progress=lambda done, total, note: None,
    )
    return encoder


def retrieved(encoder: BertModel, pairs: list[EncodedPair]) -> float:
    """Return the share of sources whose nearest target, by mean word vectors, is their translation."""
    sides = [
        torch.stack([encoder(torch.tensor([w.input_ids])).last_hidden_state[0, w.starts].mean(0) for w in side])
        for side in ([p.source for p in pairs], [p.target for p in pairs])
    ]
    source, target = (nn.functional.normalize(side.detach(), dim=-1) for side in sides)
    return float(((source @ target.T).argmax(1) == torch.arange(len(pairs))).float().mean())


def without_links(pairs: EncodedPairs) -> EncodedPairs:
    numbers = range(len(pairs.pairs))
    return pair_up([pairs.pairs[n].source for n in numbers], [pairs.pairs[n].target for n in numbers], [None] * 64)


def test_sentences_without_any_word_alignment_find_their_translation() -> None:
    pairs, held_out = without_links(cipher_pairs(1, 64, seed=1)), cipher_pairs(1, 40, seed=99).pairs
    assert pairs.links == 0
    before = retrieved(tiny_bert(layers=2), held_out)
    after = retrieved(trained(Objective(layer="last", temperature=0.2), pairs), held_out)
    assert before < 0.3 < 0.6 < after


def test_the_pull_keeps_the_source_side_near_the_initial_model() -> None:
    pairs = without_links(cipher_pairs(1, 64, seed=1))
    initial = tiny_bert(layers=2)
    distances = []
    for pull in (None, Regularisation(weight=100.0)):
        encoder = trained(Objective(layer="last", regularisation=pull), pairs, steps=8)
        ids = [torch.tensor([pair.source.input_ids]) for pair in pairs.pairs[:10]]
        moved = [(encoder(i).last_hidden_state - initial(i).last_hidden_state).pow(2).mean() for i in ids]
        distances.append(float(torch.stack(moved).mean().detach()))
    assert distances[1] < distances[0] / 4
