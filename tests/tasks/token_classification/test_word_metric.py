"""Metrics. Truth: tables worked out by hand with scikit-learn's formulas, and counting."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from xrealign_bench.results.records import Score
from xrealign_bench.tasks.evaluate_metrics import WordTagging
from xrealign_bench.tasks.label_metric import accuracy, macro_f1
from xrealign_bench.tasks.token_classification.metric import scored_mask
from xrealign_bench.tasks.token_classification.word_metric import score_language


@pytest.mark.parametrize(
    ("gold", "predicted", "right", "f1"),
    [
        ([0, 1, 2], [0, 1, 2], 1.0, 1.0),
        ([0, 0, 1], [1, 1, 0], 0.0, 0.0),
        # Label 0: 2 right of 3 in gold and 3 predicted, 4/6. Label 1: 1 of 2 and 2, 2/4. Mean of 2/3 and 1/2.
        ([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], 3 / 5, 7 / 12),
        # Label 2 is predicted and not in gold: it has no F1 of its own. Label 0: 1 of 2 and 1, 2/3. Label 1: 2/2.
        ([0, 0, 1], [0, 2, 1], 2 / 3, (2 / 3 + 1) / 2),
        # Label 7 is in gold and never predicted: its F1 is 0. Label 3: 1 of 1 and 2, 2/3.
        ([3, 7], [3, 3], 1 / 2, 1 / 3),
    ],
)
def test_hand_made_tables(gold: list[int], predicted: list[int], right: float, f1: float) -> None:
    columns = np.array(gold), np.array(predicted)
    assert accuracy(*columns) == pytest.approx(right, abs=1e-12)
    assert macro_f1(*columns) == pytest.approx(f1, abs=1e-12)


def test_macro_f1_is_precision_and_recall_label_by_label() -> None:
    random = np.random.default_rng(0)
    gold, predicted = random.integers(0, 6, 200), random.integers(0, 8, 200)
    each = []
    for label in sorted(set(gold.tolist())):
        right = sum(g == p == label for g, p in zip(gold, predicted, strict=True))
        found, there = int((predicted == label).sum()), int((gold == label).sum())
        precision, recall = right / found if found else 0.0, right / there
        each.append(2 * precision * recall / (precision + recall) if right else 0.0)
    assert macro_f1(gold, predicted) == pytest.approx(sum(each) / len(each), abs=1e-12)


def test_only_words_that_are_marked_and_labelled_count() -> None:
    score = score_language(
        gold=[[0, 1, -100], [1]],
        predicted=[[0, 0, 1], [1]],
        scored=[[True, False, True], [True]],
        groups=[["open", "closed", "open"], ["closed"]],
    )
    assert score == {
        "metrics": {"accuracy": 1.0, "macro_f1": 1.0},
        "counted": 2,
        "groups": {
            "open": {"accuracy": 1.0, "macro_f1": 1.0, "counted": 1},
            "closed": {"accuracy": 1.0, "macro_f1": 1.0, "counted": 1},
        },
        "reason": None,
    }


def test_scores_by_group_cover_all_scored_words() -> None:
    score = score_language(
        [[0, 1, 0], [1, 1]], [[0, 0, 0], [1, 0]], [[True] * 3, [True] * 2], [["a", "b", "a"], ["b", "b"]]
    )
    assert score["metrics"]["accuracy"] == pytest.approx(3 / 5)
    assert {name: (own["accuracy"], own["counted"]) for name, own in score["groups"].items()} == {
        "a": (1.0, 2),
        "b": (pytest.approx(1 / 3), 3),
    }


@pytest.mark.parametrize(
    ("gold", "scored"), [([[1, 0]], [[False, False]]), ([[-100]], [[True]]), ([[]], [[]]), ([], [])]
)
def test_scores_without_scored_words_are_null_with_a_reason(gold: list[list[int]], scored: list[list[bool]]) -> None:
    score = score_language(gold, gold, scored, None)
    assert score["metrics"] == {"accuracy": None, "macro_f1": None}
    assert (score["counted"], score["groups"]) == (0, {})
    assert "no word counts" in score["reason"]


def test_a_score_fits_the_schema_of_results() -> None:
    score = score_language([[0, 1]], [[0, 1]], [[True, True]], [["a", "b"]])
    assert Score(task="t", language="de", seed=1, examples=1, **score).counted == 2


@pytest.mark.parametrize(
    ("predicted", "scored", "groups"),
    [([[0]], [[True, True]], None), ([[0, 1]], [[True]], None), ([[0, 1]], [[True, True]], [["a"]])],
)
def test_columns_of_different_lengths_are_refused(
    predicted: list[list[int]], scored: list[list[bool]], groups: list[list[str]] | None
) -> None:
    with pytest.raises(ValueError, match="every word needs"):
        score_language([[0, 1]], predicted, scored, groups)
    with pytest.raises(ValueError, match="shorter"):
        score_language([[0, 1]], [], [[True, True]], None)


def test_the_metric_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    metric = WordTagging(keep_in_memory=True)
    assert metric.compute(predictions=[[0, 1], [1]], references=[[0, 0], [-100]]) == {
        "accuracy": 0.5,
        "macro_f1": pytest.approx(2 / 3),
    }


def test_scoring_leaves_numpys_generator_alone() -> None:
    np.random.seed(4)
    expected = np.random.random(2)[1]
    np.random.seed(4)
    np.random.random()
    score_language([[0, 1]], [[0, 1]], [[True, True]], None)
    assert np.random.random() == expected


@pytest.mark.parametrize(
    ("word", "lexical"),
    [
        ("März", True),
        ("5th", False),
        ("2003", False),
        (",", False),
        ("€", False),
        ("३", False),  # Nd, Devanagari
        ("मार्च", True),  # letters and vowel signs
        ("三", True),  # a letter to Unicode, category Lo
        ("Ⅳ", False),  # Nl
        ("o'clock", True),
        ("", False),
    ],
)
def test_lexical_words_have_a_letter_and_no_digit(word: str, lexical: bool) -> None:
    assert scored_mask([[word]], [[1]], "lexical") == [[lexical]]
    assert scored_mask([[word]], [[1]], "all") == [[True]]
    assert scored_mask([[word]], [[-100]], "all") == [[False]]


@pytest.mark.parametrize("rule", ["all", "lexical"])
def test_words_of_an_unscored_label_never_count(rule: str) -> None:
    assert scored_mask([["of", "March"]], [[0, 2]], rule, unscored=[0]) == [[False, True]]
