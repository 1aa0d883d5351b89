"""Measures of the inside of a model. Truth: definitions written out in loops, constructed cases, and scikit-learn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from xrealign_bench.analysis.calibration import expected_calibration_error
from xrealign_bench.analysis.cka import linear_cka
from xrealign_bench.analysis.error_rates import error_rates, frequency_bands
from xrealign_bench.analysis.geometry import anisotropy, effective_rank
from xrealign_bench.analysis.gradient_conflict import gradient_cosine, gradients_of, parameters_by_block
from xrealign_bench.analysis.mexa import mexa
from xrealign_bench.analysis.probes import cross_validated_accuracy, fit_probe
from xrealign_bench.analysis.representation_drift import mean_cosine, relative_norm, share_along
from xrealign_bench.analysis.retrieval import retrieval_accuracy
from xrealign_bench.analysis.word_precision import word_hits

Array = NDArray[np.float64]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(dim: int, seed: int = 1) -> Array:
    return np.linalg.qr(normal(dim, dim, seed=seed))[0]


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def noisy_pairs(n: int = 40, noise: float = 1.0) -> tuple[Array, Array]:
    sources = normal(n, 8)
    return sources, sources + noise * normal(n, 8, seed=3)


def test_retrieval_of_a_permuted_copy_finds_what_was_permuted_back() -> None:
    vectors, order = normal(50, 8), np.random.default_rng(5).permutation(50)
    permuted = vectors[order]
    assert retrieval_accuracy(vectors, permuted[np.argsort(order)]) == (1.0, 1.0)
    fixed = float(np.mean(order == np.arange(50)))
    assert retrieval_accuracy(vectors, permuted) == (fixed, fixed)


def test_retrieval_agrees_with_a_loop() -> None:
    sources, targets = noisy_pairs()
    forward = [max(range(40), key=lambda j: cosine(sources[i], targets[j])) == i for i in range(40)]
    backward = [max(range(40), key=lambda j: cosine(sources[j], targets[i])) == i for i in range(40)]
    assert 0 < np.mean(forward) < 1
    assert retrieval_accuracy(sources, targets) == (np.mean(forward), np.mean(backward))


def test_mexa_agrees_with_its_definition_in_loops() -> None:
    sources, targets = noisy_pairs()
    counted = 0
    for i in range(40):
        rivals = [cosine(sources[i], targets[j]) for j in range(40) if j != i]
        rivals += [cosine(sources[j], targets[i]) for j in range(40) if j != i]
        counted += cosine(sources[i], targets[i]) > max(rivals)
    assert 0 < counted < 40
    assert mexa(sources, targets) == counted / 40
    assert mexa(sources, targets) <= min(retrieval_accuracy(sources, targets))


def test_a_collapsed_model_has_no_alignment_by_mexa() -> None:
    assert mexa(np.ones((5, 3)), np.ones((5, 3))) == 0.0
    with pytest.raises(ValueError, match="two pairs"):
        mexa(np.ones((1, 3)), np.ones((1, 3)))


@pytest.mark.parametrize("negatives", ["both_languages", "other_language"])
def test_word_hits_agree_with_loops(negatives: Any) -> None:
    sources, targets = noisy_pairs(12, 0.9)
    vectors = np.concatenate([sources, targets])
    side = np.arange(24) >= 12
    anchors = np.arange(24)
    positives = np.roll(anchors, 12)
    expected: list[bool] = []
    both = negatives == "both_languages"
    for anchor, positive in zip(anchors, positives, strict=True):
        candidates = [c for c in range(24) if c != anchor and (both or side[c] != side[anchor])]
        expected.append(max(candidates, key=lambda c: cosine(vectors[anchor], vectors[c])) == positive)
    hits = word_hits(vectors, anchors, positives, side, negatives)
    assert hits.tolist() == expected
    assert 0 < sum(expected) < 24


def hsic_u_statistic(left: Array, right: Array) -> float:
    """The unbiased HSIC as the mean over all tuples of four different texts (Song et al. 2012, equation 4)."""
    k, m = left @ left.T, right @ right.T
    tuples = list(itertools.permutations(range(len(left)), 4))
    total = sum(k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in tuples)
    return total / len(tuples)


def test_cka_is_the_ratio_of_u_statistics() -> None:
    left, right = normal(7, 3), normal(7, 5, seed=9)
    right[:, :3] += left
    expected = hsic_u_statistic(left, right) / math.sqrt(hsic_u_statistic(left, left) * hsic_u_statistic(right, right))
    assert linear_cka(left, right) == pytest.approx(expected, rel=1e-9)


def test_cka_of_a_rotated_scaled_and_shifted_copy_is_1() -> None:
    vectors = normal(60, 16)
    assert linear_cka(vectors, 3 * vectors @ rotation(16) + 100) == pytest.approx(1.0, abs=1e-9)


def test_cka_of_independent_vectors_is_0_even_with_few_texts_in_many_dimensions() -> None:
    values = [linear_cka(normal(20, 100, seed=s), normal(20, 100, seed=s + 1000)) for s in range(40)]
    assert abs(np.mean(values)) < 0.05


def test_cka_needs_four_texts_that_differ() -> None:
    with pytest.raises(ValueError, match="four texts"):
        linear_cka(normal(3, 2), normal(3, 2))
    with pytest.raises(ValueError, match="differ"):
        linear_cka(np.ones((5, 2)), normal(5, 2))


def test_drift_of_a_scaled_copy_is_in_length_alone() -> None:
    vectors = normal(30, 6)
    assert mean_cosine(vectors, 2 * vectors) == pytest.approx(1.0)
    assert relative_norm(vectors, 2 * vectors) == pytest.approx(2.0)
    assert mean_cosine(vectors, -vectors) == pytest.approx(-1.0)


def test_drift_along_a_direction_is_all_of_a_shift_and_its_share_of_random_drift() -> None:
    vectors, direction = normal(3000, 10), normal(10, seed=4)
    assert share_along(vectors, vectors + direction, direction) == pytest.approx(1.0)
    assert share_along(vectors, vectors + normal(3000, 10, seed=8), direction) == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match="no drift"):
        share_along(vectors, vectors, direction)


def test_anisotropy_agrees_with_a_loop_over_pairs() -> None:
    vectors = normal(12, 5) + 0.5
    expected = np.mean([cosine(a, b) for a, b in itertools.combinations(vectors, 2)])
    assert anisotropy(vectors) == pytest.approx(expected)
    assert anisotropy(np.ones((4, 3))) == pytest.approx(1.0)


def test_effective_rank_counts_equal_directions_and_ignores_what_is_rotated_or_shifted() -> None:
    axes = np.concatenate([np.eye(4), -np.eye(4)])
    embedded = np.pad(axes, ((0, 0), (0, 6))) @ rotation(10) + 7
    assert effective_rank(embedded) == pytest.approx(4.0)
    assert effective_rank(np.ones((5, 3))) == 0.0
    p = np.array([0.75, 0.25])  # singular values 3 and 1
    skewed = np.array([[3.0, 0], [-3.0, 0], [0, 1.0], [0, -1.0]])
    assert effective_rank(skewed) == pytest.approx(math.exp(-(p * np.log(p)).sum()))


def test_a_probe_reads_what_is_linear_and_is_at_chance_on_noise() -> None:
    vectors = normal(400, 6)
    labels = np.where(vectors[:, 2] > 0, "x", "y")
    assert cross_validated_accuracy(vectors, labels, range(400)) > 0.95
    noise = np.random.default_rng(3).choice(["x", "y"], 400)
    assert 0.4 < cross_validated_accuracy(vectors, noise, range(400)) < 0.6
    assert fit_probe(vectors[:200], labels[:200]).score(vectors[200:], labels[200:]) > 0.95


def test_vectors_of_one_group_are_never_in_training_and_test_at_once() -> None:
    """Ten copies of each vector with a random label can be memorised, unless copies are kept together."""
    vectors = np.repeat(normal(60, 80), 10, axis=0)
    labels = np.repeat(np.random.default_rng(1).integers(2, size=60), 10)
    apart = cross_validated_accuracy(vectors, labels, np.random.default_rng(2).permutation(600))
    together = cross_validated_accuracy(vectors, labels, np.repeat(range(60), 10))
    assert apart > 0.95 and together < 0.7


def test_a_probe_needs_two_labels() -> None:
    with pytest.raises(ValueError, match="two labels"):
        cross_validated_accuracy(normal(10, 2), ["x"] * 10, range(10))


def test_calibration_error_computed_by_hand() -> None:
    """Ten bins: (0.9, 1.0]: confidence 0.95, accuracy 2/3; (0.5, 0.6]: 0.55 and 1. Weights 3/4 and 1/4."""
    found = expected_calibration_error(np.array([0.95, 0.95, 0.95, 0.55]), np.array([True, True, False, True]), 10)
    assert found == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.45)
    assert expected_calibration_error(np.ones(5), np.ones(5, bool)) == 0.0
    assert expected_calibration_error(np.ones(5), np.zeros(5, bool)) == 1.0


def test_calibrated_probabilities_have_almost_no_error() -> None:
    random = np.random.default_rng(0)
    confidences = random.uniform(0.5, 1, 50_000)
    assert expected_calibration_error(confidences, random.uniform(size=50_000) < confidences) < 0.02


def test_error_rates_by_group_add_up_to_the_whole() -> None:
    random = np.random.default_rng(0)
    gold, predicted = random.integers(3, size=200).tolist(), random.integers(3, size=200).tolist()
    rates = error_rates(gold, predicted, [f"tag{g}" for g in gold])
    wrong = sum(rate.rate * rate.n for rate in rates.values())
    assert wrong == pytest.approx(sum(g != p for g, p in zip(gold, predicted, strict=True)))


def test_frequency_bands_count_words_among_themselves() -> None:
    words = ["rare", *["some"] * 9, *["often"] * 10]
    assert frequency_bands(words) == ["once", *["2-9 times"] * 9, *["10 times or more"] * 10]


class Toy(nn.Module):
    """Two blocks on an embedding, run in order, with what `find_parts` needs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = type("Config", (), {"num_hidden_layers": 2})()
        self.embeddings = nn.Embedding(7, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.embeddings(input_ids)
        for layer in self.layers:
            hidden = torch.tanh(layer(hidden))
        return hidden


def test_the_gradient_cosine_of_a_loss_is_1_with_itself_and_minus_1_with_its_negative() -> None:
    toy, ids = Toy(), torch.tensor([[1, 2, 3]])
    by_block = parameters_by_block(toy)
    assert list(by_block) == [-1, 0, 1]
    loss = toy(ids, torch.ones_like(ids)).square().sum()
    gradients = gradients_of(2 * loss, by_block)
    again = gradients_of(-toy(ids, torch.ones_like(ids)).square().sum(), by_block)
    for block in by_block:
        assert gradient_cosine(gradients[block], gradients[block]) == pytest.approx(1.0)
        assert gradient_cosine(gradients[block], again[block]) == pytest.approx(-1.0)
    assert all(parameter.grad is None for parameter in toy.parameters())


def test_gradient_cosine_agrees_with_flat_vectors_and_is_none_where_a_loss_does_not_reach() -> None:
    a = [torch.randn(3, 2), torch.randn(4)]
    b = [torch.randn(3, 2), torch.randn(4)]
    flat = [torch.cat([part.flatten() for part in side]) for side in (a, b)]
    expected = torch.nn.functional.cosine_similarity(flat[0], flat[1], dim=0).item()
    assert gradient_cosine(a, b) == pytest.approx(expected, abs=1e-6)
    assert gradient_cosine([None, None], b) is None
