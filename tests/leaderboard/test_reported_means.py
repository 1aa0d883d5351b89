"""Means without scores. Truth: the low-resource study's figures as copied here by hand, its transcribed files, and a
board of computed results, which means beside it must not change."""

from __future__ import annotations

import csv
import json
import re
import shutil
from math import fsum
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.leaderboard.test_board import BASELINE, entry
from tests.leaderboard.test_build import store
from tests.small import command
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.build import build
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import find_results, read_result
from xrealign_bench.scoring.compare import compare

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "leaderboard" / "lowresource-1.0"
RESULTS = ROOT / "leaderboard" / "results" / "lowresource-1.0"
XLMR, MBERT = "FacebookAI--xlm-roberta-base--published", "google-bert--bert-base-multilingual-cased--published"
ALL = "sentence-lowresource-65-published"
FILES = ROOT.parent / "shared" / "reference" / "lowresource_results"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason="no ../shared/reference beside the repository")


def means(checkpoint: str, recipe: str) -> list[ReportedMean]:
    return read_result(RESULTS / checkpoint / recipe).reported_means


def average(checkpoint: str, recipe: str, task: str, with_english: bool) -> ReportedMean:
    (found,) = [
        mean
        for mean in means(checkpoint, recipe)
        if mean.test_set.split(" ")[0] == task
        and (mean.languages is None or (len(mean.languages) > 1 and ("en" in mean.languages) == with_english))
    ]
    return found


@pytest.mark.parametrize(
    ("checkpoint", "recipe", "task", "with_english", "mean", "std", "languages"),
    [
        (XLMR, ALL, "PoS", True, 69.14, 0.24, 54),
        (XLMR, ALL, "NLI", True, 59.43, 0.17, 32),
        (XLMR, ALL, "NER", True, 57.07, 0.86, 64),
        (XLMR, ALL, "AmericasNLI", False, 40.76, 0.82, 10),
        (XLMR, ALL, "XQuAD", False, 61.01, 1.05, None),
        (XLMR, "sentence-random-5-published", "PoS", True, 67.46, 1.51, 54),
        (XLMR, "sentence-uriel-joshi35-9-published", "XQuAD", False, 62.49, 1.07, None),
        (XLMR, "sentence-lowresource-african-21-published", "XQuAD", False, 61.94, 0.76, None),
        (MBERT, "sentence-lowresource-xtreme-r-47-published", "PoS", True, 65.06, 0.38, 54),
        (MBERT, "sentence-most-same-script-41-published", "NLI", True, 55.96, 0.15, 32),
        # Of the targets alone, where all 65 languages are said to give 68.63 and 58.66.
        (XLMR, "finetune-only", "PoS", False, 65.41, 0.74, 53),
        (XLMR, "finetune-only", "NLI", False, 57.80, 0.10, 31),
        (XLMR, ALL, "PoS", False, 68.63, None, 53),
        (XLMR, ALL, "NLI", False, 58.66, None, 31),
    ],
)
def test_averages_are_the_studys(
    checkpoint: str, recipe: str, task: str, with_english: bool, mean: float, std: float | None, languages: int | None
) -> None:
    found = average(checkpoint, recipe, task, with_english)
    assert round(100 * found.mean, 4) == mean
    assert (found.std and round(100 * found.std, 4)) == std
    assert (found.languages and len(found.languages)) == languages
    assert found.ddof == (None if recipe == "finetune-only" or std is None else 1)


@pytest.mark.parametrize(("recipe", "task", "published"), [
    ("finetune-only", "PoS", 65.41), (ALL, "PoS", 68.63), ("finetune-only", "NLI", 57.80), (ALL, "NLI", 58.66),
])  # fmt: skip
def test_averages_over_the_targets_are_the_means_of_their_languages(recipe: str, task: str, published: float) -> None:
    """Of languages with two test sets it is that with the longer code that is averaged."""
    long = {"PoS": "MasakhaPOS", "NLI": "AfriXNLI"}[task]
    short = {"PoS": ["UDPOS"], "NLI": ["XNLI", "IndoNLI", "myXNLI"]}[task]
    single = {(m.test_set, m.languages[0]): m.mean for m in means(XLMR, recipe) if m.languages}
    targets = average(XLMR, recipe, task, with_english=False).languages
    assert targets is not None
    values = [
        next(single[name, code] for name in (long, *short) if (name, code) in single) for code in targets
    ]  # fmt: skip
    assert round(100 * fsum(values) / len(values), 2) == published


def test_every_known_figure_is_there_once_and_the_faulty_baseline_is_not() -> None:
    every = [(folder, mean) for folder in find_results(RESULTS) for mean in read_result(folder).reported_means]
    assert sum(mean.ddof == 1 for _, mean in every) == 139
    assert sum(mean.languages is not None and len(mean.languages) == 1 for _, mean in every) == 671
    assert len(every) == 139 + 671 + 4
    assert not [mean for mean in means(MBERT, "finetune-only") if mean.test_set in ("UDPOS", "MasakhaPOS")]
    results = [read_result(folder) for folder in find_results(RESULTS)]
    assert all(result.reported is not None and result.scores == [] and result.tasks == [] for result in results)
    assert {tuple(result.seeds) for result in results} == {(42, 66, 23, 17)}


@needs_files
def test_every_value_of_the_files_is_in_the_results() -> None:
    with (FILES / "averages.csv").open() as file:
        given = sorted((float(row["avg"]), float(row["std_ddof1"])) for row in csv.DictReader(file))
    with (FILES / "per_language.csv").open() as file:
        given_single = sorted(float(row["mean"]) for row in csv.DictReader(file))
    every = [mean for folder in find_results(RESULTS) for mean in read_result(folder).reported_means]
    assert sorted((round(100 * m.mean, 4), round(100 * (m.std or 0), 4)) for m in every if m.ddof) == given
    assert sorted(round(100 * m.mean, 4) for m in every if m.languages and len(m.languages) == 1) == given_single


def test_the_board_shows_them_apart() -> None:
    page = (BOARD / "README.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| [{ALL}](../results/{BOARD.name}/{XLMR}/"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        "40.76 ±0.82", "57.07 ±0.86", "58.66", "59.43 ±0.17", "68.63", "69.14 ±0.24", "61.01 ±1.05",
    ]  # fmt: skip
    head = next(line for line in page.splitlines() if line.startswith("| Recipe | AmericasNLI"))
    assert "PoS (UDPOS, MasakhaPOS), 53 targets | PoS (UDPOS, MasakhaPOS), 53 targets and en" in head
    assert "| Rank |" not in page and "XR score | Gain" not in page
    assert "**Source**: Nguyen et al." in page and "Left out: mBERT's PoS after fine-tuning only" in page


def test_csv_and_json_keep_them_apart() -> None:
    with (BOARD / "reported.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 139 + 671 + 4
    (pos,) = [r for r in rows if r["recipe"] == ALL and r["reported_mean"] == "69.14" and r["reported_std"] == "0.24"]
    assert pos["ddof"] == "1" and len(pos["languages"].split("; ")) == 54
    content = json.loads((BOARD / "leaderboard.json").read_text())
    assert len(content["reported_means"]) == len(rows)
    assert all(row["rank_low"] is None and row["trust"] == "reported" for row in content["rows"])
    assert all(
        row["xr"]["mean"] is None and not any(name.startswith("gain") for name in row) for row in content["rows"]
    )
    assert {"; ".join(row["unranked"]) for row in content["rows"]} == {
        "means alone are reported, not the scores that they are of"
    }
    assert (BOARD / "languages.csv").read_text().strip() == ""


def means_of(computed: Result) -> Result:
    """Of the same checkpoint and suite, as if another version of its tasks had been reported on."""
    mean = ReportedMean(test_set="elsewhere", languages=["de", "sw"], mean=0.99, std=0.01, ddof=1)
    only = {"tasks": [], "scores": [], "stages": [], "reported_means": [mean], "reported": "a paper"}
    only["compute_settings"] = None
    recipe = computed.recipe.model_copy(update={"name": "published"})
    return Result.model_validate(computed.model_dump() | only | {"recipe": recipe, "suite_digest": "0" * 64})


def test_they_change_nothing_that_is_computed(tmp_path: Path) -> None:
    good = entry("good", 0.05, 0.04, 0.06)
    alone = build(store(tmp_path / "alone", BASELINE, good), tmp_path / "alone" / "out")
    reported = StoredResult(Path("results/published"), means_of(good.result), None)
    both = build(store(tmp_path / "both", BASELINE, good, reported), tmp_path / "both" / "out")
    without, beside = (json.loads(files[3].read_text()) for files in (alone, both))
    assert beside["rows"][:2] == without["rows"] and beside["rows"][2]["rank_low"] is None
    assert beside["suite_digest"] == without["suite_digest"] == good.result.suite_digest
    assert alone[2].read_bytes() == both[2].read_bytes()
    assert [path.name for path in both][4:] == ["reported.csv"] and len(alone) == 4
    assert ranking(alone[0]) == ranking(both[0]) and "99.00 ±1.00" in both[0].read_text()


def test_a_table_of_means_that_are_gone_goes_too(tmp_path: Path) -> None:
    good = entry("good", 0.05, 0.04, 0.06)
    results = store(tmp_path, BASELINE, good, StoredResult(Path("results/published"), means_of(good.result), None))
    board = build(results, tmp_path / "out")[0].parent
    (board / "mine.csv").write_text("my own")
    assert (board / "reported.csv").is_file()
    shutil.rmtree(results / "published")
    build(results, tmp_path / "out")
    left = {path.name for path in board.iterdir() if path.is_file()}
    assert left == {"README.md", "leaderboard.csv", "languages.csv", "leaderboard.json", "mine.csv"}


def ranking(page: Path) -> list[str]:
    return re.findall(r"^\| \d \| .*$", page.read_text(), flags=re.MULTILINE)


def test_nothing_can_be_computed_from_them(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for words in (["verify", "--offline"], ["reproduce"]):
        ran = command(words[0], RESULTS / XLMR / ALL, *words[1:])
        assert ran.status == 2 and "its scores were reported by a publication" in ran.err
    ran = command("rescore", RESULTS / XLMR / ALL)
    assert ran.status == 0 and ran.out.startswith("0 scores computed"), ran
    with pytest.raises(UserError, match="has reported means only, without scores"):
        compare(RESULTS / XLMR / ALL, RESULTS / XLMR / "finetune-only")


def test_a_computed_result_has_none() -> None:
    content = means_of(BASELINE.result).model_dump()
    computed = {"reported": None, "compute_settings": BASELINE.result.known_compute_settings.model_dump()}
    for changes in (computed, {"scores": BASELINE.result.model_dump()["scores"]}):
        with pytest.raises(ValidationError, match="'reported_means' needs 'reported'"):
            Result.model_validate(content | changes)
