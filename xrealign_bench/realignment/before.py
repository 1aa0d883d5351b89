"""Realignment before fine-tuning."""

from __future__ import annotations

import torch
from torch import nn

from xrealign_bench.models.adapters import adapter_parameters, add_adapter
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.embedding_rows import shrink_embeddings
from xrealign_bench.models.precision import loss_scaler
from xrealign_bench.models.training import TrainingProgress, optimise
from xrealign_bench.realignment.losses import RealignmentLog, RealignmentLosses
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment


# Over 50 lines only with its docstring.
def realign(
    encoder: nn.Module,
    corpus: PairCorpus,
    realignment: Realignment,
    *,
    seed: int,
    device: torch.device,
    progress: TrainingProgress,
) -> RealignmentLog:
    """Realign an encoder in place (AlignFreeze, section 3). Dropout is on.

    Frozen parameters stay bit-identical, and no graph is built below the lowest trained one. Without an adapter, every
    parameter is trainable again afterwards.

    Args:
        encoder: as `load_encoder` returns it.
        corpus: the pairs; each language needs at least one.
        realignment: the settings; steps and learning rate must be numbers.
        seed: seeds the adapter, the batches, the projection head and dropout.
        device: where to compute.
        progress: called after each step.

    Raises:
        UserError: a language has no pair with a link, or the freezing or the adapter does not fit the model.
        TrainingError: the loss is not finite.
    """
    schedule = realignment.schedule
    if not isinstance(schedule.steps, int) or not isinstance(schedule.learning_rate, float):
        raise ValueError("the schedule's steps and learning rate must be numbers")
    adapted = only = None
    if realignment.adapter is not None:
        seed_everything(seed)
        adapted = add_adapter(encoder, realignment.adapter)
        only = adapter_parameters(adapted)
    losses = RealignmentLosses(encoder, corpus, realignment, seed, device, only)
    model = nn.ModuleList([encoder, losses.head]).train()
    with shrink_embeddings(encoder, losses.texts()):
        log = optimise(
            model.to(device).parameters(),
            losses.draw(schedule.steps),
            steps=schedule.steps,
            batch_size=schedule.batch_size,
            learning_rate=schedule.learning_rate,
            schedule=schedule.lr_schedule,
            warmup_steps=0,
            progress=progress,
            scaler=loss_scaler(encoder, device),
        )
        reached = [parameter for parameter in encoder.parameters() if parameter.grad is not None]
        encoder.zero_grad(set_to_none=True)
    done = losses.log(log.losses, log.batch_parts, reached, adapted)
    if adapted is None:
        encoder.requires_grad_(True)
    encoder.eval()
    return done
