"""Placebo controls. Truth: what must stay equal (numbers, multisets, sentences) and hand-computed losses."""

from __future__ import annotations

import math
from collections import Counter
from typing import get_args

import numpy as np
import pytest
import torch

from tests.realignment.toy import CLS, PAD, SEP, cipher_pairs, sentence_window, tiny_bert
from xrealign_bench.errors import UserError
from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.controls import apply_control
from xrealign_bench.realignment.pairs import EncodedPair, EncodedPairs, PairCorpus, pair_up
from xrealign_bench.specs import Objective
from xrealign_bench.specs.recipe import Control

CONTROLS: tuple[Control, ...] = get_args(Control)


def corpus() -> PairCorpus:
    return PairCorpus({"one": cipher_pairs(1, 30, seed=1), "two": cipher_pairs(2, 7, seed=2)}, PAD)


def plain(pairs: EncodedPairs) -> list[tuple[list[int], list[int], list[list[int]]]]:
    return [(pair.source.input_ids, pair.target.input_ids, pair.links.tolist()) for pair in pairs.pairs]


def counted(windows: list[Window]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(window.input_ids) for window in windows)


@pytest.mark.parametrize("control", CONTROLS)
def test_pairs_and_links_are_as_many_and_inside_their_sentences(control: Control) -> None:
    before, after = corpus(), apply_control(corpus(), control, seed=5)
    assert after.sizes() == before.sizes()
    for language, encoded in after.languages.items():
        given = before.languages[language]
        assert encoded.links == given.links == sum(len(pair.links) for pair in encoded.pairs)
        assert [len(pair.links) for pair in encoded.pairs] == [len(pair.links) for pair in given.pairs]
        for pair in encoded.pairs:
            assert pair.links.min() >= 0
            assert (pair.links.max(0) < [len(pair.source.starts), len(pair.target.starts)]).all()


@pytest.mark.parametrize("control", CONTROLS)
def test_a_seed_gives_one_draw_for_each_language(control: Control) -> None:
    first, again, other = (apply_control(corpus(), control, seed).languages for seed in (5, 5, 6))
    alone = apply_control(PairCorpus({"two": corpus().languages["two"]}, PAD), control, seed=5)
    assert {name: plain(first[name]) for name in first} == {name: plain(again[name]) for name in again}
    assert plain(first["two"]) == plain(alone.languages["two"])
    is_random = control in ("shuffled_pairs", "random_words")
    assert (plain(first["one"]) != plain(other["one"])) == is_random
    assert plain(first["one"])[3] == plain(again["one"])[3]  # whatever was read before


def test_without_a_control_nothing_changes() -> None:
    given = corpus()
    assert apply_control(given, None, seed=5) is given


def test_no_sentence_keeps_its_translation_and_none_is_lost() -> None:
    for seed in range(20):
        before, after = corpus(), apply_control(corpus(), "shuffled_pairs", seed)
        for language, encoded in after.languages.items():
            given = list(before.languages[language].pairs)
            shuffled = list(encoded.pairs)
            assert [pair.source for pair in shuffled] == [pair.source for pair in given]
            assert all(new.target.sentence != old.target.sentence for new, old in zip(shuffled, given, strict=True))
            assert counted([p.target for p in shuffled]) == counted([p.target for p in given])
            for new, old in zip(shuffled, given, strict=True):
                assert new.links[:, 0].tolist() == old.links[:, 0].tolist()
                words = min(len(new.links), len(new.target.starts))
                assert len(set(new.links[:, 1].tolist())) == words  # different ones, as far as there are enough


def test_two_pairs_exchange_their_translations() -> None:
    sides = [[sentence_window(n, [10 * side + n]) for n in range(2)] for side in (1, 2)]
    swapped = apply_control(PairCorpus({"xx": pair_up(*sides, [[(0, 0)]] * 2)}, PAD), "shuffled_pairs", seed=0)
    assert plain(swapped.languages["xx"]) == [
        ([CLS, 10, SEP], [CLS, 21, SEP], [[0, 0]]),
        ([CLS, 11, SEP], [CLS, 20, SEP], [[0, 0]]),
    ]


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_pairs_to_shuffle_are_refused(number: int) -> None:
    given = PairCorpus({"one": cipher_pairs(1, 5, seed=1), "xx": cipher_pairs(2, number, seed=2)}, PAD)
    with pytest.raises(UserError, match=rf"'xx' has fewer than 2 usable pairs \({number}\) to exchange .*; leave"):
        apply_control(given, "shuffled_pairs", seed=0)


def test_each_side_is_paired_with_itself() -> None:
    sides = [sentence_window(0, [10, 11, 12])], [sentence_window(0, [20, 21])]
    given = PairCorpus({"xx": pair_up(*sides, [[(2, 0), (0, 1)]])}, PAD)
    source = apply_control(given, "source_with_itself", seed=0).languages["xx"].pairs[0]
    target = apply_control(given, "target_with_itself", seed=0).languages["xx"].pairs[0]
    assert (source.source, source.target, source.links.tolist()) == (sides[0][0], sides[0][0], [[2, 2], [0, 0]])
    assert (target.source, target.target, target.links.tolist()) == (sides[1][0], sides[1][0], [[0, 0], [1, 1]])


def test_linked_words_are_exchanged_within_their_sentence() -> None:
    for seed in range(20):
        for language, encoded in apply_control(corpus(), "random_words", seed).languages.items():
            for new, old in zip(encoded.pairs, corpus().languages[language].pairs, strict=True):
                assert (new.source, new.target) == (old.source, old.target)
                assert new.links[:, 0].tolist() == old.links[:, 0].tolist()
                assert (new.links[:, 1] != old.links[:, 1]).all()
                assert sorted(new.links[:, 1]) == sorted(old.links[:, 1])


@pytest.mark.parametrize(
    ("words", "links", "allowed"),
    [
        (3, [(0, 2)], [[[0, 0]], [[0, 1]]]),  # the only linked word: another one of the sentence
        (1, [(0, 0), (1, 0)], [[[0, 0], [1, 0]]]),  # a sentence of one word stays
        (3, [(0, 0), (1, 0), (2, 1)], [[[0, 1], [1, 1], [2, 0]]]),  # two words of the source stay together
    ],
)
def test_words_with_little_choice(words: int, links: list[tuple[int, int]], allowed: list[list[list[int]]]) -> None:
    sides = [sentence_window(0, [10, 11, 12])], [sentence_window(0, list(range(20, 20 + words)))]
    given = PairCorpus({"xx": pair_up(*sides, [links])}, PAD)
    found = [apply_control(given, "random_words", seed).languages["xx"].pairs[0].links.tolist() for seed in range(20)]
    assert all(one in allowed for one in found) and all(one in found for one in allowed)


def test_pairs_without_links_keep_having_none() -> None:
    sides = [[sentence_window(n, [10 + n]) for n in range(3)] for _ in range(2)]
    given = PairCorpus({"xx": pair_up(*sides, [None] * 3)}, PAD)
    for control in CONTROLS:
        shapes = {pair.links.shape for pair in apply_control(given, control, seed=0).languages["xx"].pairs}
        assert shapes == {(0, 2)}


@pytest.mark.parametrize("control", ["source_with_itself", "target_with_itself"])
def test_a_sentence_with_itself_is_a_pair_of_identical_vectors(control: Control) -> None:
    """Without dropout the positive has cosine 1. Of n words all alike, each has loss ln(2n - 1), as all compete."""
    words = 3
    sides = [sentence_window(0, [10] * words)], [sentence_window(0, [20] * words)]
    encoded = pair_up(*sides, [[(word, word) for word in range(words)]])
    batch = apply_control(PairCorpus({"xx": encoded}, PAD), control, seed=0).batch([("xx", 0)])
    encoder = tiny_bert(dropout=0.0).train()
    with torch.no_grad():
        encoder.embeddings.position_embeddings.weight.zero_()  # so that equal words have equal vectors
    loss = BatchLoss(encoder, torch.nn.Identity(), "word_contrastive", Objective(projection=None))
    assert loss.whole(batch).item() == pytest.approx(math.log(2 * words - 1), abs=1e-5)


def test_a_sentence_of_one_word_with_itself_has_no_loss() -> None:
    """Its copy is the only candidate."""
    encoded = pair_up([sentence_window(0, [10])], [sentence_window(0, [20])], [[(0, 0)]])
    batch = apply_control(PairCorpus({"xx": encoded}, PAD), "source_with_itself", seed=0).batch([("xx", 0)])
    loss = BatchLoss(tiny_bert(dropout=0.0), torch.nn.Identity(), "word_contrastive", Objective(projection=None))
    assert loss.whole(batch).item() == 0.0


def test_pairs_are_sliced_as_a_list() -> None:
    pairs = apply_control(corpus(), "target_with_itself", seed=0).languages["two"].pairs
    assert [pair.source.sentence for pair in pairs[2:5]] == [2, 3, 4]
    assert pairs[-1].source.sentence == 6
    with pytest.raises(IndexError):
        pairs[7]
    assert isinstance(pairs[0], EncodedPair) and pairs[0].links.dtype == np.int64
