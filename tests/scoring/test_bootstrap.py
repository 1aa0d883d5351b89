"""Truth: normal approximations and exact moments of the bootstrap, and cases that can be worked out by hand."""

from itertools import product

import numpy as np
import pytest

from xrealign_bench.scoring import bootstrap
from xrealign_bench.scoring.bootstrap import (
    Counts,
    Floats,
    holm,
    interval,
    p_value,
    resample,
    seed_shares,
)


def _gains(languages: dict[str, Counts], resamples: int = 4000, seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    seeds = next(iter(languages.values())).earned.shape[1]
    drawn = resample(languages, seed_shares(seeds, resamples, rng), rng)
    return {code: each.gains for code, each in drawn.items()}


def _counts(difference: np.ndarray, first: int = 0) -> Counts:
    """Examples of one word each, numbered from `first`."""
    examples = tuple(range(first, first + difference.shape[1]))
    earned = np.stack([difference, np.zeros_like(difference)]).astype(np.float64)
    return Counts(examples, earned, np.ones_like(earned))


def _bernoulli(n: int, better: float, worse: float, seed: int) -> np.ndarray:
    """Paired differences: +1 with chance `better`, -1 with chance `worse`, one seed."""
    return np.random.default_rng(seed).choice([1, 0, -1], size=(1, n), p=[better, 1 - better - worse, worse])


def test_measured_gain_is_the_difference_of_word_accuracies_over_seeds() -> None:
    # Of 5 and 3 words: seed 1: 6 against 4 right; seed 2: 4 against 4. Mean gain (2/8 + 0/8) / 2.
    earned = np.array([[[5.0, 1.0], [3.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]])
    counts = Counts((0, 1), earned, np.broadcast_to([5.0, 3.0], earned.shape))
    assert _gains({"de": counts})["de"][0] == pytest.approx(0.125)


def test_what_is_possible_may_differ_between_systems() -> None:
    # F1 of 2 x right / (found + gold): 2 x 2 / (3 + 2) against 2 x 1 / (1 + 2).
    counts = Counts((0, 1), np.array([[[2.0, 2.0]], [[2.0, 0.0]]]), np.array([[[3.0, 2.0]], [[2.0, 1.0]]]))
    assert _gains({"de": counts})["de"][0] == pytest.approx(4 / 5 - 2 / 3)


def test_interval_is_the_normal_one_for_paired_bernoulli_words() -> None:
    difference = _bernoulli(500, 0.25, 0.1, seed=3)
    low, high = interval(_gains({"de": _counts(difference)}, resamples=20_000)["de"])
    assert low is not None and high is not None
    error = difference.std() / np.sqrt(500)
    assert (low, high) == pytest.approx(
        (difference.mean() - 1.96 * error, difference.mean() + 1.96 * error), abs=0.1 * error
    )


def test_interval_covers_the_true_gain_about_95_times_in_100() -> None:
    covered = 0
    for trial in range(300):
        counts = _counts(_bernoulli(80, 0.3, 0.15, seed=100 + trial))
        low, high = interval(_gains({"de": counts}, resamples=400, seed=trial)["de"])
        assert low is not None and high is not None
        covered += low <= 0.15 <= high
    # Binomial std of 300 trials at 0.95 is 0.0126; the percentile bootstrap at n = 80 is a little short.
    assert 0.91 <= covered / 300 <= 0.985


def test_seeds_that_agree_do_not_pass_for_more_test_data() -> None:
    one = _bernoulli(300, 0.3, 0.1, seed=5)
    alone = _gains({"de": _counts(one)})["de"][1:].std()
    thrice = _gains({"de": _counts(np.repeat(one, 3, axis=0))})["de"][1:].std()
    assert thrice == pytest.approx(alone, rel=0.1)


def test_without_spread_between_examples_only_seeds_are_resampled() -> None:
    # Every example gains 0, 0 or 1 words with seeds 1, 2, 3: the mean of 3 drawn seeds has variance (2/9) / 3.
    counts = _counts(np.repeat([[0], [0], [1]], 50, axis=1))
    gains = _gains({"de": counts}, resamples=20_000)["de"][1:]
    assert gains.mean() == pytest.approx(1 / 3, abs=0.01)
    assert gains.var() == pytest.approx(2 / 27, rel=0.05)
    assert set(np.round(gains * 3).astype(int)) == {0, 1, 2, 3}


def test_languages_of_a_parallel_test_set_share_their_draws() -> None:
    one = _bernoulli(200, 0.3, 0.1, seed=6)
    gains = _gains({"de": _counts(one), "fr": _counts(one), "sw": _counts(one, first=1000)})
    assert np.array_equal(gains["de"], gains["fr"])
    assert abs(np.corrcoef(gains["de"][1:], gains["sw"][1:])[0, 1]) < 0.1


def test_sharing_draws_is_right_on_average_for_unrelated_test_sets() -> None:
    languages = {str(n): _counts(_bernoulli(200, 0.3, 0.1, seed=50 + n)) for n in range(40)}
    gains = _gains(languages)
    mean = np.mean([gains[code] for code in languages], axis=0)[1:].std()
    apart = np.sqrt(sum(float(gains[code][1:].var()) for code in languages)) / 40
    assert mean == pytest.approx(apart, rel=0.2)


def test_draws_in_chunks_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"de": _counts(_bernoulli(50, 0.3, 0.1, seed=1))}
    whole = _gains(counts, resamples=100)["de"]
    monkeypatch.setattr(bootstrap, "CHUNK", 170)
    assert np.array_equal(_gains(counts, resamples=100)["de"], whole)


def test_nothing_to_draw_from_gives_no_interval_and_no_p_value() -> None:
    gains = _gains({"de": _counts(np.array([[1]]))})["de"]
    assert gains[0] == 1.0
    assert interval(gains) == (None, None)
    assert p_value(gains) is None


def test_p_value_counts_the_other_side_of_zero_twice() -> None:
    resampled = np.array([0.5, -0.1, *([0.2] * 97), 0.0])
    # Two of 100 are not above zero; with the measurement itself (2 + 1) / 101 on each side.
    assert p_value(np.array([0.2, *resampled])) == pytest.approx(6 / 101)
    assert p_value(np.zeros(101)) == 1.0
    assert p_value(np.ones(101)) == pytest.approx(2 / 101)


def test_holm_by_hand() -> None:
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_seeds_moved_apart_spread_on_average_as_measured() -> None:
    """Truth: all 4^4 draws of four seeds, each once, against the textbook's estimates."""
    scores = np.array([[0.5, 0.7, 0.2, 0.9], [0.3, 0.35, 0.8, 0.6]])
    counts = Counts((0,), scores[:, :, None], np.ones((2, 4, 1)))
    draws = np.array(list(product(range(4), repeat=4)))
    shares = np.vstack([np.full(4, 0.25), [[(draw == seed).mean() for seed in range(4)] for draw in draws]])
    drawn = resample({"de": counts}, shares, np.random.default_rng(0))["de"]
    assert (drawn.ours[0], drawn.theirs[0]) == pytest.approx(scores.mean(axis=1))
    assert drawn.their_std[0] == pytest.approx(scores[1].std())
    assert (drawn.their_std[1:] ** 2).mean() == pytest.approx(scores[1].var())
    assert drawn.theirs[1:].mean() == pytest.approx(scores[1].mean())
    assert drawn.theirs[1:].var() == pytest.approx(scores[1].var(ddof=1) / 4)
    # As drawn, without being moved, the gain's variance falls short by 3/4.
    assert drawn.gains[1:].var() == pytest.approx(0.75 * (scores[0] - scores[1]).var(ddof=1) / 4)
