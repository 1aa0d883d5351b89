"""Segment the text of labelled words anew, and carry the entity labels over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xrealign_bench.data import split_words


def resegment(
    words: Sequence[str], labels: Sequence[int], language: str, inside: Mapping[int, int]
) -> tuple[list[str], list[int]]:
    """Join the words of a sentence without spaces, split the text into words, and label these.

    A new word that contains the beginning or the end of an entity is cut there, so that every entity keeps its
    characters, as in AlignFreeze's released code. White space and invisible characters are dropped.

    Args:
        words: the words of a sentence; in WikiANN's Chinese, characters.
        labels: the label number of each.
        language: code of the language.
        inside: number of B-X -> number of I-X.

    Returns:
        The new words, and the label number of each.
    """
    text = "".join(words)
    of_character = [
        label if place == 0 else inside.get(label, label)
        for word, label in zip(words, labels, strict=True)
        for place in range(len(word))
    ]
    new_words: list[str] = []
    new_labels: list[int] = []
    end = 0
    for word in split_words(text, language):
        start = text.index(word, end)
        end = start + len(word)
        for place in range(start, end):
            label, before = of_character[place], of_character[place - 1]
            continues = label in (inside.get(before), before) and label not in inside
            if place == start or not continues:
                new_words.append("")
                new_labels.append(label)
            new_words[-1] += text[place]
    return new_words, new_labels
