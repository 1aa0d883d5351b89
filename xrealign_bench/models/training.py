"""The loop that realignment and fine-tuning share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from xrealign_bench.errors import TrainingError

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and a short note."""


@dataclass(frozen=True)
class FinetuningLog:
    losses: list[float]
    """One a step."""
    tokens: int
    """Sub-words read, padding not counted."""


@dataclass
class JointLoss:
    """A second loss that is added to the first in every step, though not for all parameters."""

    losses: Iterator[Callable[[], Tensor]]
    """One function a step, as for `optimise`."""
    weight: float
    parameters: Sequence[nn.Parameter]
    """Its own, which the first loss does not reach; they are trained too."""
    frozen: Sequence[nn.Parameter]
    """Parameters of the first loss that this one leaves alone: it gives them no gradient."""
    history: list[float] = field(default_factory=list)
    """Its value in each step so far, before the weight."""
    reached: int = 0
    """How many numbers of the first loss's parameters it gives a gradient."""


def optimise(
    parameters: Iterable[nn.Parameter],
    losses: Iterable[Callable[[], Tensor]],
    *,
    steps: int,
    learning_rate: float,
    schedule: Literal["constant", "linear"],
    warmup: float,
    progress: Progress,
    joint: JointLoss | None = None,
) -> list[float]:
    """Take one step of Adam (0.9, 0.999, 1e-8; no decay, no clipping: AlignFreeze, appendix) a loss.

    Args:
        parameters: those that require a gradient are trained.
        losses: one function a step, which computes the loss with a graph.
        steps: how many there are.
        learning_rate: the highest.
        schedule: constant, or linear: down to zero at the end.
        warmup: share of the steps in which the learning rate rises from zero.
        progress: told after each step.
        joint: a second loss whose gradient is added in each step; it is computed first.

    Returns:
        The loss of each step; that of a second one is in `joint.history`.

    Raises:
        TrainingError: a loss is not a finite number.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    own = [] if joint is None else joint.parameters
    optimiser = torch.optim.Adam([*trained, *own], lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    share = torch.optim.lr_scheduler.LambdaLR(optimiser, _shares(schedule, steps, warmup))
    history: list[float] = []
    for step, loss_of in enumerate(losses):
        optimiser.zero_grad(set_to_none=True)
        note = ""
        if joint is not None:
            _add_gradients_of(joint, trained, step, steps)
            note = f", realignment {joint.history[-1]:.3f}"
        loss = loss_of()
        history.append(_finite(loss, history, "loss", step, steps))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        share.step()
        progress(step + 1, steps, f"loss {history[-1]:.3f}{note}")
    return history


def _add_gradients_of(joint: JointLoss, trained: Sequence[nn.Parameter], step: int, steps: int) -> None:
    """Compute the second loss with its frozen parameters as constants, and go back through it at once."""
    for parameter in joint.frozen:
        parameter.requires_grad_(False)
    try:
        loss = next(joint.losses)()
    finally:
        for parameter in joint.frozen:
            parameter.requires_grad_(True)
    joint.history.append(_finite(loss, joint.history, "realignment loss", step, steps))
    (joint.weight * loss).backward()  # type: ignore[no-untyped-call]
    joint.reached = sum(parameter.numel() for parameter in trained if parameter.grad is not None)


def _finite(loss: Tensor, history: Sequence[float], name: str, step: int, steps: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        last = f"the last good loss was {history[-1]:.4f}" if history else "it was the first"
        raise TrainingError(
            f"the {name} of step {step + 1} of {steps} is {value} ({last}); try a smaller learning rate"
        )
    return value


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
