"""Entity F1. Truth: seqeval on random tags, hand-computed cases."""

from __future__ import annotations

import random
import socket
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from xrealign_bench.specs import Task
from xrealign_bench.tasks.evaluate_metrics import EntityTagging
from xrealign_bench.tasks.registry import TASK_TYPES
from xrealign_bench.tasks.token_classification.entity_metric import per_example_counts, score
from xrealign_bench.tasks.token_classification.tag_repair import repair_tags

LABELS = ["B-LOC", "O", "I-PER", "I-LOC", "B-PER"]
"""In no particular order."""
TASK = Task.model_validate(
    {
        "name": "names",
        "title": "Names",
        "licence": "none",
        "task_type": "token_classification",
        "source": {"kind": "hub", "dataset": "org/names"},
        "configs": {"en": "en"},
        "columns": {"words": "tokens", "labels": "tags"},
        "labels": LABELS,
        "metric": "entity_f1",
    }
)


def numbers(*sentences: str) -> list[list[int]]:
    return [[-100 if tag == "?" else LABELS.index(tag) for tag in sentence.split()] for sentence in sentences]


def columns(
    gold: list[list[int]], predicted: list[list[int]], scored: list[list[bool]] | None = None
) -> dict[str, list[Any]]:
    return {
        "example": list(range(len(gold))),
        "gold": gold,
        "predicted": predicted,
        "scored": scored or [[label != -100 for label in row] for row in gold],
        "group": [None] * len(gold),
    }


def earned(data: dict[str, list[Any]], task: Task = TASK) -> tuple[list[float], list[float]]:
    ints, flags = pa.list_(pa.int16()), pa.list_(pa.bool_())
    types = {"gold": ints, "predicted": ints, "scored": flags}
    table = pa.table({name: pa.array(data[name], type_) for name, type_ in types.items()})
    got, possible = per_example_counts(task, table)
    return got.tolist(), possible.tolist()


@pytest.mark.parametrize("seed", range(30))
def test_metrics_and_per_example_counts_are_seqevals_on_random_tags(seed: int) -> None:
    """Half of the tags are illegal: I- after O, I- of another type, I- at the beginning; sentences may be empty."""
    generator = random.Random(seed)
    weights = [generator.random() for _ in LABELS]
    lengths = [generator.randrange(9) for _ in range(12)] + [5]
    gold, predicted = (
        [generator.choices(range(len(LABELS)), weights, k=length) for length in lengths] for _ in range(2)
    )
    for row, found in zip(gold, predicted, strict=True):  # so that there are entities in common
        if generator.random() < 0.5:
            found[:] = row[:-1] + found[-1:] if row else []
    tags = [[[LABELS[label] for label in row] for row in rows] for rows in (gold, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            name: function(*tags, mode="strict", scheme=IOB2)
            for name, function in (("entity_f1", f1_score), ("precision", precision_score), ("recall", recall_score))
        }
    data = columns(gold, predicted)
    result = score(TASK, data)
    assert result["metrics"] == pytest.approx(expected | {"accuracy": accuracy_score(*tags)})
    assert result["counted"] == sum(lengths)
    got, possible = earned(data)
    assert sum(got) / sum(possible) == pytest.approx(expected["entity_f1"])
    for number in range(len(lengths)):  # and of any choice of sentences
        alone = score(TASK, columns([gold[number]], [predicted[number]]))["metrics"]["entity_f1"]
        assert (got[number] / possible[number] if possible[number] else None) == pytest.approx(alone)


def test_by_hand() -> None:
    gold = numbers("B-PER I-PER O B-LOC", "O B-LOC I-LOC", "O O")
    # Right, wrong type; too short; an I- after O is none.
    predicted = numbers("B-PER I-PER O B-PER", "O B-LOC O", "O I-LOC")
    result = score(TASK, columns(gold, predicted))
    assert result["metrics"] == pytest.approx(
        {"entity_f1": 1 / 3, "precision": 1 / 3, "recall": 1 / 3, "accuracy": 6 / 9}
    )
    assert earned(columns(gold, predicted)) == ([2.0, 0.0, 0.0], [4.0, 2.0, 0.0])
    assert (result["counted"], result["groups"], result["reason"]) == (9, {}, None)


def test_an_entity_does_not_go_on_in_the_next_sentence() -> None:
    assert earned(columns(numbers("B-PER", "I-PER"), numbers("B-PER", "O"))) == ([2.0, 0.0], [2.0, 0.0])


def test_a_word_that_does_not_count_is_outside_on_both_sides() -> None:
    gold, predicted = numbers("B-PER ? I-PER"), numbers("B-PER I-PER I-PER")
    assert score(TASK, columns(gold, predicted))["metrics"] == {
        "entity_f1": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "accuracy": 1.0,
    }
    assert earned(columns(gold, predicted)) == ([2.0], [2.0])
    gold = numbers("O B-LOC")
    unscored = columns(gold, numbers("B-PER B-LOC"), [[False, True]])
    assert score(TASK, unscored)["metrics"]["entity_f1"] == 1.0
    assert score(TASK, unscored)["counted"] == 1
    assert earned(unscored) == ([2.0], [2.0])


def test_without_entities_there_is_a_reason() -> None:
    data = columns(numbers("O O I-PER"), numbers("O I-LOC O"))
    result = score(TASK, data)
    assert result["metrics"] == {"entity_f1": None, "precision": None, "recall": None, "accuracy": 1 / 3}
    assert result["reason"] == "no entity in the data nor among the predictions"
    assert earned(data) == ([0.0], [0.0])


@pytest.mark.parametrize("sides", [("O", "B-PER"), ("B-PER", "O")])
def test_entities_on_one_side_alone_are_all_wrong(sides: tuple[str, str]) -> None:
    result = score(TASK, columns(*(numbers(side) for side in sides)))
    assert result["metrics"] == {"entity_f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 0.0}
    assert result["reason"] is None


def test_a_task_is_scored_by_its_own_metric() -> None:
    data = columns(numbers("B-PER O"), numbers("B-PER O"))
    by_words = TASK.model_copy(update={"metric": "accuracy"})
    scoring = TASK_TYPES["token_classification"].metric
    assert set(scoring.score(TASK, data)["metrics"]) == {"entity_f1", "precision", "recall", "accuracy"}
    assert set(scoring.score(by_words, data)["metrics"]) == {"accuracy", "macro_f1"}


def test_the_metric_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    metric = EntityTagging(keep_in_memory=True)
    assert metric.compute(predictions=[["B-PER"], ["O"]], references=[["B-PER"], ["B-LOC"]]) == pytest.approx(
        {"entity_f1": 2 / 3, "precision": 1.0, "recall": 0.5}
    )


def test_numpys_generator_is_left_alone() -> None:
    np.random.seed(4)
    expected = np.random.random(2)[1]
    np.random.seed(4)
    np.random.random()
    score(TASK, columns(numbers("B-PER"), numbers("O")))
    assert np.random.random() == expected


REPAIRING = TASK.model_copy(update={"repair": "wu-dredze"})


def repaired_by_rule(tags: list[str]) -> list[str]:
    """Restate the released rule in two steps over the tags, and index the tags from the right."""
    tags = list(tags)
    for place in reversed(range(len(tags))):
        if tags[place].startswith("I-") and (place == 0 or tags[place - 1] == "O"):
            tags[place] = "B-" + tags[place][2:]
    place = len(tags) - 1
    while place >= 0:
        if not tags[place].startswith("I-"):
            place -= 1
            continue
        last = tags[place][2:]  # of an entity; words before it agree, up to a B- that does not, which is made to
        while place >= 0 and tags[place] != "O":
            prefix, name = tags[place].split("-")
            tags[place] = f"{prefix}-{last}"
            place -= 1
            if prefix == "B" and name != last:
                break
    return tags


@pytest.mark.parametrize("seed", range(30))
def test_repaired_predictions_are_scored_by_seqevals_default_mode(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randrange(9) for _ in range(12)] + [5]
    gold, predicted = (
        [generator.choices(range(len(LABELS)), (2, 4, 2, 2, 2), k=length) for length in lengths] for _ in range(2)
    )
    for row, found in zip(gold, predicted, strict=True):
        if generator.random() < 0.6:
            found[:] = row[:-1] + found[-1:] if row else []
    tags, found_tags = ([[LABELS[label] for label in row] for row in rows] for rows in (gold, predicted))
    tags = [repaired_by_rule(row) for row in tags]  # gold is always IOB2
    gold = [[LABELS.index(tag) for tag in row] for row in tags]
    repaired = [repaired_by_rule(row) for row in found_tags]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "entity_f1": f1_score(tags, repaired),
            "precision": precision_score(tags, repaired),
            "recall": recall_score(tags, repaired),
            "entity_f1_strict": f1_score(tags, found_tags, mode="strict", scheme=IOB2),
        }
    data = columns(gold, predicted)
    metrics = score(REPAIRING, data)["metrics"]
    assert metrics == pytest.approx(expected | {"accuracy": accuracy_score(tags, found_tags)})
    got, possible = earned(data, REPAIRING)
    assert sum(got) / sum(possible) == pytest.approx(expected["entity_f1"])


@pytest.mark.parametrize(
    ("predicted", "repaired"),
    [
        ("I-PER O I-LOC I-LOC", "B-PER O B-LOC I-LOC"),
        ("B-PER I-LOC", "B-LOC I-LOC"),
        ("B-PER I-LOC I-PER O", "B-PER I-PER I-PER O"),
        ("B-LOC B-PER", "B-LOC B-PER"),
        ("B-LOC B-PER I-PER", "B-PER B-PER I-PER"),
        ("O B-LOC O", "O B-LOC O"),
    ],
)
def test_tags_are_repaired_by_hand(predicted: str, repaired: str) -> None:
    assert repair_tags(predicted.split()) == repaired.split() == repaired_by_rule(predicted.split())
    data = columns(numbers(repaired, "B-LOC"), numbers(predicted, "O"))
    entities = repaired.count("B-")
    metrics = score(REPAIRING, data)["metrics"]
    assert metrics["entity_f1"] == pytest.approx(2 * entities / (2 * entities + 1))
    assert earned(data, REPAIRING) == ([2.0 * entities, 0.0], [2.0 * entities, 1.0])


def test_without_repair_there_is_one_f1() -> None:
    assert "entity_f1_strict" not in score(TASK, columns(numbers("B-PER"), numbers("I-PER")))["metrics"]


def test_a_repair_rule_for_a_task_without_entities_is_refused() -> None:
    changes = {"metric": "accuracy", "repair": "wu-dredze"}
    with pytest.raises(ValueError, match="repair 'wu-dredze' is about entities, which metric accuracy has none of"):
        Task.model_validate(TASK.model_dump() | changes)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"labels": ["O", "B-PER"]}, "B-X and I-X of every type"),
    ({"labels": ["B-PER", "I-PER"]}, "needs the labels O"),
    ({"labels": ["O", "B-PER", "I-PER", "NOUN"]}, "needs the labels O"),
    ({"scored_words": "lexical"}, "whole entities"),
    ({"unscored_labels": ["O"]}, "whole entities"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_tasks_that_have_no_entities_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task.model_validate(TASK.model_dump() | changes)
