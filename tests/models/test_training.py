"""The training loop. Truth: torch's unfused Adam, transformers' schedule, and steps computed by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import get_constant_schedule, get_linear_schedule_with_warmup

from xrealign_bench.models.training import StepLoss, TrainingError, optimise, prefetch


def quiet(done: int, total: int, note: str) -> None:
    pass


CONSTANT: dict[str, Any] = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0, "progress": quiet}


def problem() -> tuple[nn.Linear, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    return nn.Linear(4, 3), [(torch.randn(5, 4), torch.randn(5, 3)) for _ in range(20)]


def loss_of(layer: nn.Linear, given: Tensor, wanted: Tensor) -> Tensor:
    return (layer(given) - wanted).pow(2).mean()


def in_parts(layer: nn.Linear, given: Tensor, wanted: Tensor, parts: int) -> Iterator[Tensor]:
    for rows in torch.arange(len(given)).chunk(parts):
        yield loss_of(layer, given[rows], wanted[rows]) * len(rows) / len(given)


@pytest.mark.parametrize(("schedule", "warmup_steps"), [("constant", 0), ("linear", 0), ("linear", 2)])
def test_training_is_that_of_torchs_adam_with_transformers_schedule(schedule: str, warmup_steps: int) -> None:
    layer, data = problem()
    reference, _ = problem()
    log = optimise(
        layer.parameters(),
        (partial(in_parts, layer, *pair) for pair in data),
        steps=20,
        batch_size=5,
        learning_rate=0.05,
        schedule=schedule,
        warmup_steps=warmup_steps,
        progress=quiet,
    )
    adam = torch.optim.Adam(reference.parameters(), lr=0.05, fused=False, foreach=False)
    if schedule == "linear":
        rate = get_linear_schedule_with_warmup(adam, warmup_steps, 20)
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
    assert log.losses == pytest.approx(expected, abs=1e-6)
    assert log.batch_parts == 1
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-6, rtol=1e-5)


def test_parameters_that_need_no_gradient_stay() -> None:
    layer, data = problem()
    layer.bias.requires_grad_(False)
    bias, weight = layer.bias.clone(), layer.weight.clone()
    losses = [partial(in_parts, layer, *pair) for pair in data[:2]]
    optimise(layer.parameters(), losses, steps=2, batch_size=5, **CONSTANT)
    assert torch.equal(layer.bias, bias)
    assert not torch.equal(layer.weight, weight)


def test_a_first_loss_that_is_no_number_is_not_the_learning_rates_fault() -> None:
    weight = nn.Parameter(torch.tensor(torch.nan))
    with pytest.raises(TrainingError, match=r"step 1 of 1 is nan, before anything was learnt; try --precision fp32"):
        optimise([weight], iter([lambda parts: iter([weight])]), steps=1, batch_size=1, **CONSTANT)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_names_the_step_and_the_last_good_loss(wrong: float) -> None:
    weight = nn.Parameter(torch.tensor(0.25))
    steps: list[int] = []

    def losses() -> Iterator[StepLoss]:
        for factor in (1, wrong, 1):
            yield lambda parts, factor=factor: iter([weight * factor])

    with pytest.raises(TrainingError, match=r"step 2 of 3 is (nan|inf) \(the last good loss was 0\.2500\)"):
        optimise(
            [weight],
            losses(),
            steps=3,
            batch_size=1,
            **CONSTANT | {"progress": lambda done, total, note: steps.append(done)},
        )
    assert steps == [1]
    assert weight.item() == pytest.approx(0.15)  # the one good step, and no other


def test_a_batch_that_does_not_fit_is_cut_into_parts_that_do() -> None:
    """Two of five examples fit in memory: steps are those of the whole batch, with the same random numbers."""
    layer, data = problem()
    reference, _ = problem()
    tried: list[int] = []
    drawn: list[float] = []
    notes: list[str] = []

    def loss(pair: tuple[Tensor, Tensor], parts: int) -> Iterator[Tensor]:
        tried.append(parts)
        drawn.append(torch.rand(()).item())
        for number, part in enumerate(in_parts(layer, *pair, parts)):
            if (parts < 4 and number > 0) or parts == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")
            yield part

    given = CONSTANT | {"progress": lambda done, total, note: notes.append(note)}
    torch.manual_seed(1)
    log = optimise(layer.parameters(), (partial(loss, p) for p in data[:2]), steps=2, batch_size=5, **given)
    torch.manual_seed(1)
    expected = [torch.rand(()).item() for _ in range(2)]
    assert tried == [1, 2, 4, 4] and log.batch_parts == 4
    assert drawn == [expected[0]] * 3 + [expected[1]]
    assert all(note.endswith(", in 4 parts, memory is short") for note in notes)
    whole = optimise(
        reference.parameters(), (partial(in_parts, reference, *p) for p in data[:2]), steps=2, batch_size=5, **CONSTANT
    )
    assert log.losses == pytest.approx(whole.losses, abs=1e-6)
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-6, rtol=1e-5)


def test_no_memory_for_a_single_example_is_said_and_other_errors_stay() -> None:
    layer, _ = problem()

    def short(parts: int) -> Iterator[Tensor]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        yield

    def broken(parts: int) -> Iterator[Tensor]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        yield

    with pytest.raises(TrainingError, match=r"memory runs out in step 1 of 1 with one example at a time; give a small"):
        optimise(layer.parameters(), [short], steps=1, batch_size=6, **CONSTANT)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        optimise(layer.parameters(), [broken], steps=1, batch_size=6, **CONSTANT)


def test_scaled_losses_give_the_same_steps_and_one_that_overflows_is_done_again() -> None:
    layer, data = problem()
    reference, _ = problem()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    losses = [partial(in_parts, layer, *pair) for pair in data[:3]]
    log = optimise(layer.parameters(), losses, steps=3, batch_size=5, scaler=scaler, **CONSTANT)
    plain = optimise(
        reference.parameters(), [partial(in_parts, reference, *p) for p in data[:3]], steps=3, batch_size=5, **CONSTANT
    )
    assert log.losses == pytest.approx(plain.losses, abs=1e-6)
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-6, rtol=1e-5)
    weight = nn.Parameter(torch.tensor(1.0))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    optimise([weight], [lambda parts: iter([weight * 8])], steps=1, batch_size=1, scaler=scaler, **CONSTANT)
    assert weight.item() == pytest.approx(0.9) and scaler.get_scale() == 2.0**124


def test_gradients_that_overflow_at_any_scale_end_the_training() -> None:
    weight = nn.Parameter(torch.tensor(0.0))
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(TrainingError, match="the gradients of step 1 of 1 overflow float16 at any scale; try --pre"):
        optimise([weight], [lambda parts: iter([weight.sqrt()])], steps=1, batch_size=1, scaler=scaler, **CONSTANT)


def test_a_batch_is_made_while_the_one_before_it_is_computed_with() -> None:
    made = [threading.Event() for _ in range(3)]

    def batches() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    given = prefetch(batches())
    assert next(given) == 0
    assert made[1].wait(10) and not made[2].is_set()  # one batch ahead, and no more
    assert list(given) == [1, 2]


def test_a_batch_that_cannot_be_made_ends_the_training_with_its_error() -> None:
    def batches() -> Iterator[int]:
        yield 1
        raise KeyError("row")

    given = prefetch(batches())
    assert next(given) == 1
    with pytest.raises(KeyError, match="row"):
        next(given)
