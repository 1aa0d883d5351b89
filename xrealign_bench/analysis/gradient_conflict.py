"""Cosine between the gradients of two losses, by block (Veitsman et al., arXiv 2603.18863)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign_bench.analysis.table import ALL_LANGUAGES, Form, Row
from xrealign_bench.models.blocks import find_parts
from xrealign_bench.models.training import JointLoss, StepLoss
from xrealign_bench.realignment.losses import RealignmentLosses
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Freeze
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.registry import Train

EMBEDDINGS = -1
"""Number that stands for the embeddings before the first block."""
BATCHES = 8
"""Batches of each loss whose gradients are compared."""


def parameters_by_block(encoder: nn.Module) -> dict[int, list[nn.Parameter]]:
    """Return the trainable parameters of the embeddings (`EMBEDDINGS`) and of each block.

    Raises:
        UserError: the blocks can't be found.
    """
    parts = find_parts(encoder)
    modules = {EMBEDDINGS: parts.embeddings, **dict(enumerate(parts.blocks))}
    return {
        block: [p for module in own for p in module.parameters() if p.requires_grad] for block, own in modules.items()
    }


def gradient_cosine(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> float | None:
    """Return the cosine between two gradients, each given by parameter; None if a loss does not reach them.

    Args:
        first: gradient of each parameter, None if the loss does not reach it.
        second: likewise, of the same shapes.

    >>> gradient_cosine([torch.tensor([1.0, 0.0]), None], [torch.tensor([2.0, 0.0]), torch.tensor([1.0])])
    0.8944271909999159
    """
    product = sum(float((a.double() * b.double()).sum()) for a, b in _both(first, second))
    lengths = [sum(float(g.double().square().sum()) for g in side if g is not None) for side in (first, second)]
    return None if min(lengths) == 0 else product / (lengths[0] * lengths[1]) ** 0.5


def _both(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
    pairs = zip(first, second, strict=True)
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def gradients_of(loss: Tensor, by_block: dict[int, list[nn.Parameter]]) -> dict[int, list[Tensor | None]]:
    """Return the gradients of a loss by block; `.grad` of the parameters stays as it is."""
    flat = [parameter for own in by_block.values() for parameter in own]
    found = iter(torch.autograd.grad(loss, flat, allow_unused=True))
    return {block: [next(found) for _ in own] for block, own in by_block.items()}


@dataclass(frozen=True)
class TwoLosses:
    """The realignment loss and the task's loss of one model."""

    realignment: Realignment
    corpus: PairCorpus
    train: Train
    """The task type's fine-tuning."""
    tables: Mapping[str, Any]
    """The task's training data."""
    run: FinetuningRun
    """Fine-tuning as the suite sets it; steps, learning rate and progress are replaced."""


def conflict_by_block(model: Any, losses: TwoLosses, batches: int = BATCHES) -> dict[int, list[float]]:
    """Return the cosines between the gradients of both losses, one a batch, by block; weights stay as they are.

    The task's own fine-tuning runs at a learning rate of 0, with dropout, on its first batches. Freezing is left out,
    so that frozen blocks are compared too. The loss of realignment is computed before each of its steps, as in joint
    training, and differentiated apart. Blocks that one of the losses does not reach are left out.

    Args:
        model: the task's model around the encoder.
        losses: both losses.
        batches: number of batches.
    """
    objective = losses.realignment.objective.model_copy(update={"regularisation": None})  # 0 at the start
    whole = replace(losses.realignment, objective=objective, freeze=Freeze(), adapter=None)
    run = losses.run
    second = RealignmentLosses(model.encoder, losses.corpus, whole, run.seed, run.device)
    by_block = parameters_by_block(model.encoder)
    found: dict[int, list[float]] = {}
    gradients: dict[int, list[Tensor | None]] = {}

    def differentiate(loss_of: StepLoss, parts: int) -> Iterator[Tensor]:
        gradients.update(gradients_of(torch.stack(list(loss_of(1))).sum(), by_block))
        yield torch.zeros((), device=run.device, requires_grad=True)  # adds nothing to the task's gradient

    def compare(done: int, total: int, note: str) -> None:
        for block, own in by_block.items():
            cosine = gradient_cosine(gradients[block], [parameter.grad for parameter in own])
            if cosine is not None:
                found.setdefault(block, []).append(cosine)
        run.progress(done, total, note)

    beside = JointLoss(
        losses=(partial(differentiate, loss_of) for loss_of in second.draw(batches)),
        weight=1.0,
        parameters=[],
        frozen=[],
        texts=losses.corpus.texts(),
    )
    settings = run.settings.model_copy(update={"steps": batches, "learning_rate": {"default": 0.0}})
    losses.train(
        model, losses.corpus.pad_id, losses.tables, replace(run, settings=settings, progress=compare, joint=beside)
    )
    model.zero_grad(set_to_none=True)
    return found


def conflict_rows(form: Form, cosines: Mapping[int, Sequence[float]]) -> Iterator[Row]:
    """Yield mean and standard deviation (ddof 1) over batches, by block."""
    for block, values in cosines.items():
        yield Row(form, ALL_LANGUAGES, block, "gradient_cosine", "", float(np.mean(values)), len(values))
        if len(values) > 1:
            deviation = float(np.std(values, ddof=1))
            yield Row(form, ALL_LANGUAGES, block, "gradient_cosine_std", "", deviation, len(values))
