"""Truth: numpy's variances, the jackknife, and Monte Carlo draws of examples."""

import numpy as np
import pytest

from xrealign_bench.scoring.example_variance import PairedCounts, variance_of_examples


def _paired(ours: np.ndarray, theirs: np.ndarray, first: int = 0) -> PairedCounts:
    """Make counts from right (1) or wrong (0) per seed and example, one word each."""
    earned = np.stack([ours, theirs]).astype(np.float64)
    return PairedCounts(tuple(range(first, first + ours.shape[1])), earned, np.ones_like(earned))


def test_gain_is_the_difference_of_word_accuracies_by_seed() -> None:
    # Of 5 and 3 words: seed 1: 6 against 4 right; seed 2: 4 against 4.
    earned = np.array([[[5.0, 1.0], [3.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]])
    counts = PairedCounts((0, 1), earned, np.broadcast_to([5.0, 3.0], earned.shape))
    assert counts.gains.tolist() == pytest.approx([0.25, 0.0])


def test_what_is_possible_may_differ_between_systems() -> None:
    # F1 of 2 x right / (found + gold): 2 x 2 / (3 + 2) against 2 x 1 / (1 + 2).
    counts = PairedCounts((0, 1), np.array([[[2.0, 2.0]], [[2.0, 0.0]]]), np.array([[[3.0, 2.0]], [[2.0, 1.0]]]))
    assert counts.gains[0] == pytest.approx(4 / 5 - 2 / 3)


def test_one_seed_has_the_variance_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(2, size=(2, 1, 300))
    counts = _paired(ours, theirs)
    found = variance_of_examples([(1.0, counts.examples, counts.influence)]).own
    assert found.value == pytest.approx((ours - theirs).var(ddof=1) / 300)
    assert found.df == 299


def test_a_ratio_has_the_variance_of_the_jackknife() -> None:
    rng = np.random.default_rng(1)
    possible = rng.integers(3, 20, size=(2, 1, 400)).astype(np.float64)
    counts = PairedCounts(tuple(range(400)), np.floor(possible * rng.random((2, 1, 400))), possible)
    left_out = [
        PairedCounts(counts.examples[1:], np.delete(counts.earned, place, 2), np.delete(possible, place, 2)).gains[0]
        for place in range(400)
    ]
    found = variance_of_examples([(1.0, counts.examples, counts.influence)]).own
    assert found.value == pytest.approx(399 / 400 * ((left_out - np.mean(left_out)) ** 2).sum(), rel=0.02)


def test_the_interaction_of_seeds_and_examples_is_not_counted_twice() -> None:
    """Over many simulated studies, the mean estimate is the variance of the examples' own effect."""
    rng = np.random.default_rng(2)
    own, interaction, seeds, examples = 0.3, 0.5, 3, 50
    found = []
    for _ in range(400):
        effects = rng.normal(0, own, examples) + rng.normal(0, interaction, (seeds, examples))
        counts = PairedCounts(tuple(range(examples)), np.stack([effects, 0 * effects]), np.ones((2, seeds, examples)))
        found.append(variance_of_examples([(1.0, counts.examples, counts.influence)]))
    # Negative estimates are raised to 0, which moves the mean up a little.
    assert np.mean([each.own.value for each in found]) == pytest.approx(own**2 / examples, rel=0.12)
    assert np.mean([each.interaction for each in found]) == pytest.approx(interaction**2 / examples, rel=0.05)


def test_languages_of_a_parallel_test_set_share_their_examples() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.integers(2, size=(2, 2, 200))
    one, other = _paired(ours, theirs), _paired(ours, theirs, first=1000)
    alone = variance_of_examples([(1.0, one.examples, one.influence)]).own.value
    same = variance_of_examples([(0.5, one.examples, one.influence)] * 2).own.value
    apart = variance_of_examples([(0.5, each.examples, each.influence) for each in (one, other)]).own.value
    assert (same, apart) == pytest.approx((alone, alone / 2))


def test_one_example_tells_no_variance() -> None:
    counts = _paired(np.array([[1]]), np.array([[0]]))
    assert variance_of_examples([(1.0, counts.examples, counts.influence)]).own.df == 0
