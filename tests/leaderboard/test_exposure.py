"""Which tasks of which checkpoints are marked. Truth: sets listed by hand, and patterns that must not match."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.leaderboard.test_board import BASELINE
from tests.leaderboard.test_build import store
from tests.leaderboard.test_site import Page
from xrealign_bench.leaderboard.assembly import hub_data_sets, make_row
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.exposure import ExposureTable, exposure_table, known_exposures
from xrealign_bench.leaderboard.site.build import build_site
from xrealign_bench.specs import HubData, Task, find_spec, shipped_names

E5 = "intfloat/multilingual-e5-small"


def of_checkpoint(name: str, dataset: str) -> StoredResult:
    """The baseline of a checkpoint, with its one task read from a data set of the Hub."""
    result = BASELINE.result
    task = result.tasks[0].model_copy(update={"source": HubData(dataset=dataset)})
    checkpoint = result.checkpoint.model_copy(update={"id": name})
    return replace(BASELINE, result=result.model_copy(update={"tasks": [task], "checkpoint": checkpoint}))


@pytest.mark.parametrize(
    ("checkpoint", "dataset", "is_known"),
    [
        (E5, "google/xquad", True),
        ("models/Multilingual-E5-base", "facebook/xnli", True),
        (E5, "mteb/NTREX", False),
        ("intfloat/e5-small-v2", "google/xquad", False),
        ("FacebookAI/xlm-roberta-base", "unimelb-nlp/wikiann", False),
        ("google-bert/bert-base-multilingual-cased", "unimelb-nlp/wikiann", True),
        ("google-bert/bert-base-cased", "unimelb-nlp/wikiann", False),
        ("bigscience/bloomz-560m", "Davlan/sib200", True),
    ],
)
def test_a_checkpoint_is_marked_for_the_data_that_it_has_seen(checkpoint: str, dataset: str, is_known: bool) -> None:
    row = make_row(of_checkpoint(checkpoint, dataset), Path())
    found = known_exposures([row, row])
    assert [(each.task, each.data_set) for each in found] == [("tags", dataset)] * is_known
    assert all(each.source and each.seen and each.circulates for each in found)


def test_every_listed_data_set_is_read_by_a_shipped_task() -> None:
    read = {name for task in shipped_names(Task) for name in hub_data_sets(find_spec(task, Task))}
    assert exposure_table().data_sets.keys() <= read


def test_a_data_set_that_is_not_listed_is_refused() -> None:
    content = exposure_table().model_dump(mode="json")
    del content["data_sets"]["google/xquad"]
    with pytest.raises(ValidationError, match="checkpoints names google/xquad, which data_sets does not"):
        ExposureTable.model_validate(content)


def test_pages_and_files_say_it(tmp_path: Path) -> None:
    results = store(tmp_path, of_checkpoint(E5, "google/xquad"))
    markdown, *_ = build(results, tmp_path / "out")
    assert "- `tags` (google/xquad, published on 2019-10-25: " in markdown.read_text()
    (row,) = json.loads((markdown.parent / "leaderboard.json").read_text())["rows"]
    assert row["exposed_tasks"] == ["tags"]
    pages = build_site(results, tmp_path / "site")
    (page,) = [Page(path) for path in pages if path.parent.parent.name == "checkpoints" and path.stem == "index"]
    assert "marked ‡ below" in page.text and "google/xquad" in page.text


def test_nothing_is_said_without_a_known_exposure(tmp_path: Path) -> None:
    markdown, *_ = build(store(tmp_path, BASELINE), tmp_path / "out")
    assert "is known to have seen" not in markdown.read_text()
