"""Truth: coverage of a new language's gain, which is drawn from a known distribution, and a balanced case by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from xrealign_bench.scoring.further_language import predict_further
from xrealign_bench.scoring.inference import Estimate


def test_without_families_in_common_it_is_the_prediction_interval_of_a_sample() -> None:
    gains = [0.01, 0.03, 0.02, 0.05]
    found = predict_further(gains, list("abcd"), Estimate(float(np.mean(gains)), 0.0, 9))
    assert found is not None
    half = stats.t.ppf(0.975, 3) * math.sqrt(np.var(gains, ddof=1) * (1 + 1 / 4))
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.families == 4


def test_two_families_tell_nothing_of_a_third() -> None:
    assert predict_further([0.1, 0.2, 0.3], ["a", "a", "b"], Estimate(0.2, 1e-4, 9)) is None


@pytest.mark.parametrize("of_family", [0.0, 0.02])
def test_a_new_language_of_a_new_family_is_held_95_times_in_100(of_family: float) -> None:
    """34 languages in 10 families of very unequal size; 1,500 studies (standard error 0.6 %)."""
    rng, held = np.random.default_rng(1), 0
    families = [
        name for name, size in zip("abcdefghij", (15, 5, 4, 2, 2, 2, 1, 1, 1, 1), strict=True) for _ in range(size)
    ]
    for _ in range(1500):
        effect = {name: rng.normal(0.01, of_family) for name in "abcdefghij"}
        true = [effect[name] + rng.normal(0, 0.02) for name in families]
        measured = [gain + rng.normal(0, 0.003) for gain in true]
        found = predict_further(measured, families, Estimate(float(np.mean(measured)), 0.003**2 / 34, 9))
        assert found is not None
        held += found.low <= rng.normal(0.01, of_family) + rng.normal(0, 0.02) <= found.high
    assert 0.92 <= held / 1500 <= 0.985
