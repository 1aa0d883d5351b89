"""Truth: means and standard deviations computed by hand."""

import math

import pytest

from tests.scoring.builder import LANGUAGES, Lang, flat, make_result, make_suite, make_task, realignment
from xrealign_bench.errors import UserError
from xrealign_bench.results.records import Score
from xrealign_bench.scoring.aggregate import TIERS, summarise

BY_LANGUAGE = {"en": 1.0, "de": 0.8, "fr": 0.6, "th": 0.5, "sw": 0.2}
FIVE_A_TIER = [Lang(f"{tier[0]}q{letter}", tier) for tier in TIERS for letter in "abcde"]
"""Five languages of each tier: just enough for a tier to count."""


def _by_tier(high: float, medium: float, low: float) -> dict[str, float | None]:
    """The first language of a tier has 0.1 more than the mean, the second 0.1 less."""
    means = {"h": high, "m": medium, "l": low}
    spread = {"a": 0.1, "b": -0.1}
    return {"en": 1.0} | {each.code: means[each.code[0]] + spread.get(each.code[2], 0.0) for each in FIVE_A_TIER}


def test_xr_score_is_the_mean_of_the_tier_means_without_the_source() -> None:
    languages = [*FIVE_A_TIER, *(Lang(f"xq{letter}", "high") for letter in "abcde")]
    scores = flat(_by_tier(0.7, 0.5, 0.2) | {f"xq{letter}": 0.9 for letter in "abcde"})
    summary = summarise(make_result(scores, languages=languages))
    assert summary.groups["high"].mean == pytest.approx(0.8)  # (5 x 0.7 + 5 x 0.9) / 10
    assert summary.xr.mean == pytest.approx((0.8 + 0.5 + 0.2) / 3)
    assert summary.tasks["tags"].score_groups == ("high", "medium", "low")
    assert summary.groups["all"].mean == pytest.approx((5 * (0.7 + 0.9 + 0.5 + 0.2)) / 20)
    assert summary.groups["source"].mean == pytest.approx(1.0)


def test_a_tier_of_four_languages_enters_no_score() -> None:
    languages = [each for each in FIVE_A_TIER if each.code != "lqe"]
    scores = flat({code: value for code, value in _by_tier(0.7, 0.5, 0.2).items() if code != "lqe"})
    summary = summarise(make_result(scores, languages=languages))
    assert summary.tasks["tags"].score_groups == ("high", "medium")
    assert summary.xr.mean == pytest.approx((0.7 + 0.5) / 2)
    assert summary.tasks["tags"].groups["low"].mean == pytest.approx(0.2)
    assert summary.groups["low"].reason == "fewer than 5 languages in every task"


def test_without_a_tier_of_five_the_score_is_the_mean_over_targets() -> None:
    summary = summarise(make_result(flat(BY_LANGUAGE)))
    groups = {name: value.mean for name, value in summary.tasks["tags"].groups.items()}
    assert summary.tasks["tags"].score_groups == ("all",)
    assert summary.xr.mean == groups["all"] == pytest.approx(2.1 / 4)
    # Distances 0.1 and 0.2 are close, 0.5 is in the middle, 0.8 distant; only sw was not seen.
    assert [groups[name] for name in ("close", "middle", "distant")] == pytest.approx([0.7, 0.5, 0.2])
    assert [groups["seen"], groups["unseen"]] == pytest.approx([1.9 / 3, 0.2])


@pytest.mark.parametrize(("ddof", "factor"), [(1, math.sqrt(2)), (0, 1.0)])
def test_std_is_that_of_the_aggregate_over_seeds(ddof: int, factor: float) -> None:
    scores = flat(BY_LANGUAGE)
    scores["tags", "de", 1], scores["tags", "de", 2] = 0.7, 0.9
    summary = summarise(make_result(scores, ddof=ddof))
    task = summary.tasks["tags"]
    assert task.languages["de"].std == pytest.approx(0.1 * factor)
    assert task.groups["high"].by_seed == pytest.approx((0.65, 0.75))
    assert task.groups["high"].std == pytest.approx(0.05 * factor)
    assert summary.xr.std == pytest.approx(0.05 / 2 * factor)


def test_one_seed_has_no_std() -> None:
    summary = summarise(make_result(flat(BY_LANGUAGE, seeds=[1]), seeds=[1]))
    assert summary.xr.mean is not None and summary.xr.std is None


def test_two_tasks_count_the_same_whatever_their_number_of_languages() -> None:
    suite = make_suite(tasks=("tags", "names"))
    tasks = [make_task(), make_task("names", ["en", "de", "th", "sw"])]
    scores = flat(BY_LANGUAGE) | flat({"en": 1.0, "de": 0.1, "th": 0.2, "sw": 0.3}, task="names")
    summary = summarise(make_result(scores, suite=suite, tasks=tasks))
    assert summary.tasks["names"].score.mean == pytest.approx(0.2)
    assert summary.xr.mean == pytest.approx((2.1 / 4 + 0.2) / 2)
    assert summary.groups["close"].mean == pytest.approx((0.7 + 0.1) / 2)


def test_a_tier_averages_the_tasks_that_it_enters() -> None:
    suite = make_suite(FIVE_A_TIER, tasks=("tags", "names"))
    codes = [each.code for each in FIVE_A_TIER]
    tasks = [make_task(codes=["en", *codes]), make_task("names", ["en", *codes[:6]])]
    names = {code: 0.4 for code in ("en", *codes[:6])}
    scores = flat(_by_tier(0.7, 0.5, 0.2)) | flat(names, task="names")
    summary = summarise(make_result(scores, suite=suite, tasks=tasks, languages=FIVE_A_TIER))
    assert summary.groups["high"].mean == pytest.approx((0.7 + 0.4) / 2)
    assert summary.groups["medium"].mean == pytest.approx(0.5)  # one medium language of names does not enter
    assert summary.xr.mean == pytest.approx((1.4 / 3 + 0.4) / 2)


def test_a_missing_seed_gives_null_and_a_reason_not_the_mean_of_the_rest() -> None:
    scores = flat(BY_LANGUAGE)
    del scores["tags", "fr", 2]
    summary = summarise(make_result(scores))
    groups = summary.tasks["tags"].groups
    for value in (summary.xr, groups["all"], groups["high"], groups["close"]):
        assert value.mean is None
        assert value.reason == "tags in fr: not evaluated with seed 2"
    assert groups["low"].mean == pytest.approx(0.2)


def test_a_score_that_is_null_keeps_its_reason() -> None:
    summary = summarise(make_result(flat(BY_LANGUAGE | {"sw": None})))
    assert summary.xr.mean is None
    assert summary.xr.reason == "tags in sw: no scored word"


def test_the_xr_score_is_over_the_tiers_that_the_task_has() -> None:
    languages = [language for language in FIVE_A_TIER if language.tier != "medium"]
    scores = flat({code: value for code, value in _by_tier(0.7, 0.5, 0.2).items() if code[0] != "m"})
    summary = summarise(make_result(scores, languages=languages))
    assert "medium" not in summary.groups
    assert summary.xr.mean == pytest.approx((0.7 + 0.2) / 2)
    assert summary.groups["all"].mean == pytest.approx(0.45)


def test_a_task_that_was_not_evaluated_leaves_no_xr_score() -> None:
    suite = make_suite(tasks=("tags", "names"))
    summary = summarise(make_result(flat(BY_LANGUAGE), suite=suite, tasks=[make_task()]))
    assert summary.xr.reason == "task names was not evaluated"
    assert summary.groups["high"].mean is None
    assert summary.tasks["tags"].groups["high"].mean == pytest.approx(0.7)


def test_a_target_that_was_left_out_leaves_every_tier_null() -> None:
    suite = make_suite()
    described = [language for language in LANGUAGES if language.code in ("de", "sw")]
    scores = flat({"en": 1.0, "de": 0.8, "sw": 0.2})
    summary = summarise(make_result(scores, suite=suite, languages=described))
    assert all(summary.groups[name].mean is None for name in ("all", "high", "medium", "low", "close"))
    assert summary.tasks["tags"].languages["sw"].mean == pytest.approx(0.2)


def test_a_language_without_a_tier_is_in_no_tier() -> None:
    languages = [*FIVE_A_TIER, Lang("xx", "unclassified", seen=None)]
    summary = summarise(make_result(flat(_by_tier(0.7, 0.5, 0.2) | {"xx": 0.0}), languages=languages))
    assert summary.xr.mean == pytest.approx(1.4 / 3)
    assert summary.groups["unclassified"].mean == 0.0
    assert summary.groups["all"].mean == pytest.approx(5 * 1.4 / 16)


def test_languages_without_pairs_are_a_group_of_their_own() -> None:
    # The record says that realignment read pairs of sw alone.
    summary = summarise(make_result(flat(BY_LANGUAGE), recipe="full", realignment=[realignment(1), realignment(2)]))
    assert summary.groups["not_realigned"].mean == pytest.approx((0.8 + 0.6 + 0.5) / 3)
    assert "not_realigned" not in summarise(make_result(flat(BY_LANGUAGE))).groups


def test_languages_out_of_distribution_are_in_no_average() -> None:
    """Only in the task that the suite names."""
    languages = [*FIVE_A_TIER, Lang("xx", "low", seen=False)]
    by_language = _by_tier(0.7, 0.5, 0.2) | {"xx": 0.05}
    suite = make_suite(languages, tasks=("tags", "topics"), out_of_distribution={"tags": ["xx"]})
    result = make_result(flat(by_language) | flat(by_language, task="topics"), suite=suite, languages=languages)
    tags, topics = (summarise(result).tasks[name] for name in ("tags", "topics"))
    assert (tags.sizes["all"], tags.sizes["low"], tags.sizes["out_of_distribution"]) == (15, 5, 1)
    assert tags.groups["all"].mean == pytest.approx(7 / 15) and tags.groups["low"].mean == pytest.approx(0.2)
    assert tags.groups["out_of_distribution"].mean == tags.languages["xx"].mean == pytest.approx(0.05)
    assert topics.sizes["low"] == 6 and "out_of_distribution" not in topics.groups
    assert topics.groups["low"].mean == pytest.approx(1.05 / 6)


def test_groups_of_words_are_averaged_over_targets() -> None:
    result = make_result(flat(BY_LANGUAGE))
    held_out = {"en": 0.5, "de": 0.4, "fr": 0.2, "th": 0.1, "sw": 0.1}
    scores = [
        score.model_copy(update={"groups": {"held_out": {"accuracy": held_out[score.language], "counted": 4.0}}})
        for score in result.scores
    ]
    summary = summarise(result.model_copy(update={"scores": scores}))
    assert summary.tasks["tags"].word_groups["held_out"].mean == pytest.approx(0.2)
    first = scores[0].model_copy(update={"groups": {}, "language": "sw", "seed": 1})
    rest = [score for score in scores if (score.language, score.seed) != ("sw", 1)]
    summary = summarise(result.model_copy(update={"scores": [*rest, first]}))
    assert summary.tasks["tags"].word_groups["held_out"].mean is None
    assert "held_out words of tags in sw" in str(summary.tasks["tags"].word_groups["held_out"].reason)


def test_two_scores_of_one_cell_are_refused() -> None:
    result = make_result(flat(BY_LANGUAGE))
    again: Score = result.scores[0]
    with pytest.raises(UserError, match="tags, language en, seed 1 is scored twice"):
        summarise(result.model_copy(update={"scores": [*result.scores, again]}))


def test_a_language_that_a_task_does_not_have_is_not_missing() -> None:
    suite = make_suite(tasks=("tags", "names"))
    tasks = [make_task(), make_task("names", ["en", "de"])]
    scores = flat(BY_LANGUAGE) | flat({"en": 0.9, "de": 0.5}, task="names")
    assert make_result(scores, suite=suite, tasks=tasks).missing == []
    del scores["names", "de", 2]
    assert make_result(scores, suite=suite, tasks=tasks).missing == ["names in de: not evaluated with seed 2"]
