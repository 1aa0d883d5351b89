"""Files of earlier schema versions. Truth: files that earlier versions wrote (old/), reduced to a few languages.

- result-1.json, result-1-reported.json, result-1-means.json and comparison-2.json: of commit aae6718, the last before
  Result 2 and Comparison 3 (demo full-random-10; AlignFreeze's DistilBERT joint-full-fast-align; the low-resource
  study's sentence-uriel-joshi2-10).
- result-2.json, result-2-reported.json, result-2-means.json and history-1.json: of commit de4af69, the last
  before Result 3 and History 2 (demo 1.0 alignfreeze-front with its history; AlignFreeze's DistilBERT and the
  low-resource study's mBERT finetune-only).
  The counts by the one-std rule in comparison-2.json are those of the languages that are left.
- comparison-1.json: of the commit before b8f4bea, which brought Comparison 2 (AlignFreeze's XLM-R full-lexicon).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small import seal_bytes
from xrealign_bench.errors import UserError
from xrealign_bench.results.comparison import Comparison, LanguageCount
from xrealign_bench.results.history import History
from xrealign_bench.results.manifest import seal
from xrealign_bench.results.migrations import MIGRATIONS, migrate
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.results.storage import (
    read_comparison,
    read_history,
    read_result,
    write_comparison,
    write_history,
    write_result,
)

OLD = Path(__file__).parent / "old"
RESULTS = ("result-1", "result-1-reported", "result-1-means", "result-2", "result-2-reported", "result-2-means")
COMPARISONS = ("comparison-1", "comparison-2")
HISTORIES = ("history-1",)


def old(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((OLD / f"{name}.json").read_text())
    return content


def laid(folder: Path, name: str, change: Callable[[dict[str, Any]], object] = lambda content: None) -> Path:
    """Put an old file, changed, into a result folder with a manifest."""
    content = old(name)
    change(content)
    kind = name.partition("-")[0]
    (folder / f"{kind}.json").write_text(json.dumps(old(name)))
    seal(folder)
    seal_bytes(folder / f"{kind}.json", json.dumps(content).encode())
    return folder


@pytest.mark.parametrize(("name", "ddof"), zip(RESULTS, (1, 0, 1, 1, 0, 1), strict=True))
def test_an_old_result_says_what_it_said_and_which_ddof_its_deviations_have(
    tmp_path: Path, name: str, ddof: int
) -> None:
    """AlignFreeze's published deviations have ddof 0; the low-resource study's and those that boards compute have 1."""
    result = read_result(laid(tmp_path, name))
    then, now = old(name), result.model_dump(mode="json")
    numerics, settings = then.pop("numerics"), now.pop("compute_settings")
    assert {key: settings[key] for key in numerics} == numerics if numerics else settings is None
    stages = [{"stage_type": stage.pop("kind")} | stage for stage in then["stages"]]
    data = [record | {"repaired": {}} for record in then["data"]]
    tasks = [{"task_type": task.pop("kind")} | task for task in then["tasks"]]
    expected = {"schema_version": 3, "ddof": ddof, "stages": stages, "tasks": tasks, "data": data}
    assert now == then | expected
    path = write_result(tmp_path, result.model_copy(update={"predictions": []}))  # whose files are not here
    assert json.loads(path.read_text())["schema_version"] == 3
    assert read_result(tmp_path) == result.model_copy(update={"predictions": []})


def test_an_old_history_says_what_it_said(tmp_path: Path) -> None:
    found, was = read_history(laid(tmp_path, "history-1")), old("history-1")["events"]
    assert [event.what for event in found.events] == [event["what"] for event in was] == ["rerun", "corrected", "rerun"]
    for event, then in zip(found.model_dump(mode="json")["events"], was, strict=True):
        same = then.pop("same_numerics")
        assert same is (True if then["what"] == "rerun" else None) and event == then | {"same_compute_settings": same}
    path = write_history(tmp_path, found)
    assert json.loads(path.read_text())["schema_version"] == 2 and read_history(tmp_path) == found


def test_a_results_evidence_is_what_its_comparison_of_then_says(tmp_path: Path) -> None:
    """The digest does not depend on what was removed from the files, so it equals that in comparison-2.json."""
    assert digest_evidence(read_result(laid(tmp_path, "result-1"))) == old("comparison-2")["result_digest"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_an_old_comparison_keeps_its_means_and_digests(tmp_path: Path, name: str) -> None:
    was, found = old(name), read_comparison(laid(tmp_path, name))
    assert found is not None
    for field in ("result_digest", "baseline_digest", "baseline", "resamples", "seed"):
        assert getattr(found, field) == was[field]
    assert {group: gain.mean for group, gain in found.gains.items()} == {
        group: gain["mean"] for group, gain in was["gains"].items()
    }
    for task, then in zip(found.tasks, was["tasks"], strict=True):
        assert (task.task, task.metric, task.not_compared) == (then["task"], then["metric"], then["not_compared"])
        assert {group: (gain.mean, gain.languages) for group, gain in task.gains.items()} == {
            group: (gain["mean"], gain["languages"]) for group, gain in then["gains"].items()
        }
        kept = ("task", "language", "score", "std", "baseline", "baseline_std", "gain", "one_std")
        assert [{field: getattr(change, field) for field in kept} for change in task.languages] == [
            {field: change[field] for field in kept} for change in then["languages"]
        ]
    assert (found.schema_version, found.scoring, found.prior, found.ddof) == (3, 1, None, 0)


@pytest.mark.parametrize("name", COMPARISONS)
def test_an_old_comparisons_intervals_and_verdicts_are_dropped(tmp_path: Path, name: str) -> None:
    assert any(change["verdict"] == "helped" for task in old(name)["tasks"] for change in task["languages"])
    assert all(gain["low"] is not None for gain in old(name)["gains"].values())
    found = read_comparison(laid(tmp_path, name))
    assert found is not None
    gains = [*found.gains.values(), *(gain for task in found.tasks for gain in task.gains.values())]
    assert all((gain.low, gain.high, gain.by_seed, gain.prior, gain.examples) == (None, None, [], None, None)
               for gain in gains)  # fmt: skip
    for change in (change for task in found.tasks for change in task.languages):
        assert (change.low, change.high, change.p_value, change.verdict) == (None, None, None, "untested")
    assert all(task.further is None for task in found.tasks)


def test_counts_by_the_one_std_rule_are_counted_or_kept(tmp_path: Path) -> None:
    """Version 1 had no counts: they are computed from its languages, without an interval. Version 2 had them."""
    first = read_comparison(laid(tmp_path, "comparison-1"))
    assert first is not None and first.one_std is not None
    # By hand from the file: ar, hi, ja and zh are helped in the first task; ar and bg harmed in the second.
    assert [t.one_std and (t.one_std.helped.count, t.one_std.harmed.count) for t in first.tasks] == [(4, 0), (0, 2)]
    assert first.one_std.helped == LanguageCount(count=4, low=None, high=None)
    assert first.one_std.harmed == LanguageCount(count=2, low=None, high=None)
    second = read_comparison(laid(tmp_path, "comparison-2"))
    assert second is not None and second.one_std is not None
    assert second.one_std.model_dump() == old("comparison-2")["one_std"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_what_was_migrated_is_stored_as_the_version_of_now(tmp_path: Path, name: str) -> None:
    found = read_comparison(laid(tmp_path, name))
    assert found is not None
    path = write_comparison(tmp_path, found)
    assert json.loads(path.read_text())["schema_version"] == 3
    assert read_comparison(tmp_path) == found


def test_every_version_has_a_step_to_the_next_and_a_file_that_tries_it() -> None:
    for model, files in ((Result, RESULTS), (Comparison, COMPARISONS), (History, HISTORIES)):
        now = model.model_fields["schema_version"].default
        assert sorted(MIGRATIONS[model.__name__]) == list(range(1, now))
        assert {old(name)["schema_version"] for name in files} == set(range(1, now))


def test_a_step_changes_nothing_that_it_was_given() -> None:
    content = old("comparison-1")
    migrate(content, "Comparison", 3)
    assert content == old("comparison-1")


READ: dict[str, Callable[[Path], object]] = {
    "result": read_result,
    "comparison": read_comparison,
    "history": read_history,
}


@pytest.mark.parametrize(("name", "known"), [("result-1", 3), ("comparison-2", 3), ("history-1", 2)])
@pytest.mark.parametrize("version", [4, 0, None, "1", 2.5, [1]])
def test_a_version_that_is_not_known_is_refused_and_both_are_named(
    tmp_path: Path, name: str, known: int, version: object
) -> None:
    laid(tmp_path, name, lambda content: content.update(schema_version=version))
    with pytest.raises(UserError) as caught:
        READ[name.partition("-")[0]](tmp_path)
    said = str(caught.value)
    assert f".json: schema_version is {version!r}, but xrealign-bench " in said
    assert f"reads versions up to {known}. " in said
    assert said.endswith("Install a newer xrealign-bench, or restore the file") and "\n" not in said


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "no tasks": ("comparison-1", lambda c: c.pop("tasks")),
    "tasks are null": ("comparison-1", lambda c: c.update(tasks=None)),
    "a task is a text": ("comparison-1", lambda c: c.update(tasks=["xnli"])),
    "languages are a text": ("comparison-1", lambda c: c["tasks"][0].update(languages="de")),
    "a language lacks its verdict by the rule": (
        "comparison-1",
        lambda c: c["tasks"][0]["languages"][0].pop("one_std"),
    ),
    "gains are a list": ("comparison-2", lambda c: c.update(gains=[])),
    "a gain is a number": ("comparison-2", lambda c: c["gains"].update(xr=0.1)),
    "a task without gains": ("comparison-2", lambda c: c["tasks"][0].pop("gains")),
    "no numerics": ("result-2", lambda c: c.pop("numerics")),
    "stages are null": ("result-2", lambda c: c.update(stages=None)),
    "a stage is a text": ("result-2", lambda c: c.update(stages=["finetune"])),
    "no events": ("history-1", lambda c: c.pop("events")),
    "an event is a text": ("history-1", lambda c: c.update(events=["rerun"])),
}


@pytest.mark.parametrize(("name", "change"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_old_file_is_told_in_one_sentence(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    laid(tmp_path, name, change)
    kind = name.partition("-")[0]
    with pytest.raises(UserError) as caught:
        READ[kind](tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / kind}.json: breaks the schema of version {old(name)['schema_version']} ")
    assert said.endswith(". Restore the file") and "\n" not in said


def test_a_broken_old_result_is_told_by_its_fields(tmp_path: Path) -> None:
    laid(tmp_path, "result-1", lambda content: content.pop("seeds"))
    with pytest.raises(UserError, match=r"result\.json: seeds: is required and missing$"):
        read_result(tmp_path)


def test_what_has_no_steps_stays_as_it_is() -> None:
    content = {"schema_version": 2, "events": []}
    assert migrate(content, "History", 2) == content


def test_a_newer_manifest_is_refused_and_both_versions_are_named(tmp_path: Path) -> None:
    laid(tmp_path, "result-1")
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    with pytest.raises(UserError, match=r"manifest\.json: schema_version is 2, but xrealign-bench \S+ reads versions"):
        read_result(tmp_path)
