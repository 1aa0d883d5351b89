"""A whole evaluation of named entities whose gold labels have a slip: it is repaired, counted and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from tests.small import SUITE, Ran, World, write_suite, write_yaml
from xrealign_bench.leaderboard.views.provenance import data_read
from xrealign_bench.results.storage import read_result

LABELS = ["O", "B-PER", "I-PER"]
TASK: dict[str, Any] = {
    "name": "names",
    "title": "A few names",
    "licence": "none",
    "task_type": "token_classification",
    "metric": "entity_f1",
    "source": {"kind": "hub", "dataset": "org/ner"},
    "configs": {"en": "en", "de": "de"},
    "columns": {"words": "tokens", "labels": "tags"},
    "labels": LABELS,
}
SENTENCES = {
    ("en", "train"): [("two euro Monday", "B-PER I-PER O"), ("five March", "O B-PER")],
    ("en", "test"): [("five euro", "B-PER O")],
    ("de", "test"): [("zwei Euro Montag", "O I-PER I-PER"), ("_ _", "B-PER O"), ("März", "I-PER")],
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> tuple[World, Ran]:
    folder = tmp_path_factory.mktemp("entities")
    for (language, split), sentences in SENTENCES.items():
        words, labels = ([text.split() for text in column] for column in zip(*sentences, strict=True))
        file = folder / "data/org/ner" / language / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_dict({"tokens": words, "tags": labels}).to_parquet(str(file))
    suite = write_suite(folder, tasks=["names"], target_languages=["de"])
    write_yaml(folder / "names.yaml", TASK)
    world = World(folder, suite, small_checkpoint)
    return world, world.evaluate("--data-root", folder / "data", "--recipe", "finetune-only", "--json")


def test_it_stands_in_the_result_and_on_its_page(evaluated: tuple[World, Ran]) -> None:
    world, ran = evaluated
    assert ran.status == 0, ran.err
    result = read_result(world.result("finetune-only"))
    by_split = {(record.language, record.split): record for record in result.data}
    german = by_split["de", "test"]
    assert (german.examples, german.dropped, german.repaired) == (2, {"without_forms": 1}, {"i_without_b": 2})
    assert by_split["en", "train"].repaired == by_split["en", "test"].repaired == {}
    (printed,) = json.loads(ran.out)
    assert {"i_without_b": 2} in [record["repaired"] for record in printed["result"]["data"]]
    lines = [[cell.text for cell in row] for row in data_read(result).rows]
    assert "without_forms 1, i_without_b 2" in next(line for line in lines if line[2:5] == ["de", "de", "test"])


def test_a_line_says_so(evaluated: tuple[World, Ran]) -> None:
    lines = evaluated[1].err.splitlines()
    assert "dropped by rule, see 'data' in the results: 1 of names (without_forms)" in lines
    assert "labels repaired by rule, see 'data' in the results: 2 of names (i_without_b)" in lines


def test_gold_is_as_repaired(evaluated: tuple[World, Ran]) -> None:
    rows = pq.read_table(evaluated[0].result("finetune-only") / "predictions-names.parquet").to_pylist()
    gold = {row["example"]: [LABELS[n] for n in row["gold"]] for row in rows if row["language"] == "de"}
    assert gold == {0: ["O", "B-PER", "I-PER"], 2: ["B-PER"]}


def test_words_past_truncated_windows_are_not_scored(
    evaluated: tuple[World, Ran], tmp_path: Path, small_checkpoint: Path
) -> None:
    """Test windows of one word, longer ones for training: every sentence is scored by its first word."""
    whole, _ = evaluated
    finetuning = SUITE["finetuning"] | {"test_max_length": 3}
    changes = {"finetuning": finetuning, "long_sentences": "truncate", "lone_word_markers": "delete"}
    suite = write_suite(tmp_path, tasks=["names"], target_languages=["de"], **changes)
    write_yaml(tmp_path / "names.yaml", TASK)
    world = World(tmp_path, suite, small_checkpoint)
    ran = world.evaluate("--data-root", whole.folder / "data", "--recipe", "finetune-only")
    assert ran.status == 0, ran.err
    result = read_result(world.result("finetune-only"))
    altered = {(record.language, record.split): record.altered.get("beyond_window", 0) for record in result.data}
    assert altered == {("en", "train"): 0, ("en", "test"): 1, ("de", "test"): 2}
    assert {score.language: score.counted for score in result.scores} == {"en": 1, "de": 2}
    table = pq.read_table(world.result("finetune-only") / "predictions-names.parquet")
    german = [row for row in table.to_pylist() if row["language"] == "de"]
    assert [[label == -100 for label in row["predicted"]] for row in german[:2]] == [[False, True, True], [False]]
