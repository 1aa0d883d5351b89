"""The loop that realignment and fine-tuning share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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


def optimise(
    parameters: Iterable[nn.Parameter],
    losses: Iterable[Callable[[], Tensor]],
    *,
    steps: int,
    learning_rate: float,
    schedule: Literal["constant", "linear"],
    warmup: float,
    progress: Progress,
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

    Returns:
        The loss of each step.

    Raises:
        TrainingError: a loss is not a finite number.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    share = torch.optim.lr_scheduler.LambdaLR(optimiser, _shares(schedule, steps, warmup))
    history: list[float] = []
    for step, loss_of in enumerate(losses):
        loss = loss_of()
        value = loss.item()
        if not math.isfinite(value):
            last = f"the last good loss was {history[-1]:.4f}" if history else "it was the first"
            raise TrainingError(
                f"the loss of step {step + 1} of {steps} is {value} ({last}); try a smaller learning rate"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        share.step()
        history.append(value)
        progress(step + 1, steps, f"loss {value:.3f}")
    return history


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
