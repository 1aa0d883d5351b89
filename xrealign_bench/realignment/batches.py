"""Which pairs make up each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle, islice

import numpy as np


def round_robin(sizes: Mapping[str, int], batch_size: int, steps: int, seed: int) -> Iterator[list[tuple[str, int]]]:
    """Batches of (language, number of a pair), each pair of the next language in turn (AlignFreeze, appendix).

    A language's pairs come in random order, and in another one whenever they are used up. The turn goes on from
    batch to batch, so that all languages have their share whatever the batch's size.

    Args:
        sizes: language -> pairs that it has, at least one.
        batch_size: pairs a batch.
        steps: batches.
        seed: of the orders; the order of `sizes` does not matter.
    """
    languages = sorted(sizes)
    # A generator a language: what one does with its pairs must not depend on the others.
    orders = {
        language: _endlessly(sizes[language], np.random.default_rng([seed, number]))
        for number, language in enumerate(languages)
    }
    turn = cycle(languages)
    for _ in range(steps):
        yield [(language, next(orders[language])) for language in islice(turn, batch_size)]


def _endlessly(size: int, random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(size).tolist()
