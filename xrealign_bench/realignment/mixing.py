"""Which pairs make up each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, cycle, islice
from typing import Literal

import numpy as np

Mixing = Literal["round_robin", "round_robin_first_exhausted", "uniform"]
Batches = Iterator[list[tuple[str, int]]]
"""Of each pair its language and number."""


def draw_batches(mixing: Mixing, sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """The batches of a training, mixed as a recipe's `parallel.mixing` says.

    Args:
        mixing: which of the functions below.
        sizes: language -> pairs that it has, at least one.
        batch_size: pairs a batch.
        steps: batches.
        seed: of the orders and draws; the order of `sizes` does not matter.
    """
    draw = {
        "round_robin": round_robin,
        "round_robin_first_exhausted": round_robin_first_exhausted,
        "uniform": uniform,
    }[mixing]
    return draw(sizes, batch_size, steps, seed)


def round_robin(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """Each pair of the next language in turn (AlignFreeze, appendix).

    A language's pairs come in random order, and in another one whenever they are used up. The turn goes on from
    batch to batch, so that all languages have their share whatever the batch's size.
    """
    orders = _orders(sizes, seed)
    turn = cycle(sorted(sizes))
    for _ in range(steps):
        yield [(language, next(orders[language])) for language in islice(turn, batch_size)]


def round_robin_first_exhausted(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Batches:
    """As `round_robin`, but a pass over the data ends at the poorest language, as AlignFreeze's released code ran.

    When a language has no pair left at its turn, the pass is over: its last batch may be smaller, and the next pass
    gives the same batches again. Of each language only as many pairs are ever seen as the poorest has, or one more.
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
    """Each pair of a language drawn uniformly, with repetition; a language's pairs come as in `round_robin`."""
    orders = _orders(sizes, seed)
    languages = sorted(sizes)
    random = np.random.default_rng([seed, len(languages)])  # one more than the orders' generators
    for _ in range(steps):
        drawn = random.integers(len(languages), size=batch_size)
        yield [(languages[number], next(orders[languages[number]])) for number in drawn]


def _orders(sizes: Mapping[str, int], seed: int) -> dict[str, Iterator[int]]:
    """A generator a language: what one does with its pairs must not depend on the others."""
    return {
        language: _endlessly(sizes[language], np.random.default_rng([seed, number]))
        for number, language in enumerate(sorted(sizes))
    }


def _endlessly(size: int, random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(size).tolist()
