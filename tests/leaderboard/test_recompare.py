"""Comparisons made again. Truth: `compare` itself, predictions whose effect is beyond doubt, and files on the disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scoring.builder import coin_flips, write_system
from tests.small import Ran, command, damage, forge, seal_bytes
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.build import build
from xrealign_bench.results.manifest import MANIFEST, seal
from xrealign_bench.results.storage import read_comparison, read_result, write_comparison
from xrealign_bench.scoring.compare import compare

CODES = ("en", "de", "fr", "th", "sw")
FULL, BASELINE = Path("toy-1.0/mini/full"), Path("toy-1.0/mini/finetune-only")


def as_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """What the second version would have written: intervals of its own, and one std with ddof 0 everywhere.

    Three languages were helped and one harmed.
    """

    def old_gain(gain: dict[str, Any]) -> dict[str, Any]:
        kept = {name: gain[name] for name in ("mean", "languages", "reason")}
        ends = (None, None) if gain["mean"] is None else (gain["mean"] - 0.001, gain["mean"] + 0.001)
        return kept | {"low": ends[0], "high": ends[1]}

    verdicts = {"de": "helped", "fr": "helped", "th": "harmed", "sw": "helped"}
    tasks = [
        {name: task[name] for name in ("task", "metric", "one_std", "not_compared")}
        | {"gains": {name: old_gain(gain) for name, gain in task["gains"].items()}}
        | {"languages": [change | {"verdict": verdicts[change["language"]]} for change in task["languages"]]}
        for task in content["tasks"]
    ]
    gains = {name: old_gain(gain) for name, gain in content["gains"].items()}
    newer = ("scoring", "prior", "ddof")
    kept = {name: value for name, value in content.items() if name not in newer}
    return kept | {"schema_version": 2, "gains": gains, "tasks": tasks}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A recipe that gives Swahili half of all words and takes them from Thai, compared by the version before this."""
    root = tmp_path / "results"
    ours = {"en": 0.9, "de": 0.5, "fr": 0.5, "th": 0.2, "sw": 0.8}
    for folder, chances in ((FULL, ours), (BASELINE, ours | {"th": 0.7, "sw": 0.3})):
        rng = np.random.default_rng(0)
        right = {("tags", code, seed): coin_flips(rng, chances[code], 60) for code in CODES for seed in (1, 2)}
        write_system(root / folder, right, recipe=folder.name)
    path = write_comparison(root / FULL, compare(root / FULL, root / BASELINE, resamples=300, seed=5))
    path.write_text(json.dumps(as_version_2(json.loads(path.read_text()))))
    seal(root / FULL)
    return root


def recompare(results: Path) -> Ran:
    return command("leaderboard", "recompare", results)


def counts(ran: Ran) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in ran.out.splitlines()[2:]]


def stored(results: Path) -> dict[str, bytes]:
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_an_old_comparison_is_made_again_and_verdicts_are_counted(results: Path) -> None:
    ran = recompare(results)
    assert ran.status == 0, ran.err
    # German and French have the same predictions on both sides; in Thai and Swahili every second word changes.
    assert counts(ran) == [["toy-1.0", "1", "3 / 1", "1 / 1"]]
    assert ran.out.splitlines()[0].split("  ")[0] == "suite" and "helped / harmed before" in ran.out
    assert f"1 comparison updated; next: xrealign-bench leaderboard build {results}" in ran.err
    again = read_comparison(results / FULL)
    assert again is not None and again == compare(results / FULL, results / BASELINE, resamples=300, seed=5)
    assert (again.schema_version, again.scoring, again.resamples, again.seed) == (3, 2, 300, 5)
    assert [change.verdict for change in again.tasks[0].languages] == ["same", "same", "harmed", "helped"]


def test_a_second_time_changes_no_byte(results: Path) -> None:
    recompare(results)
    first = stored(results)
    ran = recompare(results)
    assert counts(ran) == [["toy-1.0", "1", "1 / 1", "1 / 1"]]
    assert stored(results) == first


def test_languages_are_described_again_and_nothing_else_of_a_result_changes(results: Path) -> None:
    before = {folder: read_result(results / folder) for folder in (FULL, BASELINE)}
    assert {language.family for language in before[FULL].languages} == {"Toy"}
    predictions = {name: content for name, content in stored(results).items() if name.endswith(".parquet")}
    recompare(results)
    for folder, was in before.items():
        now = read_result(results / folder)
        assert now == was.model_copy(update={"languages": now.languages})
        for language in now.languages:
            known = find(language.code)
            assert (language.family, language.joshi_class, language.name) == (
                known.family, known.joshi_class, known.name,
            )  # fmt: skip
        assert [(language.code, language.tier) for language in now.languages] == [
            ("de", "high"), ("fr", "high"), ("th", "medium"), ("sw", "low"),
        ]  # fmt: skip
    assert {name: content for name, content in stored(results).items() if name.endswith(".parquet")} == predictions


def test_a_board_ranks_the_row_afterwards(results: Path, tmp_path: Path) -> None:
    def row() -> dict[str, Any]:
        files = build(results, tmp_path / "out")
        return next(r for r in json.loads(files[3].read_text())["rows"] if r["recipe"] == "full")

    before = row()
    assert (before["rank_low"], before["helped"]) == (None, None) and "gain_xr" not in before
    assert before["unranked"] == [
        "has a comparison of scoring 1; run xrealign-bench leaderboard recompare to update it to scoring 2"
    ]
    recompare(results)
    after = row()
    assert after["rank_low"] == 1 and (after["helped"], after["harmed"], after["unranked"]) == (1, 1, [])
    assert after["xr"] == before["xr"]


def test_a_comparison_that_can_not_be_read_is_told_and_stays(results: Path) -> None:
    path = results / FULL / "comparison.json"
    for content, told in (
        ("{", "is not JSON"),
        ('{"schema_version": 2}', "breaks the schema of version 2"),
        (None, f"has 22 bytes, but {MANIFEST} says 21. Restore it"),
    ):
        if content is None:  # damage
            content = path.read_text() + " "
            path.write_text(content)
        else:
            seal_bytes(path, content.encode())
        ran = recompare(results)
        assert (ran.status, ran.err.count("\n"), ran.out) == (2, 1, "")
        assert ran.err.startswith(f"error: {path}") and told in ran.err and path.read_text() == content


def test_a_baseline_that_is_gone_is_told(results: Path) -> None:
    shutil.rmtree(results / BASELINE)
    ran = recompare(results)
    assert (ran.status, ran.err.count("\n")) == (2, 1) and "no such folder" in ran.err


def test_results_without_comparisons_are_no_error(results: Path) -> None:
    (results / FULL / "comparison.json").unlink()
    seal(results / FULL)
    ran = recompare(results)
    assert ran.status == 0 and counts(ran) == [] and "0 comparisons updated" in ran.err
    assert read_comparison(results / FULL) is None


def test_a_result_without_a_manifest_gets_one(results: Path) -> None:
    """As an earlier version left it."""
    recompare(results)
    whole = stored(results)
    for folder in (FULL, BASELINE):
        (results / folder / MANIFEST).unlink()
    assert command("rescore", results).status == 2
    assert recompare(results).status == 0
    assert stored(results) == whole
    assert command("rescore", results).status == 0


def test_a_result_whose_scores_are_not_those_of_its_predictions_gets_none(results: Path) -> None:
    (results / FULL / MANIFEST).unlink()
    damage(results / FULL / "result.json", lambda content: content["scores"][0]["metrics"].update(accuracy=0.123))
    before = stored(results)
    ran = recompare(results)
    assert ran.status == 2 and f"{results / FULL}: tags en 1: result.json says {{'accuracy': 0.123" in ran.err
    assert {name: content for name, content in stored(results).items() if FULL.name in name} == {
        name: content for name, content in before.items() if FULL.name in name
    }
    assert not (results / FULL / MANIFEST).exists()


@pytest.mark.parametrize("name", ["predictions-tags.parquet", "result.json", "comparison.json"])
def test_damage_is_not_sealed(results: Path, name: str) -> None:
    """All of the folder is checked before the first file of it is written again."""
    path = results / FULL / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    before = stored(results)
    ran = recompare(results)
    assert ran.status == 2 and f"{path}: has {len(whole) - 1:,} bytes, but manifest.json says {len(whole):,}" in ran.err
    after = stored(results)
    assert {each for each in before if before[each] != after[each]} <= {
        f"{BASELINE}/{n}" for n in (MANIFEST, "result.json")
    }


def test_a_forged_comparison_is_found_by_rescoring(results: Path) -> None:
    """Sealed again by a careful forger: everything in it follows from the predictions."""
    recompare(results)
    path = results / FULL / "comparison.json"
    whole = path.read_bytes()

    def gain(content: Any) -> Any:
        return content["tasks"][0]["gains"]["all"]

    forgeries: dict[str, Callable[[Any], object]] = {
        "gains": lambda content: content["gains"]["xr"].update(high=content["gains"]["xr"]["high"] + 0.01),
        "tasks": lambda content: gain(content).update(low=gain(content)["low"] - 0.01),
        "result_digest": lambda content: content.update(result_digest="0" * 64),
        "baseline_digest": lambda content: content.update(baseline_digest="0" * 64),
        "prior": lambda content: content.update(prior="99"),
    }
    for field, forgery in forgeries.items():
        forge(path, forgery)
        ran = command("rescore", results / FULL)
        assert ran.status == 2 and f"{path}: is not what the predictions give, in {field}; evaluate again" in ran.err
        seal_bytes(path, whole)
    ran = command("rescore", results / FULL)
    assert ran.status == 0
    assert ran.out == "10 scores and 1 comparison computed again from the predictions: all equal\n"


def test_a_comparison_of_an_earlier_scoring_is_not_taken_for_checked(results: Path) -> None:
    ran = command("rescore", results / FULL)
    assert (
        ran.status == 2 and "comparison.json: has scoring version 1, not 2; update it with 'xrealign-bench " in ran.err
    )
