"""Truth: hand-computed figures stand in the text, and it fits a terminal of 120 columns."""

from typing import Any

from tests.leaderboard.test_board import BASELINE, SCORES, comparison_of, entry
from tests.scoring.builder import LANGUAGES, TIERED, Lang, flat, made_up, make_result, make_suite
from xrealign_bench.leaderboard.terminal import ONE_SEED, render_evaluation, render_further, render_languages
from xrealign_bench.results.comparison import TaskComparison
from xrealign_bench.results.result import Result


def _words(text: str) -> list[str]:
    return text.split()


def _line(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split()


def test_figures_of_a_task() -> None:
    full = entry("full", 0.05, 0.04, 0.06)
    text = render_evaluation([BASELINE.result, full.result], [None, full.comparison])
    assert _line(text, "finetune-only") == _words("finetune-only 52.5 70.0 50.0 20.0 70.0 50.0 20.0 90.0")
    assert _line(text, "full ") == (_words("full 57.5 75.0 55.0 25.0 75.0 55.0 25.0 95.0 +5.0 [+4.0, +6.0] 3/1"))
    by_one_std = text.partition("tags, languages changed by more than one standard deviation of the first row")[2]
    assert _line(by_one_std, "full ") == _words("full 0 [0, 2] 1 [1, 3]")
    assert "mean over 2 seeds." in text and "featural distance to en" in text
    assert "XR score, mean over tasks of the mean over tiers (tags: over all targets, since no tier has 5" in text
    assert "finetune-only      52.5" in text  # (80 + 60 + 50 + 20) / 4


def test_columns_say_how_many_languages_they_are_over() -> None:
    text = render_evaluation([BASELINE.result], [None])
    lines = text.splitlines()
    assert _words(lines[lines.index("tags") + 2]) == ["(4)", "(2)", "(1)", "(1)", "(2)", "(1)", "(1)", "(1)"]


def test_tiers_of_five_languages_make_the_xr_score() -> None:
    scores = {"en": 0.9} | {each.code: {"h": 0.9, "m": 0.6, "l": 0.15}[each.code[0]] for each in TIERED}
    text = render_evaluation([make_result(flat(scores), languages=TIERED)], [None])
    head, _, xr = text.partition("XR score, mean over tasks of the mean over tiers\n")
    assert _line(xr, "finetune-only") == ["finetune-only", "55.0", "baseline"]  # (90 + 60 + 15) / 3
    # Each tier has as many languages in a band as the others, so a band's mean is that of the tiers.
    assert _line(head, "finetune-only") == _words("finetune-only 55.0 90.0 60.0 15.0 55.0 55.0 90.0")


def test_a_standard_deviation_is_shown_from_three_seeds_on_and_says_its_ddof() -> None:
    """Every language has 1 point more with each seed: the deviation is 1 by ddof 1 and 0.8 by ddof 0."""
    for seeds, ddof, shown in (((1, 2), 1, ""), ((1, 2, 3), 1, " ±1.0"), ((1, 2, 3), 0, " ±0.8")):
        scores = {("tags", code, seed): score + seed / 100 for code, score in SCORES.items() for seed in seeds}
        text = render_evaluation([make_result(scores, seeds=seeds, ddof=ddof)], [None])
        (row, *_) = [line for line in text.splitlines() if line.startswith("finetune-only")]
        mean = 52.5 + sum(seeds) / len(seeds)
        assert f" {mean:.1f}{shown}  " in row
        over = f"mean over {len(seeds)} seeds" + (f" ± std (ddof {ddof})." if shown else ".")
        assert over in text and ("±" in text) == bool(shown)


def test_one_seed_is_said_and_has_no_spread_and_no_verdicts() -> None:
    result = make_result(flat(SCORES, seeds=(1,)), seeds=(1,))
    alone = render_evaluation([result], [None])
    assert "seed 1 only" in alone and "±" not in alone and ONE_SEED not in alone
    assert _line(alone, "finetune-only")[1] == "52.5"
    full = entry("full", 0.05, 0.04, 0.06, result, seeds=(1,))
    text = render_evaluation([result, full.result], [None, full.comparison])
    assert _line(text, "full ")[-4:] == ["+5.0", "[+4.0,", "+6.0]", "–"]
    assert "(the prior's seeds and test examples)" in text and "\n\n" + ONE_SEED in text
    assert ONE_SEED.startswith("One seed is not enough to claim a gain")
    assert "standard deviation of the first row" not in text and "Holm" not in text
    languages = render_languages([result, full.result], [None, full.comparison])
    assert _line(languages, "DE (de)")[-2:] == ["85.0", "(+1.0)"] and "helped or harmed" not in languages
    several = entry("full", 0.05, 0.04, 0.06)
    assert ONE_SEED not in render_evaluation([BASELINE.result, several.result], [None, several.comparison])


def test_groups_of_words_have_their_own_table() -> None:
    def grouped(result: Result) -> Result:
        groups = {"held_out": {"accuracy": 0.25}, "other": {"accuracy": 0.5}}
        return result.model_copy(
            update={"scores": [score.model_copy(update={"groups": groups}) for score in result.scores]}
        )

    text = render_evaluation([grouped(BASELINE.result)], [None])
    words = text[text.index("by kind of word") :]
    assert _line(words, "recipe") == ["recipe", "held_out", "other"]
    assert _line(words, "finetune-only") == ["finetune-only", "25.0", "50.0"]
    assert "by kind of word" not in render_evaluation([BASELINE.result], [None])


def test_part_of_the_languages_shows_them_instead_of_averages() -> None:
    result = make_result(flat({"en": 0.9, "de": 0.8}), suite=make_suite(), languages=LANGUAGES[:1])
    text = render_evaluation([result], [None])
    assert _line(text, "DE (de)") == ["DE", "(de)", "high", "0.10", "80.0"]
    assert _line(text, "recipe") == ["recipe", "source"]
    assert _line(text, "finetune-only") == ["finetune-only", "90.0"]
    assert text.index("DE (de)") < text.index("recipe") and "XR score, mean" not in text and "–" not in text
    assert "Partial, so not ranked: languages not evaluated: fr, th, sw." in text
    assert text.count("not evaluated") == 1
    assert text.endswith("Means over languages and the XR score need all target languages of the suite.")


def test_why_there_is_no_gain_in_a_further_language() -> None:
    """The comparison of two seeds has no prediction, as one of fewer than three families; then one with one seed."""
    full = entry("full", 0.05, 0.04, 0.06)
    assert full.comparison is not None
    table, reason = render_further(full.comparison).rsplit("\n", 1)
    assert _line(table, "tags") == ["tags", "–", "–"]
    assert reason == "– tags: a prediction needs languages of 3 families or more."
    alone = full.comparison.model_copy(update={"tasks": [_changed(full.comparison.tasks[0], by_seed=[0.05])]})
    assert render_further(alone).endswith("\n– tags: a prediction needs 2 seeds or more, and there is one.")
    gap = {"by_seed": [], "mean": None, "low": None, "high": None, "reason": "tags in th: not evaluated"}
    missing = full.comparison.model_copy(update={"tasks": [_changed(full.comparison.tasks[0], **gap)]})
    assert render_further(missing).endswith("\n– tags: tags in th: not evaluated.")


def _changed(task: TaskComparison, **changes: Any) -> TaskComparison:
    return task.model_copy(update={"gains": {"all": task.gains["all"].model_copy(update=changes)}})


def test_a_long_list_of_what_is_missing_is_counted() -> None:
    languages = [Lang(made_up(n), ("high", "medium", "low")[n % 3], n / 47) for n in range(46)]
    result = make_result(
        flat({"en": 1.0, made_up(3): 0.5}, seeds=(1,)),
        languages=languages[3:4],
        suite=make_suite(languages),
        seeds=(1,),
    )
    text = render_evaluation([result], [None])
    assert "Partial, so not ranked: 45 of 46 languages not evaluated; seeds not evaluated: 2.\n" in text
    assert made_up(0) not in text and made_up(45) not in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_what_is_missing_here_and_there_is_told_three_times() -> None:
    scores = flat(SCORES, seeds=(1, 2, 3))
    for code in ("de", "fr", "th"):
        del scores["tags", code, 1], scores["tags", code, 3]
    text = render_evaluation([make_result(scores, seeds=(1, 2, 3))], [None])
    (told,) = [line for line in text.splitlines() if line.startswith("Partial")]
    assert told.count("not evaluated with seed") == 3 and told.endswith("; and 3 more.")


def test_the_text_fits_120_columns() -> None:
    languages = [
        Lang(made_up(n), ("high", "medium", "low")[n % 3], n / 47, name="Language Language") for n in range(46)
    ]
    scores = flat({"en": 1.0, **{language.code: 0.123456 for language in languages}})
    suite = make_suite(languages)
    names = [f"alignfreeze-front-similarity-{n}-of-many" for n in range(7)]
    baseline = make_result(scores, languages=languages, suite=suite)
    results = [make_result(scores, languages=languages, suite=suite, recipe=name) for name in names]
    comparisons = [comparison_of(result, baseline, -0.123, 0.123) for result in results]
    for text in (
        render_evaluation([baseline, *results], [None, *comparisons]),
        render_languages([baseline, *results], [None, *comparisons]),
    ):
        assert max(len(line) for line in text.splitlines()) <= 120
        # Names are broken over lines, not cut.
        assert all(f"similarity-{n}-" in text for n in range(7)) and text.count("of-many") >= 7
