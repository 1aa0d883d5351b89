"""Two results compared from the command line. Truth: the comparison that the evaluation stored, and its mirror."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.small import Ran, World, command
from xrealign_bench.results.files import read_comparison

Finished = tuple[World, Ran]
FRONT, BASELINE = "alignfreeze-front", "finetune-only"


def test_against_the_baseline_it_is_the_stored_comparison(finished: Finished) -> None:
    world = finished[0]
    ran = command("compare", world.result(FRONT), world.result(BASELINE), "--json")
    assert ran.status == 0, ran.err
    stored = read_comparison(world.result(FRONT))
    assert stored is not None
    assert json.loads(ran.out) == stored.model_dump(mode="json")


def test_the_other_way_round_gains_are_losses(finished: Finished, tmp_path: Path) -> None:
    world = finished[0]
    ran = command("compare", world.result(BASELINE), world.result(FRONT), "--json")
    stored = read_comparison(world.result(FRONT))
    assert stored is not None
    for name, gain in json.loads(ran.out)["gains"].items():
        assert gain["mean"] == pytest.approx(-(stored.gains[name].mean or 0))
    picture = tmp_path / "picture.png"
    ran = command("compare", world.result(BASELINE), world.result(FRONT), "--chart", picture)
    assert ran.status == 0, ran.err
    assert "gain: over alignfreeze-front, mean of all targets" in ran.out
    assert "Swahili (sw)" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_can_not_be_compared_is_refused(finished: Finished, tmp_path: Path) -> None:
    ran = command("compare", finished[0].result(FRONT), tmp_path)
    assert ran.status == 2 and "result.json" in ran.err
    shipped = Path(__file__).parents[1] / "leaderboard" / "results" / "demo-1.0" / "xrealign-mini" / BASELINE
    ran = command("compare", finished[0].result(FRONT), shipped)
    assert ran.status == 2 and "they differ in: suite digest" in ran.err
