"""Truth: exact moments of the bootstrap, and cases that can be worked out by hand."""

from itertools import product

import numpy as np
import pytest

from xrealign_bench.scoring import bootstrap
from xrealign_bench.scoring.bootstrap import count_interval, resample, seed_shares
from xrealign_bench.scoring.example_variance import Floats, PairedCounts


def _gains(languages: dict[str, PairedCounts], resamples: int = 4000, seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    seeds = next(iter(languages.values())).earned.shape[1]
    drawn = resample(languages, seed_shares(seeds, resamples, rng), rng)
    return {code: each.ours - each.theirs for code, each in drawn.items()}


def _counts(difference: np.ndarray, first: int = 0) -> PairedCounts:
    """Examples of one word each, numbered from `first`."""
    examples = tuple(range(first, first + difference.shape[1]))
    earned = np.stack([difference, np.zeros_like(difference)]).astype(np.float64)
    return PairedCounts(examples, earned, np.ones_like(earned))


def _bernoulli(n: int, better: float, worse: float, seed: int) -> np.ndarray:
    """Paired differences: +1 with chance `better`, -1 with chance `worse`, one seed."""
    return np.random.default_rng(seed).choice([1, 0, -1], size=(1, n), p=[better, 1 - better - worse, worse])


def test_seeds_that_agree_do_not_pass_for_more_test_data() -> None:
    one = _bernoulli(300, 0.3, 0.1, seed=5)
    alone = _gains({"de": _counts(one)})["de"][1:].std()
    thrice = _gains({"de": _counts(np.repeat(one, 3, axis=0))})["de"][1:].std()
    assert thrice == pytest.approx(alone, rel=0.1)


def test_without_spread_between_examples_only_seeds_are_resampled() -> None:
    # Every example gains 0, 0 or 1 words with seeds 1, 2, 3: the mean of 3 drawn seeds has variance (2/9) / 3, and
    # moved apart by sqrt(3/2) the unbiased (1/3) / 3.
    counts = _counts(np.repeat([[0], [0], [1]], 50, axis=1))
    gains = _gains({"de": counts}, resamples=20_000)["de"][1:]
    assert gains.mean() == pytest.approx(1 / 3, abs=0.01)
    assert gains.var() == pytest.approx(1 / 9, rel=0.05)


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


def test_nothing_to_draw_from_gives_no_interval() -> None:
    gains = _gains({"de": _counts(np.array([[1]]))})["de"]
    assert gains[0] == 1.0
    assert count_interval(gains) == (None, None)


def test_seeds_moved_apart_spread_on_average_as_measured() -> None:
    """Truth: all 4^4 draws of four seeds, each once, against the textbook's estimates."""
    scores = np.array([[0.5, 0.7, 0.2, 0.9], [0.3, 0.35, 0.8, 0.6]])
    counts = PairedCounts((0,), scores[:, :, None], np.ones((2, 4, 1)))
    draws = np.array(list(product(range(4), repeat=4)))
    shares = np.vstack([np.full(4, 0.25), [[(draw == seed).mean() for seed in range(4)] for draw in draws]])
    drawn = resample({"de": counts}, shares, np.random.default_rng(0))["de"]
    assert (drawn.ours[0], drawn.theirs[0]) == pytest.approx(scores.mean(axis=1))
    assert drawn.their_std[0] == pytest.approx(scores[1].std())
    assert (drawn.their_std[1:] ** 2).mean() == pytest.approx(scores[1].var())
    assert drawn.theirs[1:].mean() == pytest.approx(scores[1].mean())
    assert drawn.theirs[1:].var() == pytest.approx(scores[1].var(ddof=1) / 4)
