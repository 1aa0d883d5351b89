"""Align the words that a bilingual lexicon lists as translations."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from xrealign_bench.aligners.aligner import Aligner, Resources
from xrealign_bench.data import Lexicon, Links, ParallelText
from xrealign_bench.specs.aligner import LexiconCase


def align_lexicon(text: ParallelText, lexicon: Lexicon, case: LexiconCase = "ignore") -> list[Links]:
    """Link words that the lexicon translates unambiguously within their pair of sentences.

    Two words are linked if the lexicon lists them, and lists neither with any other word of the other sentence. A
    source word with two candidates is left out, and so is a word that occurs twice. The difference between composed and
    decomposed characters (Unicode NFC and NFD) is ignored, and so are entries that are equal in both languages. This is
    the rule of the code released with Gaschi et al. (ACL Findings 2023) and AlignFreeze, applied to whole words instead
    of sequences of sub-words.

    Args:
        text: the pairs.
        lexicon: its entries are in lower case.
        case: `ignore` looks words up in lower case. `match`, as that code did, takes them as they are, so that one with
            a capital letter has no entry.

    Raises:
        ValueError: the lexicon is for other languages.
    """
    if (lexicon.source, lexicon.target) != (text.source, text.target):
        raise ValueError(f"a lexicon {lexicon.source}-{lexicon.target} for {text.source}-{text.target} text")
    translations: dict[str, set[str]] = defaultdict(set)
    for source, target in (tuple(map(_comparable, entry)) for entry in lexicon.entries):
        if source != target:
            translations[source].add(target)
    look_up = _comparable if case == "ignore" else _composed
    return [
        _align_pair([look_up(word) for word in source], [look_up(word) for word in target], translations)
        for source, target in zip(text.source_words, text.target_words, strict=True)
    ]


def _align(text: ParallelText, resources: Resources) -> list[Links]:
    if resources.lexicon is None:
        raise ValueError("the aligner 'lexicon' needs a lexicon")
    return align_lexicon(text, resources.lexicon, resources.case)


LEXICON = Aligner(
    title="words that a bilingual lexicon pairs, where there is no doubt",
    version=1,
    align=_align,
    needs_lexicon=True,
)


def _align_pair(source: list[str], target: list[str], translations: dict[str, set[str]]) -> Links:
    places = defaultdict(list)
    for t, word in enumerate(target):
        places[word].append(t)
    candidates: list[list[int]] = []
    claims: dict[int, int] = defaultdict(int)
    for word in source:
        listed = translations.get(word, set()) & places.keys()
        candidates.append([t for translation in listed for t in places[translation]])
        for t in candidates[-1]:
            claims[t] += 1
    return [(s, found[0]) for s, found in enumerate(candidates) if len(found) == 1 and claims[found[0]] == 1]


def _comparable(word: str) -> str:
    return _composed(word.lower())


def _composed(word: str) -> str:
    return unicodedata.normalize("NFC", word)
