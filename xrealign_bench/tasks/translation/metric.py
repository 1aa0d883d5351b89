"""chrF of translations in both directions, and the languages of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import TaskMetric
from xrealign_bench.tasks.sentence_pairs import TranslationData
from xrealign_bench.tasks.translation.chrf import ORDERS, Counts, chrf_influence, corpus_chrf, count_ngrams
from xrealign_bench.tasks.translation.identification import NO_LANGUAGE, identifier_code

DIRECTIONS = ("forward", "backward")
"""Into the language, and out of it into the task's `text_language`."""
_AVERAGED = ("chrf", "right_language")
_COUNTS = pa.list_(pa.int32())


def gold_of(task: Task, data: TranslationData) -> dict[str, Sequence[Any]]:
    """Return, for each pair, its row in the data, the language, and the n-gram counts of both references."""
    return {
        "example": data.rows,
        "target": [data.language] * len(data),
        "forward_reference": [count_ngrams(text) for text in data.text_pair],
        "backward_reference": [count_ngrams(text) for text in data.text],
    }


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions. Every pair counts.

    `chrf` is the mean of both directions. The shares of answers in the right language and in another one are null for
    a language that the identifier does not know; the others are answers without words.
    """
    metrics: dict[str, float | None] = {}
    expected = {"forward": columns["target"][0], "backward": str(task.text_language)}
    for direction in DIRECTIONS:
        metrics[f"chrf_{direction}"] = corpus_chrf(*_counts(columns, direction))
        right, other = language_shares(columns[f"{direction}_language"], expected[direction])
        metrics |= {f"right_language_{direction}": right, f"other_language_{direction}": other}
    recognised, _ = language_shares(columns["reference_language"], expected["forward"])
    means = {name: _mean([metrics[f"{name}_{direction}"] for direction in DIRECTIONS]) for name in _AVERAGED}
    metrics = {**means, **metrics, "right_language_references": recognised}
    return {"metrics": metrics, "counted": len(columns["target"]), "groups": {}, "reason": None}


def language_shares(found: Sequence[str], expected: str) -> tuple[float | None, float | None]:
    """Return the shares of texts in the expected language and in another one; None if the language is not known.

    Args:
        found: from `identify`.
        expected: our code of the language.

    >>> language_shares(["sw", "en", "none", "sw"], "sw")
    (0.5, 0.25)
    """
    if (code := identifier_code(expected)) is None:
        return None, None
    right = sum(each == code for each in found)
    other = sum(each not in (code, NO_LANGUAGE) for each in found)
    return right / len(found), other / len(found)


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each pair, the language's chrF plus the pair's influence on it times the number of pairs, and 1.

    The mean is the language's chrF; its derivative by a pair's weight is that of chrF.
    """
    earned = np.zeros(len(table))
    cells: dict[tuple[str, int], list[int]] = {}
    for row, cell in enumerate(zip(table["language"].to_pylist(), table["seed"].to_pylist(), strict=True)):
        cells.setdefault(cell, []).append(row)
    columns = {name: table[name].to_pylist() for name in METRIC.columns}
    for direction in DIRECTIONS:
        references, answers = _counts(columns, direction)
        for rows in cells.values():
            counts = references[rows], answers[rows]
            earned[rows] += (corpus_chrf(*counts) + len(rows) * chrf_influence(*counts)) / len(DIRECTIONS)
    return earned, np.ones(len(table))


def check_table(table: pa.Table) -> None:
    """Check the n-gram counts of stored predictions.

    Raises:
        ValueError: there are not as many counts as orders, or an answer matches more n-grams than it or its reference
            has.
    """
    for direction in DIRECTIONS:
        columns = {f"{direction}_reference": ORDERS, f"{direction}_answer": 2 * ORDERS}
        for name, width in columns.items():
            if any(len(row) != width for row in table[name].to_pylist()):
                raise ValueError(f"column '{name}' has rows without {width} counts")
        reference, answer = _counts({name: table[name].to_pylist() for name in columns}, direction)
        found, matched = answer[:, :ORDERS], answer[:, ORDERS:]
        if (matched < 0).any() or (matched > found).any() or (matched > reference).any():
            raise ValueError(f"column '{direction}_answer' matches more n-grams than an answer or its reference has")


def _counts(columns: Mapping[str, Sequence[Any]], direction: str) -> tuple[Counts, Counts]:
    """Return the counts (sentences, 6) of the references and (sentences, 12) of the answers."""
    reference, answer = (
        np.array(columns[f"{direction}_{side}"], dtype=np.float64).reshape(-1, width)
        for side, width in (("reference", ORDERS), ("answer", 2 * ORDERS))
    )
    return reference, answer


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if len(known) == len(values) else None


METRIC = TaskMetric(
    columns={
        "target": pa.string(),
        "forward_reference": _COUNTS,
        "backward_reference": _COUNTS,
        "reference_language": pa.string(),
        "forward_answer": _COUNTS,
        "forward_language": pa.string(),
        "backward_answer": _COUNTS,
        "backward_language": pa.string(),
    },
    given=("target", "forward_reference", "backward_reference", "reference_language"),
    from_data=("target", "forward_reference", "backward_reference"),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)
