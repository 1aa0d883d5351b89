"""The training loop. Truth: torch's own Adam without fusing, transformers' own schedule, steps worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from transformers import get_constant_schedule, get_linear_schedule_with_warmup

from xrealign_bench.models.training import TrainingError, optimise


def quiet(done: int, total: int, note: str) -> None:
    pass


def problem() -> tuple[nn.Linear, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    return nn.Linear(4, 3), [(torch.randn(5, 4), torch.randn(5, 3)) for _ in range(20)]


def loss_of(layer: nn.Linear, given: Tensor, wanted: Tensor) -> Tensor:
    return (layer(given) - wanted).pow(2).mean()


@pytest.mark.parametrize(("schedule", "warmup"), [("constant", 0.0), ("linear", 0.0), ("linear", 0.1)])
def test_training_is_that_of_torchs_adam_with_transformers_schedule(schedule: str, warmup: float) -> None:
    layer, data = problem()
    reference, _ = problem()
    history = optimise(
        layer.parameters(),
        (partial(loss_of, layer, *pair) for pair in data),
        steps=20,
        learning_rate=0.05,
        schedule=schedule,
        warmup=warmup,
        progress=quiet,
    )
    adam = torch.optim.Adam(reference.parameters(), lr=0.05, fused=False, foreach=False)
    if schedule == "linear":
        rate = get_linear_schedule_with_warmup(adam, round(warmup * 20), 20)
    else:
        rate = get_constant_schedule(adam)
    expected = []
    for pair in data:
        loss = loss_of(reference, *pair)
        expected.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    assert history == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-6, rtol=1e-5)


def test_parameters_that_need_no_gradient_stay() -> None:
    layer, data = problem()
    layer.bias.requires_grad_(False)
    bias, weight = layer.bias.clone(), layer.weight.clone()
    losses = [partial(loss_of, layer, *pair) for pair in data[:2]]
    optimise(layer.parameters(), losses, steps=2, learning_rate=0.1, schedule="constant", warmup=0, progress=quiet)
    assert torch.equal(layer.bias, bias)
    assert not torch.equal(layer.weight, weight)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_names_the_step_and_the_last_good_loss(wrong: float) -> None:
    weight = nn.Parameter(torch.tensor(0.25))
    steps: list[int] = []

    def losses() -> Iterator[Callable[[], Tensor]]:
        yield lambda: weight * 1
        yield lambda: weight * wrong
        yield lambda: weight * 1

    with pytest.raises(TrainingError, match=r"step 2 of 3 is (nan|inf) \(the last good loss was 0\.2500\)"):
        optimise(
            [weight],
            losses(),
            steps=3,
            learning_rate=0.1,
            schedule="constant",
            warmup=0,
            progress=lambda done, total, note: steps.append(done),
        )
    assert steps == [1]
    assert weight.item() == pytest.approx(0.15)  # the one good step, and no other
