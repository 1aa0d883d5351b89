"""The realignment losses of a whole training, which `before` and `joint` share."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import find_blocks, find_parts, output_width, resolve_layer
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.freeze import FreezeReport, freeze
from xrealign_bench.models.output_layer import LayerSource
from xrealign_bench.models.training import StepLoss, TrainingLog
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.mixing import draw_batches
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs.fields import LayerName
from xrealign_bench.specs.methods import METHODS


@dataclass(frozen=True)
class RealignmentLog(TrainingLog):
    frozen: FreezeReport
    trained: int
    """Number of encoder parameters that the loss reached: not frozen, and not above the objective's layer."""
    pairs_seen: dict[str, int]
    """Language -> pairs read, repetitions included."""
    tokens: int
    """Sub-words read, without padding."""
    output_layer: LayerSource | None = None
    """Output layer of `continued_pretraining`; None for other methods."""
    adapter: Any = field(default=None, compare=False)
    """PEFT's model around the encoder, for `save_adapter`; None without an adapter."""


class RealignmentLosses:
    """The loss of each step, and what has been read so far. Creates the projection head and freezes the encoder.

    `head` is trained beside the encoder and discarded: the projection head, or an output layer for language modelling.

    Args:
        encoder: as `load_encoder` returns it.
        corpus: the pairs.
        realignment: the settings.
        seed: seeds the batches and the projection head.
        device: where to compute.
        only: ids of the parameters that may be trained, such as an adapter's; None: all.

    Raises:
        UserError: a language has nothing to realign, or the freezing does not fit the model.
    """

    def __init__(
        self,
        encoder: nn.Module,
        corpus: PairCorpus,
        realignment: Realignment,
        seed: int,
        device: torch.device,
        only: Collection[int] | None = None,
    ) -> None:
        _check_every_language_has_pairs(corpus, realignment)
        self._corpus, self._realignment, self._seed, self._device = corpus, realignment, seed, device
        self.pairs_seen, self.tokens = dict.fromkeys(sorted(corpus.languages), 0), 0
        seed_everything(seed)
        self.frozen = freeze(encoder, realignment.freeze, only)
        layer = realignment.objective.layer if realignment.language_model is None else "last"
        _check_something_is_trained(encoder, self.frozen, layer)
        self._loss = realignment.language_model or _contrastive_loss(encoder, realignment, device)
        self.head = self._loss.head.to(device)
        self.head_parameters = self._loss.parameters

    def draw(self, steps: int) -> Iterator[StepLoss]:
        """Yield the loss of each step."""
        batch_size, mixing = self._realignment.schedule.batch_size, self._realignment.mixing
        for chosen in draw_batches(mixing, self._corpus.sizes(), batch_size, steps, self._seed):
            for language, _ in chosen:
                self.pairs_seen[language] += 1
            batch = self._corpus.batch(chosen)
            self.tokens += int(batch.windows.attention_mask.sum())
            yield self._loss.step(batch, self._device)

    def texts(self) -> Iterable[Sequence[int]]:
        """Return the sub-words of all texts that may be read or predicted."""
        language_model = self._realignment.language_model
        return self._corpus.texts() if language_model is None else language_model.texts()

    def log(
        self, losses: list[float], batch_parts: int, reached: Iterable[nn.Parameter], adapted: Any = None
    ) -> RealignmentLog:
        """Return the log of a training of which these are the losses, and the encoder's parameters they reached."""
        trained = sum(parameter.numel() for parameter in reached)
        language_model = self._realignment.language_model
        source = None if language_model is None else language_model.head.source
        return RealignmentLog(losses, batch_parts, self.frozen, trained, self.pairs_seen, self.tokens, source, adapted)


def _contrastive_loss(encoder: nn.Module, realignment: Realignment, device: torch.device) -> BatchLoss:
    objective, initial = realignment.objective, None
    size = objective.projection
    head = nn.Identity() if size is None else projection_head(output_width(encoder, objective.layer), size)
    if objective.regularisation is not None:
        initial = copy.deepcopy(encoder).to(device).eval().requires_grad_(False)
    return BatchLoss(encoder, head, realignment.method, objective, initial)


def _check_every_language_has_pairs(corpus: PairCorpus, realignment: Realignment) -> None:
    if empty := sorted(language for language, size in corpus.sizes().items() if not size):
        needs_links = METHODS[realignment.method].needs_links
        reason = "no word is linked; choose another aligner" if needs_links else "it has no pair of text"
        raise UserError(f"there is nothing to realign in {', '.join(empty)}: {reason}")


def _check_something_is_trained(encoder: nn.Module, report: FreezeReport, layer: LayerName | int) -> None:
    """Refuse to train the head alone: blocks above the objective's layer get no gradient, nor do frozen ones below."""
    top = resolve_layer(layer, len(find_blocks(encoder)))
    embeddings = [parameter for module in find_parts(encoder).embeddings for parameter in module.parameters()]
    if not any(parameter.requires_grad for parameter in embeddings) and set(report.blocks) >= set(range(top + 1)):
        raise UserError(
            f"the recipe trains neither the embeddings nor blocks 0 to {top}, and its objective sits on block {top}: "
            "nothing is left to realign; freeze less or raise objective.layer"
        )
