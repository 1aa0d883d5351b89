"""AlignFreeze's published figures as results of ours. Truth: the means and counts that the paper states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.small import command
from xrealign_bench.results.files import find_results, read_comparison, read_result
from xrealign_bench.results.schema import digest_suite
from xrealign_bench.specs import Corpus, Suite, Task, find_spec

RESULTS = Path(__file__).parents[2] / "leaderboard" / "results" / "alignfreeze-1.0"
XLMR = RESULTS / "FacebookAI--xlm-roberta-base"
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
    """XLM-R, parts of speech: full realignment helps 10 languages, front-freezing 17, "seven more"."""
    for part, helped in (("full", 10), ("front", 17)):
        comparison = read_comparison(XLMR / f"alignfreeze-{part}-lexicon-published")
        assert comparison is not None
        task = next(task for task in comparison.tasks if task.task == "udpos-alignfreeze")
        assert sum(change.one_std == "helped" for change in task.languages) == helped


def test_every_published_row_is_there_once() -> None:
    """435: a seed, method, task and checkpoint each."""
    cells = set()
    for folder in find_results(RESULTS):
        result = read_result(folder)
        assert result.reported is not None and result.predictions == []
        for score in result.scores:
            cells.add((result.checkpoint.id, result.recipe.name, score.task, score.seed))
    assert len(cells) == 435


def test_they_are_of_the_suite_that_is_shipped() -> None:
    suite = find_spec("alignfreeze", Suite)
    tasks = [find_spec(name, Task) for name in suite.tasks]
    expected = digest_suite(suite, tasks, {suite.parallel.corpus: find_spec(suite.parallel.corpus, Corpus)})
    assert {read_result(folder).suite_digest for folder in find_results(RESULTS)} == {expected}


def test_nothing_can_be_computed_from_them() -> None:
    for words in (["rescore"], ["verify", "--offline"], ["reproduce"]):
        ran = command(words[0], XLMR / "finetune-only", *words[1:])
        assert ran.status == 2
        assert "its scores are reported ones, there is nothing that they could be computed from" in ran.err
