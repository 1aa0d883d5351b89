"""Cuts of distance bands that a suite leaves out. Truth: midpoints of the distances, computed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.small import CORPUS, SUITE, TASK, World, command, write_suite, write_yaml
from xrealign_bench.data.loaded_suite import compute_cuts, load_suite
from xrealign_bench.languages import distance
from xrealign_bench.results.result import Result, digest_suite
from xrealign_bench.specs import Suite, digest, find_spec, shipped_names

WITHOUT = {name: value for name, value in SUITE.items() if name != "bands"}
TARGETS = ["de", "sw", "th"]


def without_bands(folder: Path, **changes: object) -> Path:
    write_suite(folder)
    return write_yaml(folder / "small.yaml", WITHOUT | changes)


def midpoints(codes: list[str]) -> list[float]:
    low, middle, high = sorted(found for code in codes if (found := distance("en", code, "featural")) is not None)
    return [round((low + middle) / 2, 7), round((middle + high) / 2, 7)]


def test_they_are_the_terciles_of_the_targets_distances(tmp_path: Path) -> None:
    path = without_bands(tmp_path)
    loaded = load_suite(str(path))
    assert list(loaded.suite.bands.known_cuts) == midpoints(TARGETS)
    rows = json.loads(command("languages", "suite", path, "--json").out)["rows"]
    by_distance = sorted(rows, key=lambda row: row["featural distance to en"])
    assert [row["band"] for row in by_distance] == ["close", "middle", "distant"]


def test_a_suite_with_the_same_numbers_written_out_has_the_same_digest(tmp_path: Path) -> None:
    left_out = load_suite(str(without_bands(tmp_path / "a")))
    written = load_suite(str(write_suite(tmp_path / "b", bands={"cuts": midpoints(TARGETS)})))
    assert digest_suite(left_out.suite, left_out.tasks, left_out.corpora) == digest_suite(
        written.suite, written.tasks, written.corpora
    )


def test_with_fewer_than_three_distances_all_are_in_the_middle(tmp_path: Path) -> None:
    for targets in (["de"], ["de", "sw"]):
        path = without_bands(tmp_path, target_languages=targets)
        assert load_suite(str(path)).suite.bands.known_cuts == (0.0, 1.0)
        rows = json.loads(command("languages", "suite", path, "--json").out)["rows"]
        assert {row["band"] for row in rows} == {"middle"}


def test_an_unknown_language_is_reported_once_with_its_line(tmp_path: Path) -> None:
    path = without_bands(tmp_path, target_languages=["de", "qqq"])
    ran = command("validate", path)
    assert ran.status == 2 and ran.err.count("unknown language 'qqq'") == 1
    assert "small.yaml:17: target_languages.1: unknown language 'qqq'" in ran.err


def test_shipped_suites_keep_their_cuts() -> None:
    for name in shipped_names(Suite):
        suite = find_spec(name, Suite)
        assert suite.bands.cuts is not None and digest(compute_cuts(suite)) == digest(suite)


def test_a_result_has_the_numbers(new_world: Callable[..., World]) -> None:
    world = new_world()
    write_yaml(world.suite, WITHOUT | {"seeds": [3]})
    assert world.evaluate("--recipe", "finetune-only").status == 0
    content = json.loads((world.result("finetune-only") / "result.json").read_bytes())
    assert content["suite"]["bands"]["cuts"] == midpoints(TARGETS)
    assert {language["code"]: language["band"] for language in content["languages"]}.keys() == set(TARGETS)
    assert (content["tasks"][0]["labels"], content["corpora"][0]["title"]) == (TASK["labels"], CORPUS["title"])
    content["suite"]["bands"]["cuts"] = None
    with pytest.raises(ValidationError, match=r"'suite\.bands\.cuts' must be two numbers"):
        Result.model_validate(content)
