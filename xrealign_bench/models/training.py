"""The training loop of realignment and fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor, nn

from xrealign_bench import distributed
from xrealign_bench.errors import TrainingError
from xrealign_bench.models.device import generator_states, restore_generators

Item = TypeVar("Item")

_LESS_MEMORY = "give a smaller max_length, or try --gradient-checkpointing, --precision bf16 or a smaller checkpoint"

TrainingProgress = Callable[[int, int, str], None]
"""Called with the number of steps done, the total number of steps, and a short note."""


StepLoss = Callable[[int], Iterator[Tensor]]
"""Maps a number of parts to the loss of one step as that many scalars, which add up to the loss of the whole batch (as
with gradient accumulation). Each part reads its share of the examples and has its own graph, which is back-propagated
before the next part is computed. A batch with fewer examples has fewer parts. Each rank gets its own parts, or none."""


@dataclass(frozen=True)
class TrainingLog:
    losses: list[float]
    """One per step."""
    batch_parts: int
    """Number of parts per batch at the end: one per rank, or more if memory was short."""


@dataclass(frozen=True)
class FinetuningLog(TrainingLog):
    tokens: int
    """Sub-words read, without padding."""


@dataclass
class JointLoss:
    """A second loss for some of the parameters of the first one, added to it in every step or alternating with it."""

    losses: Iterator[StepLoss]
    """One per step."""
    weight: float
    parameters: Sequence[nn.Parameter]
    """Parameters that only this loss reaches; they are trained too."""
    frozen: Sequence[nn.Parameter]
    """Parameters of the first loss that get no gradient from this one."""
    texts: Iterable[Sequence[int]]
    """Sub-words of every text that it may read."""
    alternates: bool = False
    """It has its own update of the weights, before that of the first loss."""
    history: list[float] = field(default_factory=list)
    """Its value in each step so far, before weighting."""
    reached: Sequence[nn.Parameter] = ()
    """Parameters of the first loss that get a gradient from this one."""


# Long, and with many parameters: it is the whole training, in one place, and its callers name every setting.
def optimise(  # noqa: PLR0913
    parameters: Iterable[nn.Parameter],
    losses: Iterable[StepLoss],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    schedule: Literal["constant", "linear"],
    warmup_steps: int,
    progress: TrainingProgress,
    joint: JointLoss | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> TrainingLog:
    """Run one Adam step per loss (0.9, 0.999, 1e-8; no decay, no clipping: AlignFreeze, appendix).

    If memory runs out, the step is repeated with its batch in twice as many parts, and so are all later ones: the
    batch and its loss stay the same. The progress notes say so. Several ranks share the parts of a batch, and each
    takes the step with the gradient of the whole batch: their weights stay equal.

    Args:
        parameters: those that require a gradient are trained.
        losses: one per step.
        steps: the number of losses.
        batch_size: examples per step, and so the largest number of parts.
        learning_rate: the peak learning rate.
        schedule: constant, or linear decay to zero.
        warmup_steps: number of steps in which the learning rate rises from zero.
        progress: called after each step.
        joint: a second loss, computed first. Its gradient is added in each step, or each step has two updates.
        scaler: scales losses for gradients in float16; a step with overflowing gradients is repeated at half the scale.

    Returns:
        The losses; those of the second loss are in `joint.history`.

    Raises:
        TrainingError: a loss is not finite, or memory runs out with a single example.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    own = [] if joint is None else joint.parameters
    optimiser = torch.optim.Adam([*trained, *own], lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    share = torch.optim.lr_scheduler.LambdaLR(optimiser, _shares(schedule, steps, warmup_steps))
    scaler = scaler or torch.amp.GradScaler(enabled=False)
    history: list[float] = []
    parts = distributed.world_size()
    distributed.seed_per_rank()
    seconds = None if joint is None else prefetch(joint.losses)
    for step, loss_of in enumerate(prefetch(losses)):
        second = None if seconds is None else next(seconds)
        where = f"step {step + 1} of {steps}"
        value = pulled = None
        both = [(loss_of, second)] if joint is None or not joint.alternates else [(None, second), (loss_of, None)]
        for first_of, second_of in both:
            generators = generator_states()
            while True:
                optimiser.zero_grad(set_to_none=True)
                try:
                    with distributed.raise_on_every_rank():
                        if joint is not None and second_of is not None:
                            pulled = _add_gradients_of(joint, second_of(parts), scaler, trained, where)
                        if first_of is not None:
                            value = _add_gradients(first_of(parts), scaler, history, f"loss of {where}")
                    distributed.all_reduce_gradients([*trained, *own])
                    if _stepped(optimiser, scaler, where):
                        break
                except RuntimeError as error:
                    if not should_reduce_batch_size(error):
                        raise
                    if parts >= batch_size:
                        short = f"memory runs out in {where} with one example at a time; {_LESS_MEMORY}"
                        raise TrainingError(short) from None
                    parts = min(2 * parts, batch_size)
                restore_generators(generators)
        assert value is not None
        history.append(value)
        notes = [f"loss {value:.3f}"]
        if joint is not None and pulled is not None:
            joint.history.append(pulled)
            notes.append(f"realignment {pulled:.3f}")
        if parts > distributed.world_size():
            notes.append(f"in {parts} parts, memory is short")
        share.step()
        progress(step + 1, steps, ", ".join(notes))
    return TrainingLog(history, parts)


def _stepped(optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler, where: str) -> bool:
    """Take the step and return True; if a scaled gradient overflows, halve the scale instead and return False."""
    before = scaler.get_scale()
    scaler.step(optimiser)
    scaler.update()
    if before < 1:
        raise TrainingError(f"the gradients of {where} overflow float16 at any scale; try --precision bf16 or fp32")
    return scaler.get_scale() >= before


def _add_gradients(
    parts: Iterator[Tensor],
    scaler: torch.amp.GradScaler,
    history: Sequence[float],
    name: str,
    weight: float = 1.0,
    constants: Sequence[nn.Parameter] = (),
) -> float:
    """Back-propagate each part of a loss, with `constants` detached, and return the sum of its values on all ranks."""
    value = 0.0
    while True:
        with _without_gradient(constants):
            part = next(parts, None)
        if part is None:
            return _finite(sum(distributed.all_gather(value)), history, name)
        scaler.scale(weight * part).backward()  # type: ignore[no-untyped-call]
        value += part.item()  # after backward, because it waits for the device


def _add_gradients_of(
    joint: JointLoss,
    parts: Iterator[Tensor],
    scaler: torch.amp.GradScaler,
    trained: Sequence[nn.Parameter],
    where: str,
) -> float:
    """Back-propagate the second loss, and note which of the first loss's parameters it reaches."""
    name = f"realignment loss of {where}"
    value = _add_gradients(parts, scaler, joint.history, name, joint.weight, joint.frozen)
    joint.reached = [parameter for parameter in trained if parameter.grad is not None]
    return value


def _finite(value: float, history: Sequence[float], name: str) -> float:
    if math.isfinite(value):
        return value
    if history:
        raise TrainingError(
            f"the {name} is {value} (the last good loss was {history[-1]:.4f}); try a smaller learning rate"
        )
    raise TrainingError(
        f"the {name} is {value}, before anything was learnt; try --precision fp32, another checkpoint or, with a "
        "plugin, another loss"
    )


@contextmanager
def _without_gradient(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def prefetch(batches: Iterable[Item]) -> Iterator[Item]:
    """Yield batches, preparing each one in a thread while the previous one is used.

    >>> list(prefetch(iter("abc")))
    ['a', 'b', 'c']
    """
    waiting = iter(batches)
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = maker.submit(next, waiting, None)
        while (batch := coming.result()) is not None:
            coming = maker.submit(next, waiting, None)
            yield batch


def shuffled_batches(size: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Yield batches from one random order after another; the last batch of an order may be smaller."""
    random, step = np.random.default_rng(seed), 0
    while True:
        order = random.permutation(size).tolist()
        for begin in range(0, size, batch_size):
            if step == steps:
                return
            yield order[begin : begin + batch_size]
            step += 1


def _shares(schedule: Literal["constant", "linear"], steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Return a function from the step to a factor of the learning rate, as in transformers' linear schedule."""

    def share(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return 1.0 if schedule == "constant" else max(0.0, (steps - step) / max(1, steps - warmup_steps))

    return share
