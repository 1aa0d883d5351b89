"""Repair predicted entity tags that break IOB2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xrealign_bench.specs import Task


def repair_tags(tags: Sequence[str]) -> list[str]:
    """Repair the tags of a sentence as the code released with AlignFreeze does, after Wu and Dredze (EMNLP 2019).

    An I- at the beginning or after O begins an entity. An entity of mixed types takes the type of its last word. As in
    that code, so does an entity of another type that ends directly before one of several words of a single type.

    >>> repair_tags(["I-PER", "I-LOC", "O", "B-PER", "I-PER", "I-LOC"])
    ['B-LOC', 'I-LOC', 'O', 'B-LOC', 'I-LOC', 'I-LOC']
    >>> repair_tags(["B-PER", "B-LOC", "I-LOC"])
    ['B-LOC', 'B-LOC', 'I-LOC']
    """
    begun = [
        f"B-{tag[2:]}" if tag[0] == "I" and before == "O" else tag
        for before, tag in zip(["O", *tags], tags, strict=False)
    ]
    repaired: list[str] = []
    wanted: str | None = None  # type of the words to the right that this one must agree with
    for tag in reversed(begun):
        prefix, name = tag[0], tag[2:]
        if tag == "O":
            wanted = None
        elif wanted is None:
            wanted = name if prefix == "I" else None
        elif name != wanted:
            tag = f"{prefix}-{wanted}"
            wanted = wanted if prefix == "I" else None
        repaired.append(tag)
    return repaired[::-1]


def repair_labels(task: Task, labels: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Repair the label numbers of many sentences, as `repair_tags` does.

    Args:
        task: its `labels` are the names.
        labels: (words,), of all sentences one after the other.
        ends: (sentences,), the end of each.
    """
    numbers = {name: number for number, name in enumerate(task.labels)}
    types = sorted({name[2:] for name in task.labels})
    type_of = np.array([types.index(name[2:]) for name in task.labels])[labels]
    prefix = np.array([name[0] for name in task.labels])[labels]
    starts = np.concatenate([[0], ends[:-1]])
    is_first = np.zeros(len(labels) + 1, dtype=bool)
    is_first[starts] = True
    after_other = np.concatenate([[True], type_of[1:] != type_of[:-1]]) | is_first[:-1]
    inside_entity = np.concatenate([[False], prefix[:-1] != "O"]) & ~is_first[:-1]
    # All that repair can change has an I- that begins, or two types side by side.
    doubtful = after_other & (((prefix == "I") & ~inside_entity) | ((prefix != "O") & inside_entity))
    repaired = labels.copy()
    for sentence in np.unique(np.searchsorted(ends, np.flatnonzero(doubtful), side="right")):
        place = slice(starts[sentence], ends[sentence])
        repaired[place] = [numbers[tag] for tag in repair_tags([task.labels[label] for label in labels[place]])]
    return repaired
