"""The example package, installed and evaluated. Truth: hand-counted values, loops in plain Python, other processes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tests.plugins.conftest import EXAMPLE, forget_plugins
from tests.small import World, command, write_recipe, write_yaml
from xrealign_bench.aligners import Resources
from xrealign_bench.data import DataLocation
from xrealign_bench.plugins import registry
from xrealign_bench.realignment.pair_loss import load_pair_loss
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs import Objective, Task

TOPICS = ["sport/football", "sport/tennis", "food"]
TASK: dict[str, Any] = {
    "name": "news",
    "title": "News of my own",
    "licence": "none",
    "task_type": "span-realign/topics",
    "source": {"kind": "files", "train": "{config}.csv", "test": "{config}.csv"},
    "configs": {"en": "en", "de": "de"},
    "columns": {"text": "title", "text_pair": "body", "label": "topic"},
    "labels": TOPICS,
    "metric": "span-realign/broad-accuracy",
}


def write_news(folder: Path) -> None:
    for code in ("en", "de"):
        with (folder / f"{code}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["title", "body", "topic"])
            writer.writerows([f"Title {n}", f"some text number {n}", TOPICS[n % 3]] for n in range(9))
            writer.writerow(["Short", "x", "food"])


@pytest.fixture
def world(new_world: Callable[..., World], installed: Path) -> World:
    made = new_world(tasks=["news"])
    write_yaml(made.folder / "news.yaml", TASK)
    write_news(made.folder)
    write_recipe(
        made.folder,
        method="span-realign/span-contrastive",
        aligner={"kind": "span-realign/attention", "settings": {"steps": 2}},
        freeze={"blocks": "none"},
    )
    return made


def test_the_package_is_evaluated_and_its_plugins_are_recorded(world: World, installed: Path) -> None:
    ran = world.evaluate("--recipe", world.folder / "mine.yaml")
    assert ran.status == 0, ran.err
    result = read_result(world.result("mine"))
    named = {(plugin.group, plugin.name, plugin.version, plugin.origin) for plugin in result.plugins}
    assert named == {
        ("method", "span-realign/span-contrastive", "1", "span-realign 0.1.0"),
        ("aligner", "span-realign/attention", "1", "span-realign 0.1.0"),
        ("task_type", "span-realign/topics", "1", "span-realign 0.1.0"),
        ("metric", "span-realign/broad-accuracy", "1", "span-realign 0.1.0"),
    }
    assert {plugin.group for plugin in read_result(world.result("finetune-only")).plugins} == {"task_type", "metric"}
    assert all("span-realign/broad-accuracy" in score.metrics for score in result.scores)
    data = {record.language: record for record in result.data if record.used_as == "test"}
    assert data["de"].examples == 9 and data["de"].dropped == {"too_short": 1}
    board = world.output / "small-1.0"
    assert "rescored, plugin (span-realign 0.1.0)" in (board / "README.md").read_text()
    assert (
        "method span-realign/span-contrastive, version 1, of span-realign 0.1.0"
        in (board / "leaderboard.json").read_text()
    )

    again = world.evaluate("--recipe", world.folder / "mine.yaml")
    assert "0 stages run" in again.err
    method = installed / "span_realign" / "method.py"
    method.write_text(method.read_text().replace("WIDTH = 1", "WIDTH = 2"))
    forget_plugins()
    changed = world.evaluate("--recipe", world.folder / "mine.yaml", "--dry-run", "--json").out
    stored = {stage["stage_type"]: stage["stored"] for stage in json.loads(changed)["stages"]}
    assert not any(stored.values()), "the source of the whole package is in every key"


def test_reading_rescoring_and_showing_a_result_imports_no_plugin(
    world: World, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.evaluate("--recipe", world.folder / "mine.yaml").status == 0
    forget_plugins()
    folder, results = world.result("mine"), world.output / "results"
    for is_installed in (True, False):
        if not is_installed:
            monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(installed)])
        built = command("leaderboard", "build", results, "--output", world.folder / "again")
        assert built.status == 0, built.err
        assert "plugin (span-realign 0.1.0)" in (world.folder / "again" / "small-1.0" / "README.md").read_text()
        assert command("reproduce", folder).status == 0
        rescored = command("rescore", folder)
        assert rescored.status == 0 and "0 scores computed again" in rescored.out
        refused = command("verify", folder)
        assert refused.status == 2 and len(refused.err.splitlines()) == 4
        for part in (
            "needs the method 'span-realign/span-contrastive' (version 1) of span-realign 0.1.0 (",
            "), which is not registered; install it with pip install 'span-realign==0.1.0', and add --plugin span",
        ):
            assert part in refused.err
        assert not [name for name in sys.modules if name.startswith("span_realign")]


def test_scores_of_a_shipped_metric_are_rescored_without_the_plugin(
    new_world: Callable[..., World], installed: Path
) -> None:
    world = new_world()
    recipe = write_recipe(world.folder, method="span-realign/span-contrastive")
    assert world.evaluate("--recipe", recipe).status == 0
    forget_plugins()
    ran = command("rescore", world.result("mine"))
    assert "2 scores and 1 comparison computed again from the predictions: all equal" in ran.out
    assert not [name for name in sys.modules if name.startswith("span_realign")]


def test_verify_computes_with_named_plugins(world: World) -> None:
    assert world.evaluate("--recipe", world.folder / "mine.yaml").status == 0
    registered = ["span-contrastive", "attention", "topics", "broad-accuracy"]
    named = ",".join(f"span-realign/{name}" for name in registered)
    where = ["--suite", world.suite, "--checkpoint", world.checkpoint, "--store", world.folder / "other"]
    ran = command("verify", world.result("mine"), "--plugin", named, *where)
    assert ran.status == 0, ran.err
    assert "equal" in ran.out


def test_a_model_for_a_task_type_of_the_package_is_exported(
    new_world: Callable[..., World], installed: Path, tmp_path: Path
) -> None:
    world = new_world(tasks=["news"], head="transformers")
    write_yaml(world.folder / "news.yaml", TASK)
    write_news(world.folder)
    ran = world.evaluate("--recipe", write_recipe(world.folder))
    assert ran.status == 0, ran.err
    given = ["--suite", world.suite, "--checkpoint", world.checkpoint, "--store", world.store, "--device", "cpu"]
    ran = command(
        "export", "--recipe", world.folder / "mine.yaml", "--task", "news", "--output", tmp_path / "x", *given
    )
    assert ran.status == 0, ran.err
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "x")
    assert list(model.config.id2label.values()) == TOPICS
    about = json.loads((tmp_path / "x" / "realignment.json").read_text())
    assert [(each["group"], each["package"]) for each in about["plugins"]] == [
        ("metric", "span-realign"), ("task_type", "span-realign"),
    ]  # fmt: skip
    assert "pipeline_tag: text-classification" in (tmp_path / "x" / "README.md").read_text()
    export = ["leaderboard", "export", world.output / "results", "--format", "hf-evals", "--output"]
    for there, expected in ((True, "text-classification"), (False, "other")):
        if not there:
            forget_plugins()
        assert command(*export, tmp_path / f"cards-{there}").status == 0
        cards = [path.read_text() for path in (tmp_path / f"cards-{there}").rglob("README.md")]
        assert len(cards) == 2 and all(f"type: {expected}\n" in card for card in cards)


def test_a_span_is_a_word_with_its_neighbours(installed: Path) -> None:
    loss = load_pair_loss("span-realign/span-contrastive", Objective())
    hidden = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    starts, ends = torch.tensor([[1, 2, 4], [1, 3, -1]]), torch.tensor([[2, 4, 6], [3, 4, -1]])
    pooled = loss.pool(hidden, starts, ends)
    spans = [(0, 1, 4), (0, 1, 6), (0, 2, 6), (1, 1, 4), (1, 1, 4)]  # text, first and last sub-word of each span
    expected = torch.stack([hidden[text, begin:end].mean(0) for text, begin, end in spans])
    torch.testing.assert_close(pooled, expected)


def test_attention_links_words_with_alike_vectors(installed: Path) -> None:
    from tests.aligners.texts import text

    vectors = {"a": 0, "b": 1, "c": 2, "x": 2, "y": 0, "z": 1}
    resources = Resources(
        vectors=lambda sentences: [torch.eye(3)[[vectors[word] for word in words]] for words in sentences]
    )
    aligner = registry("aligner")["span-realign/attention"]
    assert sorted(aligner.align(text(("a b c", "x y z")), resources)[0]) == [(0, 1), (1, 2), (2, 0)]


def test_topics_are_joined_and_scored_up_to_the_slash(installed: Path, tmp_path: Path) -> None:
    from xrealign_bench.tasks.registry import TASK_TYPES, metric_of

    write_news(tmp_path)
    task = Task.model_validate(TASK, context={"folder": tmp_path})
    data = TASK_TYPES[task.task_type].load(task, "de", "test", DataLocation())
    assert data.text[:2] == ["Title 0. some text number 0", "Title 1. some text number 1"]
    assert (len(data), data.text_pair, data.dropped) == (9, None, {"too_short": 1})
    columns = {"example": [0, 1, 2, 3], "gold": [0, 1, 2, 2], "predicted": [1, 1, 2, 0]}
    found = metric_of(task).score(task, columns)["metrics"]
    assert found["span-realign/broad-accuracy"] == 3 / 4 and found["accuracy"] == 2 / 4


def test_the_example_recipe_is_valid(installed: Path) -> None:
    ran = command("validate", EXAMPLE / "spans.yaml", "--suite", "demo")
    assert (ran.status, ran.err) == (0, "")


def test_examples_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLE.rglob("*.py")}
    assert max(lengths.values()) < 60, lengths
