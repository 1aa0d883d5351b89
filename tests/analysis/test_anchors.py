"""Anchors among lost words. Truth: a constructed case, counted by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from xrealign_bench.analysis.anchors import anchor_rows, find_anchors
from xrealign_bench.analysis.scored_words import ScoredWord, scored_words, word_forms
from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.pairs import EncodedPair
from xrealign_bench.tasks.labels import NOT_LABELLED

CLS, SEP, PARIS, DOG, HUND, DE, SEHR = 1, 2, 10, 11, 20, 21, 22


def window(*words: list[int]) -> Window:
    ids, starts, ends = [CLS], [], []
    for word in words:
        starts.append(len(ids))
        ids += word
        ends.append(len(ids))
    return Window(0, 0, [*ids, SEP], starts, ends)


def pair(links: list[tuple[int, int]]) -> EncodedPair:
    """`Paris dog` and `Hundde Paris sehr`, the first word of two sub-words."""
    source, target = window([PARIS], [DOG]), window([HUND, DE], [PARIS], [SEHR])
    return EncodedPair(source, target, np.array(links, np.int64).reshape(-1, 2))


def words(predicted: str, gold: str = "aaaa") -> list[ScoredWord]:
    forms = [(HUND, DE), (PARIS,), (SEHR,), (PARIS,)]
    labels = zip(forms, gold, predicted, strict=True)
    return [ScoredWord((0, n), form, ord(g), ord(p)) for n, (form, g, p) in enumerate(labels)]


def test_anchors_are_the_linked_target_words() -> None:
    assert find_anchors([pair([(1, 0), (0, 1)]), pair([])]) == {(HUND, DE), (PARIS,)}
    assert find_anchors([pair([])]) == set()


def test_shares_of_anchors_counted_by_hand() -> None:
    """Four words, three of them linked. Right before and wrong after: the first and the third."""
    rows = anchor_rows("de", words("aaab"), words("babb"), find_anchors([pair([(1, 0), (0, 1)])]))
    assert [(row.form, row.language, row.measure, row.item, row.value, row.n) for row in rows] == [
        ("finetuned", "de", "anchors_among_lost", "", 0.5, 2),
        ("finetuned", "de", "anchors_among_all", "", 0.75, 4),
    ]


def test_without_lost_words_they_have_no_share() -> None:
    rows = list(anchor_rows("de", words("abbb"), words("aaaa"), set()))
    assert [(row.measure, row.value) for row in rows] == [("anchors_among_all", 0.0)]


def test_predictions_of_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="different words"):
        list(anchor_rows("de", words("aaaa"), words("aaaa", gold="aaab"), find_anchors([])))


def test_words_without_label_score_or_sub_words_are_left_out() -> None:
    rows = {"gold": [[3, NOT_LABELLED, 4, 5]], "predicted": [[3, 3, 3, 3]], "scored": [[True, True, False, True]]}
    forms = dict(zip([(0, 0), (0, 1), (0, 2)], word_forms(window([HUND, DE], [PARIS], [SEHR])), strict=True))
    assert scored_words(pa.table(rows), forms) == [ScoredWord((0, 0), (HUND, DE), 3, 3)]
