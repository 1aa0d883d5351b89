"""Train an encoder so that translated words come to lie together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import block_output, find_blocks, resolve_layer
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.freeze import FreezeReport, freeze
from xrealign_bench.models.text import pool_words
from xrealign_bench.models.training import Progress, optimise
from xrealign_bench.realignment.batches import round_robin
from xrealign_bench.realignment.objectives import projection_head, word_contrastive
from xrealign_bench.realignment.pairs import EncodedPairs, PairBatch, batch_pairs
from xrealign_bench.specs import Freeze, Objective, Schedule


@dataclass(frozen=True)
class RealignmentLog:
    losses: list[float]
    """One a step."""
    frozen: FreezeReport
    trained: int
    """The encoder's parameters that the loss reached: neither frozen nor above the objective's layer."""
    pairs_seen: dict[str, int]
    """Language -> pairs read, repetitions counted."""
    tokens: int
    """Sub-words read, padding not counted."""


def realign(
    encoder: nn.Module,
    pad_id: int,
    pairs: Mapping[str, EncodedPairs],
    *,
    freezing: Freeze,
    objective: Objective,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> RealignmentLog:
    """Realign an encoder in place (AlignFreeze, section 3); afterwards every parameter can be trained again.

    Frozen parameters stay bit-identical, and no graph is built below the lowest trained one. Dropout is on.

    Args:
        encoder: as `load_encoder` gives it.
        pad_id: the tokenizer's padding token.
        pairs: language -> its pairs, at least one each.
        freezing: what stays as it is.
        objective: the loss.
        schedule: with all values given as numbers.
        seed: of batches, projection and dropout.
        device: where to compute.
        progress: told after each step.

    Raises:
        UserError: a language has no pair with a link, or the freezing does not fit the model.
        TrainingError: the loss is not a finite number.
    """
    without = sorted(language for language, encoded in pairs.items() if not encoded.pairs)
    if without:
        raise UserError(
            f"no word of {', '.join(without)} is linked, so there is nothing to realign; choose another aligner"
        )
    if not isinstance(schedule.steps, int) or not isinstance(schedule.learning_rate, float):
        raise ValueError("the schedule's steps and learning rate must be numbers")
    seed_everything(seed)
    report = freeze(encoder, freezing)
    _check_something_is_trained(encoder, report, objective)
    config: Any = encoder.config
    size = objective.projection
    head = nn.Identity() if size is None else projection_head(config.hidden_size, size)
    model = nn.ModuleList([encoder, head]).to(device).train()
    sizes = {language: len(encoded.pairs) for language, encoded in pairs.items()}
    seen, tokens = dict.fromkeys(sorted(pairs), 0), 0

    def losses() -> Iterator[Callable[[], Tensor]]:
        nonlocal tokens
        for chosen in round_robin(sizes, schedule.batch_size, int(schedule.steps), seed):
            for language, _ in chosen:
                seen[language] += 1
            batch = batch_pairs([pairs[language].pairs[number] for language, number in chosen], pad_id)
            tokens += int(batch.windows.attention_mask.sum())
            yield partial(batch_loss, encoder, head, batch.to(device), objective)

    history = optimise(
        model.parameters(),
        losses(),
        steps=schedule.steps,
        learning_rate=schedule.learning_rate,
        schedule=schedule.lr_schedule,
        warmup=0.0,
        progress=progress,
    )
    trained = sum(p.numel() for p in encoder.parameters() if p.grad is not None)
    encoder.zero_grad(set_to_none=True)
    encoder.requires_grad_(True).eval()
    return RealignmentLog(history, report, trained, seen, tokens)


def batch_loss(encoder: nn.Module, head: nn.Module, batch: PairBatch, objective: Objective) -> Tensor:
    """The loss of one batch; both sides go through the encoder in one pass."""
    windows = batch.windows
    hidden = block_output(encoder, objective.layer, windows.input_ids, windows.attention_mask)
    pooled = pool_words(hidden, windows.starts, windows.ends, objective.pooling)
    words = head(pooled[windows.starts >= 0])
    return word_contrastive(
        words, batch.anchors, batch.positives, batch.side, objective.temperature, objective.negatives
    )


def _check_something_is_trained(encoder: nn.Module, report: FreezeReport, objective: Objective) -> None:
    """What lies above the objective's layer gets no gradient: with all below frozen only the head would learn."""
    top = resolve_layer(objective.layer, len(find_blocks(encoder)))
    if report.embeddings and set(report.blocks) >= set(range(top + 1)):
        raise UserError(
            f"the recipe freezes the embeddings and blocks 0 to {top}, and its objective sits on block {top}: nothing "
            "is left to realign; freeze less or raise objective.layer"
        )
