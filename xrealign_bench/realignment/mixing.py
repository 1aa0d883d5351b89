"""Mixing: which pairs of which language make up each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, cycle, islice

import numpy as np

from xrealign_bench.specs.recipe import Mixing

Batches = Iterator[list[tuple[str, int]]]
"""Batches of pairs, each given by its language and number."""


def draw_batches(mixing: Mixing, sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """Draw the batches of a training.

    Args:
        mixing: the recipe's `parallel.mixing`, which is the name of one of the functions below.
        sizes: language -> its number of pairs, at least one. The order of languages does not matter.
        batch_size: pairs per batch.
        steps: the number of batches.
        seed: seeds the random orders and draws.
    """
    draw = {
        "round_robin": round_robin,
        "round_robin_first_exhausted": round_robin_first_exhausted,
        "uniform": uniform,
    }[mixing]
    return draw(sizes, batch_size, steps, seed)


def round_robin(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """Take each pair from the next language in turn (AlignFreeze, appendix).

    A language's pairs come in random order, and in a new order whenever they are used up. Turns continue from batch to
    batch, so that all languages are read equally often for any batch size.
    """
    orders = _orders(sizes, seed)
    turn = cycle(sorted(sizes))
    for _ in range(steps):
        yield [(language, next(orders[language])) for language in islice(turn, batch_size)]


def round_robin_first_exhausted(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """Like `round_robin`, but end each pass over the data with the smallest language (AlignFreeze's released code).

    A pass ends when a language has no pair left at its turn. Its last batch may be smaller, and the next pass repeats
    the same batches. So each language is read only as far as the smallest one has pairs, or one pair further.
    """

    def one_pass() -> Iterator[tuple[str, int]]:
        orders = _orders(sizes, seed)
        for number in count():
            for language in sorted(sizes):
                if number == sizes[language]:
                    return
                yield language, next(orders[language])

    def passes() -> Batches:
        while True:
            pairs = one_pass()
            while batch := list(islice(pairs, batch_size)):
                yield batch

    yield from islice(passes(), steps)


def uniform(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """Take each pair from a language drawn uniformly with replacement; its pairs come in the order of `round_robin`."""
    orders = _orders(sizes, seed)
    languages = sorted(sizes)
    random = np.random.default_rng([seed, len(languages)])  # differs from the seeds of the orders
    for _ in range(steps):
        drawn = random.integers(len(languages), size=batch_size)
        yield [(languages[number], next(orders[languages[number]])) for number in drawn]


def _orders(sizes: Mapping[str, int], seed: int) -> dict[str, Iterator[int]]:
    """Return an endless random order per language, each with its own generator, so that languages are independent."""
    return {
        language: _endlessly(sizes[language], np.random.default_rng([seed, number]))
        for number, language in enumerate(sorted(sizes))
    }


def _endlessly(size: int, random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(size).tolist()
