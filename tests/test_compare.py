"""Two results compared from the command line. Truth: the comparison that the evaluation stored, and its mirror."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.small import Ran, World, command
from xrealign_bench.results.storage import read_comparison

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
    mirrored = json.loads(ran.out)["gains"]
    assert {"xr", "all", "source"} <= mirrored.keys()
    for name, gain in mirrored.items():
        there = stored.gains[name]
        if there.mean is None:  # a tier of a language or two
            assert gain["mean"] is None and gain["reason"] == there.reason
            continue
        assert there.low is not None and there.high is not None
        assert (gain["mean"], gain["low"], gain["high"]) == pytest.approx((-there.mean, -there.high, -there.low))
    picture = tmp_path / "picture.png"
    ran = command("compare", world.result(BASELINE), world.result(FRONT), "--chart", picture)
    assert ran.status == 0, ran.err
    assert "Gain: over alignfreeze-front, mean of all targets" in ran.out
    assert "Swahili (sw)" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_further_language_is_shown_on_request(finished: Finished) -> None:
    """The three target languages are of three families, the minimum for the variance between families."""
    world = finished[0]
    stored = read_comparison(world.result(FRONT))
    assert stored is not None
    further = stored.tasks[0].further
    assert further is not None and further.families == 3
    folders = world.result(FRONT), world.result(BASELINE)
    without, ran = command("compare", *folders), command("compare", *folders, "--further-language")
    assert ran.out.startswith(without.out.rstrip("\n")) and "further language" not in without.out
    task, *shown, families = re.sub(r"[\[\],]", "", ran.out.splitlines()[-1]).split()
    assert (task, families) == ("phrases", "3")
    expected = [100 * each for each in (further.mean, further.low, further.high)]
    assert [float(each) for each in shown] == pytest.approx(expected, abs=0.051)
    assert expected[1] < expected[0] < expected[2]


def test_what_can_not_be_compared_is_refused(finished: Finished, tmp_path: Path) -> None:
    ran = command("compare", finished[0].result(FRONT), tmp_path)
    assert ran.status == 2 and "no result in it" in ran.err
    shipped = next((Path(__file__).parents[1] / "leaderboard" / "results").glob(f"demo-*/xrealign-mini/{BASELINE}"))
    ran = command("compare", finished[0].result(FRONT), shipped)
    assert ran.status == 2 and "because they differ in suite digest" in ran.err
