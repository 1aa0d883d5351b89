"""Mixing. Truth: properties that the definition implies for any sequence of batches, and published counts."""

from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise

import pytest

from xrealign_bench.realignment.mixing import (
    Mixing,
    draw_batches,
    round_robin,
    round_robin_first_exhausted,
    uniform,
)

SIZES = {"de": 3, "fi": 5, "ta": 4}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_the_languages_take_turns_over_the_batches_borders(batch_size: int) -> None:
    batches = list(round_robin(SIZES, batch_size, steps=6, seed=0))
    assert [len(batch) for batch in batches] == [batch_size] * 6
    languages = [language for language, _ in chain(*batches)]
    assert languages == (["de", "fi", "ta"] * 14)[: 6 * batch_size]


def test_a_batch_as_large_as_the_languages_has_each_once() -> None:
    for batch in round_robin(SIZES, 3, steps=10, seed=0):
        assert {language for language, _ in batch} == set(SIZES)


def test_no_pair_comes_again_before_all_have_come() -> None:
    taken = list(chain(*round_robin(SIZES, 4, steps=30, seed=1)))
    for language, size in SIZES.items():
        numbers = [number for name, number in taken if name == language]
        for begin in range(0, len(numbers) - size + 1, size):
            assert sorted(numbers[begin : begin + size]) == list(range(size))
    assert max(Counter(language for language, _ in taken).values()) == 40


def test_every_pass_has_an_order_of_its_own() -> None:
    numbers = [number for _, number in chain(*round_robin({"de": 50}, 10, steps=10, seed=2))]
    assert numbers[:50] != numbers[50:] != sorted(numbers[50:])


@pytest.mark.parametrize("mixing", ["round_robin", "round_robin_first_exhausted", "uniform"])
def test_the_seed_alone_decides(mixing: Mixing) -> None:
    once = list(draw_batches(mixing, SIZES, 4, steps=20, seed=5))
    assert list(draw_batches(mixing, dict(reversed(SIZES.items())), 4, steps=20, seed=5)) == once
    assert list(draw_batches(mixing, SIZES, 4, steps=20, seed=6)) != once
    assert len(once) == 20


def test_a_pass_ends_when_a_language_has_none_left_at_its_turn() -> None:
    sizes = {"de": 5, "fi": 2, "ta": 4}  # de fi ta de fi ta de, and no more fi: three batches of 3, 3 and 1
    batches = list(round_robin_first_exhausted(sizes, 3, steps=7, seed=0))
    assert [[language for language, _ in batch] for batch in batches[:3]] == [["de", "fi", "ta"]] * 2 + [["de"]]
    assert len(set(chain(*batches[:3]))) == 7
    assert batches[3:6] == batches[:3]
    assert batches[6] == batches[0]
    assert all(0 <= number < sizes[language] for language, number in chain(*batches))


@pytest.mark.parametrize(
    ("poorest", "pairs", "steps", "distinct", "read"),
    [(28, 519, 1970, 17674, 31514), (32, 581, 24544, 19786, 392590)],
    ids=["XLM-R, PoS", "mBERT, NLI"],
)
def test_pairs_are_counted_as_in_the_published_results(
    poorest: int, pairs: int, steps: int, distinct: int, read: int
) -> None:
    """AlignFreeze's released rows of `before_dico`: 34 languages, 16 pairs a batch.

    Columns realignment_steps, distinct_realignment_samples and repeated_realignment_samples. How many pairs the
    poorest language has, and its place, follow from the first of the two counts: distinct = 34 * pairs + place.
    """
    sizes = {f"{number:02}": pairs if number == poorest else pairs + 1000 for number in range(34)}
    taken = list(chain(*round_robin_first_exhausted(sizes, 16, steps, seed=31)))
    assert (len(set(taken)), len(taken)) == (distinct, read)


def test_languages_are_drawn_uniformly_whatever_their_size() -> None:
    taken = list(chain(*uniform({"de": 1000, "fi": 2, "ta": 30}, 8, steps=1500, seed=0)))
    counts = Counter(language for language, _ in taken)
    assert sum(counts.values()) == 12000
    # Binomial with p = 1/3: a standard deviation is 52.
    assert all(abs(count - 4000) < 4 * 52 for count in counts.values())
    languages = [language for language, _ in taken]
    repeated = sum(a == b for a, b in pairwise(languages))
    assert abs(repeated - 4000) < 4 * 52  # drawn anew each time: no turns


def test_a_language_drawn_uniformly_uses_all_its_pairs_before_one_comes_again() -> None:
    taken = list(chain(*uniform(SIZES, 4, steps=30, seed=1)))
    for language, size in SIZES.items():
        numbers = [number for name, number in taken if name == language]
        for begin in range(0, len(numbers) - size + 1, size):
            assert sorted(numbers[begin : begin + size]) == list(range(size))
