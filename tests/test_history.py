"""Histories of published results. Truth: the actions in the tests, and the rules that the board states."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.small import Ran, World, command, forge
from xrealign_bench.files import sha256_file
from xrealign_bench.results.storage import read_history, read_result

Finished = tuple[World, Ran]
RECIPE = "alignfreeze-front"


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Path:
    """Copy the results of the baseline and the recipe."""
    for name in ("finetune-only", RECIPE):
        shutil.copytree(finished[0].result(name), tmp_path / "results" / name)
    return tmp_path / "results"


def rows(results: Path) -> dict[str, Any]:
    assert command("leaderboard", "build", results).status == 0
    (board,) = results.parent.glob("*/leaderboard.json")
    return {row["recipe"]: row for row in json.loads(board.read_text())["rows"]}


def page(results: Path) -> str:
    (board,) = results.parent.glob("*/README.md")
    return board.read_text()


def verify(world: World, result: Path, *more: object) -> Ran:
    store = result.parents[1] / "again"
    places = ["--checkpoint", world.checkpoint, "--suite", world.suite, "--store", store, "--device", "cpu"]
    return command("verify", result, *places, *more)


def test_a_seed_that_is_computed_again_makes_a_row_rerun(finished: Finished, results: Path) -> None:
    assert rows(results)[RECIPE]["trust"] == "rescored"
    assert verify(finished[0], results / RECIPE, "--seed", 7).status == 0
    assert not (results / RECIPE / "history.json").exists()
    assert verify(finished[0], results / RECIPE, "--seed", 7, "--record").status == 0
    found = rows(results)
    assert (found[RECIPE]["trust"], found["finetune-only"]["trust"]) == ("rerun", "rescored")
    (event,) = read_history(results / RECIPE).events
    assert (event.what, event.seed, event.largest_difference, event.same_compute_settings) == ("rerun", 7, 0.0, True)
    (told,) = found[RECIPE]["history"]
    assert told.startswith("seed 7 computed again on ")


def test_what_does_not_hold_is_not_noted(finished: Finished, results: Path) -> None:
    def worse(content: Any) -> None:
        score = next(score for score in content["scores"] if (score["language"], score["seed"]) == ("sw", 7))
        score["metrics"]["accuracy"] = abs(score["metrics"]["accuracy"] - 0.1)

    forge(results / RECIPE / "result.json", worse)
    assert verify(finished[0], results / RECIPE, "--seed", 7, "--record").status == 2
    assert not (results / RECIPE / "history.json").exists()


def test_a_withdrawn_row_stays_without_a_rank(results: Path) -> None:
    before = rows(results)
    assert command("leaderboard", "withdraw", results / RECIPE, "--reason", "the *wrong* | corpus").status == 0
    after = rows(results)
    assert before[RECIPE]["rank_low"] is not None and after[RECIPE]["rank_low"] is None
    assert after[RECIPE]["unranked"][0].endswith(": the *wrong* | corpus")
    assert after[RECIPE]["xr"] == before[RECIPE]["xr"] and after["finetune-only"]["rank_low"] == 1
    assert "| withdrawn |" in page(results) and "the \\*wrong\\* \\| corpus" in page(results)
    again = command("leaderboard", "withdraw", results / RECIPE, "--reason", "once more")
    assert (again.status, "is withdrawn already" in again.err) == (2, True)
    (table,) = results.parent.glob("*/leaderboard.csv")
    assert {row["recipe"] for row in csv.DictReader(table.open())} == set(after)


def test_what_was_compared_with_a_withdrawn_baseline_has_no_rank(results: Path) -> None:
    command("leaderboard", "withdraw", results / "finetune-only", "--reason", "an old driver")
    found = rows(results)
    assert [row["rank_low"] for row in found.values()] == [None, None]
    assert "was compared with a finetune-only result that is missing" in " ".join(found[RECIPE]["unranked"])


def test_a_correction_replaces_a_result_in_the_open(finished: Finished, results: Path) -> None:
    assert verify(finished[0], results / RECIPE, "--record").status == 0
    right = read_result(results / RECIPE)
    predictions = results / RECIPE / right.predictions[0].file
    pq.write_table(pq.read_table(predictions), predictions, compression="none")  # other bytes
    digest = sha256_file(predictions)
    forge(results / RECIPE / "result.json", lambda wrong: wrong["predictions"][0].update(sha256=digest))
    assert rows(results)[RECIPE]["trust"] == "rescored"  # what was computed again was another
    by = finished[0].result(RECIPE)
    done = command("leaderboard", "correct", results / RECIPE, by, "--reason", "computed too coarsely")
    assert done.status == 0, done.err
    assert read_result(results / RECIPE) == right
    assert [event.what for event in read_history(results / RECIPE).events] == ["rerun", "corrected"]
    found = rows(results)[RECIPE]
    assert (found["trust"], found["rank_low"] is not None) == ("rerun", True)
    assert page(results).count(": computed too coarsely") == 1
    assert sorted(path.name for path in results.iterdir()) == [RECIPE, "finetune-only"]


@pytest.mark.parametrize(
    ("by", "reason", "told"),
    [
        ("finetune-only", "wrong", "because its recipe digest differs"),
        (RECIPE, "wrong", "there is nothing to correct"),
        ("nowhere", "wrong", "no such folder"),
    ],
)
def test_what_is_no_correction_is_refused(results: Path, by: str, reason: str, told: str) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    ran = command("leaderboard", "correct", results / RECIPE, results / by, "--reason", reason)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert told in ran.err
    assert before == {path: path.read_bytes() for path in results.rglob("*.json")}


def test_a_damaged_result_is_not_sealed_by_what_is_noted_of_it(results: Path) -> None:
    """Writing a history rewrites the manifest, which must not hide damage."""
    path = next((results / RECIPE).glob("*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = (results / RECIPE / "manifest.json").read_bytes()
    ran = command("leaderboard", "withdraw", results / RECIPE, "--reason", "wrong")
    assert ran.status == 2 and f"{path}: its sha256 is" in ran.err
    assert (results / RECIPE / "manifest.json").read_bytes() == before
    assert not (results / RECIPE / "history.json").exists()


def test_a_reason_that_a_board_can_not_show_is_refused(results: Path) -> None:
    for reason, told in (("the <b>wrong</b> corpus", "HTML"), ("=1+1", "formula"), ("x" * 501, "at most 500")):
        ran = command("leaderboard", "withdraw", results / RECIPE, "--reason", reason)
        assert (ran.status, ran.err.count("\n")) == (2, 1) and told in ran.err
    assert not (results / RECIPE / "history.json").exists()


def test_a_reason_is_needed(results: Path) -> None:
    ran = command("leaderboard", "withdraw", results / RECIPE, "--reason", " ")
    assert (ran.status, "the reason is empty" in ran.err) == (2, True)
