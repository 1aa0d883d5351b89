"""What a suite's digest covers. Truth: specs that differ in one field."""

from __future__ import annotations

import pytest

from tests.small import CORPUS, SUITE, TASK
from xrealign_bench.results.result import digest_suite
from xrealign_bench.specs import Corpus, HubData, Suite, Task

HUB = {"source": {"kind": "hub", "dataset": "org/pairs"}, "columns": {"en": "en", "de": "de"}, "lexicons": None}


def digest(suite: dict[str, object] | None = None, task: dict[str, object] | None = None, **corpus: object) -> str:
    own = Corpus.model_validate(CORPUS | HUB | corpus)
    other = Corpus.model_validate(CORPUS | {"name": "other"})
    tasks = [Task.model_validate(TASK | (task or {}))]
    return digest_suite(Suite.model_validate(SUITE | (suite or {})), tasks, {"pairs": own, "other": other})


@pytest.mark.parametrize(
    "changed",
    [
        {"suite": {"seeds": [3]}},
        {"suite": {"parallel": {"corpus": "other", "aligner": "gold"}}},
        {"suite": {"parallel": {"corpus": "pairs", "aligner": "gold", "other_corpora": {"other": ["sw"]}}}},
        {"task": {"test_examples": 11}},
        {"pairs": 11},
        {"split": "dev"},
        {"source": {"kind": "hub", "dataset": "org/others"}},
    ],
)
def test_a_protocol_that_differs_has_another_digest(changed: dict[str, dict[str, object]]) -> None:
    assert digest(**changed) != digest()


def test_a_corpus_is_the_same_at_every_commit() -> None:
    """An evaluation without realignment does not look up the commit, and belongs on the same board."""
    assert digest(source=HubData(dataset="org/pairs", revision="f" * 40).model_dump()) == digest()


def test_corpora_of_others_do_not_count() -> None:
    suite, tasks = Suite.model_validate(SUITE), [Task.model_validate(TASK)]
    own = {"pairs": Corpus.model_validate(CORPUS)}
    assert digest_suite(suite, tasks, own) == digest_suite(
        suite, tasks, own | {"more": Corpus.model_validate(CORPUS | {"name": "more"})}
    )
