"""Evaluations with retrieval, through the real stages. Truth: predictions counted anew, stages counted by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Features, Value

from tests.data.hub_folder import write_rows
from tests.small import TARGETS, World, command, mean_by_language, write_suite, write_yaml
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.storage import read_comparison, read_result

PAIRS = 30
FOUND: dict[str, Any] = {
    "name": "found",
    "title": "Find phrases",
    "licence": "Unicode-3.0",
    "task_type": "retrieval",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "configs": {code: "all" for code in TARGETS},
    "columns": {"text": "en", "text_pair": {code: code for code in TARGETS}},
    "text_language": "en",
    "skip_examples": 4,
}
CORPUS: dict[str, Any] = {
    "name": "texts",
    "title": "The same phrases",
    "licence": "Unicode-3.0",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "config": "all",
    "split": "test",
    "columns": {code: code for code in ["en", *TARGETS]},
}
RECIPES = ["finetune-only", "alignfreeze-front"]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phrases of CLDR as plain text, one column a language."""
    root = tmp_path_factory.mktemp("data")
    columns = {code: phrases.parallel_rows("en", code, PAIRS) for code in TARGETS}
    texts = {code: [" ".join(row.target_words) for row in rows] for code, rows in columns.items()}
    texts["en"] = [" ".join(row.source_words) for row in columns["de"]]
    features = Features({code: Value("string") for code in texts})
    write_rows(
        root, "all", "test", [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)], features
    )
    return root


def make_world(folder: Path, checkpoint: Path, tasks: list[str], **task: Any) -> World:
    suite = write_suite(folder, tasks=tasks)
    write_yaml(folder / "found.yaml", FOUND | task)
    return World(folder, suite, checkpoint)


@pytest.fixture(scope="module", params=[["found"], ["phrases", "found"]], ids=["alone", "with tagging"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path, data_root: Path
) -> World:
    world = make_world(tmp_path_factory.mktemp("retrieval"), small_checkpoint, request.param)
    ran = world.evaluate("--data-root", data_root, "--json")
    assert ran.status == 0, ran.err
    assert len(json.loads(ran.out)) == 2
    return world


def tags(world: World) -> bool:
    return "phrases" in [task.name for task in read_result(world.result("finetune-only")).tasks]


def test_scores_are_those_of_the_predictions_and_the_source_has_none(world: World) -> None:
    for recipe in RECIPES:
        result = read_result(world.result(recipe))
        rows = pq.read_table(world.result(recipe) / "predictions-found.parquet").to_pylist()
        scores = [score for score in result.scores if score.task == "found"]
        assert {(s.language, s.seed) for s in scores} == {(code, seed) for code in TARGETS for seed in (3, 7)}
        for score in scores:
            cell = [row for row in rows if (row["language"], row["seed"]) == (score.language, score.seed)]
            there, back = (np.mean([row[name] == row["example"] for row in cell]) for name in ("forward", "backward"))
            read = next(d for d in result.data if (d.name, d.language) == ("found", score.language))
            assert score.examples == score.counted == len(cell) == read.examples
            assert len(cell) + sum(read.dropped.values()) == PAIRS - 4
            assert score.metrics == pytest.approx(
                {"accuracy": (there + back) / 2, "accuracy_forward": there, "accuracy_backward": back}
            )
        assert result.missing == []
        assert result.checkpoint.parameters > 12000 * 32


def test_realigned_encoders_find_other_sentences_than_the_checkpoint(world: World) -> None:
    tables = [pq.read_table(world.result(recipe) / "predictions-found.parquet").to_pylist() for recipe in RECIPES]
    by_seed = [
        [[(r["forward"], r["backward"]) for r in rows if r["seed"] == seed] for seed in (3, 7)] for rows in tables
    ]
    assert by_seed[0][0] == by_seed[0][1]  # the checkpoint's own, whatever the seed
    assert by_seed[1][0] != by_seed[1][1]
    assert by_seed[0][0] not in by_seed[1]


def test_nothing_is_done_that_retrieval_does_not_need(world: World) -> None:
    kinds = Counter(entry.manifest.kind for entry in Store(world.store).entries())
    alone = {"tokenise": 3, "align": 3, "encode": 3, "realign": 2, "predict": 3 + 2 * 3}
    tagging = {"tokenise": 5, "finetune": 4, "predict": 2 * 2 * 4} if tags(world) else {}
    assert kinds == Counter(alone) + Counter(tagging)


def test_the_comparison_is_of_the_predictions(world: World) -> None:
    comparison = read_comparison(world.result("alignfreeze-front"))
    assert comparison is not None
    task = next(task for task in comparison.tasks if task.task == "found")
    means = [mean_by_language(world.result(recipe), "found", "accuracy") for recipe in RECIPES]
    assert {c.language: c.gain for c in task.languages} == pytest.approx(
        {code: means[1][code] - means[0][code] for code in TARGETS}
    )
    assert "source" not in task.gains
    assert task.gains["xr"].low is not None and task.not_compared == {}
    assert ("source" in comparison.gains) == tags(world)


def test_rescoring_agrees(world: World) -> None:
    count = 6 + (8 if tags(world) else 0)
    ran = command("rescore", world.result("alignfreeze-front"))
    said = f"{count} scores and 1 comparison computed again from the predictions: all equal\n"
    assert (ran.status, ran.out) == (0, said)


def test_boards_and_tables_are_written(world: World, data_root: Path) -> None:
    board = (world.output / "small-1.0" / "README.md").read_text()
    assert "alignfreeze-front" in board
    lines = (world.output / "small-1.0" / "languages.csv").read_text().splitlines()
    assert not any(",found,en," in line for line in lines)
    ran = world.evaluate("--data-root", data_root)  # a table for people; all is stored
    assert ran.status == 0, ran.err
    assert "0 stages run" in ran.err


def test_it_is_estimated(world: World, data_root: Path, tmp_path: Path) -> None:
    ran = command(*world.arguments, "--data-root", data_root, "--dry-run", "--store", tmp_path / "empty")
    assert (ran.status, "nothing was run" in ran.out) == (0, True), ran.err


def test_random_weights_depend_on_the_seed(tmp_path: Path, small_checkpoint: Path, data_root: Path) -> None:
    world = make_world(tmp_path, small_checkpoint, ["found"])
    ran = world.evaluate("--data-root", data_root, "--recipe", "random-init-finetune", "--language", "de")
    assert ran.status == 0, ran.err
    rows = pq.read_table(world.result("random-init-finetune--de") / "predictions-found.parquet").to_pylist()
    seeds = [[(row["forward"], row["backward"]) for row in rows if row["seed"] == seed] for seed in (3, 7)]
    assert seeds[0] != seeds[1]


@pytest.fixture
def plan_it(tmp_path: Path, small_checkpoint: Path, data_root: Path) -> Callable[..., Any]:
    def plan(task: dict[str, Any], corpus: dict[str, Any] | None = None, **suite: Any) -> Any:
        write_suite(tmp_path, tasks=["found"], **suite)
        write_yaml(tmp_path / "found.yaml", FOUND | task)
        write_yaml(tmp_path / "texts.yaml", CORPUS | (corpus or {}))
        return prepare(
            Options(
                suite=str(tmp_path / "small.yaml"), checkpoint=str(small_checkpoint), device="cpu", data_root=data_root
            )
        )

    return plan


@pytest.mark.parametrize(("pairs", "skipped", "apart"), [(None, 4, False), (5, 4, False), (4, 4, True), (3, 4, True)])
def test_sentences_of_the_realignment_are_not_tested_on(
    plan_it: Callable[..., Any], pairs: int | None, skipped: int, apart: bool
) -> None:
    given = {"skip_examples": skipped}, {"pairs": pairs}
    parallel = {"corpus": "texts", "aligner": "eflomal"}
    if apart:
        assert plan_it(*given, parallel=parallel).runs[1].predict
    else:
        with pytest.raises(UserError, match="realigns on sentences of the corpus 'texts' that the task 'fo"):
            plan_it(*given, parallel=parallel)


def test_sentences_of_an_additional_corpus_are_not_tested_on(plan_it: Callable[..., Any], tmp_path: Path) -> None:
    write_yaml(tmp_path / "more.yaml", CORPUS | {"name": "more", "pairs": 5})
    parallel = {"corpus": "texts", "additional_corpora": ["more"], "aligner": "eflomal"}
    with pytest.raises(UserError, match="realigns on sentences of the corpus 'more' that the task"):
        plan_it({"skip_examples": 4}, {"pairs": 4}, parallel=parallel)


def test_what_does_not_fit_is_refused_before_any_work(plan_it: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="reads translations of 'fr', and the source language of the suite 'small' is"):
        plan_it({"text_language": "fr"})
    with pytest.raises(UserError, match="task 'found': layer 4: the model has no such block; it has 4"):
        plan_it({"layer": 4})


def test_a_language_does_not_depend_on_the_columns_of_others(plan_it: Callable[..., Any]) -> None:
    plans = [
        plan_it({"columns": {"text": "en", "text_pair": {"de": "de", "sw": "sw", "th": th}}}) for th in ("th", "x")
    ]
    refs = [plan.test for plan in plans]
    assert refs[0]["found", "de"] == refs[1]["found", "de"]
    assert refs[0]["found", "th"] != refs[1]["found", "th"]
