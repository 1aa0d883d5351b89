"""Truth: cases that can be worked out by hand, and boards whose true ranks are known."""

import numpy as np

from xrealign_bench.results.comparison import Gain, Variance
from xrealign_bench.scoring.ranks import baseline_gain, difference, rank_sets, tell_apart

PRIOR = Variance(value=1e-4, df=6)


def _sets(gains: list[Gain]) -> list[tuple[int, int]]:
    return rank_sets(len(gains), tell_apart(gains))


def _gain(by_seed: list[float], examples: float = 0.0) -> Gain:
    mean = float(np.mean(by_seed))
    return Gain(
        mean=mean, low=None, high=None, languages=9, by_seed=by_seed, prior=PRIOR,
        examples=Variance(value=examples, df=99),
    )  # fmt: skip


def test_rows_that_are_told_apart_have_one_rank_each() -> None:
    gains = [_gain([0.5, 0.51, 0.5]), _gain([0.3, 0.3, 0.31]), baseline_gain(3)]
    assert _sets(gains) == [(1, 1), (2, 2), (3, 3)]


def test_rows_that_are_not_told_apart_share_their_ranks() -> None:
    gains = [_gain([0.5, 0.51, 0.5]), _gain([0.005, -0.004, 0.003]), baseline_gain(3)]
    assert _sets(gains) == [(1, 1), (2, 3), (2, 3)]


def test_pairs_that_are_told_apart_name_the_better_one_first() -> None:
    gains = [baseline_gain(3), _gain([0.5, 0.51, 0.5]), _gain([0.005, -0.004, 0.003])]
    assert tell_apart(gains) == [(1, 0), (1, 2)]


def test_there_are_no_chains() -> None:
    """A and B, and B and C, do not differ significantly; A and C do. So C can't be first."""
    gains = [_gain([0.024] * 3), _gain([0.012] * 3), _gain([0.0] * 3)]
    assert _sets(gains) == [(1, 2), (1, 3), (2, 3)]


def test_the_difference_to_the_baseline_is_the_gain_itself() -> None:
    found = difference(_gain([0.02, 0.04], examples=1e-4), baseline_gain(2))
    assert found is not None
    assert (round(found.mean, 9), round(found.variance * 1e4, 6)) == (0.03, round((6 + 2) / 7 / 2 + 1, 6))


def test_a_board_of_one_row() -> None:
    assert _sets([baseline_gain(3)]) == [(1, 1)]


def test_all_sets_hold_the_true_ranks_at_once() -> None:
    """200 boards of seven rows with three levels; variances from the prior. Binomial standard deviation: 1.5 %."""
    rng, held = np.random.default_rng(0), 0
    truth = [0.0, 0.0, 0.02, 0.02, 0.05, 0.05]
    ranks = [1 + sum(other > own for other in [*truth, 0.0]) for own in [*truth, 0.0]]
    for _ in range(200):
        runs = rng.normal(0, np.sqrt(PRIOR.value / 2 * 6 / rng.chisquare(6)), (7, 3))  # the last is the baseline's
        gains = [_gain((mean + run - runs[-1]).tolist()) for mean, run in zip(truth, runs[:-1], strict=True)]
        sets = _sets([*gains, baseline_gain(3)])
        held += all(low <= rank <= high for rank, (low, high) in zip(ranks, sets, strict=True))
    assert held / 200 >= 0.93
