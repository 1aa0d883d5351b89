"""Error rates by group, such as by tag or by word frequency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

FREQUENCIES = ((1, "once"), (9, "2-9 times"))
"""Highest count -> name of a band of word frequency; more frequent words are in `MOST_FREQUENT`."""
MOST_FREQUENT = "10 times or more"


class ErrorRate(NamedTuple):
    rate: float
    n: int


def error_rates(gold: Sequence[Hashable], predicted: Sequence[Hashable], groups: Sequence[str]) -> dict[str, ErrorRate]:
    """Return the share of wrong predictions in each group, and its size; groups are in sorted order.

    >>> error_rates([1, 1, 2], [1, 2, 2], ["NOUN", "NOUN", "VERB"])
    {'NOUN': ErrorRate(rate=0.5, n=2), 'VERB': ErrorRate(rate=0.0, n=1)}
    """
    sizes = Counter(groups)
    wrong = Counter(group for g, p, group in zip(gold, predicted, groups, strict=True) if g != p)
    return {group: ErrorRate(wrong[group] / sizes[group], sizes[group]) for group in sorted(sizes)}


def frequency_bands(words: Sequence[Hashable]) -> list[str]:
    """Return the band of each word by how often it occurs among the words.

    >>> frequency_bands(["a", "b", "a"])
    ['2-9 times', 'once', '2-9 times']
    """
    counts = Counter(words)
    bands = {
        word: next((name for most, name in FREQUENCIES if count <= most), MOST_FREQUENT)
        for word, count in counts.items()
    }
    return [bands[word] for word in words]
