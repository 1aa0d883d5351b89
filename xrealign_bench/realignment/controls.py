"""Placebo controls: pairs that train as long and on as much text, without the alignment that is to be tested.

Each control changes one thing and keeps the number of pairs and of links, so that a recipe and its control cost about
the same. All random choices are drawn once per training, from its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.errors import UserError
from xrealign_bench.realignment.pairs import EncodedPair, EncodedPairs, PairCorpus
from xrealign_bench.specs.recipe import Control

_FEWEST = 2
"""Pairs that a language needs so that its translations can be exchanged."""


def apply_control(corpus: PairCorpus, control: Control | None, seed: int) -> PairCorpus:
    """Return the corpus with the pairs of a control in every language.

    Args:
        corpus: the pairs as they were read and aligned.
        control: the recipe's `parallel.control`; None returns the corpus unchanged.
        seed: the seed of the training.

    Raises:
        UserError: `shuffled_pairs`, and a language has fewer than two pairs.
    """
    if control is None:
        return corpus
    controlled = {language: _CONTROLS[control](pairs, language, seed) for language, pairs in corpus.languages.items()}
    return replace(corpus, languages=controlled)


def _shuffled_pairs(encoded: EncodedPairs, language: str, seed: int) -> EncodedPairs:
    """Give each source sentence the translation of another one, and each link a random word of it.

    The links of a pair get different words as long as the sentence has enough.
    """
    pairs = encoded.pairs
    if len(pairs) < _FEWEST:
        raise UserError(
            f"parallel.control 'shuffled_pairs': '{language}' has fewer than {_FEWEST} usable pairs ({len(pairs)}) to "
            "exchange translations between; leave the language out or read more pairs"
        )
    others = _cycle(np.arange(len(pairs)), _generator(seed, language))

    def create(number: int) -> EncodedPair:
        pair, target = pairs[number], pairs[int(others[number])].target
        words = _generator(seed, language, number).permutation(len(target.starts))
        links = np.stack([pair.links[:, 0], np.resize(words, len(pair.links))], axis=1)
        return EncodedPair(pair.source, target, links)

    return replace(encoded, pairs=_Pairs(len(pairs), create))


def _source_with_itself(encoded: EncodedPairs, language: str, seed: int) -> EncodedPairs:
    """Pair each source sentence, and each of its linked words, with itself: only dropout differs."""

    def create(number: int) -> EncodedPair:
        pair = encoded.pairs[number]
        return EncodedPair(pair.source, pair.source, pair.links[:, [0, 0]])

    return replace(encoded, pairs=_Pairs(len(encoded.pairs), create))


def _target_with_itself(encoded: EncodedPairs, language: str, seed: int) -> EncodedPairs:
    """Pair each target sentence, and each of its linked words, with itself: only dropout differs."""

    def create(number: int) -> EncodedPair:
        pair = encoded.pairs[number]
        return EncodedPair(pair.target, pair.target, pair.links[:, [1, 1]])

    return replace(encoded, pairs=_Pairs(len(encoded.pairs), create))


def _random_words(encoded: EncodedPairs, language: str, seed: int) -> EncodedPairs:
    """Keep the sentences and exchange their linked target words, so that no link keeps its word.

    If only one target word is linked, another word of the sentence takes its place. A sentence of one word stays.
    """

    def create(number: int) -> EncodedPair:
        pair = encoded.pairs[number]
        random, words = _generator(seed, language, number), len(pair.target.starts)
        linked = np.unique(pair.links[:, 1])
        other = np.arange(words)
        if len(linked) > 1:
            other[linked] = _cycle(linked, random)
        elif len(linked) == 1 and words > 1:
            other[linked] = random.choice(np.setdiff1d(other, linked))
        return replace(pair, links=np.stack([pair.links[:, 0], other[pair.links[:, 1]]], axis=1))

    return replace(encoded, pairs=_Pairs(len(encoded.pairs), create))


_CONTROLS: dict[Control, Callable[[EncodedPairs, str, int], EncodedPairs]] = {
    "shuffled_pairs": _shuffled_pairs,
    "source_with_itself": _source_with_itself,
    "target_with_itself": _target_with_itself,
    "random_words": _random_words,
}


@dataclass(frozen=True)
class _Pairs(Sequence[EncodedPair]):
    """Pairs that are created on access, as those they are made of."""

    size: int
    create: Callable[[int], EncodedPair]

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, number: int) -> EncodedPair: ...
    @overload
    def __getitem__(self, number: slice) -> list[EncodedPair]: ...
    def __getitem__(self, number: int | slice) -> EncodedPair | list[EncodedPair]:
        numbers = range(self.size)[number]
        return self.create(numbers) if isinstance(numbers, int) else [self.create(one) for one in numbers]


def _generator(seed: int, language: str, *number: int) -> np.random.Generator:
    """Return a generator of its own for a language, or for one of its pairs."""
    return np.random.default_rng([seed, *language.encode(), *number])


def _cycle(items: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return for each item another one: a random permutation that is a single cycle, and so has no fixed point.

    >>> _cycle(np.array([3, 5]), np.random.default_rng(0)).tolist()
    [5, 3]
    """
    order = random.permutation(len(items))
    others = np.empty_like(items)
    others[order] = items[np.roll(order, 1)]
    return others
