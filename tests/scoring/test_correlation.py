"""Correlation over languages. Truth: Fisher's transformation by hand, and numpy."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign_bench.scoring.correlation import correlate


def test_the_interval_is_fishers() -> None:
    random = np.random.default_rng(3)
    first = random.random(20)
    second = first + random.random(20)
    found = correlate(first.tolist(), second.tolist())
    assert found is not None and found.languages == 20
    assert found.r == pytest.approx(np.corrcoef(first, second)[0, 1])
    half = 1.959964 / np.sqrt(17)
    assert [found.low, found.high] == pytest.approx(np.tanh(np.arctanh(found.r) + np.array([-half, half])))


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.1, 0.2, 0.3], [0.1, 0.2, 0.4]), ([0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]), ([0.1, 0.2, 0.3, 0.4], [0.0] * 4)],
)
def test_there_is_none(first: list[float], second: list[float]) -> None:
    assert correlate(first, second) is None


def test_intervals_cover() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        both = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 12).T
        found = correlate(both[0].tolist(), both[1].tolist())
        assert found is not None
        covered += found.low <= 0.6 <= found.high
    assert covered == pytest.approx(380, abs=14)  # three standard deviations of 400 draws
