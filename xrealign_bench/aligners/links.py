"""Which links of a word alignment realignment uses, whatever aligner they come from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xrealign_bench.data import Links, ParallelText


@dataclass(frozen=True)
class Alignment:
    """The links of each pair of a parallel text, in order."""

    links: list[Links]
    dropped: dict[str, int]
    """Rule -> number of links that it dropped."""


def usable_links(text: ParallelText, links: list[Links]) -> Alignment:
    """Keep one-to-one links between words that differ (AlignFreeze, section 3.1).

    A link is dropped if either of its words has another link (`not_one_to_one`), or if its words are equal except for
    case (`identical`), as names, numbers and punctuation are: their representations are already alike.

    Args:
        text: the parallel text.
        links: the links of each pair, in any order; duplicates count once.

    Returns:
        Links sorted by source position.

    Raises:
        ValueError: the number of pairs is not that of `text`, or a link points outside its sentences.
    """
    dropped: Counter[str] = Counter()
    usable = []
    for source, target, pair in zip(text.source_words, text.target_words, links, strict=True):
        unique = sorted(set(pair))
        if any(not (0 <= s < len(source) and 0 <= t < len(target)) for s, t in unique):
            raise ValueError(f"a link of {unique} is outside of {len(source)} and {len(target)} words")
        sources, targets = Counter(s for s, _ in unique), Counter(t for _, t in unique)
        single = [(s, t) for s, t in unique if sources[s] == 1 and targets[t] == 1]
        different = [(s, t) for s, t in single if source[s].lower() != target[t].lower()]
        dropped["not_one_to_one"] += len(unique) - len(single)
        dropped["identical"] += len(single) - len(different)
        usable.append(different)
    return Alignment(usable, {rule: count for rule, count in dropped.items() if count})
