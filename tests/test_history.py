"""What happens to results on a board. Truth: what was done to them, and the rules that the board states."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.small import Ran, World, command
from xrealign_bench.results.files import read_history, read_result

Finished = tuple[World, Ran]
RECIPE = "alignfreeze-front"


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the baseline's result and the recipe's."""
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
    (told,) = results.parent.glob(f"*/results/*/{RECIPE}.md")
    assert "seed 7 computed again on " in told.read_text()


def test_what_does_not_hold_is_not_noted(finished: Finished, results: Path) -> None:
    path = results / RECIPE / "result.json"
    content = json.loads(path.read_text())
    content["scores"][-1]["metrics"]["accuracy"] += 0.1
    path.write_text(json.dumps(content))
    assert verify(finished[0], results / RECIPE, "--seed", content["scores"][-1]["seed"], "--record").status == 2
    assert not (results / RECIPE / "history.json").exists()


def test_a_withdrawn_row_stays_without_a_rank(results: Path) -> None:
    before = rows(results)
    assert command("leaderboard", "withdraw", results / RECIPE, "--reason", "the <b>wrong</b> corpus").status == 0
    after = rows(results)
    assert before[RECIPE]["rank_low"] is not None and after[RECIPE]["rank_low"] is None
    assert after[RECIPE]["unranked"][0].endswith(": the <b>wrong</b> corpus")
    assert after[RECIPE]["xr"] == before[RECIPE]["xr"] and after["finetune-only"]["rank_low"] == 1
    assert "| withdrawn |" in page(results) and "the &lt;b&gt;wrong" in page(results)
    again = command("leaderboard", "withdraw", results / RECIPE, "--reason", "once more")
    assert (again.status, "is withdrawn already" in again.err) == (2, True)
    (table,) = results.parent.glob("*/leaderboard.csv")
    assert {row["recipe"] for row in csv.DictReader(table.open())} == set(after)


def test_what_was_compared_with_a_withdrawn_baseline_has_no_rank(results: Path) -> None:
    command("leaderboard", "withdraw", results / "finetune-only", "--reason", "an old driver")
    found = rows(results)
    assert [row["rank_low"] for row in found.values()] == [None, None]
    assert "the finetune-only result that it was compared with is not here" in " ".join(found[RECIPE]["unranked"])


def test_a_correction_replaces_a_result_in_the_open(finished: Finished, results: Path) -> None:
    assert verify(finished[0], results / RECIPE, "--record").status == 0
    right = read_result(results / RECIPE)
    wrong = json.loads((results / RECIPE / "result.json").read_text())
    wrong["predictions"][0]["sha256"] = "0" * 64
    (results / RECIPE / "result.json").write_text(json.dumps(wrong))
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
        ("finetune-only", "wrong", "its recipe digest is not that of"),
        (RECIPE, "wrong", "there is nothing to correct"),
        ("nowhere", "wrong", "no result.json in it"),
    ],
)
def test_what_is_no_correction_is_refused(results: Path, by: str, reason: str, told: str) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    ran = command("leaderboard", "correct", results / RECIPE, results / by, "--reason", reason)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert told in ran.err
    assert before == {path: path.read_bytes() for path in results.rglob("*.json")}


def test_a_reason_is_needed(results: Path) -> None:
    ran = command("leaderboard", "withdraw", results / RECIPE, "--reason", " ")
    assert (ran.status, "the reason is empty" in ran.err) == (2, True)
