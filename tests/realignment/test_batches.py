"""Round robin. Truth: what the definition says must hold of any sequence of batches."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from xrealign_bench.realignment.batches import round_robin

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


def test_the_seed_alone_decides() -> None:
    once = list(round_robin(SIZES, 4, steps=20, seed=5))
    assert list(round_robin(dict(reversed(SIZES.items())), 4, steps=20, seed=5)) == once
    assert list(round_robin(SIZES, 4, steps=20, seed=6)) != once
