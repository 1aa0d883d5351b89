"""Batches of examples: in random order to fine-tune on, of about equal length to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress, optimise, shuffled
from xrealign_bench.specs import Finetuning


def finetune(
    model: nn.Module,
    size: int,
    read: Callable[[list[int]], tuple[int, Callable[[], Tensor]]],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    joint: JointLoss | None = None,
) -> FinetuningLog:
    """Fine-tune all parameters of a task's model in place; dropout is on.

    Args:
        model: a fresh one, its encoder realigned or not.
        size: how many examples (of words: windows) there are.
        read: numbers of some of them -> the sub-words that the model reads, and a function that computes their loss
            with a graph.
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

    def losses() -> Iterator[Callable[[], Tensor]]:
        nonlocal tokens
        for chosen in shuffled(size, finetuning.batch_size, finetuning.steps, seed):
            count, loss = read(chosen)
            tokens += count
            yield loss

    history = optimise(
        model.parameters(),
        losses(),
        steps=finetuning.steps,
        learning_rate=finetuning.learning_rate["default"],
        schedule=finetuning.lr_schedule,
        warmup=finetuning.warmup,
        progress=progress,
        joint=joint,
    )
    model.eval()
    return FinetuningLog(history, tokens)


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
