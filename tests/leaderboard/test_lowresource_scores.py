"""The low-resource study's published scores as results. Truth: the paper's means, the transcribed files, and intervals
computed here from the formulas of docs/statistics.md."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from math import fsum, sqrt
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from tests.small import command
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.languages.published import published_list
from xrealign_bench.results.comparison import Gain, TaskComparison
from xrealign_bench.results.result import digest_suite
from xrealign_bench.results.storage import find_results, read_comparison, read_history, read_result
from xrealign_bench.specs import Corpus, PublishedSubset, Recipe, Suite, Task, find_spec

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "leaderboard" / "results" / "lowresource-2.0"
BOARD = ROOT / "leaderboard" / "lowresource-2.0"
XLMR = RESULTS / "FacebookAI--xlm-roberta-base--published"
MBERT = RESULTS / "google-bert--bert-base-multilingual-cased--published"
POS, NER, NLI, QA = (f"{name}-lowresource" for name in ("udpos", "ner", "nli", "xquad"))
FASTALIGN = f"fastalign-as-run--task-{NER}"
ALL_65, XTREME = "sentence-uniform-lowresource-65", "sentence-uniform-lowresource-xtreme-r-47"
URIEL_10 = f"sentence-uniform-most-uriel-en-10--task-{POS}_{NLI}_{QA}"
FILES = ROOT.parent / "shared" / "reference" / "lowresource_scores"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason="no ../shared/reference beside the repository")
MASAKHA = ("masakhapos", "masakhaner2", "afrixnli")
APART = {"bbj", "pcm", "aym", "bzd", "cni", "gn", "hch", "nah", "oto", "quy", "shp", "tar"}


def gain(folder: Path, task: str, group: str = "all") -> Gain:
    return compared(folder, task).gains[group]


def compared(folder: Path, task: str) -> TaskComparison:
    comparison = read_comparison(folder)
    assert comparison is not None
    return next(each for each in comparison.tasks if each.task == task)


@cache
def rows() -> list[dict[str, str]]:
    with (FILES / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("task", "languages", "baseline", "realigned"), [(POS, 53, 65.41, 68.63), (NLI, 31, 57.80, 58.66)]
)
def test_means_over_the_targets_are_the_papers(task: str, languages: int, baseline: float, realigned: float) -> None:
    with (BOARD / "languages.csv").open() as file:
        lines = [row for row in csv.DictReader(file) if row["task"] == task and row["language"] != "en"]
    apart = find_spec("lowresource", Suite).out_of_distribution[task]
    for recipe, published in (("finetune-only", baseline), (ALL_65, realigned)):
        result = f"{XLMR.name}/{recipe}/result.json"
        scores = [float(r["score"]) for r in lines if r["result"].endswith(result) and r["language"] not in apart]
        assert len(scores) == languages
        assert round(fsum(scores) / languages, 2) == published
    found = gain(XLMR / ALL_65, task)
    assert found.mean is not None and found.languages == languages
    assert 100 * found.mean == pytest.approx(realigned - baseline, abs=0.01)


def test_low_resource_languages_gain_what_the_paper_says() -> None:
    """XLM-R, parts of speech: +8.9 points in low-resource languages, -0.2 in high-resource ones."""
    low, high = (gain(XLMR / ALL_65, POS, tier) for tier in ("low", "high"))
    assert low.mean is not None and high.mean is not None
    assert (round(100 * low.mean, 1), round(100 * high.mean, 1)) == (8.9, -0.2)


def plain_interval(by_seed: Iterable[float], metric: str, languages: int) -> tuple[float, float, float]:
    """Return mean gain and interval in points, by docs/statistics.md and its table of priors (two decimals)."""
    common, own, many, one = {
        "accuracy": (0.15, 0.56, 3, 2.8),
        "entity_f1": (0.28, 2.48, 3, 2.5),
        "f1": (1.08, 2.22, 3, 3),
    }[metric]
    gains = 100 * np.array(list(by_seed))
    expected = common + own / languages
    d0 = 1 / (1 / many + (1 / one - 1 / many) / languages)
    df = d0 + len(gains) - 1
    variance = (d0 * expected + (len(gains) - 1) * gains.var(ddof=1)) / df
    half = stats.t.ppf(0.975, df) * sqrt(variance / len(gains))
    return gains.mean(), gains.mean() - half, gains.mean() + half


def mean_by_seed(model: str, task: str, method: str, realigned: str, metric: str) -> dict[int, float]:
    """Mean over the languages that the study averages: Masakhane's test set if there are two, without English."""
    values: dict[int, dict[str, tuple[bool, float]]] = defaultdict(dict)
    for row in rows():
        key = row["model"], row["task"], row["method"], row["realignment_set"], row["metric"]
        is_apart = row["language"] in {"avg", "same", "eng", "bbj", "pcm"} or row["dataset"] == "americas_nli"
        is_apart |= task == "QA" and row["language_iso639_3"] == "ind"  # IndoQA, which the suite lacks
        if key == (model, task, method, realigned, metric) and not is_apart:
            seed, language, preferred = int(row["seed"]), row["language_iso639_3"], row["dataset"] in MASAKHA
            if language not in values[seed] or preferred:
                values[seed][language] = preferred, float(row["value"])
    return {seed: fsum(value for _, value in found.values()) / len(found) for seed, found in values.items()}


@needs_files
@pytest.mark.parametrize(
    ("folder", "model", "task", "method", "realigned", "metric", "languages"),
    [
        (XLMR / ALL_65, "xlm-roberta-base", POS, "before_noaligner", "xt_afri", "accuracy", 53),
        (XLMR / ALL_65, "xlm-roberta-base", NER, "before_noaligner", "xt_afri", "entity_f1", 63),
        (XLMR / XTREME, "xlm-roberta-base", NLI, "before_noaligner", "xt_only", "accuracy", 31),
        (XLMR / URIEL_10, "xlm-roberta-base", QA, "before_noaligner", "most_uriel_en_10", "f1", 10),
        (XLMR / FASTALIGN, "xlm-roberta-base", NER, "before_fastalign", "xt_afri", "entity_f1", 63),
        (
            XLMR / f"sentence-uniform-lowresource-african-21--task-{NLI}--seed42-66",
            "xlm-roberta-base", NLI, "before_noaligner", "afri_only", "accuracy", 31,
        ),
        (
            MBERT / f"{ALL_65}--task-{NER}_{NLI}_{QA}",
            "bert-base-multilingual-cased", QA, "before_noaligner", "xt_afri", "f1", 10,
        ),
    ],
)  # fmt: skip
def test_gains_and_intervals_follow_from_the_published_files(
    folder: Path, model: str, task: str, method: str, realigned: str, metric: str, languages: int
) -> None:
    published = {POS: "PoS", NER: "NER", NLI: "NLI", QA: "QA"}[task]
    column = {"accuracy": "final_eval_accuracy", "entity_f1": "final_eval_f1", "f1": "eval_f1"}[metric]
    ours = mean_by_seed(model, published, method, realigned, column)
    baseline = mean_by_seed(model, published, "baseline", "none", column)
    seeds = read_result(folder).seeds
    expected = plain_interval((ours[seed] - baseline[seed] for seed in seeds), metric, languages)
    found = gain(folder, task)
    assert found.mean is not None and found.low is not None and found.high is not None
    assert 100 * found.mean == pytest.approx(expected[0], abs=1e-9)
    assert (100 * found.low, 100 * found.high) == pytest.approx(expected[1:], abs=0.02)


@needs_files
def test_every_published_score_is_there_once_or_left_out_for_a_reason() -> None:
    kept: dict[tuple[str, str, str, int], set[float]] = defaultdict(set)
    for folder in find_results(RESULTS):
        result = read_result(folder)
        for score in result.scores:
            key = result.checkpoint.id.split("/")[1], score.task, score.language, score.seed
            kept[key] |= {value for value in score.metrics.values() if value is not None}
    left_out = [
        row
        for row in rows()
        if float(row["value"])
        not in kept[
            row["model"],
            {"PoS": POS, "NER": NER, "NLI": NLI, "QA": QA}[row["task"]],
            "en" if row["language"] in ("same", "eng", "avg") else find(row["language"]).code,
            int(row["seed"]),
        ]
    ]
    twice = {("PoS", "wo"), ("PoS", "yo"), ("NER", "sw"), ("NER", "yo"), ("NLI", "fr"), ("NLI", "sw"), ("NLI", "eng")}
    unexpected = [
        row
        for row in left_out
        if row["language"] != "avg"
        and row["seed"] != "31"
        and (row["task"], row["language"]) not in twice
        and (row["task"], row["language_iso639_3"]) != ("QA", "ind")
    ]
    assert unexpected == [] and len(kept) > 1000


@needs_files
def test_the_recipes_realign_the_studys_languages() -> None:
    job = script()
    assert {(row["method"], row["realignment_set"]) for row in rows()} == set(job.RECIPES)
    with (FILES / "realignment_sets.csv").open() as file:
        sets = {row["realignment_set"]: row["languages"].split(",") for row in csv.DictReader(file)}
    for name, codes in sets.items():
        recipe = job.RECIPES["before_noaligner", name]
        assert recipe == f"sentence-uniform-{name.replace('_', '-')}"
        realigned = find_spec(recipe, Recipe).parallel.languages
        assert isinstance(realigned, PublishedSubset)
        listed = published_list(realigned.subset).languages
        assert set(listed) == {find(code.split("_")[0]).code for code in codes}


def test_nothing_is_compared_with_the_faulty_baseline() -> None:
    faulty = MBERT / f"finetune-only--task-{POS}"
    withdrawn = read_history(faulty).withdrawn
    assert withdrawn is not None and "labels' mapping" in withdrawn.reason
    scores = {s.language: s.metrics["accuracy"] for s in read_result(faulty).scores if s.seed == 42}
    assert scores["sw"] == pytest.approx(0.0038, abs=1e-4) and scores["de"] == pytest.approx(0.8802, abs=1e-4)
    assert read_comparison(MBERT / f"{ALL_65}--task-{POS}") is None
    page = (BOARD / "README.md").read_text().splitlines()
    assert len([line for line in page if "12.0, withdrawn" in line]) == 1
    (told,) = [line for line in page if "no gain is computed against it" in line]
    assert told.startswith(f"- [finetune-only--task-{POS}]")


def test_two_seeds_have_a_gain_and_no_rank() -> None:
    page = (BOARD / "README.md").read_text()
    (low, *_) = [line for line in page.splitlines() if line.startswith("| [sentence-uniform-least-uriel-en-40]")]
    assert low.split("|")[-2].strip() == "+0.7 [-0.2, +1.6]<br>45.9, 2 seeds, ▲ 0 ▼ 0"


def test_languages_out_of_distribution_are_apart() -> None:
    folder = XLMR / ALL_65
    found = {task: gain(folder, task, "out_of_distribution").languages for task in (POS, NER, NLI)}
    assert found == {POS: 2, NER: 2, NLI: 10}
    assert {task: gain(folder, task).languages for task in (POS, NER, NLI, QA)} == {POS: 53, NER: 63, NLI: 31, QA: 10}
    names = {change.language for change in compared(folder, NLI).languages}
    assert {find(code).code for code in APART - {"bbj", "pcm"}} <= names


def test_all_results_are_of_the_shipped_suite() -> None:
    suite = find_spec("lowresource", Suite)
    tasks = [find_spec(name, Task) for name in suite.tasks]
    corpora = {name: find_spec(name, Corpus) for name in suite.parallel.corpora}
    results = list(find_results(RESULTS))
    assert {read_result(folder).suite_digest for folder in results} == {digest_suite(suite, tasks, corpora)}
    assert len(results) == 34


@pytest.mark.slow
def test_all_results_can_be_rescored() -> None:
    ran = command("rescore", RESULTS)
    assert ran.status == 0 and "0 scores and 24 comparisons computed" in ran.out, ran


def test_ranks_need_all_tasks_and_seeds() -> None:
    board = json.loads((BOARD / "leaderboard.json").read_text())["rows"]
    ranked = {row["recipe"]: (row["rank_low"], row["rank_high"]) for row in board if row["rank_low"]}
    assert ranked == {ALL_65: (1, 2), XTREME: (1, 2), "finetune-only": (3, 3)}


@cache
def script() -> ModuleType:
    path = ROOT / "scripts" / "import_lowresource_results.py"
    spec = importlib.util.spec_from_file_location("import_lowresource_results", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@needs_files
def test_all_averages_follow_from_their_scores_and_a_wrong_one_is_refused() -> None:
    job = script()
    assert job.check_averages(rows()) == 305
    wrong = [dict(row) for row in rows()]
    next(row for row in wrong if row["language"] == "avg")["value"] = "0.5"
    with pytest.raises(UserError, match=r"the average is 0\.5, but its scores have 0\.\d+\. Check the scores"):
        job.check_averages(wrong)


@needs_files
def test_a_language_that_only_one_side_has_is_refused(tmp_path: Path) -> None:
    job = script()
    importer = job.Importer(tmp_path)
    cells = job.runs_of(rows(), importer.suite.seeds)["xlm-roberta-base"]["finetune-only"][QA]
    without = {cell: value for cell, value in cells.items() if cell[0] != "de"}
    with pytest.raises(UserError, match="task xquad-lowresource: the suite and the published scores differ in de"):
        importer.scores(QA, without, importer.suite.seeds)


@pytest.mark.slow
@needs_files
def test_the_script_writes_the_shipped_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["import", str(FILES / "scores.csv"), "--results", str(tmp_path)])
    job = script()
    monkeypatch.setattr(job, "__version__", read_result(XLMR / "finetune-only").harness_version)
    job.main()
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert made == {path.relative_to(RESULTS.parent): path.read_bytes() for path in RESULTS.rglob("*.json")}
