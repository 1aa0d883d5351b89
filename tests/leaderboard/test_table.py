"""Truth: ranks, reasons and counts worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.scoring.builder import flat, make_result, make_suite, realignment
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.table import Entry, Row, make_boards, rank
from xrealign_bench.results.schema import (
    Comparison,
    Count,
    Gain,
    LanguageChange,
    OneStd,
    Result,
    StageRecord,
    TaskComparison,
    digest_evidence,
)

SCORES = {"en": 0.9, "de": 0.8, "fr": 0.6, "th": 0.5, "sw": 0.2}
GROUPS = ("xr", "all", "high", "medium", "low", "close", "middle", "distant", "seen", "unseen", "source")


def comparison_of(result: Result, baseline: Result, low: float, high: float, **fields: object) -> Comparison:
    """Every group gains the middle of the interval; sw is harmed by both rules, the rest helped by the test only."""
    mean = (low + high) / 2
    gains = {name: Gain(mean=mean, low=low, high=high, languages=4) for name in GROUPS}
    changes = [
        LanguageChange(
            task="tags", language=code, score=0.5, std=0.0, baseline=0.5 - gain, baseline_std=0.0, gain=gain,
            low=gain, high=gain, p_value=0.001, verdict="helped" if gain > 0 else "harmed",
            one_std="harmed" if gain < 0 else "same",
        )
        for code, gain in (("de", 0.01), ("fr", 0.02), ("th", 0.01), ("sw", -0.03))
    ]  # fmt: skip
    one_std = OneStd(helped=Count(count=0, low=0, high=2), harmed=Count(count=1, low=1, high=3))
    comparison = Comparison(
        result_digest=digest_evidence(result),
        baseline_digest=digest_evidence(baseline),
        baseline="../finetune-only",
        resamples=1000,
        seed=0,
        gains=gains,
        one_std=one_std,
        tasks=[TaskComparison(task="tags", metric="accuracy", gains=gains, languages=changes, one_std=one_std)],
    )
    return comparison.model_copy(update=fields)


def entry(name: str, by: float, low: float, high: float, **fields: object) -> Entry:
    """A recipe that scores `by` more than the baseline everywhere, with a gain in that interval."""
    result = make_result(flat({code: score + by for code, score in SCORES.items()}), recipe=name, **fields)  # type: ignore[arg-type]
    return Entry(Path("results", name), result, comparison_of(result, BASELINE.result, low, high))


BASELINE = Entry(Path("results/finetune-only"), make_result(flat(SCORES)), None)


def rows_of(*entries: Entry) -> dict[str, Row]:
    (board,) = make_boards(entries, Path("out"))
    (section,) = board.sections
    return {row.recipe: row for row in section.rows}


def test_rows_share_a_rank_with_the_row_above_when_the_intervals_overlap() -> None:
    rows = rows_of(
        BASELINE,
        entry("worse", -0.02, -0.03, -0.01),
        entry("best", 0.05, 0.04, 0.06),
        entry("second", 0.03, 0.02, 0.039),
        entry("third", 0.025, 0.01, 0.03),
    )
    ranks = {name: row.rank for name, row in rows.items()}
    # second ends below best's 0.04; third overlaps second; the baseline's 0 lies below third's 0.01.
    assert list(ranks.items()) == [("best", 1), ("second", 2), ("third", 2), ("finetune-only", 4), ("worse", 5)]


def test_a_recipe_whose_interval_holds_zero_shares_the_baselines_rank() -> None:
    rows = rows_of(BASELINE, entry("maybe", 0.001, -0.001, 0.003))
    assert [(name, row.rank) for name, row in rows.items()] == [("maybe", 1), ("finetune-only", 1)]


def test_an_incomplete_or_limited_row_comes_last_with_what_is_missing() -> None:
    limited = entry("limited", 0.1, 0.09, 0.11, limit=20)
    short = make_result(flat(SCORES, seeds=(1,)), recipe="short", suite=make_suite(), seeds=(1,))
    rows = rows_of(BASELINE, limited, Entry(Path("results/short"), short, comparison_of(short, BASELINE.result, 0, 1)))
    assert list(rows) == ["finetune-only", "limited", "short"]
    assert rows["limited"].rank is None and rows["limited"].unranked == ("limited to 20 examples",)
    assert rows["short"].rank is None and rows["short"].unranked == ("seeds not evaluated: 2",)


def test_one_missing_cell_is_enough_to_lose_the_rank() -> None:
    scores = flat(SCORES)
    del scores["tags", "sw", 2]
    result = make_result(scores, recipe="holey")
    row = rows_of(BASELINE, Entry(Path("results/holey"), result, comparison_of(result, BASELINE.result, 0.1, 0.2)))[
        "holey"
    ]
    assert row.rank is None
    assert row.unranked == ("tags in sw: not evaluated with seed 2",)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"result_digest": "0" * 64}, "its comparison is of an earlier result"),
        ({"baseline_digest": "0" * 64}, "the finetune-only result that it was compared with is not here"),
    ],
)
def test_a_stale_comparison_is_not_shown(fields: dict[str, str], told: str) -> None:
    fresh = entry("full", 0.1, 0.09, 0.11)
    assert fresh.comparison is not None
    row = rows_of(BASELINE, replace(fresh, comparison=fresh.comparison.model_copy(update=fields)))["full"]
    assert row.rank is None and row.gains == {} and row.worst is None
    assert told in row.unranked[0]


def test_a_comparison_outlives_another_command_that_gives_the_same_baseline() -> None:
    again = replace(BASELINE, result=BASELINE.result.model_copy(update={"command": "another"}))
    assert rows_of(again, entry("full", 0.1, 0.09, 0.11))["full"].rank == 1


def test_a_row_without_comparison_says_so() -> None:
    row = rows_of(BASELINE, replace(entry("full", 0.1, 0.09, 0.11), comparison=None))["full"]
    assert row.unranked == ("not compared with finetune-only",)


def test_counts_worst_language_and_cost() -> None:
    stages = [
        StageRecord(kind="realign", key="a", seconds=5.0, peak_memory_bytes=7),
        StageRecord(kind="score", key="b", seconds=2.5),
    ]
    row = rows_of(BASELINE, entry("full", 0.1, 0.09, 0.11, stages=stages, realignment=[realignment(1)]))["full"]
    assert row.tested is not None and (row.tested.helped, row.tested.harmed) == (3, 1)
    assert row.one_std is not None and (row.one_std.helped.count, row.one_std.harmed.count) == (0, 1)
    assert row.worst is not None and (row.worst.language, row.worst.gain) == ("sw", -0.03)
    assert (row.seconds, row.peak_memory_bytes, row.realigned_parameters) == (7.5, 7, 600)


def test_ranks_are_within_a_checkpoint() -> None:
    other = BASELINE.result.checkpoint.model_copy(update={"id": "maxi", "weights_sha256": "9" * 64})
    elsewhere = make_result(flat({code: 0.99 for code in SCORES}), checkpoint=other)
    (board,) = make_boards([BASELINE, Entry(Path("results/other"), elsewhere, None)], Path("out"))
    assert [section.checkpoint.id for section in board.sections] == ["maxi", "mini"]
    assert [section.rows[0].rank for section in board.sections] == [1, 1]


def test_two_suites_under_one_id_are_refused_and_both_named() -> None:
    changed = make_result(flat(SCORES), suite=make_suite(description="changed"))
    with pytest.raises(UserError, match=r"toy-1\.0 means 2 different suites") as caught:
        make_boards([BASELINE, Entry(Path("results/changed"), changed, None)], Path("out"))
    assert "results/changed" in str(caught.value) and "results/finetune-only" in str(caught.value)


def test_versions_have_boards_of_their_own() -> None:
    newer = make_result(flat(SCORES), suite=make_suite(version="1.1"))
    boards = make_boards([BASELINE, Entry(Path("results/newer"), newer, None)], Path("out"))
    assert [board.suite.id for board in boards] == ["toy-1.0", "toy-1.1"]


def test_rank_of_nothing_is_nothing() -> None:
    assert rank([]) == []
