"""The contrastive loss. Truth: the definition as plain loops, values computed by hand, and properties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from xrealign_bench.realignment.contrastive import contrastive, projection_head

NEGATIVES = ("both_languages", "other_language")


def definition(
    words: Tensor, anchors: list[int], positives: list[int], side: list[bool], temperature: float, negatives: str
) -> Tensor:
    """Compute AlignFreeze's loss, one anchor and one candidate at a time."""

    def similarity(a: int, b: int) -> Tensor:
        return (words[a] * words[b]).sum() / (words[a].pow(2).sum().sqrt() * words[b].pow(2).sum().sqrt())

    losses = []
    for anchor, positive in zip(anchors, positives, strict=True):
        below = torch.zeros((), dtype=words.dtype)
        for candidate in range(len(words)):
            if candidate == anchor:
                continue
            if negatives == "other_language" and side[candidate] == side[anchor]:
                continue
            below = below + torch.exp(similarity(anchor, candidate) / temperature)
        losses.append(-torch.log(torch.exp(similarity(anchor, positive) / temperature) / below))
    return torch.stack(losses).mean()


def random_case(seed: int, dtype: torch.dtype) -> tuple[Tensor, list[int], list[int], list[bool]]:
    """Draw words of both sides in mixed order, some of them without a link."""
    random = torch.Generator().manual_seed(seed)
    n_source, n_target, n_links = (int(torch.randint(low, 9, (), generator=random)) for low in (4, 4, 1))
    n_links = min(n_links, n_source, n_target)
    order = torch.randperm(n_source + n_target, generator=random).tolist()
    sources, targets = order[:n_source], order[n_source:]
    side = [position in targets for position in range(len(order))]
    words = torch.randn(len(order), 6, generator=random, dtype=torch.float64).to(dtype)
    anchors = sources[:n_links] + targets[:n_links]
    positives = targets[:n_links] + sources[:n_links]
    return words, anchors, positives, side


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_are_those_of_the_definition(
    seed: int, dtype: torch.dtype, tolerance: float, negatives: str
) -> None:
    words, anchors, positives, side = random_case(seed, dtype)
    plain = words.clone().requires_grad_()
    vectorised = words.clone().requires_grad_()
    expected = definition(plain, anchors, positives, side, 0.3, negatives)
    loss = contrastive(vectorised, torch.tensor(anchors), torch.tensor(positives), torch.tensor(side), 0.3, negatives)
    expected.backward()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=tolerance)
    torch.testing.assert_close(vectorised.grad, plain.grad, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_gradient_is_that_of_finite_differences(negatives: str) -> None:
    words, anchors, positives, side = random_case(11, torch.float64)
    given = (torch.tensor(anchors), torch.tensor(positives), torch.tensor(side))
    assert torch.autograd.gradcheck(lambda w: contrastive(w, *given, 0.5, negatives), (words.requires_grad_(),))


def test_three_words_worked_out_by_hand() -> None:
    # Source a = (1, 0); targets b = (2, 0), linked to a, and c = (0, 1), in no link. Cosines: ab 1, ac 0, bc 0.
    # Anchor a: candidates b and c, -log(e^2 / (e^2 + e^0)) at temperature 0.5. Anchor b: a and c, the same; with
    # the other language only, b has no candidate but a: 0.
    words = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    given = (torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([False, True, True]), 0.5)
    one = math.log(1 + math.exp(-2))
    assert contrastive(words, *given, "both_languages").item() == pytest.approx(one, abs=1e-6)
    assert contrastive(words, *given, "other_language").item() == pytest.approx(one / 2, abs=1e-6)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_the_order_of_the_words_does_not_matter(negatives: str) -> None:
    words, anchors, positives, side = random_case(3, torch.float64)
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(0))
    place = torch.argsort(order)
    at_first = contrastive(words, torch.tensor(anchors), torch.tensor(positives), torch.tensor(side), 0.1, negatives)
    permuted = contrastive(words[order], place[anchors], place[positives], torch.tensor(side)[order], 0.1, negatives)
    assert permuted.item() == pytest.approx(at_first.item(), abs=1e-12)


def test_the_length_of_a_vector_does_not_matter() -> None:
    words, anchors, positives, side = random_case(4, torch.float64)
    given = (torch.tensor(anchors), torch.tensor(positives), torch.tensor(side), 0.1, "both_languages")
    lengths = torch.linspace(0.1, 30, len(words), dtype=torch.float64).unsqueeze(1)
    assert contrastive(words * lengths, *given).item() == pytest.approx(contrastive(words, *given).item(), abs=1e-12)


def test_a_word_in_no_link_is_a_negative() -> None:
    words, anchors, positives, side = random_case(5, torch.float64)
    given = (torch.tensor(anchors), torch.tensor(positives))
    more = torch.cat([words, words[anchors[:1]]])  # as near to the first anchor as can be
    without = contrastive(words, *given, torch.tensor(side), 0.1, "both_languages")
    assert contrastive(more, *given, torch.tensor([*side, side[anchors[0]]]), 0.1, "both_languages") > without


def test_a_batch_without_links_has_no_loss() -> None:
    none = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="without links"):
        contrastive(torch.randn(3, 2), none, none, torch.tensor([False, True, True]), 0.1, "both_languages")


def test_the_projection_is_two_layers_without_biases() -> None:
    head = projection_head(6, 4)
    shapes = [tuple(parameter.shape) for parameter in head.parameters()]
    assert shapes == [(6, 6), (4, 6)]
    first, second = head.parameters()
    words = torch.randn(5, 6)
    torch.testing.assert_close(head(words), torch.relu(words @ first.T) @ second.T)
