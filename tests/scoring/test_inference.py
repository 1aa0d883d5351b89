"""Truth: scipy's t test, hand computation, and coverage on data of known truth."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from xrealign_bench.results.comparison import Variance
from xrealign_bench.scoring.inference import Estimate, add, estimate, holm

NO_PRIOR = Variance(value=0, df=0)


def _estimate(by_seed: list[float], prior: Variance | None, examples: Variance | None = None) -> Estimate:
    found = estimate(by_seed, prior, examples)
    assert found is not None
    return found


def test_without_a_prior_it_is_the_t_test() -> None:
    gains = [0.011, 0.034, 0.018, 0.002]
    found, expected = _estimate(gains, NO_PRIOR), stats.ttest_1samp(gains, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_without_a_prior_examples_add_variance_and_no_degrees_of_freedom() -> None:
    found = _estimate([0.02, 0.04], NO_PRIOR, Variance(value=2e-4, df=999))
    assert (found.variance, found.df) == pytest.approx((3e-4, 1))


def test_the_seeds_variance_is_shrunk_towards_the_prior() -> None:
    # Variances 0.0002 with 1 degree of freedom and 0.0001 with 4: (1 x 2 + 4 x 1) / 5 = 1.2e-4, over two seeds.
    found = _estimate([0.02, 0.04], Variance(value=1e-4, df=4))
    assert (found.mean, found.variance, found.df) == pytest.approx((0.03, 0.6e-4, 5))


def test_one_seed_has_the_priors_interval_alone() -> None:
    low, high = _estimate([0.02], Variance(value=1e-4, df=6)).interval()
    assert (low, high) == pytest.approx((0.02 - 2.446912 * 0.01, 0.02 + 2.446912 * 0.01))  # t table: 0.975, 6
    assert estimate([0.02], NO_PRIOR, None) is None


def test_examples_add_to_the_variance_and_satterthwaite_gives_the_degrees_of_freedom() -> None:
    found = _estimate([0.02, 0.04], Variance(value=1e-4, df=4), Variance(value=2e-4, df=99))
    assert found.variance == pytest.approx(2.6e-4)
    assert found.df == pytest.approx(2.6**2 / (0.6**2 / 5 + 2.0**2 / 99))


def test_a_gain_that_depends_on_no_seed_has_the_examples_variance_alone() -> None:
    found = _estimate([0.03, 0.03], None, Variance(value=1e-4, df=50))
    assert (found.variance, found.df) == pytest.approx((1e-4, 50))
    assert estimate([0.03, 0.03], None, Variance(value=0, df=0)) is None


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert add([Variance(value=1, df=3), Variance(value=2, df=0)]) == Variance(value=3, df=0)


def test_no_variance_at_all() -> None:
    assert _estimate([0.0, 0.0], None, Variance(value=0, df=9)).p_value == 1.0


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 10])
def test_the_interval_covers_95_times_in_100_where_the_prior_is_right(seeds: int) -> None:
    """Data of known truth: variances drawn from the prior, 1,500 studies (standard error 0.6 %)."""
    rng, prior, covered = np.random.default_rng(seeds), Variance(value=1e-4, df=5), 0
    for _ in range(1500):
        variance = prior.value * prior.df / rng.chisquare(prior.df)
        low, high = _estimate(rng.normal(0.01, math.sqrt(variance), seeds).tolist(), prior).interval()
        covered += low <= 0.01 <= high
    assert covered / 1500 == pytest.approx(0.95, abs=0.02)


def test_holm_by_hand() -> None:
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_agrees_with_statsmodels() -> None:
    p_values = np.random.default_rng(4).beta(0.5, 3, 60).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
