"""The loop that realignment and fine-tuning share."""

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

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and a short note."""


StepLoss = Callable[[int], Iterator[Tensor]]
"""The loss of one step, in so many parts: scalars that add up to it, and their gradients to its gradient. Each part has
a graph of its own, is back-propagated before the next one is computed, and reads its share of the batch's examples; of
a batch with fewer examples there are fewer parts. Of several processes each one gets its own of them, perhaps none."""


@dataclass(frozen=True)
class TrainingLog:
    losses: list[float]
    """One a step."""
    batch_parts: int
    """Into how many parts batches were cut in the end: one for each process, more where memory was short."""


@dataclass(frozen=True)
class FinetuningLog(TrainingLog):
    tokens: int
    """Sub-words read, padding not counted."""


@dataclass
class JointLoss:
    """A second loss that is added to the first in every step, though not for all parameters."""

    losses: Iterator[StepLoss]
    """One a step."""
    weight: float
    parameters: Sequence[nn.Parameter]
    """Its own, which the first loss does not reach; they are trained too."""
    frozen: Sequence[nn.Parameter]
    """Parameters of the first loss that this one leaves alone: it gives them no gradient."""
    texts: Iterable[Sequence[int]]
    """Sub-words of all that it reads."""
    history: list[float] = field(default_factory=list)
    """Its value in each step so far, before the weight."""
    reached: Sequence[nn.Parameter] = ()
    """The first loss's parameters that it gives a gradient."""


def optimise(
    parameters: Iterable[nn.Parameter],
    losses: Iterable[StepLoss],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    schedule: Literal["constant", "linear"],
    warmup: float,
    progress: Progress,
    joint: JointLoss | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> TrainingLog:
    """Take one step of Adam (0.9, 0.999, 1e-8; no decay, no clipping: AlignFreeze, appendix) a loss.

    Where memory runs out, the step is done again with its batch in twice as many parts, and so are those after it: the
    batch and its loss stay the same. The progress notes say so. Several processes share out a batch's parts, and all
    of them take the step, with the gradient of the whole: their weights stay equal.

    Args:
        parameters: those that require a gradient are trained.
        losses: one a step.
        steps: how many there are.
        batch_size: examples of a step, and so the most parts that it can be cut into.
        learning_rate: the highest.
        schedule: constant, or linear: down to zero at the end.
        warmup: share of the steps in which the learning rate rises from zero.
        progress: told after each step.
        joint: a second loss whose gradient is added in each step; it is computed first.
        scaler: of the losses, where gradients are computed in float16; a step whose gradients overflow is done again
            at half the scale.

    Returns:
        The losses; those of a second one are in `joint.history`.

    Raises:
        TrainingError: a loss is not a finite number, or memory runs out with a single example.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    own = [] if joint is None else joint.parameters
    optimiser = torch.optim.Adam([*trained, *own], lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    share = torch.optim.lr_scheduler.LambdaLR(optimiser, _shares(schedule, steps, warmup))
    scaler = scaler or torch.amp.GradScaler(enabled=False)
    history: list[float] = []
    parts = distributed.world_size()
    distributed.seed_per_rank()
    seconds = None if joint is None else ahead(joint.losses)
    for step, loss_of in enumerate(ahead(losses)):
        second = None if seconds is None else next(seconds)
        where = f"step {step + 1} of {steps}"
        generators = generator_states()
        while True:
            optimiser.zero_grad(set_to_none=True)
            try:
                pulled = None
                with distributed.raise_on_every_rank():
                    if joint is not None and second is not None:
                        pulled = _add_gradients_of(joint, second(parts), scaler, trained, where)
                    value = _add_gradients(loss_of(parts), scaler, history, "loss", where)
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
    """Take the step unless a scaled gradient overflows; then the scale is half of what it was."""
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
    where: str,
    weight: float = 1.0,
    constants: Sequence[nn.Parameter] = (),
) -> float:
    """Go back through each part of a loss, to which `constants` are constants; return its value in all processes."""
    value = 0.0
    while True:
        with _without_gradient(constants):
            part = next(parts, None)
        if part is None:
            return _finite(sum(distributed.all_gather(value)), history, name, where)
        scaler.scale(weight * part).backward()  # type: ignore[no-untyped-call]
        value += part.item()  # afterwards: it waits for the device


def _add_gradients_of(
    joint: JointLoss,
    parts: Iterator[Tensor],
    scaler: torch.amp.GradScaler,
    trained: Sequence[nn.Parameter],
    where: str,
) -> float:
    """`_add_gradients` of a second loss, whose frozen parameters are constants to it."""
    value = _add_gradients(parts, scaler, joint.history, "realignment loss", where, joint.weight, joint.frozen)
    joint.reached = [parameter for parameter in trained if parameter.grad is not None]
    return value


def _finite(value: float, history: Sequence[float], name: str, where: str) -> float:
    if not math.isfinite(value):
        last = f"the last good loss was {history[-1]:.4f}" if history else "it was the first"
        raise TrainingError(f"the {name} of {where} is {value} ({last}); try a smaller learning rate")
    return value


@contextmanager
def _without_gradient(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def ahead(batches: Iterable[Item]) -> Iterator[Item]:
    """Each batch is made while the one before it is computed with.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    waiting = iter(batches)
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = maker.submit(next, waiting, None)
        while (batch := coming.result()) is not None:
            coming = maker.submit(next, waiting, None)
            yield batch


def shuffled(size: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Batches of one random order after the other; what is left over at the end of one is its last, smaller batch."""
    random, step = np.random.default_rng(seed), 0
    while True:
        order = random.permutation(size).tolist()
        for begin in range(0, size, batch_size):
            if step == steps:
                return
            yield order[begin : begin + batch_size]
            step += 1


def _shares(schedule: Literal["constant", "linear"], steps: int, warmup: float) -> Callable[[int], float]:
    """Step -> share of the learning rate, as transformers' linear schedule has it."""
    rising = round(warmup * steps)

    def share(step: int) -> float:
        if step < rising:
            return step / rising
        return 1.0 if schedule == "constant" else max(0.0, (steps - step) / max(1, steps - rising))

    return share
