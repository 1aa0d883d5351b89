"""Batches of examples: in random order to fine-tune on, of about equal length to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign_bench.models import processes
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.precision import loss_scaler
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress, StepLoss, optimise, shuffled
from xrealign_bench.specs import Finetuning


@dataclass(frozen=True)
class Batch:
    """Examples to fine-tune on, and their loss."""

    tokens: int
    """Sub-words that the model reads, padding not counted."""
    counted: int
    """What the loss is the mean of, such as the words that have a label."""
    loss: Callable[[], Tensor]
    """Computes it, with a graph."""


def finetune(
    model: Any,
    size: int,
    read: Callable[[list[int]], Batch],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    joint: JointLoss | None = None,
) -> FinetuningLog:
    """Fine-tune all parameters of a task's model in place; dropout is on.

    Args:
        model: a fresh one, its `encoder` realigned or not.
        size: how many examples (of words: windows) there are.
        read: numbers of some of them -> a batch of them.
        finetuning: steps, batch size and the schedule of the learning rate, of which `default` is taken.
        seed: of the examples' order and of dropout.
        device: where to compute.
        progress: told after each step.
        joint: a second loss, of realignment, beside that of the task.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    model.to(device).train().requires_grad_(True)
    seed_everything(seed)
    tokens = 0

    def losses() -> Iterator[StepLoss]:
        nonlocal tokens
        for chosen in shuffled(size, finetuning.batch_size, finetuning.steps, seed):
            batch = read(chosen)
            tokens += batch.tokens
            yield partial(_in_parts, read, chosen, batch)

    log = optimise(
        model.parameters(),
        losses(),
        steps=finetuning.steps,
        batch_size=finetuning.batch_size,
        learning_rate=finetuning.learning_rate["default"],
        schedule=finetuning.lr_schedule,
        warmup=finetuning.warmup,
        progress=progress,
        joint=joint,
        scaler=loss_scaler(model.encoder, device),
    )
    model.eval()
    return FinetuningLog(log.losses, log.batch_parts, tokens)


def _in_parts(read: Callable[[list[int]], Batch], chosen: list[int], whole: Batch, parts: int) -> Iterator[Tensor]:
    """The mean loss of a batch, of each part its own mean by its share of what counts."""
    if parts == 1:
        yield whole.loss()
        return
    for piece in processes.own(np.array_split(chosen, min(parts, len(chosen)))):
        batch = read(piece.tolist())
        yield batch.loss() * (batch.counted / whole.counted)


def by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Numbers of examples of about equal length, the longest first, so that memory is short at once or never.

    Args:
        lengths: sub-words of each example.
        tokens: of a batch at most, padding included; a longer example is a batch of its own.

    >>> list(by_length([3, 9, 4, 4], 8))
    [[1], [2, 3], [0]]
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
