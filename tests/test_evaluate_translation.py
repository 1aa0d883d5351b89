"""Translation through the real stages. Truth: figures counted anew from the texts that stay in the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import Features, Value
from sacrebleu.metrics import CHRF

from tests.data.hub_folder import write_rows
from tests.small import SEEDS, SOURCE, TARGETS, World, command, write_checkpoint, write_llama, write_suite, write_yaml
from xrealign_bench.demo import phrases
from xrealign_bench.results.storage import read_comparison, read_result
from xrealign_bench.tasks.translation.identification import identify

PAIRS = 9
SAID: dict[str, Any] = {
    "name": "said", "title": "Phrases", "licence": "Unicode-3.0", "task_type": "translation", "metric": "chrf",
    "source": {"kind": "hub", "dataset": "org/tags"}, "configs": {code: "all" for code in TARGETS},
    "columns": {"text": SOURCE, "text_pair": {code: code for code in TARGETS}}, "text_language": SOURCE,
    "prompt": "{source}: {text}\n{target}:", "max_new_tokens": 6, "skip_examples": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("translation")
    write_llama(folder / "llama")
    rows = {code: phrases.parallel_rows(SOURCE, code, PAIRS) for code in TARGETS}
    texts = {code: [" ".join(row.target_words) for row in pairs] for code, pairs in rows.items()}
    texts[SOURCE] = [" ".join(row.source_words) for row in rows[TARGETS[0]]]
    features = Features({code: Value("string") for code in texts})
    content = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    write_rows(folder / "data", "all", "test", content, features)
    suite = write_suite(folder, tasks=["said"])
    write_yaml(folder / "said.yaml", SAID)
    world = World(folder, suite, folder / "llama")
    ran = world.evaluate("--data-root", folder / "data", "--json")
    assert ran.status == 0, ran.err
    assert len(json.loads(ran.out)) == 2
    return world


def stored_texts(world: World) -> dict[str, list[dict[str, Any]]]:
    """The answers of each language before realignment."""
    found: dict[str, list[dict[str, Any]]] = {}
    keys = {stage.key for stage in read_result(world.result("finetune-only")).stages if stage.stage_type == "predict"}
    for path in world.folder.rglob("predictions.parquet"):
        if path.parent.name in keys:
            rows = pq.read_table(path).to_pylist()
            found[rows[0]["target"]] = rows
    return found


def test_every_figure_follows_from_the_answers(world: World) -> None:
    result = read_result(world.result("finetune-only"))
    data = pq.read_table(next((world.folder / "data").rglob("*.parquet"))).to_pydict()
    texts = stored_texts(world)
    assert set(texts) == set(TARGETS)
    for score in result.scores:
        rows = texts[score.language]
        assert [row["example"] for row in rows] == list(range(SAID["skip_examples"], PAIRS))
        golds = {"forward": data[score.language], "backward": data[SOURCE]}
        for direction, gold in golds.items():
            answers = [row[f"{direction}_text"] for row in rows]
            expected = CHRF().corpus_score(answers, [[gold[row["example"]] for row in rows]]).score / 100
            assert score.metrics[f"chrf_{direction}"] == pytest.approx(expected)
            code = score.language if direction == "forward" else SOURCE
            right = sum(identify(text) == code for text in answers) / len(answers)
            assert score.metrics[f"right_language_{direction}"] == pytest.approx(right)
        assert score.counted == len(rows) == PAIRS - SAID["skip_examples"]


def test_no_text_is_in_a_result_and_scores_are_computed_again(world: World) -> None:
    for recipe in ("finetune-only", "alignfreeze-front"):
        columns = pq.read_table(world.result(recipe) / "predictions-said.parquet").column_names
        assert not [name for name in columns if name.endswith("_text")]
    ran = command("rescore", world.result("alignfreeze-front").parent)
    assert ran.status == 0 and ran.out.startswith("12 scores and 1 comparison computed again")
    comparison = read_comparison(world.result("alignfreeze-front"))
    assert comparison is not None and {row.language for row in comparison.tasks[0].languages} == set(TARGETS)


def test_confusion_counts_the_answers_languages(world: World) -> None:
    texts = stored_texts(world)
    ran = command("confusion", world.output / "results", "--json")
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)
    assert [row["recipe"] for row in rows] == ["finetune-only", "alignfreeze-front"] * (2 * len(TARGETS))
    for row in rows[::2]:
        found = [identify(each[f"{row['direction']}_text"]) for each in texts[row["language"]]] * len(SEEDS)
        right = row["language"] if row["direction"] == "forward" else SOURCE
        shares = {code: found.count(code) / len(found) for code in {*found}}
        assert row["right"] == pytest.approx(shares.pop(right, 0.0)) and row["answers"] == len(found)
        assert row["no_language"] == pytest.approx(shares.pop("none", 0.0))
        assert row["others"] == pytest.approx(shares)
    shown = command("confusion", world.result("finetune-only"))
    assert shown.status == 0 and "references %" in shown.out and shown.err == ""


def test_results_without_translation_have_no_confusion(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    ran = command("confusion", tmp_path / "results")
    assert ran.status == 2
    assert ran.err == (
        f"error: {tmp_path}/results: has no result with a task of translation. Name results of such a suite\n"
    )


def test_an_encoder_and_realigning_on_the_test_sentences_are_refused(world: World, tmp_path: Path) -> None:
    data = ("--data-root", world.folder / "data")
    encoder = World(world.folder, world.suite, write_checkpoint(tmp_path / "bert"))
    ran = encoder.evaluate(*data)
    assert ran.status == 2 and "task 'said' needs the probabilities that a decoder gives to text" in ran.err
    corpus = {
        "name": "texts", "title": "The same", "licence": "none", "source": SAID["source"], "config": "all",
        "split": "test", "columns": {code: code for code in [SOURCE, *TARGETS]},
    }  # fmt: skip
    write_yaml(tmp_path / "texts.yaml", corpus)
    write_yaml(tmp_path / "said.yaml", SAID)
    suite = write_suite(tmp_path, tasks=["said"], parallel={"corpus": "texts", "aligner": "similarity"})
    ran = World(tmp_path, suite, world.checkpoint).evaluate(*data)
    assert ran.status == 2
    assert "realigns on sentences of the corpus 'texts' that the task 'said' tests in 'de'" in ran.err
