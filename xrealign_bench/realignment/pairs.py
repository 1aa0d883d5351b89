"""Translated pairs as the model reads them, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrealign_bench.models.text import Window, WindowBatch, collate


@dataclass(frozen=True)
class EncodedPair:
    source: Window
    target: Window
    links: NDArray[np.int64]
    """(links, 2): word of the source window, word of the target window; none where the pairs are not aligned."""


@dataclass(frozen=True)
class EncodedPairs:
    """The pairs of one language, of an aligned one those that have a link; of a long side the first window is read."""

    pairs: list[EncodedPair]
    links: int
    dropped: dict[str, int] = field(default_factory=dict)
    """Rule -> how many links (`link_beyond_window`) or pairs (`pair_without_link`, `empty`) it dropped."""


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs: the sources' windows, then the targets', and the links among all their words."""

    windows: WindowBatch
    anchors: Tensor
    """(2 links,) positions among the batch's words, row by row: all aligned source words, then all aligned targets."""
    positives: Tensor
    """(2 links,) their translations."""
    side: Tensor
    """(words,) bool: is the word of the target side."""

    def to(self, device: torch.device) -> PairBatch:
        return PairBatch(
            self.windows.to(device), self.anchors.to(device), self.positives.to(device), self.side.to(device)
        )


def pair_up(
    sources: Sequence[Window], targets: Sequence[Window], links: Sequence[Sequence[Sequence[int]] | None]
) -> EncodedPairs:
    """Bring the windows of both sides together with the word alignment of their sentences.

    Args:
        sources: all windows of the source sentences, numbered as the pairs are.
        targets: likewise.
        links: for each pair, (source word, target word) counted in the sentences; None where words are not aligned:
            such a pair is kept without links.
    """
    first = [{w.sentence: w for w in side if w.first_word == 0} for side in (sources, targets)]
    pairs, dropped = [], {"link_beyond_window": 0, "pair_without_link": 0, "empty": 0}
    for number, given in enumerate(links):
        # A sentence without words has no window, and no links either.
        source, target = first[0].get(number), first[1].get(number)
        if given is None:
            if source and target:
                pairs.append(EncodedPair(source, target, np.empty((0, 2), dtype=np.int64)))
            else:
                dropped["empty"] += 1
            continue
        kept = [(s, t) for s, t in given if source and target and s < len(source.starts) and t < len(target.starts)]
        dropped["link_beyond_window"] += len(given) - len(kept)
        if source and target and kept:
            pairs.append(EncodedPair(source, target, np.array(kept, dtype=np.int64)))
        else:
            dropped["pair_without_link"] += 1
    return EncodedPairs(pairs, sum(len(p.links) for p in pairs), {k: n for k, n in dropped.items() if n})


def batch_pairs(pairs: Sequence[EncodedPair], pad_id: int) -> PairBatch:
    """Put pairs into one padded batch."""
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
