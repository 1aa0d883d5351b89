"""A whole evaluation of question answering on a small data set. Truth: F1 counted anew over the texts themselves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import Features, List, Value

from tests.small import CORPUS, SUITE, World, command, forge, left_over, write_yaml
from xrealign_bench.results.rescoring import rescore
from xrealign_bench.results.storage import read_comparison, read_result

CODES = ["en", "de", "sw", "th"]
TASK: dict[str, Any] = {
    "name": "asked",
    "title": "A few questions",
    "licence": "none",
    "task_type": "question_answering",
    "source": {"kind": "hub", "dataset": "org/asked"},
    "configs": {code: f"asked.{code}" for code in CODES},
    "test_split": "validation",
    "columns": {"question": "question", "context": "context", "answers": "answers"},
    "spans": {"doc_stride": 4},
    "metric": "f1",
}
CONTEXTS = {
    "en": "On Monday twelve euros and fifty cents were paid in the second week of March, before noon.",
    "de": "Am Montag wurden zwölf Euro und fünfzig Cent in der zweiten Märzwoche bezahlt, vor dem Mittag.",
    "sw": "Siku ya Jumatatu euro kumi na mbili na senti hamsini zililipwa katika wiki ya pili ya Machi.",
    "th": "วันจันทร์มีการจ่ายเงินสิบสองยูโรและห้าสิบเซ็นต์ ในสัปดาห์ที่สองของเดือนมีนาคม ก่อนเที่ยงวัน",
}
FEATURES = Features(
    {
        "id": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    }
)


def rows(code: str) -> list[dict[str, Any]]:
    """Each word of a context is the answer to a question that names its neighbour."""
    words = CONTEXTS[code].split()
    return [
        {
            "id": f"{code}-{n}",
            "context": CONTEXTS[code],
            "question": f"{words[n - 1]}?",
            "answers": {"text": [word], "answer_start": [CONTEXTS[code].index(word)]},
        }
        for n, word in enumerate(words)
    ]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    folder = tmp_path_factory.mktemp("asked")
    for code in CODES:
        for split in ("train", "validation")[code != "en" :]:
            file = folder / "data/org/asked" / f"asked.{code}" / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list(rows(code), features=FEATURES).to_parquet(str(file))
    write_yaml(folder / "asked.yaml", TASK)
    write_yaml(folder / "pairs.yaml", CORPUS)
    suite = write_yaml(folder / "small.yaml", SUITE | {"tasks": ["asked"], "target_languages": CODES[1:]})
    world = World(folder, suite, small_checkpoint)
    ran = world.evaluate("--data-root", folder / "data")
    assert ran.status == 0, ran.err
    return world


RECIPES = ["finetune-only", "alignfreeze-front"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_scores_follow_from_the_stored_hashes(evaluated: World, recipe: str) -> None:
    result = read_result(evaluated.result(recipe))
    assert len(result.scores) == len(CODES) * 2
    stored = pq.read_table(evaluated.result(recipe) / "predictions-asked.parquet").to_pylist()
    for score in result.scores:
        cell = [row for row in stored if (row["language"], row["seed"]) == (score.language, score.seed)]
        assert [row["example"] for row in cell] == list(range(len(rows(score.language))))
        f1s = []
        for row in cell:
            [gold] = row["gold"]
            common = (Counter(gold) & Counter(row["predicted"])).total()
            f1s.append(2 * common / (len(gold) + len(row["predicted"])) if common else 0.0)
        assert score.examples == score.counted == len(cell)
        assert score.metrics["f1"] == pytest.approx(sum(f1s) / len(f1s))
        exact = sum(row["predicted"] == row["gold"][0] for row in cell) / len(cell)
        assert score.metrics["exact_match"] == pytest.approx(exact)
    assert any((score.metrics["f1"] or 0) > 0 for score in result.scores)


@pytest.mark.parametrize("recipe", RECIPES)
def test_rescoring_agrees_and_notices_a_change(evaluated: World, recipe: str, tmp_path: Path) -> None:
    assert rescore(evaluated.result(recipe)) == len(CODES) * 2
    copy = shutil.copytree(evaluated.result(recipe), tmp_path / "copy")
    f1 = read_result(copy).scores[3].metrics["f1"] or 0.0
    forge(copy / "result.json", lambda content: content["scores"][3]["metrics"].update(f1=abs(f1 - 0.001)))
    ran = command("rescore", copy)
    assert ran.status != 0 and "the predictions give" in ran.err


def test_the_comparison_is_of_f1(evaluated: World) -> None:
    comparison = read_comparison(evaluated.result(RECIPES[1]))
    assert comparison is not None
    [task] = comparison.tasks
    assert task.metric == "f1" and {change.language for change in task.languages} == set(CODES[1:])
    ours, theirs = (read_result(evaluated.result(name)) for name in reversed(RECIPES))
    for change in task.languages:
        means = [
            sum(s.metrics["f1"] or 0 for s in r.scores if s.language == change.language) / 2 for r in (ours, theirs)
        ]
        assert change.gain == pytest.approx(means[0] - means[1], abs=1e-9)


def test_results_hold_no_text(evaluated: World) -> None:
    written = b"".join(p.read_bytes() for p in evaluated.output.rglob("*") if p.is_file())
    assert b"Jumatatu" not in written and "วันจันทร์".encode() not in written
    schema = pq.read_schema(evaluated.result(RECIPES[0]) / "predictions-asked.parquet")
    assert [f.name for f in schema if str(f.type) == "string"] == ["language"]


def test_the_data_are_recorded(evaluated: World) -> None:
    content = json.loads((evaluated.result(RECIPES[0]) / "result.json").read_bytes())
    records = {(r["used_as"], r["language"]): r for r in content["data"]}
    assert records["train", "en"]["examples"] == records["test", "en"]["examples"] == len(rows("en"))
    assert records["test", "th"]["split"] == "validation"
    assert left_over(evaluated.store, evaluated.output) == []
