"""F1 of named entities, from seqeval.

Entities are read strictly by IOB2: an entity begins with B-X and continues with I-X of the same type; any other I- is
ignored. An entity is correct if its first word, last word and type are. With `repair` in the task, predictions are
repaired first (see `tag_repair`); then F1 of the tags as they were predicted is added as `entity_f1_strict`.

A word that is not scored or has no label is read as O in gold and prediction alike: no entity contains or crosses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.label_metric import accuracy
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.token_classification.tag_repair import repair_labels, repair_tags
from xrealign_bench.tasks.token_classification.word_metric import sentence_sums


def entity_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float | None]:
    """Return F1, precision and recall of entities over all sentences (micro average): seqeval's strict IOB2.

    Arguments are the tags of each sentence. Without entities all three are None; with entities only in gold or only
    predicted they are 0.

    >>> entity_scores([["B-PER", "I-PER", "B-LOC"]], [["B-PER", "O", "B-LOC"]])
    {'entity_f1': 0.5, 'precision': 0.5, 'recall': 0.5}
    """
    from seqeval.metrics.v1 import precision_recall_fscore_support  # imports scikit-learn
    from seqeval.scheme import IOB2

    if not any(tag.startswith("B-") for side in (predicted, gold) for tags in side for tag in tags):
        return {"entity_f1": None, "precision": None, "recall": None}
    precision, recall, f1, _ = precision_recall_fscore_support(
        list(gold), list(predicted), average="micro", zero_division=0, scheme=IOB2
    )
    return {"entity_f1": float(f1), "precision": float(precision), "recall": float(recall)}


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions with `entity_scores`, and add the accuracy of the predicted labels over words."""
    counts = [
        [each and label != NOT_LABELLED for each, label in zip(scored, labels, strict=True)]
        for scored, labels in zip(columns["scored"], columns["gold"], strict=True)
    ]
    gold_tags, tags = (_tags(task, columns[name], counts) for name in ("gold", "predicted"))
    metrics = entity_scores(gold_tags, tags)
    if task.repair != "none":
        repaired = entity_scores(gold_tags, [repair_tags(row) for row in tags])
        metrics = repaired | {"entity_f1_strict": metrics["entity_f1"]}
    gold, found, counted = (
        np.array([value for row in rows for value in row], dtype=np.int64)
        for rows in (columns["gold"], columns["predicted"], counts)
    )
    words = counted.astype(bool)
    return {
        "metrics": metrics | {"accuracy": accuracy(gold[words], found[words])},
        "counted": int(words.sum()),
        "groups": {},
        "reason": "no entity in the data nor among the predictions" if metrics["entity_f1"] is None else None,
    }


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each sentence, twice its correct entities, and its predicted and gold entities together.

    The sum of the first over the sum of the second is the micro F1.
    """
    ends = np.cumsum(pc.list_value_length(table["gold"]).to_numpy())
    gold, predicted, scored = (pc.list_flatten(table[column]).to_numpy() for column in ("gold", "predicted", "scored"))
    counts = scored & (gold != NOT_LABELLED)
    outside = task.labels.index("O")
    gold, predicted = (np.where(counts, labels, outside) for labels in (gold, predicted))
    if task.repair != "none":
        predicted = repair_labels(task, predicted, ends)
    mine, other = (_entities(task, labels, ends) for labels in (gold, predicted))
    right = (mine == other).all(axis=1) & (mine[:, 0] >= 0)
    possible = sentence_sums(mine[:, 0] >= 0, ends) + sentence_sums(other[:, 0] >= 0, ends)
    return 2 * sentence_sums(right, ends), possible


def _tags(task: Task, labels: Sequence[Sequence[int]], counts: Sequence[Sequence[bool]]) -> list[list[str]]:
    return [
        [task.labels[label] if each else "O" for label, each in zip(row, own, strict=True)]
        for row, own in zip(labels, counts, strict=True)
    ]


def _entities(task: Task, labels: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the type and the end (exclusive) of the entity that begins at each word, or -1: (words, 2).

    The entities are those of seqeval, computed for all sentences at once: seqeval takes a minute for the predictions of
    a suite.
    """
    names = sorted({label[2:] for label in task.labels})
    type_of = np.array([names.index(label[2:]) for label in task.labels])[labels]
    prefix = np.array([label[0] for label in task.labels])[labels]
    new_sentence = np.zeros(len(labels) + 1, dtype=bool)
    new_sentence[np.concatenate([[0], ends])] = True
    goes_on = (prefix == "I") & (type_of == np.roll(type_of, 1)) & ~new_sentence[:-1]
    # The next word that does not continue an entity, or the number of words.
    stops = np.append(np.flatnonzero(~goes_on), len(labels))
    end = stops[np.searchsorted(stops, np.arange(len(labels)), side="right")]
    begins = prefix == "B"
    return np.stack([np.where(begins, type_of, -1), np.where(begins, end, -1)], axis=1)
