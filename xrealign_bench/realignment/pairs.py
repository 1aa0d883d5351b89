"""Tokenised translation pairs, and batches of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrealign_bench.models.windows import Window, WindowBatch, collate


@dataclass(frozen=True)
class EncodedPair:
    source: Window
    target: Window
    links: NDArray[np.int64]
    """(links, 2): word of the source window, word of the target window. Empty for pairs without word alignment."""


@dataclass(frozen=True)
class EncodedPairs:
    """The pairs of one language. Aligned pairs without a link are left out; of long texts the first window is used."""

    pairs: Sequence[EncodedPair]
    links: int
    dropped: dict[str, int] = field(default_factory=dict)
    """Rule -> number of links (`link_beyond_window`) or pairs (`pair_without_link`, `empty`) that it dropped."""


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs: all source windows, then all target windows, and the links between their words."""

    windows: WindowBatch
    anchors: Tensor
    """(2 links,) positions among the words of the batch, row by row: linked source words, then linked target words."""
    positives: Tensor
    """(2 links,) positions of their translations."""
    side: Tensor
    """(words,) bool, whether the word belongs to the target side."""

    def to(self, device: torch.device) -> PairBatch:
        return PairBatch(
            self.windows.to(device), self.anchors.to(device), self.positives.to(device), self.side.to(device)
        )


class _Kept(Sequence[EncodedPair]):
    """The pairs that are kept, each created on access, so that few pairs of a large corpus are in memory at a time."""

    def __init__(self, sources: Sequence[Window], targets: Sequence[Window]) -> None:
        self._sides = sources, targets
        self._places = array("i"), array("i")
        self._links, self._ends = array("i"), array("q", [0])

    def add(self, source: int, target: int, links: Iterable[tuple[int, int]]) -> None:
        """Add the pair of the windows with these numbers."""
        for places, number in zip(self._places, (source, target), strict=True):
            places.append(number)
        self._links.extend(chain.from_iterable(links))
        self._ends.append(len(self._links))

    @property
    def links(self) -> int:
        return len(self._links) // 2

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, number: int) -> EncodedPair: ...
    @overload
    def __getitem__(self, number: slice) -> list[EncodedPair]: ...
    def __getitem__(self, number: int | slice) -> EncodedPair | list[EncodedPair]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        place = number % len(self)
        source, target = (side[own[place]] for side, own in zip(self._sides, self._places, strict=True))
        links = self._links[self._ends[place] : self._ends[place + 1]]
        return EncodedPair(source, target, np.array(links, dtype=np.int64).reshape(-1, 2))


def pair_up(
    sources: Sequence[Window],
    targets: Sequence[Window],
    links: Iterable[Sequence[Sequence[int]] | None],
    limit: int | None = None,
) -> EncodedPairs:
    """Join the windows of both sides with the word alignment of their sentences.

    Args:
        sources: all windows of the source sentences, whose numbers are those of the pairs.
        targets: all windows of the target sentences.
        links: for each pair, (source word, target word) counted within the sentences, or None for a pair without word
            alignment, which is kept without links.
        limit: maximum number of pairs to keep, the first ones; those behind them are not looked at.
    """
    first = [_first_windows(side) for side in (sources, targets)]
    kept, dropped = _Kept(sources, targets), {"link_beyond_window": 0, "pair_without_link": 0, "empty": 0}
    for number, given in enumerate(links):
        if len(kept) == limit:
            break
        # A sentence without words has neither a window nor links.
        (source, source_words), (target, target_words) = (find(number) for find in first)
        whole = source >= 0 and target >= 0
        if given is None:
            if whole:
                kept.add(source, target, ())
            else:
                dropped["empty"] += 1
            continue
        inside = [(s, t) for s, t in given if s < source_words and t < target_words]
        dropped["link_beyond_window"] += len(given) - len(inside)
        if whole and inside:
            kept.add(source, target, inside)
        else:
            dropped["pair_without_link"] += 1
    return EncodedPairs(kept, kept.links, {k: n for k, n in dropped.items() if n})


def _first_windows(windows: Iterable[Window]) -> Callable[[int], tuple[int, int]]:
    """Return a function from a sentence to its first window (-1 if it has none) and the number of words in it."""
    places, words = array("i"), array("i")
    for number, window in enumerate(windows):
        if window.first_word == 0:
            missing = window.sentence + 1 - len(places)
            places.extend([-1] * missing)
            words.extend([0] * missing)
            places[window.sentence], words[window.sentence] = number, len(window.starts)
    return lambda sentence: (places[sentence], words[sentence]) if sentence < len(places) else (-1, 0)


@dataclass(frozen=True)
class PairCorpus:
    """The encoded pairs of every language, from which batches are made."""

    languages: Mapping[str, EncodedPairs]
    pad_id: int
    """The tokenizer's padding token."""

    def sizes(self) -> dict[str, int]:
        """Return the number of pairs of each language."""
        return {language: len(encoded.pairs) for language, encoded in self.languages.items()}

    def texts(self) -> Iterator[list[int]]:
        """Yield the sub-words of every text that may be read, padding first."""
        yield [self.pad_id]
        for encoded in self.languages.values():
            for pair in encoded.pairs:
                yield from (pair.source.input_ids, pair.target.input_ids)

    def batch(self, chosen: Iterable[tuple[str, int]]) -> PairBatch:
        """Return the batch of some pairs, given by language and number."""
        return batch_pairs([self.languages[language].pairs[number] for language, number in chosen], self.pad_id)


def batch_pairs(pairs: Sequence[EncodedPair], pad_id: int) -> PairBatch:
    """Collate pairs into one padded batch."""
    windows = [p.source for p in pairs] + [p.target for p in pairs]
    counts = np.array([len(w.starts) for w in windows])
    first_word = np.cumsum(counts) - counts
    per_pair = [len(p.links) for p in pairs]
    links = np.concatenate([p.links for p in pairs])
    sources = links[:, 0] + np.repeat(first_word[: len(pairs)], per_pair)
    targets = links[:, 1] + np.repeat(first_word[len(pairs) :], per_pair)
    return PairBatch(
        windows=collate(windows, pad_id),
        anchors=torch.from_numpy(np.concatenate([sources, targets])),
        positives=torch.from_numpy(np.concatenate([targets, sources])),
        side=torch.from_numpy(np.repeat(np.arange(len(windows)) >= len(pairs), counts)),
    )
