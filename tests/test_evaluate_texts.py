"""A whole evaluation of a classification task on pairs. Truth: scores counted by hand from the predictions."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value

from tests.small import Ran, World, command, forge, write_suite, write_yaml
from xrealign_bench.files import sha256_file
from xrealign_bench.results.storage import read_result

NAMES = ["neutral", "entailment", "contradiction"]
"""As the data have them: in another order than the task."""
TASK = {
    "name": "pairs-nli",
    "title": "A few pairs of sentences",
    "licence": "none",
    "task_type": "sequence_classification",
    "source": {"kind": "hub", "dataset": "org/nli"},
    "configs": {"en": "en"},
    "also": [{"source": {"kind": "hub", "dataset": "org/more"}, "configs": {"de": "deu"}}],
    "columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
    "labels": ["entailment", "neutral", "contradiction"],
}
WORDS = {"en": ["Monday", "March", "two", "five", "euro"], "de": ["Montag", "März", "zwei", "fünf", "Euro"]}


def write_pairs(folder: Path, language: str, split: str, count: int) -> None:
    """Sentences of random words; one is unlabelled and one too long for the model."""
    draw = random.Random(f"{language} {split}")

    def sentence() -> str:
        return " ".join(draw.choices(WORDS[language], k=draw.randint(2, 5)))

    rows = [(sentence(), sentence(), draw.randrange(3)) for _ in range(count)]
    rows[1] = (rows[1][0], rows[1][1], -1)
    rows[3] = (" ".join([rows[3][0]] * 20), rows[3][1], rows[3][2])
    columns = dict(zip(("premise", "hypothesis", "label"), zip(*rows, strict=True), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    features = Features({"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=NAMES)})
    data = datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()}, features=features)
    data.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> tuple[World, Ran]:
    folder = tmp_path_factory.mktemp("texts")
    write_pairs(folder / "data/org/nli/en", "en", "train", 25)
    write_pairs(folder / "data/org/nli/en", "en", "test", 13)
    write_pairs(folder / "data/org/more/deu", "de", "test", 11)
    suite = write_suite(folder, tasks=["pairs-nli"], target_languages=["de"])
    write_yaml(folder / "pairs-nli.yaml", TASK)
    world = World(folder, suite, small_checkpoint)
    return world, world.evaluate("--data-root", folder / "data")


def test_scores_are_those_of_the_predictions(evaluated: tuple[World, Ran]) -> None:
    world, ran = evaluated
    assert ran.status == 0, ran.err
    for recipe in ("finetune-only", "alignfreeze-front"):
        result = read_result(world.result(recipe))
        table = pq.read_table(world.result(recipe) / "predictions-pairs-nli.parquet")
        assert table.column_names == ["language", "seed", "example", "gold", "predicted"]
        assert {(s.language, s.seed) for s in result.scores} == {(c, n) for c in ("en", "de") for n in (3, 7)}
        assert len(result.scores) == 4
        for score in result.scores:
            cell = [r for r in table.to_pylist() if (r["language"], r["seed"]) == (score.language, score.seed)]
            assert score.examples == score.counted == len(cell) == {"en": 12, "de": 10}[score.language]
            right = np.mean([row["gold"] == row["predicted"] for row in cell])
            assert score.metrics["accuracy"] == pytest.approx(right)
            assert set(score.metrics) == {"accuracy", "macro_f1"}


def test_gold_labels_are_the_data_s(evaluated: tuple[World, Ran]) -> None:
    world, _ = evaluated
    stored = pq.read_table(world.folder / "data/org/more/deu/test-00000-of-00001.parquet")["label"].to_pylist()
    expected = [TASK["labels"].index(NAMES[label]) for label in stored if label != -1]  # type: ignore[attr-defined]
    rows = pq.read_table(world.result("alignfreeze-front") / "predictions-pairs-nli.parquet").to_pylist()
    assert [row["gold"] for row in rows if (row["language"], row["seed"]) == ("de", 7)] == expected


def test_what_was_dropped_and_truncated_is_told(evaluated: tuple[World, Ran]) -> None:
    records = [d for d in read_result(evaluated[0].result("alignfreeze-front")).data if d.name == "pairs-nli"]
    assert {(d.used_as, d.language): d.examples for d in records} == {
        ("train", "en"): 24,
        ("test", "en"): 12,
        ("test", "de"): 10,
    }
    assert all(d.dropped == {"unlabelled": 1} and d.altered == {"truncated": 1} for d in records)


def test_it_is_compared_with_the_baseline(evaluated: tuple[World, Ran]) -> None:
    world, _ = evaluated
    (task,) = json.loads((world.result("alignfreeze-front") / "comparison.json").read_bytes())["tasks"]
    ours, theirs = (
        np.mean([s.metrics["accuracy"] for s in read_result(world.result(r)).scores if s.language == "de"])
        for r in ("alignfreeze-front", "finetune-only")
    )
    (change,) = task["languages"]
    assert (task["metric"], change["language"]) == ("accuracy", "de")
    assert change["gain"] == pytest.approx(ours - theirs)


def test_the_same_command_again_runs_nothing(evaluated: tuple[World, Ran]) -> None:
    world, _ = evaluated
    ran = world.evaluate("--data-root", world.folder / "data")
    assert ran.status == 0
    assert "0 stages run" in ran.err


def test_rescore_agrees_and_finds_a_changed_prediction(evaluated: tuple[World, Ran], tmp_path: Path) -> None:
    world, _ = evaluated
    ran = command("rescore", world.result("alignfreeze-front"))
    assert ran == Ran(0, "4 scores and 1 comparison computed again from the predictions: all equal\n", "")
    shutil.copytree(world.output, tmp_path / "output")
    folder = replace(world, folder=tmp_path).result("alignfreeze-front")
    path = folder / "predictions-pairs-nli.parquet"
    table = pq.read_table(path)
    found = [(label + 1) % 3 for label in table["predicted"].to_pylist()]
    pq.write_table(table.set_column(4, "predicted", [found]).cast(table.schema), path)
    new = {"sha256": sha256_file(path)}
    forge(folder / "result.json", lambda content: content["predictions"][0].update(new))
    ran = command("rescore", folder)
    assert ran.status == 2
    assert "result.json says" in ran.err
