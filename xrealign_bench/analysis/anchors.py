"""Whether the words that a recipe loses are anchors: words that its pairs link to a translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xrealign_bench.analysis.scored_words import ScoredWord, WordForm, word_forms
from xrealign_bench.analysis.table import Row
from xrealign_bench.realignment.pairs import EncodedPair


def find_anchors(pairs: Iterable[EncodedPair]) -> set[WordForm]:
    """Return the anchors of one language: the target words of all links.

    Words that are identical in both languages are not among them, because aligners drop links between them.
    """
    anchors: set[WordForm] = set()
    for pair in pairs:
        forms = word_forms(pair.target)
        anchors.update(forms[word] for word in pair.links[:, 1].tolist())
    return anchors


def anchor_rows(
    language: str, before: Sequence[ScoredWord], after: Sequence[ScoredWord], anchors: set[WordForm]
) -> Iterator[Row]:
    """Yield the share of anchors among the words that are lost, and among all scored words.

    A word is lost if it was tagged correctly before and is tagged wrongly after. Without lost words there is no share
    of them.

    Args:
        language: the language of the words.
        before: predictions of fine-tuning only.
        after: predictions with the recipe, of the same words in the same order.
        anchors: of the recipe's pairs in the language.

    Raises:
        ValueError: the words differ.
    """
    if [(word.place, word.gold) for word in before] != [(word.place, word.gold) for word in after]:
        raise ValueError("the predictions before and after are of different words")
    lost = [
        word.form
        for old, word in zip(before, after, strict=True)
        if old.predicted == old.gold and word.predicted != word.gold
    ]
    for measure, forms in (("anchors_among_lost", lost), ("anchors_among_all", [word.form for word in after])):
        if forms:
            share = sum(form in anchors for form in forms) / len(forms)
            yield Row("finetuned", language, None, measure, "", share, len(forms))
