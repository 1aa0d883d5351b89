"""Realignment during fine-tuning."""

from __future__ import annotations

import torch
from torch import nn

from xrealign_bench.models.training import JointLoss
from xrealign_bench.realignment.losses import RealignmentLog, RealignmentLosses
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment


class JointRealignment:
    """A realignment loss to pass to a task's `train`; afterwards, the log of what it did.

    Each step reads a batch of pairs as well as a batch of the task: it adds both losses (Gaschi et al. 2023, "joint"),
    or updates the weights twice (Liu and Niehues 2025, "alternate"). Freezing applies to the realignment loss alone.
    The projection head is trained at the learning rate of fine-tuning.

    Args:
        encoder: the encoder of the task's model; what fine-tuning trains requires a gradient.
        corpus: the pairs; each language needs at least one.
        realignment: the settings; of its schedule, only the batch size and the weight are used.
        steps: the steps of fine-tuning.
        seed: seeds the batches and the projection head.
        device: where to compute.

    Raises:
        UserError: a language has no pair with a link, or the freezing does not fit the model.
    """

    def __init__(
        self,
        encoder: nn.Module,
        corpus: PairCorpus,
        realignment: Realignment,
        *,
        steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.corpus = corpus
        trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        only = {id(parameter) for parameter in trained}
        self._losses = RealignmentLosses(encoder, corpus, realignment, seed, device, only)
        frozen = [parameter for parameter in trained if not parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(True)
        self.loss = JointLoss(
            losses=self._losses.draw(steps),
            weight=realignment.schedule.weight,
            parameters=self._losses.head_parameters,
            frozen=frozen,
            texts=self._losses.texts(),
            alternates=realignment.schedule.when == "alternate",
        )

    def log(self, batch_parts: int) -> RealignmentLog:
        """Return what was done so far; the losses are those before the weight.

        Args:
            batch_parts: the number of parts in which fine-tuning read its batches.
        """
        return self._losses.log(self.loss.history, batch_parts, self.loss.reached)
