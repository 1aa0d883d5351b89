"""A whole evaluation. Truth: scores computed anew with numpy, weights compared bit by bit, bytes, counted stages."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from tests.small import (
    CORPUS,
    SOURCE,
    SUITE,
    TARGETS,
    TASK,
    Ran,
    World,
    command,
    essence,
    forge,
    left_over,
    write_checkpoint,
    write_recipe,
    write_yaml,
)
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.files import sha256_file
from xrealign_bench.languages import distance
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.manifest import seal
from xrealign_bench.results.paths import part_of_suite, result_folder
from xrealign_bench.results.storage import read_comparison, read_result, write_result
from xrealign_bench.scoring.aggregate import summarise
from xrealign_bench.specs.suite import select_seeds

Finished = tuple[World, Ran]
WorldMaker = Callable[..., World]
RECIPES = ["finetune-only", "alignfreeze-front"]


def copy_of(world: World, folder: Path) -> World:
    for part in ("store", "output"):
        shutil.copytree(world.folder / part, folder / part)
    return replace(world, folder=folder)


def weights(world: World, kind: str, recipe: str, file: str) -> dict[int, dict[str, np.ndarray]]:
    """Seed -> the tensors that a stage of a recipe left."""
    wanted = {stage["key"] for stage in json.loads((world.result(recipe) / "result.json").read_bytes())["stages"]}
    entries = [e for e in Store(world.store).entries() if e.manifest.kind == kind and e.manifest.key in wanted]
    return {e.manifest.description["settings"]["seed"]: load_file(e.folder / file) for e in entries}


def test_json_is_alone_on_stdout(finished: Finished) -> None:
    world, ran = finished
    assert ran.status == 0
    content = json.loads(ran.out)
    assert [entry["result"]["recipe"]["name"] for entry in content] == RECIPES
    assert content[0]["comparison"] is None
    assert content[1]["result"] == json.loads((world.result(RECIPES[1]) / "result.json").read_bytes())
    assert content[1]["comparison"] == json.loads((world.result(RECIPES[1]) / "comparison.json").read_bytes())


def test_without_a_terminal_there_are_lines_and_no_bars(finished: Finished) -> None:
    """What goes into a log file: a line for each training."""
    lines = finished[1].err.split("\n")
    trained = [f"fine-tune phrases after {recipe}, seed {seed}" for recipe in RECIPES for seed in (3, 7)]
    trained += [f"realign with alignfreeze-front, seed {seed}" for seed in (3, 7)]
    assert sorted(lines[1:-2]) == sorted(f"done: {label}" for label in trained)
    assert lines[-2:] == ["33 stages run, 0 found in the store", ""]


def test_the_same_command_again_runs_nothing_and_writes_the_same_bytes(finished: Finished) -> None:
    world, first = finished
    before = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    assert len(before) > 8
    again = world.evaluate("--json")
    assert again == Ran(0, first.out, "33 stages over 2 seeds (3, 7); 33 stored\n0 stages run, 33 found in the store\n")
    after = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    assert [path.name for path in before if before[path] != after.pop(path)] == []
    assert not after
    assert left_over(world.store, world.output) == []


def test_scores_are_those_of_the_predictions(finished: Finished) -> None:
    world, _ = finished
    for recipe in RECIPES:
        result = read_result(world.result(recipe))
        assert len(result.scores) == len([SOURCE, *TARGETS]) * 2
        rows = pq.read_table(world.result(recipe) / "predictions-phrases.parquet").to_pylist()
        for score in result.scores:
            cell = [row for row in rows if (row["language"], row["seed"]) == (score.language, score.seed)]
            gold, found, scored = (np.concatenate([row[c] for row in cell]) for c in ("gold", "predicted", "scored"))
            group = np.concatenate([row["group"] for row in cell])
            counts = scored.astype(bool) & (gold != -100)
            right = (gold == found)[counts]
            assert score.examples == len(cell) == 12
            assert score.counted == counts.sum() > 0
            assert score.metrics["accuracy"] == pytest.approx(right.mean())
            for name in np.unique(group[counts]):
                assert score.groups[name]["accuracy"] == pytest.approx(right[group[counts] == name].mean())


def test_the_baseline_stands_beside(finished: Finished) -> None:
    world, ran = finished
    assert (world.result("finetune-only") / "result.json").is_file()
    assert not (world.result("finetune-only") / "comparison.json").exists()
    baseline, recipe = (read_result(world.result(name)) for name in RECIPES)
    comparison = json.loads(ran.out)[1]["comparison"]
    for change in comparison["tasks"][0]["languages"]:
        means = [
            np.mean([s.metrics["accuracy"] for s in r.scores if s.language == change["language"]])
            for r in (recipe, baseline)
        ]
        assert change["gain"] == pytest.approx(means[0] - means[1])
    board = (world.output / "small-1.0" / "README.md").read_text()
    assert "alignfreeze-front" in board and "finetune-only" in board
    assert (world.output / "small-1.0" / f"{world.place}.png").stat().st_size > 1000


def test_frozen_blocks_stay_as_they_were_and_the_others_move(finished: Finished) -> None:
    """Front-freezing keeps blocks 0 and 1; the loss sits on block 2, so nothing moves block 3; embeddings move."""
    world, _ = finished
    before = load_file(world.checkpoint / "model.safetensors")
    realigned = weights(world, "realign", "alignfreeze-front", "encoder.safetensors")
    assert set(realigned) == {3, 7}
    for after in realigned.values():
        moved = {name for name in before if before[name].tobytes() != after[name].tobytes()}
        assert {name.split(".")[2] for name in moved if name.startswith("encoder.")} == {"2"}
        assert "embeddings.word_embeddings.weight" in moved
        # Only attention's key bias has no gradient: it moves all scores of a word alike.
        assert {n for n in before if n.startswith("encoder.layer.2.")} - moved <= {
            "encoder.layer.2.attention.self.key.bias"
        }
    assert any((realigned[3][name] != realigned[7][name]).any() for name in before)


def test_seeds_and_recipes_give_different_models(finished: Finished) -> None:
    world, _ = finished
    models = [w for recipe in RECIPES for w in weights(world, "finetune", recipe, "model.safetensors").values()]
    assert len(models) == 4
    assert len({hashlib.sha256(b"".join(w[name].tobytes() for name in sorted(w))).hexdigest() for w in models}) == 4


def test_rescore_agrees(finished: Finished) -> None:
    world, _ = finished
    ran = command("rescore", world.result("alignfreeze-front"))
    assert ran == Ran(0, "8 scores and 1 comparison computed again from the predictions: all equal\n", "")


def test_a_changed_score_is_found(finished: Finished, tmp_path: Path) -> None:
    world = copy_of(finished[0], tmp_path)
    path = world.result("alignfreeze-front") / "result.json"
    cell = "{task} {language} {seed}".format_map(json.loads(path.read_bytes())["scores"][5])
    forge(path, lambda content: content["scores"][5]["metrics"].update(accuracy=0.5))
    ran = command("rescore", path.parent)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path.parent}: {cell}: result.json says {{'accuracy': 0.5,")
    assert ran.err.count("\n") == 1


def test_changed_predictions_are_found(finished: Finished, tmp_path: Path) -> None:
    world = copy_of(finished[0], tmp_path)
    path = world.result("alignfreeze-front") / "predictions-phrases.parquet"
    table = pq.read_table(path)
    found = [[(label + 1) % 12 for label in row] for row in table["predicted"].to_pylist()]
    pq.write_table(table.set_column(4, "predicted", [found]).cast(table.schema), path)
    ran = command("rescore", path.parent)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path}: ") and "but manifest.json says " in ran.err
    # The same in the manifest, but not in the result.
    seal(path.parent)
    assert command("rescore", path.parent).err.startswith(f"error: {path}: is not the file that the scores in ")
    # With a digest to match there too: now every score differs.
    new = {"sha256": sha256_file(path)}
    forge(path.with_name("result.json"), lambda content: content["predictions"][0].update(new))
    ran = command("rescore", path.parent)
    assert ran.status == 2
    assert ran.err.count("result.json says") == 8


def test_missing_predictions_are_told(finished: Finished, tmp_path: Path) -> None:
    world = copy_of(finished[0], tmp_path)
    path = world.result("alignfreeze-front") / "predictions-phrases.parquet"
    path.unlink()
    ran = command("rescore", path.parent)
    assert (ran.status, ran.err[:20]) == (2, f"error: {path}"[:20])
    assert "missing" in ran.err


SELECTIONS = {
    "language": (["--language", "sw"], "--sw", "languages not evaluated: de, th"),
    "seed": (["--seed", "7"], "--seed7", "seeds not evaluated: 3"),
    "limit": (["--limit", "5"], "--limit5", "limited to 5 examples"),
    "all": (
        ["--limit", "5", "--language", "sw", "--language", "de", "--seed", "3"],
        "--de-sw--seed3--limit5",
        "limited",
    ),
}


@pytest.mark.parametrize(("options", "part", "reason"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_a_part_is_kept_apart_and_not_ranked(
    finished: Finished, tmp_path: Path, options: list[str], part: str, reason: str
) -> None:
    world = copy_of(finished[0], tmp_path)
    whole = essence(world.result("alignfreeze-front"))
    ran = world.evaluate(*options)
    assert ran.status == 0
    assert f"Partial, so not ranked: {reason}" in ran.out
    folder = world.result(f"alignfreeze-front{part}")
    assert f"             {folder}\n" in ran.out
    result = read_result(folder)
    assert any(reason in lack for lack in result.missing)
    assert essence(world.result("alignfreeze-front")) == whole
    rows = json.loads((world.output / "small-1.0" / "leaderboard.json").read_bytes())["rows"]
    ranks = {Path(row["result"]).parent.name: row["rank_low"] for row in rows}
    assert {name: rank is None for name, rank in ranks.items()} == {
        "finetune-only": False,
        "alignfreeze-front": False,
        f"finetune-only{part}": True,
        f"alignfreeze-front{part}": True,
    }
    assert any(reason in why for row in rows for why in row["unranked"])
    pictures = {path.name for path in (world.output / "small-1.0").glob("*.png")}
    assert pictures == {f"{world.place}.png", f"{world.place}{part}.png"}
    if "--limit" not in options:  # a part of what is stored
        assert "0 stages run" in ran.err


@pytest.mark.parametrize(
    ("asked", "seeds", "end"),
    [
        ([], [3, 7], ""),
        ([7, 3], [3, 7], ""),
        ([7], [7], "--seed7"),
        ([12, 11, 13], [11, 12, 13], "--seed11-12-13"),
    ],
)
def test_the_suites_seeds_or_fresh_ones_are_planned(
    new_world: WorldMaker, asked: list[int], seeds: list[int], end: str
) -> None:
    """Each for every training of both recipes; fresh ones in folders of their own, beside those of the suite."""
    world = new_world(seeds=[3, 7])
    plan = prepare(Options(suite=str(world.suite), checkpoint=str(world.checkpoint), seeds=asked, device="cpu"))
    assert plan.request.seeds == seeds and plan.request.suite.seeds == [3, 7]
    assert [run.recipe.name for run in plan.runs] == RECIPES
    for run in plan.runs:
        assert [seed for _, seed in run.finetune] == seeds
        assert result_folder(plan, run.recipe) == Path("small-1.0", world.place, run.recipe.name + end)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([3, 11], "--seed 11: is none of the suite's seeds (3, 7), but 3 is. Fresh seeds confirm what the suite's"),
        ([11, 7, 3], "--seed 11: is none of the suite's seeds (3, 7), but 7, 3 is. "),
        ([11, 12, 11], "--seed 11: is given twice; give each seed once"),
        ([-1], "--seed -1: is out of range. Give a number from 0 to 4294967295"),
        ([11, 2**32], "--seed 4294967296: is out of range. "),
    ],
)
def test_seeds_that_can_not_be_evaluated_together_are_refused(asked: list[int], told: str) -> None:
    with pytest.raises(UserError) as caught:
        select_seeds(asked, [3, 7])
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)


def test_fresh_seeds_confirm_the_suites_row_or_do_not(finished: Finished, tmp_path: Path) -> None:
    world = copy_of(finished[0], tmp_path)
    whole = essence(world.result("alignfreeze-front"))
    before = {row["recipe"]: row for row in board_rows(world)}
    ran = world.evaluate("--seed", 11, "--seed", 12, "--seed", 13)
    assert ran.status == 0, ran.err
    assert "Partial, so not ranked: seeds not evaluated: 3, 7" in ran.out and "mean over 3 seeds ± std" in ran.out
    fresh = world.result("alignfreeze-front--seed11-12-13")
    result = read_result(fresh)
    assert (result.seeds, result.suite.seeds, result.has_fresh_seeds) == ([11, 12, 13], [3, 7], True)
    assert essence(world.result("alignfreeze-front")) == whole
    rows = board_rows(world)
    by_folder = {Path(row["result"]).parent.name: row for row in rows}
    assert len(rows) == 4 and [row["rank_low"] for row in rows[2:]] == [None, None]
    for name in RECIPES:
        # The suite's rows are as before, but for what the fresh seeds say; that is the interval of their gain.
        changed = {"confirmed", "confirmed_on_seeds"} if name != "finetune-only" else set()
        assert {key for key in before[name] if before[name][key] != by_folder[name][key]} == changed
    comparison = read_comparison(fresh)
    assert comparison is not None and comparison.gains["xr"].low is not None
    found = by_folder["alignfreeze-front"]
    assert (found["confirmed_on_seeds"], found["confirmed"]) == (3, comparison.gains["xr"].low > 0)
    page = (world.output / "small-1.0" / "README.md").read_text()
    assert "--seed 11 --seed 12 --seed 13" in command("reproduce", fresh).out
    assert page.count("\n| fresh seeds | ") == 2 and page.count("confirmed on 3 fresh seeds: ") == 1


def board_rows(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((world.output / "small-1.0" / "leaderboard.json").read_bytes())["rows"]
    return rows


def test_one_of_two_tasks_is_a_part(new_world: WorldMaker) -> None:
    world = new_world(tasks=["phrases", "more"])
    write_yaml(world.folder / "more.yaml", TASK | {"name": "more", "test_examples": 5})
    assert world.evaluate("--task", "more").status == 0
    partial = read_result(world.result("alignfreeze-front--task-more"))
    assert [task.name for task in partial.tasks] == ["more"]
    assert "tasks not evaluated: phrases" in partial.missing
    assert world.evaluate().status == 0
    whole = read_result(world.result("alignfreeze-front"))
    assert [task.name for task in whole.tasks] == ["phrases", "more"]
    assert len(whole.predictions) == 2 and whole.missing == []
    assert [record.task for record in whole.realignment] == [None]


def test_any_language_can_be_the_source(new_world: WorldMaker) -> None:
    """Trained in it, aligned with it, distances to it, and left out of every mean."""
    world = new_world(source_language="fr", target_languages=["en", "de", "th"], seeds=[3])
    assert world.evaluate().status == 0
    result = read_result(world.result("alignfreeze-front"))
    assert {data.language for data in result.data if data.used_as == "train"} == {"fr"}
    assert {data.language for data in result.data if data.used_as == "parallel"} == {"en", "de", "th"}
    aligned = [e.manifest.description["settings"] for e in Store(world.store).entries() if e.manifest.kind == "align"]
    assert {(settings["source"], settings["target"]) for settings in aligned} == {
        ("fr", target) for target in ("en", "de", "th")
    }
    away = {language.code: language.distance for language in result.languages}
    assert away == {code: distance("fr", code, "featural") for code in ("en", "de", "th")}
    means = {score.language: score.metrics["accuracy"] for score in result.scores}
    assert set(means) == {"fr", "en", "de", "th"}
    everywhere = summarise(result).tasks["phrases"].groups["all"].mean
    assert everywhere == pytest.approx(np.mean([means[code] for code in ("en", "de", "th")]))


def test_parts_of_two_commands_do_not_spoil_each_other(finished: Finished, tmp_path: Path) -> None:
    """Each has its own baseline, that its recipe stays compared with."""
    world = copy_of(finished[0], tmp_path)
    assert world.evaluate("--seed", 3).status == 0
    first = essence(world.result("alignfreeze-front--seed3"))
    assert world.evaluate("--seed", 7, "--recipe", "finetune-only").status == 0
    assert essence(world.result("alignfreeze-front--seed3")) == first
    board = (world.output / "small-1.0" / "README.md").read_text()
    assert "is missing; evaluate it again" not in board
    assert "[alignfreeze-front--seed3](" in board and "[finetune-only--seed7](" in board


def test_no_two_parts_of_a_suite_have_the_same_folder(new_world: WorldMaker) -> None:
    """Of 2 tasks, 12 languages and 3 seeds: every choice but the whole, each written another way."""
    codes = ["de", "sw", "th", "fr", "it", "es", "fi", "hu", "he", "hi", "ja", "ko"]
    world = new_world(tasks=["phrases", "more"], seeds=[3, 7, 37], target_languages=codes)
    for name in ("phrases", "more"):
        configs = {code: code for code in ["en", *codes]}
        write_yaml(world.folder / f"{name}.yaml", TASK | {"name": name, "configs": configs})
    whole = prepare(Options(checkpoint=str(world.checkpoint), suite=str(world.suite), offline=True)).request
    assert part_of_suite(whole) == ""
    tasks = [whole.tasks, whole.tasks[:1], whole.tasks[1:]]
    seeds = [[s for n, s in enumerate(whole.seeds) if mask >> n & 1] for mask in range(1, 8)]
    languages = [[c for n, c in enumerate(codes) if mask >> n & 1] for mask in range(1, 4096, 5)]
    ends = [
        part_of_suite(replace(whole, tasks=t, seeds=s, languages=ls, limit=limit))
        for t, s, ls, limit in product(tasks, seeds, languages, (None, 3, 37))
    ]
    assert len(set(ends)) == len(ends)
    assert max(map(len, ends)) < 120
    assert all(re.fullmatch(r"[a-z0-9._-]*", end) for end in ends)
    assert part_of_suite(replace(whole, languages=codes[:11])).startswith("--11-languages-")


def test_a_changed_suite_of_the_same_version_is_refused_before_any_compute(new_world: WorldMaker) -> None:
    world = new_world()
    assert world.evaluate().status == 0
    before = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    write_yaml(world.folder / "phrases.yaml", TASK | {"test_examples": 5})
    ran = world.evaluate("--recipe", "alignfreeze-full")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(
        f"error: {world.result('alignfreeze-front')}: is a result of another suite called small-1.0;"
    )
    assert "done: " not in ran.err
    assert {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()} == before
    # With the recipe whose result stood in the way, every result is replaced.
    ran = world.evaluate("--recipe", "alignfreeze-full", "--recipe", "alignfreeze-front")
    assert ran.status == 0


def test_a_reported_result_of_another_digest_stands_in_no_ones_way(new_world: WorldMaker) -> None:
    world = new_world()
    assert world.evaluate().status == 0
    computed = read_result(world.result("finetune-only"))
    published = world.output / "results" / "small-1.0" / "published" / "finetune-only"
    published.mkdir(parents=True)
    reported = {"reported": "a publication", "predictions": [], "stages": [], "suite_digest": "0" * 64}
    write_result(published, computed.model_copy(update=reported | {"compute_settings": None}))
    assert world.evaluate("--recipe", "alignfreeze-full").status == 0
    board = json.loads((world.output / "small-1.0" / "leaderboard.json").read_text())
    assert board["suite_digest"] == computed.suite_digest
    assert [row["trust"] for row in board["rows"]].count("reported") == 1
    ran = command("compare", world.result("alignfreeze-front"), published)
    assert ran.status == 2 and "suite digest" in ran.err and "origin of scores (computed against reported)" in ran.err


@pytest.mark.parametrize(("most", "read"), [(None, 12), (5, 5), (50, 12)])
def test_a_suite_may_allow_fewer_test_examples_than_its_task(
    new_world: WorldMaker, most: int | None, read: int
) -> None:
    world = new_world()
    write_yaml(world.suite, SUITE | {"test_examples": most})
    plan = prepare(Options(suite=str(world.suite), checkpoint=str(world.checkpoint), offline=True))
    assert [task.test_examples for task in (*plan.request.loaded.tasks, *plan.request.tasks)] == [read, read]


def test_a_result_that_can_not_be_read_is_told_before_any_compute(new_world: WorldMaker) -> None:
    world = new_world()
    broken = world.output / "results" / "other-1.0" / "x" / "y" / "result.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    ran = world.evaluate()
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {broken.parent}: has no manifest.json")
    assert Store(world.store).entries() == []


def test_a_dry_run_runs_nothing(finished: Finished, new_world: WorldMaker) -> None:
    world = new_world()
    ran = world.evaluate("--dry-run")
    assert ran.status == 0
    assert "nothing was run" in ran.out
    assert Store(world.store).entries() == []
    assert not world.output.exists()
    world = finished[0]
    before = len(Store(world.store).entries())
    ran = world.evaluate("--recipe", "alignfreeze-full", "--dry-run", "--json")
    content = json.loads(ran.out)
    stored = [stage for stage in content["stages"] if stage["stored"]]
    # What the baseline left, and the aligned and encoded pairs; not what is to be done with other blocks.
    counts = {row["stage_type"]: (row["stages"], row["stored"]) for row in content["estimate"]}
    assert counts == {
        "tokenise": (5, 5),
        "align": (3, 3),
        "encode": (3, 3),
        "realign": (2, 0),
        "finetune": (4, 2),
        "predict": (16, 8),
    }
    assert len(stored) == 21
    assert len(Store(world.store).entries()) == before


def test_languages_without_parallel_data_are_told(new_world: WorldMaker) -> None:
    world = new_world()
    recipe = write_recipe(world.folder, parallel={"languages": ["de", "qu"]})
    ran = world.evaluate("--recipe", recipe, "--dry-run")
    assert "mine: no parallel data for qu: left out of realignment\n" in ran.out
    ran = world.evaluate("--recipe", recipe)
    assert ran.status == 0
    assert "mine: no parallel data for qu: left out of realignment\n" in ran.err
    assert [r.languages_without_data for r in read_result(world.result("mine")).realignment] == [["qu"]]


def test_what_several_recipes_leave_out_is_told_once(new_world: WorldMaker) -> None:
    world = new_world(target_languages=["de", "sw", "th"])
    corpus = {**CORPUS, "columns": {"en": "en", "de": "de"}}
    corpus |= {"source": {"kind": "hub", "dataset": "org/pairs"}, "lexicons": None}
    write_yaml(world.folder / "pairs.yaml", corpus)
    pairs = {"en": ["a dog", "a cat"], "de": ["ein Hund", "eine Katze"]}
    path = world.folder / "data" / "org" / "pairs" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(pairs), path)
    recipes = ["--recipe", "alignfreeze-front-eflomal", "--recipe", "alignfreeze-back-eflomal"]
    ran = world.evaluate("--data-root", world.folder / "data", "--dry-run", *recipes)
    told = "no parallel data for sw, th: left out of realignment, evaluated all the same"
    assert f"\nalignfreeze-front-eflomal, alignfreeze-back-eflomal: {told}\n" in ran.out, ran
    assert ran.out.count("no parallel data") == 1


def test_the_run_is_announced(finished: Finished, new_world: WorldMaker, tmp_path: Path) -> None:
    announced = finished[1].err.splitlines()[0]
    assert re.fullmatch(
        r"33 stages over 2 seeds \(3, 7\); 0 stored; "
        r"no timing yet for tokenise, finetune, predict, align, encode, realign \(--dry-run measures\); "
        r"less with --seed 3",
        announced,
    )
    world = copy_of(finished[0], tmp_path)
    assert world.evaluate("--seed", 7).err.splitlines()[0] == "22 stages over 1 seed (7); 22 stored"
    assert "1 target language; seeds 3\n" in new_world().evaluate("--dry-run").out


def test_a_checkpoint_with_other_weights_is_another_one(new_world: WorldMaker, tmp_path: Path) -> None:
    """Of the same name: nothing trained is taken from the store."""
    world = new_world()
    assert world.evaluate().status == 0
    other = replace(world, checkpoint=write_checkpoint(tmp_path / "other" / world.checkpoint.name, seed=1))
    ran = other.evaluate()
    assert ran.status == 0
    assert "7 stages run, 5 found in the store" in ran.err


@pytest.mark.parametrize("aligner", ["lexicon", "eflomal", "similarity"])
def test_every_aligner_serves(new_world: WorldMaker, aligner: str) -> None:
    world = new_world()
    recipe = write_recipe(world.folder, aligner=aligner)
    ran = world.evaluate("--recipe", recipe)
    assert ran.status == 0, ran.err
    (record,) = read_result(world.result("mine")).realignment
    assert 0 < record.pairs["de"] <= 10
    used = [data.used_as for data in read_result(world.result("mine")).data]
    assert used.count("lexicon") == (aligner == "lexicon")


def test_sentences_are_realigned_without_links(new_world: WorldMaker, tmp_path: Path) -> None:
    world = new_world(parallel={"corpus": "pairs", "aligner": "eflomal"})
    recipe = write_recipe(tmp_path, method="sentence_contrastive", freeze={})
    assert world.evaluate("--recipe", recipe).status == 0
    record = read_result(world.result("mine")).realignment[0]
    assert record.pairs == {"de": 10}  # all of the corpus: none is dropped because no word is linked
    assert (record.links, record.dropped) == ({"de": 0}, {})
    assert record.pairs_seen == {"de": 12}
    data = read_result(world.result("mine")).data
    assert [d.dropped for d in data if d.used_as == "parallel"] == [{}]


def test_joint_realignment_is_in_the_result(new_world: WorldMaker, tmp_path: Path) -> None:
    world = new_world()
    recipe = write_recipe(tmp_path, schedule={"batch_size": 4, "when": "during", "weight": 0.1})
    ran = world.evaluate("--recipe", recipe)
    assert ran.status == 0
    assert "done: fine-tune phrases with mine, seed 3" in ran.err
    result = read_result(world.result("mine"))
    record = result.realignment[0]
    assert (record.task, record.seed, record.steps, record.learning_rate) == (None, 3, 3, 1e-3)
    assert (record.pairs_seen, record.frozen_blocks) == ({"de": 12}, [0, 1])
    assert record.first_loss > 0
    # Embeddings and block 2: blocks 0 and 1 are frozen for the loss, which sits on block 2 of 0 to 3.
    weights_before = load_file(world.checkpoint / "model.safetensors")
    reached = [n for n in weights_before if n.startswith(("embeddings.", "encoder.layer.2."))]
    assert record.trained_parameters == sum(weights_before[name].size for name in reached)
    assert "realign" not in {stage.stage_type for stage in result.stages}
    after = weights(world, "finetune", "mine", "model.safetensors")[3]
    alone = weights(world, "finetune", "finetune-only", "model.safetensors")[3]
    assert set(after) == set(alone)
    frozen = "encoder.encoder.layer.0.output.dense.weight"
    assert (after[frozen] != weights_before[frozen.removeprefix("encoder.")]).any()  # by fine-tuning
    assert (
        after["encoder.embeddings.word_embeddings.weight"] != alone["encoder.embeddings.word_embeddings.weight"]
    ).any()


def test_a_lower_precision_is_another_computation_and_recorded(new_world: WorldMaker) -> None:
    world = new_world()
    assert world.evaluate().status == 0
    plain = read_result(world.result("finetune-only"))
    for precision, dtype in (("bf16", "bfloat16"), ("fp16", "float16")):
        recipe = ["--recipe", "finetune-only"] if precision == "fp16" else []
        ran = world.evaluate("--precision", precision, "--gradient-checkpointing", *recipe)
        assert ran.status == 0, ran.err
        assert read_result(world.result("finetune-only")) == plain  # both stand side by side
        result = read_result(world.result(f"finetune-only--{precision}"))
        changes = {"dtype": dtype, "gradient_checkpointing": True}
        assert result.known_compute_settings == plain.known_compute_settings.model_copy(update=changes)
        shared = {(s.stage_type, s.key) for s in result.stages} & {(s.stage_type, s.key) for s in plain.stages}
        assert {kind for kind, _ in shared} == {"tokenise"}
        assert all(stage.batch_parts == 1 for stage in result.stages if stage.stage_type == "finetune")
