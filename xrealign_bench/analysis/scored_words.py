"""The scored words of a tagged test set: their labels, predictions and sub-words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from xrealign_bench.models.windows import Window, Windows
from xrealign_bench.tasks.labels import NOT_LABELLED

WordForm = tuple[int, ...]
"""Sub-words of a word, by which equal words are recognised."""


class ScoredWord(NamedTuple):
    """A word of the test data that counts in the task's score."""

    place: tuple[int, int]
    """Numbers of the sentence and of the word in it."""
    form: WordForm
    gold: int
    predicted: int


def word_forms(window: Window) -> list[WordForm]:
    """Return the sub-words of each word of a window."""
    return [tuple(window.input_ids[start:end]) for start, end in zip(window.starts, window.ends, strict=True)]


def find_word_forms(test: Mapping[str, pa.Table]) -> dict[tuple[int, int], WordForm]:
    """Return the form of every word of the test data, by the numbers of its sentence and of the word in it."""
    return {
        (window.sentence, number): form
        for window in Windows(test["windows"], Window)
        for number, form in enumerate(word_forms(window), window.first_word)
    }


def scored_words(predictions: pa.Table, forms: Mapping[tuple[int, int], WordForm]) -> list[ScoredWord]:
    """Return the words that count in the task's score, in their order.

    Args:
        predictions: of a token-classification task, as `predict` stores them.
        forms: from `find_word_forms`.
    """
    columns = (predictions[name].to_pylist() for name in ("gold", "predicted", "scored"))
    return [
        ScoredWord((sentence, number), forms[sentence, number], gold, predicted)
        for sentence, parts in enumerate(zip(*columns, strict=True))
        for number, (gold, predicted, scored) in enumerate(zip(*parts, strict=True))
        if gold != NOT_LABELLED and scored and (sentence, number) in forms
    ]
