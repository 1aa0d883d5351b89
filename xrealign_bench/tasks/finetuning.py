"""The fine-tuning loop that task types share: batches of examples in random order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign_bench import distributed
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.embedding_rows import shrink_embeddings
from xrealign_bench.models.precision import loss_scaler
from xrealign_bench.models.training import (
    FinetuningLog,
    JointLoss,
    StepLoss,
    TrainingProgress,
    optimise,
    shuffled_batches,
)
from xrealign_bench.specs import Finetuning


@dataclass(frozen=True)
class Batch:
    """Examples to fine-tune on, and their loss."""

    tokens: int
    """Number of sub-words, without padding."""
    counted: int
    """Number of items that the loss is the mean over, such as labelled words."""
    loss: Callable[[], Tensor]
    """Compute the loss, with a graph."""


@dataclass(frozen=True)
class FinetuningRun:
    """The settings of one fine-tuning, and where it runs."""

    settings: Finetuning
    """Made for one model type; the learning rate is `default`."""
    seed: int
    """Seed of the order of examples and of dropout."""
    device: torch.device
    progress: TrainingProgress
    """Called after each step."""
    joint: JointLoss | None = None
    """A realignment loss added in each step."""


def finetune(
    model: Any,
    texts: Sequence[Sequence[int]],
    pad_id: int,
    read: Callable[[list[int]], Batch],
    run: FinetuningRun,
) -> FinetuningLog:
    """Fine-tune a task's model in place, with dropout: all parameters, or those of the settings' adapter and the head.

    Args:
        model: a new model; with an adapter in the settings, the adapter is on its encoder.
        texts: the sub-words of each example (in word tagging: of each window).
        pad_id: the tokenizer's padding token.
        read: return the batch of the examples with these numbers.
        run: settings, seed and device.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    seed_everything(run.seed)
    settings, joint, tokens = run.settings, run.joint, 0

    def losses() -> Iterator[StepLoss]:
        nonlocal tokens
        for chosen in shuffled_batches(len(texts), settings.batch_size, settings.known_steps, run.seed):
            batch = read(chosen)
            tokens += batch.tokens
            yield partial(_in_parts, read, chosen, batch)

    model.train()
    if settings.adapter is None:
        model.requires_grad_(True)  # else PEFT has frozen what is below the adapter
    with shrink_embeddings(model.encoder, chain([[pad_id]], texts, () if joint is None else joint.texts)):
        model.to(run.device)
        log = optimise(
            model.parameters(),
            losses(),
            steps=settings.known_steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate["default"],
            schedule=settings.lr_schedule,
            warmup_steps=settings.warmup_steps,
            progress=run.progress,
            joint=joint,
            scaler=loss_scaler(model.encoder, run.device),
        )
    model.eval()
    return FinetuningLog(log.losses, log.batch_parts, tokens)


def _in_parts(read: Callable[[list[int]], Batch], chosen: list[int], whole: Batch, parts: int) -> Iterator[Tensor]:
    """Yield the loss of each part of a batch, weighted by its share of the items that the loss is the mean over."""
    if parts == 1:
        yield whole.loss()
        return
    for piece in distributed.shard(np.array_split(chosen, min(parts, len(chosen)))):
        batch = read(piece.tolist())
        yield batch.loss() * (batch.counted / whole.counted)
