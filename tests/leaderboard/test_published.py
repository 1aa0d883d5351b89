"""AlignFreeze's published figures as results of ours. Truth: the means and counts that the paper states."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scoring.builder import make_result
from tests.small import command
from xrealign_bench.leaderboard.build import build
from xrealign_bench.results.comparison import LanguageCount
from xrealign_bench.results.result import digest_suite
from xrealign_bench.results.storage import find_results, read_comparison, read_result, write_result
from xrealign_bench.scoring.compare import improved_by_one_std
from xrealign_bench.specs import Corpus, Suite, Task, find_spec

RESULTS = Path(__file__).parents[2] / "leaderboard" / "results" / "alignfreeze-1.0"
XLMR = RESULTS / "FacebookAI--xlm-roberta-base--published"
FILES = Path(__file__).parents[3] / "shared" / "reference" / "alignfreeze_results"
RECIPES = ["finetune-only", *(f"alignfreeze-{part}-lexicon-published" for part in ("full", "front", "back"))]


def mean(recipe: str, task: str) -> float:
    scores = [s for s in read_result(XLMR / recipe).scores if s.task == task and s.language != "en"]
    assert len({s.seed for s in scores}) == 5
    values = [value for score in scores for value in score.metrics.values()]
    return 100 * float(np.mean([value for value in values if value is not None]))


@pytest.mark.parametrize(
    ("task", "languages", "published"),
    [("xnli", 12, [73.94, 73.21, 73.57, 72.95]), ("udpos-alignfreeze", 34, [80.90, 81.35, 81.69, 80.94])],
)
def test_the_means_are_the_papers(task: str, languages: int, published: list[float]) -> None:
    assert [round(mean(recipe, task), 2) for recipe in RECIPES] == published
    result = read_result(XLMR / "finetune-only")
    assert len({s.language for s in result.scores if s.task == task}) == languages + 1


def test_the_one_std_rule_gives_the_papers_counts() -> None:
    """XLM-R, parts of speech: full realignment helps 10 languages, front-freezing 17, "seven more"; with intervals."""
    for part, helped in (
        ("full", LanguageCount(count=10, low=7, high=15)),
        ("front", LanguageCount(count=17, low=15, high=24)),
    ):
        comparison = read_comparison(XLMR / f"alignfreeze-{part}-lexicon-published")
        assert comparison is not None
        task = next(task for task in comparison.tasks if task.task == "udpos-alignfreeze")
        assert sum(change.one_std == "helped" for change in task.languages) == helped.count
        assert task.one_std is not None and task.one_std.helped == helped


def test_without_one_of_the_seeds_seven_more_would_be_five_to_nine() -> None:
    """As far as the rule's fragility is known from the publication."""

    def by_language(recipe: str) -> np.ndarray:
        scores = [s for s in read_result(XLMR / recipe).scores if s.task == "udpos-alignfreeze" and s.language != "en"]
        cells = {(score.language, score.seed): score.metrics["accuracy"] for score in scores}
        seeds = sorted({seed for _, seed in cells})
        return np.array([[cells[code, seed] for seed in seeds] for code in sorted({code for code, _ in cells})])

    baseline, full, front = (by_language(recipe) for recipe in RECIPES[:3])
    more = []
    for seed in range(5):
        theirs = np.delete(baseline, seed, axis=1)
        helped = [
            improved_by_one_std(np.delete(ours, seed, axis=1).mean(axis=1), theirs.mean(axis=1), theirs.std(axis=1))
            == 1
            for ours in (front, full)
        ]
        more.append(int(helped[0].sum() - helped[1].sum()))
    assert (min(more), max(more)) == (5, 9)


def test_every_published_row_is_there_once() -> None:
    """435: a seed, method, task and checkpoint each."""
    cells = set()
    for folder in find_results(RESULTS):
        result = read_result(folder)
        assert result.reported is not None and result.predictions == []
        for score in result.scores:
            cells.add((result.checkpoint.id, result.recipe.name, score.task, score.seed))
    assert len(cells) == 435


@pytest.mark.parametrize(("name", "version"), [("alignfreeze-1.0", "1.0"), ("alignfreeze", "2.0")])
def test_they_are_of_the_suite_that_is_shipped(name: str, version: str) -> None:
    suite = find_spec(name, Suite)
    results = find_results(RESULTS.with_name(f"alignfreeze-{version}"))
    tasks = [find_spec(name, Task) for name in suite.tasks]
    expected = digest_suite(suite, tasks, {suite.parallel.corpus: find_spec(suite.parallel.corpus, Corpus)})
    assert {read_result(folder).suite_digest for folder in results} == {expected}


def test_a_computed_baseline_stands_beside_them(tmp_path: Path) -> None:
    """Its data are pinned, so that its suite has another digest; its checkpoint has their name and its weights."""
    shutil.copytree(XLMR, tmp_path / "results" / "alignfreeze-1.0" / XLMR.name)
    suite = find_spec("alignfreeze-1.0", Suite)
    tasks = [find_spec(name, Task) for name in suite.tasks]
    tasks = [
        task.model_copy(update={"source": task.source.model_copy(update={"revision": "0" * 40})}) for task in tasks
    ]
    published = read_result(XLMR / "finetune-only")
    fields: dict[str, Any] = {"suite": suite, "tasks": tasks, "seeds": suite.seeds}
    computed = make_result({}, **fields)
    computed = computed.model_copy(
        update={
            "checkpoint": computed.checkpoint.model_copy(update={"id": published.checkpoint.id}),
            "languages": published.languages,
            "scores": [
                score.model_copy(update={"metrics": dict.fromkeys(score.metrics, 0.5)}) for score in published.scores
            ],
        }
    )
    assert computed.suite_digest != published.suite_digest
    folder = tmp_path / "results" / "alignfreeze-1.0" / "FacebookAI--xlm-roberta-base" / "finetune-only"
    folder.mkdir(parents=True)
    write_result(folder, computed)
    build(tmp_path / "results", tmp_path / "out")
    board = json.loads((tmp_path / "out" / "alignfreeze-1.0" / "leaderboard.json").read_text())
    assert board["suite_digest"] == computed.suite_digest
    (alone,) = [row for row in board["rows"] if row["trust"] == "rescored"]
    assert (alone["rank_low"], alone["rank_high"], alone["xr"]["mean"]) == (1, 1, 50.0)
    shipped = json.loads((RESULTS.parents[1] / "alignfreeze-1.0" / "leaderboard.json").read_text())["rows"]

    def without_paths(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"result": None} for row in rows if row["checkpoint"] == published.checkpoint.id]

    assert without_paths([row for row in board["rows"] if row != alone]) == without_paths(shipped)
    page = (tmp_path / "out" / "alignfreeze-1.0" / "README.md").read_text()
    assert "## FacebookAI/xlm-roberta-base\n" in page and "## FacebookAI/xlm-roberta-base, as published\n" in page
    for checkpoint in ("FacebookAI--xlm-roberta-base", "FacebookAI--xlm-roberta-base--published"):
        assert f"(../../results/alignfreeze-1.0/{checkpoint}/finetune-only)" in page


@pytest.mark.slow
@pytest.mark.skipif(not FILES.is_dir(), reason="no ../shared/reference beside the repository")
def test_the_script_writes_the_shipped_bytes(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "import_alignfreeze_results.py"
    subprocess.run([sys.executable, script, FILES, "--results", tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert len(made) == 54 + 48
    shipped = RESULTS.with_name("alignfreeze-2.0").rglob("*.json")
    assert made == {path.relative_to(RESULTS.parent): path.read_bytes() for path in shipped}


def test_version_2_has_the_same_figures() -> None:
    """The suite of version 2.0 is another, and its rows are the same publication's."""

    def figures(root: Path) -> list[tuple[str, str, list[float]]]:
        results = [json.loads(path.read_text()) for path in root.rglob("result.json")]
        return sorted(
            (
                each["checkpoint"]["id"],
                metric,
                sorted(s["metrics"][metric] for s in each["scores"] if metric in s["metrics"]),
            )
            for each in results
            for metric in ("accuracy", "entity_f1", "f1")
        )

    assert figures(RESULTS.with_name("alignfreeze-2.0")) == figures(RESULTS)


def test_nothing_can_be_computed_from_them() -> None:
    """Neither scores from predictions nor a model; a comparison follows from the scores, and is checked."""
    pytest.importorskip("torch")
    for words in (["verify", "--offline"], ["reproduce"]):
        ran = command(words[0], XLMR / "finetune-only", *words[1:])
        assert ran.status == 2
        assert "its scores were reported by a publication, so they can't be computed again" in ran.err
    for recipe, said in (("finetune-only", "0 scores computed"), (RECIPES[1], "0 scores and 1 comparison computed")):
        ran = command("rescore", XLMR / recipe)
        assert ran.status == 0 and ran.out.startswith(said), ran
