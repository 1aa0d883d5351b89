"""Metrics of classes. Truth: published and hand-made tables, and counting."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from xrealign_bench.results.records import Score
from xrealign_bench.specs import Task
from xrealign_bench.tasks.evaluate_metrics import TextClassification
from xrealign_bench.tasks.label_metric import per_example_counts, score
from xrealign_bench.tasks.registry import TASK_TYPES

TASK = Task.model_validate(
    {
        "name": "t",
        "title": "T",
        "licence": "none",
        "task_type": "sequence_classification",
        "source": {"kind": "hub", "dataset": "o/t"},
        "configs": {"en": "en"},
        "columns": {"text": "text", "label": "label"},
        "labels": ["a", "b", "c"],
    }
)


@pytest.mark.parametrize(
    ("gold", "predicted", "right", "f1"),
    [
        # The example of scikit-learn's f1_score, whose documentation gives 0.26 (0.267) for average="macro".
        ([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 2 / 6, 0.8 / 3),
        # Class 0: 2 right of 3 and 3 predicted, 4/6. Class 1: 1 of 2 and 2, 2/4.
        ([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], 3 / 5, 7 / 12),
        ([2, 2], [2, 2], 1.0, 1.0),
    ],
)
def test_tables(gold: list[int], predicted: list[int], right: float, f1: float) -> None:
    expected = {"accuracy": pytest.approx(right, abs=1e-12), "macro_f1": pytest.approx(f1, abs=1e-12)}
    assert TextClassification(keep_in_memory=True).compute(predictions=predicted, references=gold) == expected
    found = score(TASK, {"gold": gold, "predicted": predicted})
    assert found == {"metrics": expected, "counted": len(gold), "groups": {}, "reason": None}
    assert Score(task="t", language="de", seed=1, examples=len(gold), **found).counted == len(gold)


def test_scores_without_examples_are_null_with_a_reason() -> None:
    assert score(TASK, {"gold": [], "predicted": []}) == {
        "metrics": {"accuracy": None, "macro_f1": None},
        "counted": 0,
        "groups": {},
        "reason": "there is no example",
    }


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels and 1 predictions"):
        score(TASK, {"gold": [0, 1], "predicted": [0]})


def test_per_example_counts_give_the_accuracy_of_any_subset() -> None:
    random = np.random.default_rng(0)
    gold, predicted = (random.integers(0, 3, 100).astype(np.int16) for _ in range(2))
    earned, possible = per_example_counts(TASK, pa.table({"gold": gold, "predicted": predicted}))
    assert earned.dtype == possible.dtype == np.float64
    for chosen in (np.arange(100), random.integers(0, 100, 30)):
        right = sum(gold[n] == predicted[n] for n in chosen) / len(chosen)
        assert earned[chosen].sum() / possible[chosen].sum() == pytest.approx(right, abs=1e-12)


def test_the_registered_metric_is_this_one() -> None:
    scoring = TASK_TYPES["sequence_classification"].metric
    assert (list(scoring.columns), scoring.given) == (["gold", "predicted"], ("gold",))
    assert (scoring.score, scoring.per_example_counts) == (score, per_example_counts)
