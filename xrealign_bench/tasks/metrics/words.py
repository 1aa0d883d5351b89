"""Word tagging: an `evaluate` metric that works without the network, and the scores of one language."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

from xrealign_bench.data import NOT_LABELLED, WordData
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics.in_memory import compute

if TYPE_CHECKING:
    import pyarrow as pa

_SENTENCES = datasets.Sequence(datasets.Value("int64"))


class WordTagging(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Accuracy and macro F1 over words, from label numbers sentence by sentence; a reference of -100 doesn't count.

    Constructed rather than fetched by `evaluate.load`, and by `in_memory.compute` no file is written for the data.

    >>> metric = WordTagging(keep_in_memory=True)
    >>> metric.compute(predictions=[[0, 1], [1]], references=[[0, 0], [-100]])
    {'accuracy': 0.5, 'macro_f1': 0.6666666666666666}
    """

    def _info(self) -> Any:
        features = datasets.Features({"predictions": _SENTENCES, "references": _SENTENCES})
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=features)

    def _compute(
        self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[int]]
    ) -> dict[str, float | None]:
        found, gold = (np.array(_flat(side), dtype=np.int64) for side in (predictions, references))
        counts = gold != NOT_LABELLED
        return {"accuracy": accuracy(gold[counts], found[counts]), "macro_f1": macro_f1(gold[counts], found[counts])}


def accuracy(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    """Share of words whose label is right; None without words. Both arguments are (words,)."""
    return float(np.mean(gold == predicted)) if len(gold) else None


def macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    """Mean F1 of the labels that occur in `gold`, each weighing the same; None without words.

    A label's F1 is 2 x right / (in gold + predicted). A label that is predicted and nowhere in gold has none: such a
    prediction only lowers the recall of the label that it should have been. This is scikit-learn's
    `f1_score(gold, predicted, labels=np.unique(gold), average="macro")`.

    Args:
        gold: (words,), label numbers from 0.
        predicted: (words,), likewise.
    """
    if not len(gold):
        return None
    labels = int(max(gold.max(), predicted.max())) + 1
    right = np.bincount(gold[gold == predicted], minlength=labels)
    in_gold, found = np.bincount(gold, minlength=labels), np.bincount(predicted, minlength=labels)
    present = in_gold > 0
    return float(np.mean(2 * right[present] / (in_gold + found)[present]))


def score_language(
    gold: Sequence[Sequence[int]],
    predicted: Sequence[Sequence[int]],
    scored: Sequence[Sequence[bool]],
    groups: Sequence[Sequence[str]] | None,
) -> dict[str, Any]:
    """All metrics over the words that count, and over each group of them.

    Args:
        gold: label numbers, sentence by sentence.
        predicted: as many.
        scored: whether the word counts, see `scored_mask`; one without a label never does.
        groups: the word's group, where the task has groups.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`; where nothing counts the metrics are
        null and the reason says so.

    Raises:
        ValueError: sentences or words are not equally many.
    """
    columns = (gold, predicted, scored) if groups is None else (gold, predicted, scored, groups)
    for sentence in zip(*columns, strict=True):
        if len({len(words) for words in sentence}) != 1:
            raise ValueError(
                "every word needs a gold label, a prediction, whether it counts, and a group if any has one"
            )
    labels, found = (np.array(_flat(side), dtype=np.int64) for side in (gold, predicted))
    counts = np.array(_flat(scored), dtype=bool) & (labels != NOT_LABELLED)
    # One compute a language, of one long sentence: each costs evaluate ten milliseconds, however little there is.
    references = np.where(counts, labels, NOT_LABELLED)
    return {
        "metrics": compute(WordTagging, predictions=[found], references=[references]),
        "counted": int(counts.sum()),
        "groups": {} if groups is None else _by_group(np.array(_flat(groups))[counts], labels[counts], found[counts]),
        "reason": None if counts.any() else "no word counts in the score",
    }


def gold_of(task: Task, data: WordData) -> dict[str, Sequence[Any]]:
    """Sentence by sentence: the row in the data, and each word's label number and whether it counts in the score."""
    unscored = [task.labels.index(label) for label in task.unscored_labels]
    return {
        "example": data.rows,
        "gold": data.labels,
        "scored": scored_mask(data.words, data.labels, task.scored_words, unscored),
    }


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """`score_language` of a language's predictions."""
    groups = None if columns["group"][0] is None else columns["group"]
    return score_language(columns["gold"], columns["predicted"], columns["scored"], groups)


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By sentence: its words that count and are right, and its words that count. Both are (rows,)."""
    import pyarrow.compute as pc

    ends = np.cumsum(pc.list_value_length(table["gold"]).to_numpy())
    gold, predicted, scored = (pc.list_flatten(table[column]).to_numpy() for column in ("gold", "predicted", "scored"))
    counts = scored & (gold != NOT_LABELLED)
    return sentence_sums((gold == predicted) & counts, ends), sentence_sums(counts, ends)


def sentence_sums(values: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each stretch of values up to the next end, exclusive: (sentences,)."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[ends], prepend=0).astype(np.float64)


def scored_mask(
    words: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]],
    rule: Literal["all", "lexical"],
    unscored: Collection[int] = (),
) -> list[list[bool]]:
    """Which words count in the score: those that the rule allows, with a label that is not among `unscored`.

    `lexical` words have a letter and no digit, in any script (Unicode categories L and N).

    >>> scored_mask([["12", "March", ",", "۳"]], [[1, 2, 0, 1]], "lexical")
    [[False, True, False, False]]
    """
    never = {NOT_LABELLED, *unscored}
    return [
        [label not in never and (rule == "all" or _is_lexical(word)) for word, label in zip(*sentence, strict=True)]
        for sentence in zip(words, labels, strict=True)
    ]


def _is_lexical(word: str) -> bool:
    kinds = {unicodedata.category(character)[0] for character in word}
    return "L" in kinds and "N" not in kinds


def _by_group(
    group: NDArray[np.str_], gold: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, dict[str, float | None]]:
    scores: dict[str, dict[str, float | None]] = {}
    for name in np.unique(group):
        own = gold[group == name], predicted[group == name]
        scores[str(name)] = {"accuracy": accuracy(*own), "macro_f1": macro_f1(*own), "counted": len(own[0])}
    return scores


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
