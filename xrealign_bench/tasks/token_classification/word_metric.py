"""Accuracy and macro F1 over words, and over groups of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.label_metric import label_scores
from xrealign_bench.tasks.labels import NOT_LABELLED


def score_language(
    gold: Sequence[Sequence[int]],
    predicted: Sequence[Sequence[int]],
    scored: Sequence[Sequence[bool]],
    groups: Sequence[Sequence[str]] | None,
) -> dict[str, Any]:
    """Compute all metrics over the scored words, and over each group of them.

    Args:
        gold: label numbers of each sentence.
        predicted: predicted label numbers.
        scored: whether each word is scored, see `scored_mask`; a word without a label never is.
        groups: the group of each word, if the task has groups.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`. If no word is scored the metrics are
        None and `reason` says so.

    Raises:
        ValueError: the arguments differ in their number of sentences or words.
    """
    columns = (gold, predicted, scored) if groups is None else (gold, predicted, scored, groups)
    for sentence in zip(*columns, strict=True):
        if len({len(words) for words in sentence}) != 1:
            raise ValueError(
                "every word needs a gold label, a prediction, whether it counts, and a group if any has one"
            )
    labels, found = (np.array(_flat(side), dtype=np.int64) for side in (gold, predicted))
    counts = np.array(_flat(scored), dtype=bool) & (labels != NOT_LABELLED)
    return {
        "metrics": label_scores(labels[counts], found[counts]),
        "counted": int(counts.sum()),
        "groups": {} if groups is None else _by_group(np.array(_flat(groups))[counts], labels[counts], found[counts]),
        "reason": None if counts.any() else "no word counts in the score",
    }


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions with `score_language`."""
    groups = None if columns["group"][0] is None else columns["group"]
    return score_language(columns["gold"], columns["predicted"], columns["scored"], groups)


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each sentence, its correct scored words, and its scored words."""
    ends = np.cumsum(pc.list_value_length(table["gold"]).to_numpy())
    gold, predicted, scored = (pc.list_flatten(table[column]).to_numpy() for column in ("gold", "predicted", "scored"))
    counts = scored & (gold != NOT_LABELLED)
    return sentence_sums((gold == predicted) & counts, ends), sentence_sums(counts, ends)


def sentence_sums(values: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the values of each sentence, given the ends of the sentences: (sentences,)."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[ends], prepend=0).astype(np.float64)


def _by_group(
    group: NDArray[np.str_], gold: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, dict[str, float | None]]:
    scores: dict[str, dict[str, float | None]] = {}
    for name in np.unique(group):
        own = gold[group == name], predicted[group == name]
        scores[str(name)] = {**label_scores(*own), "counted": len(own[0])}
    return scores


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
