"""Score the predictions of a word-tagging task, by words or by entities."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xrealign_bench.specs import Task
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.metrics import PerExampleCounts, TaskMetric
from xrealign_bench.tasks.token_classification import entity_metric, word_metric
from xrealign_bench.tasks.token_classification.data import WordData


def gold_of(task: Task, data: WordData) -> dict[str, Sequence[Any]]:
    """Return, for each sentence, its row in the data, its label numbers, and which of its words are scored."""
    unscored = [task.labels.index(label) for label in task.unscored_labels]
    return {
        "example": data.rows,
        "gold": data.labels,
        "scored": scored_mask(data.words, data.labels, task.scored_words, unscored),
    }


def scored_mask(
    words: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]],
    rule: Literal["all", "lexical"],
    unscored: Collection[int] = (),
) -> list[list[bool]]:
    """Return which words are scored: those allowed by the rule whose label is not among `unscored`.

    `lexical` allows words with a letter and without a digit, in any script (Unicode categories L and N).

    >>> scored_mask([["12", "March", ",", "۳"]], [[1, 2, 0, 1]], "lexical")
    [[False, True, False, False]]
    """
    never = {NOT_LABELLED, *unscored}
    return [
        [label not in never and (rule == "all" or _is_lexical(word)) for word, label in zip(*sentence, strict=True)]
        for sentence in zip(words, labels, strict=True)
    ]


def _is_lexical(word: str) -> bool:
    categories = {unicodedata.category(character)[0] for character in word}
    return "L" in categories and "N" not in categories


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions by the task's metric. Words without a predicted label are not scored."""
    scored = [
        [each and label != NOT_LABELLED for each, label in zip(*sentence, strict=True)]
        for sentence in zip(columns["scored"], columns["predicted"], strict=True)
    ]
    columns = {**columns, "scored": scored}
    if task.metric == "entity_f1":
        return entity_metric.score(task, columns)
    return word_metric.score(task, columns)


def per_example_counts(task: Task, table: pa.Table) -> PerExampleCounts:
    """Return what each sentence earned and could have earned by the task's metric."""
    table = _without_unread(table)
    if task.metric == "entity_f1":
        return entity_metric.per_example_counts(task, table)
    return word_metric.per_example_counts(task, table)


def _without_unread(table: pa.Table) -> pa.Table:
    """Return predictions in which words without a predicted label are not scored."""
    scored, predicted = (table[name].combine_chunks() for name in ("scored", "predicted"))
    read = pc.and_(scored.flatten(), pc.not_equal(predicted.flatten(), NOT_LABELLED))
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(scored).to_numpy())])
    own = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), read)
    return table.set_column(table.column_names.index("scored"), "scored", own)


METRIC = TaskMetric(
    columns={
        "gold": pa.list_(pa.int16()),
        "predicted": pa.list_(pa.int16()),
        "scored": pa.list_(pa.bool_()),
        "group": pa.list_(pa.string()),
    },
    given=("gold", "scored"),
    from_data=("gold", "scored"),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)
