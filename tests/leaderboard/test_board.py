"""Truth: ranks, reasons and counts worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.builder import flat, make_comparison, make_gain, make_result, make_suite, realignment
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.assembly import make_boards, rank_rows
from xrealign_bench.leaderboard.board import BoardRow, StoredResult
from xrealign_bench.results.comparison import Comparison, LanguageChange, LanguageCount, OneStd
from xrealign_bench.results.history import History, HistoryEvent
from xrealign_bench.results.records import ComputeSettings, StageRecord
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.scoring.inference import estimate

SCORES = {"en": 0.9, "de": 0.8, "fr": 0.6, "th": 0.5, "sw": 0.2}
GROUPS = ("xr", "all", "high", "medium", "low", "close", "middle", "distant", "seen", "unseen", "source")


def comparison_of(result: Result, baseline: Result, low: float, high: float, **fields: Any) -> Comparison:
    """Every group gains the middle of the interval; sw is harmed by both rules, the rest helped by the test only.

    With one seed nothing is tested.
    """
    seeds = len(result.seeds)
    tested = seeds > 1
    gains = {name: make_gain(low, high, seeds) for name in GROUPS}
    std = 0.0 if tested else None
    changes = [
        LanguageChange(
            task="tags", language=code, score=0.5, std=std, baseline=0.5 - gain, baseline_std=std, gain=gain,
            low=gain, high=gain, p_value=0.001 if tested else None,
            verdict="untested" if not tested else "helped" if gain > 0 else "harmed",
            one_std="harmed" if gain < 0 and tested else "same",
        )
        for code, gain in (("de", 0.01), ("fr", 0.02), ("th", 0.01), ("sw", -0.03))
    ]  # fmt: skip
    one_std = (
        OneStd(helped=LanguageCount(count=0, low=0, high=2), harmed=LanguageCount(count=1, low=1, high=3))
        if tested
        else None
    )
    comparison = make_comparison(result, baseline, gains, changes, one_std=one_std)
    tasks = [comparison.tasks[0].model_copy(update={"one_std": one_std})]
    return comparison.model_copy(update={"tasks": tasks} | fields)


def entry(name: str, by: float, low: float, high: float, baseline: Result | None = None, **fields: Any) -> StoredResult:
    """A recipe that scores `by` more than the baseline everywhere, with a gain in that interval."""
    seeds = fields.get("seeds", (1, 2))
    result = make_result(
        flat({code: min(score + by, 1.0) for code, score in SCORES.items()}, seeds), recipe=name, **fields
    )
    return StoredResult(Path("results", name), result, comparison_of(result, baseline or BASELINE.result, low, high))


BASELINE = StoredResult(Path("results/finetune-only"), make_result(flat(SCORES)), None)


def rows_of(*entries: StoredResult) -> dict[str, BoardRow]:
    """Of one checkpoint, by the names of their folders."""
    (board,) = make_boards(entries, Path("out"))
    (section,) = board.sections
    return {row.folder.name: row for row in section.rows}


def test_a_gain_made_by_hand_has_the_interval_that_it_says() -> None:
    gain = make_gain(0.02, 0.06, seeds=3)
    found = estimate(gain.by_seed, gain.prior, gain.examples)
    assert found is not None and found.interval() == pytest.approx((0.02, 0.06), abs=1e-6)


def test_ranks_are_sets_and_do_not_chain() -> None:
    """Standard errors are 0.51 points: gains 1.0 apart are 2.0 of them apart (p 0.05, too much for six tests), those
    2.0 apart 3.9 (p 0.0001). So the middle one may be first or third, and the last of three is never first."""
    rows = rows_of(
        BASELINE,
        entry("third", 0.035, 0.025, 0.045),
        entry("best", 0.055, 0.045, 0.065),
        entry("second", 0.045, 0.035, 0.055),
    )
    assert [(name, row.ranks) for name, row in rows.items()] == [
        ("best", (1, 2)), ("second", (1, 3)), ("third", (2, 3)), ("finetune-only", (4, 4)),
    ]  # fmt: skip


def test_a_recipe_that_loses_ranks_below_the_baseline() -> None:
    rows = rows_of(BASELINE, entry("worse", -0.02, -0.03, -0.01), entry("better", 0.02, 0.01, 0.03))
    assert [(name, row.ranks) for name, row in rows.items()] == [
        ("better", (1, 1)), ("finetune-only", (2, 2)), ("worse", (3, 3)),
    ]  # fmt: skip


def test_a_recipe_whose_interval_holds_zero_shares_the_baselines_rank() -> None:
    rows = rows_of(BASELINE, entry("maybe", 0.001, -0.001, 0.003))
    assert [(name, row.ranks) for name, row in rows.items()] == [("maybe", (1, 2)), ("finetune-only", (1, 2))]


def test_an_incomplete_or_limited_row_comes_last_with_what_is_missing() -> None:
    limited = entry("limited", 0.1, 0.09, 0.11, limit=20)
    short = make_result(flat(SCORES, seeds=(1,)), recipe="short", suite=make_suite(), seeds=(1,))
    rows = rows_of(
        BASELINE, limited, StoredResult(Path("results/short"), short, comparison_of(short, BASELINE.result, 0, 1))
    )
    assert list(rows) == ["finetune-only", "limited", "short"]
    assert rows["limited"].ranks is None and rows["limited"].unranked == ("limited to 20 examples",)
    assert rows["short"].ranks is None and rows["short"].unranked == ("seeds not evaluated: 2",)


def test_one_missing_cell_is_enough_to_lose_the_rank() -> None:
    scores = flat(SCORES)
    del scores["tags", "sw", 2]
    result = make_result(scores, recipe="holey")
    row = rows_of(
        BASELINE, StoredResult(Path("results/holey"), result, comparison_of(result, BASELINE.result, 0.1, 0.2))
    )["holey"]
    assert row.ranks is None
    assert row.unranked == ("tags in sw: not evaluated with seed 2",)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"result_digest": "0" * 64}, "was compared before its result changed"),
        ({"baseline_digest": "0" * 64}, "was compared with a finetune-only result that is missing"),
        ({"scoring": 1}, "has a comparison of scoring 1; run xrealign-bench leaderboard recompare"),
    ],
)
def test_a_stale_comparison_is_not_shown(fields: dict[str, Any], told: str) -> None:
    fresh = entry("full", 0.1, 0.09, 0.11)
    assert fresh.comparison is not None
    row = rows_of(BASELINE, replace(fresh, comparison=fresh.comparison.model_copy(update=fields)))["full"]
    assert row.ranks is None and row.gains == {} and row.lowest is None
    assert told in row.unranked[0]


def test_a_comparison_outlives_another_command_that_gives_the_same_baseline() -> None:
    again = replace(BASELINE, result=BASELINE.result.model_copy(update={"command": "another"}))
    assert rows_of(again, entry("full", 0.1, 0.09, 0.11))["full"].ranks == (1, 1)


def test_a_row_without_comparison_says_so() -> None:
    row = rows_of(BASELINE, replace(entry("full", 0.1, 0.09, 0.11), comparison=None))["full"]
    assert row.unranked == ("is not compared with finetune-only",)


def test_counts_worst_language_and_cost() -> None:
    stages = [
        StageRecord(stage_type="realign", key="a", seconds=5.0, peak_memory_bytes=7),
        StageRecord(stage_type="score", key="b", seconds=2.5),
    ]
    row = rows_of(BASELINE, entry("full", 0.1, 0.09, 0.11, stages=stages, realignment=[realignment(1)]))["full"]
    assert row.verdicts is not None and (row.verdicts.helped, row.verdicts.harmed) == (3, 1)
    assert row.one_std is not None and (row.one_std.helped.count, row.one_std.harmed.count) == (0, 1)
    assert row.lowest is not None and (row.lowest.language, row.lowest.gain) == ("sw", -0.03)
    assert (row.seconds, row.peak_memory_bytes, row.realigned_parameters) == (7.5, 7, 600)


def test_ranks_are_within_a_checkpoint() -> None:
    other = BASELINE.result.checkpoint.model_copy(update={"id": "maxi", "weights_sha256": "9" * 64})
    elsewhere = make_result(flat({code: 0.99 for code in SCORES}), checkpoint=other)
    (board,) = make_boards([BASELINE, StoredResult(Path("results/other"), elsewhere, None)], Path("out"))
    assert [section.checkpoint.id for section in board.sections] == ["maxi", "mini"]
    assert [section.rows[0].ranks for section in board.sections] == [(1, 1), (1, 1)]


def test_two_suites_under_one_id_are_refused_and_both_named() -> None:
    changed = make_result(flat(SCORES), suite=make_suite(description="changed"))
    with pytest.raises(UserError, match=r"toy-1\.0: results come from 2 different suites") as caught:
        make_boards([BASELINE, StoredResult(Path("results/changed"), changed, None)], Path("out"))
    assert "results/changed" in str(caught.value) and "results/finetune-only" in str(caught.value)


def test_versions_have_boards_of_their_own() -> None:
    newer = make_result(flat(SCORES), suite=make_suite(version="1.1"))
    boards = make_boards([BASELINE, StoredResult(Path("results/newer"), newer, None)], Path("out"))
    assert [board.suite.id for board in boards] == ["toy-1.0", "toy-1.1"]


def test_rank_of_nothing_is_nothing() -> None:
    assert rank_rows([]) == []


ONE_SEED = ("has only one seed",)


def test_one_seed_gives_no_rank_and_nothing_is_tested() -> None:
    """Even where the suite asks for one alone."""
    baseline = make_result(flat(SCORES, (1,)), seeds=(1,))
    full = entry("full", 0.1, 0.09, 0.11, baseline, seeds=(1,))
    rows = rows_of(StoredResult(BASELINE.folder, baseline, None), full)
    assert [(name, row.ranks, row.unranked) for name, row in rows.items()] == [
        ("full", None, ONE_SEED), ("finetune-only", None, ONE_SEED),
    ]  # fmt: skip
    # The gain and its interval, which is the prior's, are shown all the same.
    assert rows["full"].verdicts is None and rows["full"].gains["xr"].low == 0.09


FRESH = (11, 12, 13)


def on_fresh_seeds(
    low: float, high: float, seeds: Sequence[int] = FRESH, recipe: str = "full", **fields: Any
) -> tuple[StoredResult, StoredResult]:
    """The baseline and a recipe on seeds that are not those of the toy suite."""
    end = f"--seed{'-'.join(map(str, seeds))}"
    baseline = make_result(flat(SCORES, seeds), seeds=seeds, suite=make_suite(), **fields)
    found = entry(recipe, 0.02, low, high, baseline, seeds=seeds, suite=make_suite(), **fields)
    return StoredResult(Path(f"results/finetune-only{end}"), baseline, None), replace(
        found, folder=Path("results", recipe + end)
    )


def withdrawn(found: StoredResult) -> StoredResult:
    event = HistoryEvent(what="withdrawn", on=date(2026, 1, 2), evidence=digest_evidence(found.result), reason="wrong")
    return replace(found, history=History(events=[event]))


@pytest.mark.parametrize(("low", "high", "holds"), [(0.01, 0.03, True), (-0.01, 0.03, False), (-0.03, -0.01, False)])
def test_fresh_seeds_confirm_a_gain_whose_interval_lies_above_zero(low: float, high: float, holds: bool) -> None:
    rows = rows_of(BASELINE, entry("full", 0.05, 0.04, 0.06), *on_fresh_seeds(low, high))
    found = rows["full"].confirmation
    assert found is not None and found.holds == holds
    assert (found.seeds, found.gain.low, found.page) == (3, low, "results/mini/full--seed11-12-13")
    # They are rows of their own, without a rank and without one that they would take from others.
    assert {name: row.ranks for name, row in rows.items()} == {
        "full": (1, 1), "finetune-only": (2, 2), "finetune-only--seed11-12-13": None, "full--seed11-12-13": None,
    }  # fmt: skip
    assert [name for name, row in rows.items() if row.has_fresh_seeds] == list(rows)[2:]
    assert rows["full--seed11-12-13"].unranked == (
        "has other seeds than the suite's; it confirms or refutes another row",
    )
    assert rows["full--seed11-12-13"].confirmation is None


def test_what_confirms_nothing() -> None:
    """Two fresh seeds, a limited run, a part of the suite's own seeds, another recipe, and one that is withdrawn."""
    full = entry("full", 0.05, 0.04, 0.06)
    baseline, fresh = on_fresh_seeds(0.01, 0.03)
    for others in (
        on_fresh_seeds(0.01, 0.03, seeds=(11, 12)),
        on_fresh_seeds(0.01, 0.03, limit=5),
        on_fresh_seeds(0.01, 0.03, seeds=(2, 12, 13)),
        on_fresh_seeds(0.01, 0.03, recipe="other"),
        (baseline, withdrawn(fresh)),
        (withdrawn(baseline), fresh),
        (baseline, replace(fresh, comparison=None)),
    ):
        assert rows_of(BASELINE, full, *others)["full"].confirmation is None, others[1].folder
    assert rows_of(BASELINE, full, baseline, fresh)["full"].confirmation is not None


def test_of_several_results_on_fresh_seeds_the_least_favourable_counts() -> None:
    """Otherwise who runs often enough finds a confirmation."""
    one, other = on_fresh_seeds(0.01, 0.03), on_fresh_seeds(-0.01, 0.03, seeds=(21, 22, 23))
    for order in ([*one, *other], [*other, *one]):
        found = rows_of(BASELINE, entry("full", 0.05, 0.04, 0.06), *order)["full"].confirmation
        assert found is not None and (found.holds, found.gain.low) == (False, -0.01)


def test_fresh_seeds_confirm_no_row_that_was_computed_otherwise() -> None:
    """A result in bf16 is another row than one in fp32."""
    _, fresh = on_fresh_seeds(0.01, 0.03, compute_settings=ComputeSettings(device="cpu", dtype="bfloat16", threads=1))
    baseline, _ = on_fresh_seeds(0.01, 0.03)
    rows = rows_of(BASELINE, entry("full", 0.05, 0.04, 0.06), baseline, fresh)
    assert rows["full"].confirmation is None
