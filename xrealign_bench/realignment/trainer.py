"""Train an encoder so that translated words or sentences come to lie together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xrealign_bench import distributed
from xrealign_bench.errors import UserError
from xrealign_bench.models.adapters import adapter_parameters
from xrealign_bench.models.blocks import block_output, find_blocks, output_width, resolve_layer
from xrealign_bench.models.device import generator_states, restore_generators, seed_everything
from xrealign_bench.models.embedding_rows import only_rows_of
from xrealign_bench.models.freeze import FreezeReport, freeze
from xrealign_bench.models.length_bucketing import read_by_length
from xrealign_bench.models.precision import loss_scaler
from xrealign_bench.models.text import WindowBatch, pool_sentences, pool_words
from xrealign_bench.models.training import JointLoss, Progress, StepLoss, TrainingLog, optimise
from xrealign_bench.realignment.batches import Mixing, draw_batches
from xrealign_bench.realignment.objectives import contrastive, drift, projection_head
from xrealign_bench.realignment.pairs import EncodedPairs, PairBatch, batch_pairs
from xrealign_bench.specs import Freeze, Objective, Schedule

Method = Literal["word_contrastive", "sentence_contrastive"]


@dataclass(frozen=True)
class RealignmentLog(TrainingLog):
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
    method: Method,
    mixing: Mixing,
    freezing: Freeze,
    objective: Objective,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    progress: Progress,
    adapted: Any | None = None,
) -> RealignmentLog:
    """Realign an encoder in place (AlignFreeze, section 3); without an adapter every parameter can be trained again.

    Frozen parameters stay bit-identical, and no graph is built below the lowest trained one. Dropout is on.

    Args:
        encoder: as `load_encoder` gives it.
        pad_id: the tokenizer's padding token.
        pairs: language -> its pairs, at least one each.
        method: what is brought together.
        mixing: how languages make up the batches.
        freezing: what stays as it is.
        objective: the loss.
        schedule: with all values given as numbers.
        seed: of batches, projection and dropout.
        device: where to compute.
        progress: told after each step.
        adapted: what `add_adapter` made of the encoder; the adapter is trained in place of the weights.

    Raises:
        UserError: a language has no pair with a link, or the freezing does not fit the model.
        TrainingError: the loss is not a finite number.
    """
    if not isinstance(schedule.steps, int) or not isinstance(schedule.learning_rate, float):
        raise ValueError("the schedule's steps and learning rate must be numbers")
    losses = _Losses(encoder, pad_id, pairs, method, freezing, objective, seed, device, adapted)
    model = nn.ModuleList([encoder, losses.head]).train()
    with only_rows_of(encoder, losses.texts()):
        log = optimise(
            model.to(device).parameters(),
            losses.draw(mixing, schedule.batch_size, schedule.steps, seed),
            steps=schedule.steps,
            batch_size=schedule.batch_size,
            learning_rate=schedule.learning_rate,
            schedule=schedule.lr_schedule,
            warmup=0.0,
            progress=progress,
            scaler=loss_scaler(encoder, device),
        )
        reached = [parameter for parameter in encoder.parameters() if parameter.grad is not None]
        encoder.zero_grad(set_to_none=True)
    trained = sum(parameter.numel() for parameter in reached)
    if adapted is None:
        encoder.requires_grad_(True)
    encoder.eval()
    return RealignmentLog(log.losses, log.batch_parts, losses.frozen, trained, losses.seen, losses.tokens)


class JointRealignment:
    """Realignment beside fine-tuning: a loss to give to a task's `train`, and afterwards what it did.

    In each step a batch of pairs is read as well as one of the task (Gaschi et al. 2023, "joint"). What is frozen is
    so for the realignment loss alone: fine-tuning trains everything. The projection is trained at fine-tuning's rate.

    Args:
        encoder: that of the task's model; every parameter can be trained.
        steps: those of fine-tuning.
        weight: of the realignment loss.

    The others are those of `realign`, and so is what is raised.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pad_id: int,
        pairs: Mapping[str, EncodedPairs],
        *,
        method: Method,
        mixing: Mixing,
        freezing: Freeze,
        objective: Objective,
        batch_size: int,
        weight: float,
        steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.pairs = pairs
        self._losses = _Losses(encoder, pad_id, pairs, method, freezing, objective, seed, device)
        frozen = [p for p in encoder.parameters() if not p.requires_grad]
        encoder.requires_grad_(True)
        self.loss = JointLoss(
            losses=self._losses.draw(mixing, batch_size, steps, seed),
            weight=weight,
            parameters=list(self._losses.head.parameters()),
            frozen=frozen,
            texts=self._losses.texts(),
        )

    def log(self, batch_parts: int) -> RealignmentLog:
        """What was done so far; its losses are those before the weight.

        Args:
            batch_parts: those of the fine-tuning.
        """
        own = self._losses
        trained = sum(parameter.numel() for parameter in self.loss.reached)
        return RealignmentLog(self.loss.history, batch_parts, own.frozen, trained, own.seen, own.tokens)


class _Losses:
    """The realignment losses of a training, and what has been read for them. Freezes the encoder."""

    def __init__(
        self,
        encoder: nn.Module,
        pad_id: int,
        pairs: Mapping[str, EncodedPairs],
        method: Method,
        freezing: Freeze,
        objective: Objective,
        seed: int,
        device: torch.device,
        adapted: Any | None = None,
    ) -> None:
        without = sorted(language for language, encoded in pairs.items() if not encoded.pairs)
        if without:
            what = (
                "no word is linked; choose another aligner"
                if method == "word_contrastive"
                else "it has no pair of text"
            )
            raise UserError(f"there is nothing to realign in {', '.join(without)}: {what}")
        seed_everything(seed)
        self.frozen = freeze(encoder, freezing, None if adapted is None else adapter_parameters(adapted))
        _check_something_is_trained(encoder, self.frozen, objective, adapted is not None)
        size = objective.projection
        self.head = nn.Identity() if size is None else projection_head(output_width(encoder, objective.layer), size)
        self.head.to(device)
        self.seen, self.tokens = dict.fromkeys(sorted(pairs), 0), 0
        # As it is before the first step; without dropout, so that the pull is towards one point.
        initial = copy.deepcopy(encoder).to(device).eval().requires_grad_(False) if objective.regularisation else None
        self._loss = partial(loss_in_parts, encoder, self.head, objective=objective, method=method, initial=initial)
        self._pairs, self._pad_id, self._device = pairs, pad_id, device

    def texts(self) -> Iterator[list[int]]:
        """The sub-words of all that may be read."""
        yield [self._pad_id]
        for encoded in self._pairs.values():
            for pair in encoded.pairs:
                yield from (pair.source.input_ids, pair.target.input_ids)

    def draw(self, mixing: Mixing, batch_size: int, steps: int, seed: int) -> Iterator[StepLoss]:
        """The loss of each step."""
        sizes = {language: len(encoded.pairs) for language, encoded in self._pairs.items()}
        for chosen in draw_batches(mixing, sizes, batch_size, steps, seed):
            for language, _ in chosen:
                self.seen[language] += 1
            batch = batch_pairs([self._pairs[language].pairs[number] for language, number in chosen], self._pad_id)
            self.tokens += int(batch.windows.attention_mask.sum())
            yield partial(self._loss, batch.to(self._device))


def batch_loss(
    encoder: nn.Module,
    head: nn.Module,
    batch: PairBatch,
    *,
    objective: Objective,
    method: Method,
    initial: nn.Module | None,
) -> Tensor:
    """The loss of one batch; both sides go through the encoder in one pass.

    Args:
        encoder: the one that is trained.
        head: makes of its vectors those that are compared.
        batch: pairs, with a link at least if words are contrasted.
        objective: the loss.
        method: what is contrasted.
        initial: the encoder as it was, where the objective pulls towards it.
    """
    vectors, pull = _read(
        encoder, head, batch.windows, slice(None), objective=objective, method=method, initial=initial
    )
    return _contrast(vectors, batch, objective, method) + pull


def loss_in_parts(
    encoder: nn.Module,
    head: nn.Module,
    batch: PairBatch,
    parts: int,
    *,
    objective: Objective,
    method: Method,
    initial: nn.Module | None,
) -> Iterator[Tensor]:
    """`batch_loss` in several parts of the batch's texts, with the same negatives: gradients are cached.

    All vectors are computed without a graph, and the loss and its gradient by them; then each part of them again with
    one, by the same dropout, as whose loss its vectors times that gradient serves (Gao et al., RepL4NLP 2021). Several
    processes read their own parts each, and all of them know all vectors.
    """
    if parts == 1:
        yield batch_loss(encoder, head, batch, objective=objective, method=method, initial=initial)
        return
    rows = len(batch.windows.input_ids)
    size = -(-rows // parts)
    pieces = [slice(begin, begin + size) for begin in range(0, rows, size)]
    own_pieces = distributed.shard(pieces)
    read = partial(_read, encoder, head, batch.windows, objective=objective, method=method, initial=initial)
    generators = generator_states()
    with torch.no_grad():
        first = [read(piece) for piece in own_pieces]
    nothing = torch.zeros(0, device=batch.side.device)  # of a process without a piece
    pull = sum(distributed.all_gather(sum((pulled for _, pulled in first), start=nothing.sum()).item()))
    vectors, own_rows = distributed.all_gather_rows(torch.cat([nothing, *(vectors for vectors, _ in first)]))
    vectors.requires_grad_()
    loss = _contrast(vectors, batch, objective, method)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    whole = loss.detach() + pull
    gradient = torch.split(vectors.grad[own_rows], [len(vectors) for vectors, _ in first])
    restore_generators(generators)
    for piece, wanted in zip(own_pieces, gradient, strict=True):
        again, pulled = read(piece)
        surrogate = (again * wanted).sum() + pulled
        yield surrogate - surrogate.detach() + whole / len(pieces)


def _read(
    encoder: nn.Module,
    head: nn.Module,
    windows: WindowBatch,
    rows: slice,
    *,
    objective: Objective,
    method: Method,
    initial: nn.Module | None,
) -> tuple[Tensor, Tensor]:
    """Vectors (words or sentences, dim) of some texts of a batch, and their share of the pull to the initial model."""
    ids, mask, starts, ends = (
        part[rows] for part in (windows.input_ids, windows.attention_mask, windows.starts, windows.ends)
    )
    hidden = read_by_length(encoder, partial(block_output, encoder, objective.layer), ids, mask)
    if method == "sentence_contrastive":
        vectors = pool_sentences(hidden, starts, ends, objective.sentence_pooling)
    else:
        vectors = pool_words(hidden, starts, ends, objective.pooling)[starts >= 0]
    pull = hidden.new_zeros(())
    sources = len(range(*rows.indices(len(windows.input_ids) // 2)))  # they come first
    if objective.regularisation is not None and initial is not None and sources:
        with torch.no_grad():
            read_initial = partial(block_output, initial, objective.layer)
            before = read_by_length(initial, read_initial, ids[:sources], mask[:sources])
        read, of_all = mask[:sources].sum(), windows.attention_mask[: len(windows.input_ids) // 2].sum()
        share = objective.regularisation.weight * read / of_all
        pull = share * drift(hidden[:sources], before, mask[:sources])
    return head(vectors), pull


def _contrast(vectors: Tensor, batch: PairBatch, objective: Objective, method: Method) -> Tensor:
    """The contrastive loss of all vectors of a batch."""
    anchors, positives, side = batch.anchors, batch.positives, batch.side
    if method == "sentence_contrastive":
        anchors = torch.arange(len(vectors), device=vectors.device)
        positives = anchors.roll(len(anchors) // 2)  # the sources come first, their translations in the same order
        side = anchors >= len(anchors) // 2
    return contrastive(vectors, anchors, positives, side, objective.temperature, objective.negatives)


def _check_something_is_trained(encoder: nn.Module, report: FreezeReport, objective: Objective, adapted: bool) -> None:
    """What lies above the objective's layer gets no gradient: with all below frozen only the head would learn."""
    top = resolve_layer(objective.layer, len(find_blocks(encoder)))
    if (report.embeddings or adapted) and set(report.blocks) >= set(range(top + 1)):
        raise UserError(
            f"the recipe trains neither the embeddings nor blocks 0 to {top}, and its objective sits on block {top}: "
            "nothing is left to realign; freeze less or raise objective.layer"
        )
