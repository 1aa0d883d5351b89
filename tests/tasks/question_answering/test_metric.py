"""SQuAD's metric. Truth: published and hand-worked cases, and precision and recall counted over the texts."""

from __future__ import annotations

import hashlib
import json
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task, find_spec
from xrealign_bench.tasks.evaluate_metrics import AnswerOverlap
from xrealign_bench.tasks.question_answering.metric import Rule, hashed_tokens, normalised_tokens
from xrealign_bench.tasks.registry import TASK_TYPES

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("answer_cases.json").read_text())["cases"]
PIECES = ["the", "a", "Cat", "cat.", "日本", "日", "die", "x-y", "«q»", " ", "\u00a0", "\u3000", "\n", "ال", "3,5"]


def metric(found: list[list[int]], gold: list[list[list[int]]]) -> dict[str, float]:
    result: dict[str, float] = AnswerOverlap(keep_in_memory=True).compute(predictions=found, references=gold)
    return result


def hashes(case: dict[str, Any]) -> tuple[list[int], list[list[int]]]:
    found, *gold = (hashed_tokens(t, case["rule"], case["language"]) for t in (case["found"], *case["gold"]))
    return found, gold


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['rule']}-{c['language']}-{c['found']}")
def test_cases(case: dict[str, Any]) -> None:
    found, gold = hashes(case)
    expected = {"f1": pytest.approx(case["f1"][0] / case["f1"][1], abs=1e-12), "exact_match": float(case["exact"])}
    assert metric([found], [gold]) == expected


def test_a_language_s_score_is_the_mean_over_its_questions() -> None:
    found, gold = (list(side) for side in zip(*map(hashes, CASES), strict=True))
    score = TASK_TYPES["question_answering"].metric.score(find_spec("xquad", Task), {"predicted": found, "gold": gold})
    assert score["metrics"]["f1"] == pytest.approx(sum(c["f1"][0] / c["f1"][1] for c in CASES) / len(CASES), abs=1e-12)
    assert score["metrics"]["exact_match"] == pytest.approx(sum(c["exact"] for c in CASES) / len(CASES))
    assert (score["counted"], score["groups"], score["reason"]) == (len(CASES), {}, None)


def test_credits_are_each_question_s_f1() -> None:
    found, gold = (list(side) for side in zip(*map(hashes, CASES), strict=True))
    columns = {"gold": pa.array(gold, pa.list_(pa.list_(pa.int64()))), "predicted": pa.array(found)}
    earned, possible = TASK_TYPES["question_answering"].metric.per_example_counts(
        find_spec("xquad", Task), pa.table(columns)
    )
    assert earned.tolist() == pytest.approx([c["f1"][0] / c["f1"][1] for c in CASES])
    assert possible.tolist() == [1.0] * len(CASES)


def texts(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randrange(6))) for _ in range(count)]


@pytest.mark.parametrize(("rule", "language"), [("squad", "en"), ("mlqa", "zh"), ("mlqa", "ar"), ("mlqa", "de")])
def test_hashes_are_as_good_as_the_normalised_texts(rule: Rule, language: str) -> None:
    """The official scripts compare the tokens joined by a space, and count those that splitting it gives."""
    equal = 0
    for one, other in zip(texts(1, 3000), texts(2, 3000), strict=True):
        sides = [normalised_tokens(text, rule, language) for text in (one, other)]
        joined = [" ".join(tokens) for tokens in sides]
        assert [text.split() for text in joined] == sides
        scores = metric_of(one, other, rule, language)
        assert scores["exact_match"] == (joined[0] == joined[1])
        precision, recall = (overlap(*sides) / max(1, len(side)) for side in sides)
        f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
        assert scores["f1"] == pytest.approx(f1, abs=1e-12)
        equal += joined[0] == joined[1]
    assert 30 < equal < 2900


def overlap(one: list[str], other: list[str]) -> int:
    return sum(min(n, Counter(other)[token]) for token, n in Counter(one).items())


def metric_of(one: str, other: str, rule: Rule, language: str) -> dict[str, float]:
    found, gold = (hashed_tokens(text, rule, language) for text in (one, other))
    return AnswerOverlap(keep_in_memory=True)._compute([found], [[gold]])


def test_hashes_never_change() -> None:
    """Published results hold them."""
    digest = hashlib.blake2b("étude".encode(), digest_size=8).digest()
    assert hashed_tokens("L' Étude", "squad", "fr")[1] == int.from_bytes(digest, "big", signed=True)
    assert hashed_tokens("cat", "squad", "en") == [3686158003148265519]
    assert all(-(2**63) <= h < 2**63 for text in texts(3, 300) for h in hashed_tokens(text, "squad", "en"))


def test_normalising_again_changes_nothing() -> None:
    for text in texts(4, 500):
        once = " ".join(normalised_tokens(text, "squad", "en"))
        assert " ".join(normalised_tokens(once, "squad", "en")) == once


def test_mlqa_has_no_rule_for_other_languages() -> None:
    with pytest.raises(UserError, match=r"no rule for 'th', only for en, es.*normalisation: squad"):
        normalised_tokens("ไทย", "mlqa", "th")


def test_the_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    assert metric([[1]], [[[1]]]) == {"f1": 1.0, "exact_match": 1.0}
