"""Models, tokenizers and encoded pairs, loaded for the stages. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from xrealign_bench.aligners import WordVectors
from xrealign_bench.aligners.similarity import encoder_vectors
from xrealign_bench.models import encoder as encoders
from xrealign_bench.models.adapters import load_adapter
from xrealign_bench.models.attention import make_bidirectional
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.device import pick_device
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.output_layer import load_output_layer
from xrealign_bench.models.precision import enable_gradient_checkpointing, set_precision
from xrealign_bench.models.quantisation import quantisation_options
from xrealign_bench.models.task_class import load_task_class
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights
from xrealign_bench.models.training import TrainingLog
from xrealign_bench.models.windows import Window, Windows
from xrealign_bench.pipeline.files import rows_in_parts
from xrealign_bench.pipeline.preflight import check_enough_pairs
from xrealign_bench.pipeline.stage import Costs, RunContext
from xrealign_bench.pipeline.stages.finetune import FINETUNED
from xrealign_bench.pipeline.stages.realign import ADAPTER, WEIGHTS
from xrealign_bench.realignment.continued_pretraining import LanguageModelLoss, token_masks
from xrealign_bench.realignment.pairs import EncodedPair, EncodedPairs, PairCorpus, pair_up
from xrealign_bench.specs import Task
from xrealign_bench.specs.methods import METHODS
from xrealign_bench.specs.suite import Head
from xrealign_bench.tasks.registry import TASK_TYPES


@lru_cache(maxsize=1)
def tokenizer_of(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """Return the tokenizer, kept: a large one takes a second to load, and every language needs it."""
    return load_tokenizer(checkpoint)


class StartingWeights(NamedTuple):
    """Weights of an encoder that is not fine-tuned, or only by an adapter."""

    realigned: Path | None
    """Folder of a realignment; None: the checkpoint's weights, or random ones."""
    initialisation: Literal["checkpoint", "random", "realigned"] | None
    seed: int


def load_encoder(context: RunContext, attention: str = "own", adapters: Sequence[Path] = (), **which: Any) -> Any:
    """Load the checkpoint's encoder, ready to be computed with in this run.

    Args:
        attention: `bidirectional` lets each token of a decoder attend to all others.
        adapters: folders of trained adapters, which are merged into the weights in this order.
        which: weights to load, as `models.encoder.load_encoder` takes them.
    """
    encoder = encoders.load_encoder(context.checkpoint, **which, quantisation=_quantisation(context))
    for adapter in adapters:
        load_adapter(encoder, adapter, str(adapter)).eval()
    if attention == "bidirectional":
        make_bidirectional(encoder)
    set_precision(encoder, context.precision, pick_device(context.device))
    if context.gradient_checkpointing:
        enable_gradient_checkpointing(encoder)
    return encoder


def load_realigned(folder: Path, attention: str, context: RunContext, adapters: Sequence[Path] = ()) -> Any:
    """Load the output of a realignment: the whole encoder, or the checkpoint's with an adapter.

    Args:
        adapters: folders of adapters that were trained after realignment, as in `load_encoder`.
    """
    if (folder / WEIGHTS).is_file():
        return load_encoder(context, attention, adapters, seed=0, weights=folder / WEIGHTS)
    return load_encoder(context, attention, [folder / ADAPTER, *adapters], seed=0)


def _load_start(start: StartingWeights, attention: str, context: RunContext, adapters: Sequence[Path] = ()) -> Any:
    if start.realigned is not None:
        return load_realigned(start.realigned, attention, context, adapters)
    return load_encoder(context, attention, adapters, initialisation=start.initialisation, seed=start.seed)


def new_model(context: RunContext, encoder: Any, task: Task, head: Head, *, random: bool) -> Any:
    """Return a model to fine-tune; new weights are drawn from torch's generator.

    Args:
        context: has the checkpoint that the encoder is from.
        encoder: the encoder, realigned or not.
        task: the task.
        head: a linear layer, or transformers' own head.
        random: take no weight of transformers' head, such as a pooler's, from the checkpoint.
    """
    task_type = TASK_TYPES[task.task_type]
    if head == "linear":
        return task_type.new_model(encoder, task)
    pad_id = tokenizer_of(context.checkpoint).pad_token_id
    outputs = len(task.labels) or 2  # start and end of an answer
    whole = load_task_class(context.checkpoint, encoder, task.base_type, outputs, random=random, pad_id=pad_id)
    return task_type.new_transformers_model(whole)


def load_language_model(
    context: RunContext, encoder: Any, method: str, initialisation: str, seed: int
) -> LanguageModelLoss | None:
    """Return the loss of a method that trains a language model on the encoder, or None for other methods.

    Raises:
        UserError: the checkpoint has no output layer.
    """
    if METHODS[method].is_contrastive:
        return None
    checkpoint = context.checkpoint
    decoder = checkpoint.family == "decoder"
    masks = None if decoder else token_masks(tokenizer_of(checkpoint), seed)
    random, bits = initialisation == "random", _quantisation(context)
    return LanguageModelLoss(load_output_layer(checkpoint, encoder, random=random, seed=seed, quantisation=bits), masks)


@lru_cache(maxsize=1)
def kept_finetuned(
    folder: Path, start: StartingWeights, attention: str, context: RunContext, task: Task, head: Head
) -> tuple[Any, int]:
    """Return a fine-tuned model and its padding token, kept while it predicts one language after the other.

    Args:
        folder: output of a fine-tuning.
        start: the encoder's weights before it, which are read if an adapter was fine-tuned.
        attention: as in `load_encoder`.
        context: what the stage needs from this machine.
        task: the task.
        head: as in `new_model`.
    """
    has_adapter = (folder / ADAPTER).is_dir()
    if has_adapter:
        encoder = _load_start(start, attention, context, [folder / ADAPTER])
    else:
        encoder = load_encoder(context, attention, initialisation="random", seed=0)
    model = new_model(context, encoder, task, head, random=True)
    load_weights(model.stored, folder / FINETUNED, partial=has_adapter)
    return model.eval(), tokenizer_of(context.checkpoint).pad_token_id


@lru_cache(maxsize=1)
def kept_not_finetuned(start: StartingWeights, attention: str, context: RunContext, task: Task) -> tuple[Any, int]:
    """Return a model without fine-tuning, kept in the same way."""
    encoder = _load_start(start, attention, context)
    if task.reads_language_model:
        random, bits = start.initialisation == "random", _quantisation(context)
        encoder = add_output_layer(context.checkpoint, encoder, random=random, seed=start.seed, quantisation=bits)
    return TASK_TYPES[task.task_type].new_model(encoder, task).eval(), tokenizer_of(context.checkpoint).pad_token_id


def forget_models() -> None:
    """Release the models that are kept for the next language."""
    for kept in (kept_finetuned, kept_not_finetuned):
        kept.cache_clear()


def word_vectors(context: RunContext, max_length: int) -> WordVectors:
    """Return the function that gives the checkpoint's word vectors to an aligner."""
    return encoder_vectors(
        tokenizer_of(context.checkpoint),
        load_encoder(context, seed=0),
        max_length=max_length,
        device=pick_device(context.device),
    )


def read_pair_corpus(folders: Mapping[str, Path], checkpoint: Checkpoint, limit: int | None) -> PairCorpus:
    """Read the pairs that a realignment draws from.

    Args:
        folders: language -> the output of its `encode`.
        checkpoint: the checkpoint whose tokenizer encoded them.
        limit: maximum number of pairs of each language.

    Raises:
        UserError: a language has fewer pairs of text than `limit`.
    """
    if limit is not None:
        rows = {code: pq.read_metadata(folder / "links.parquet").num_rows for code, folder in folders.items()}
        check_enough_pairs(limit, rows)
    pairs = {language: read_pairs(folder, limit) for language, folder in folders.items()}
    return PairCorpus(pairs, tokenizer_of(checkpoint).pad_token_id)


def read_pairs(folder: Path, limit: int | None = None) -> EncodedPairs:
    """Read the output of an `encode`, at most the first `limit` pairs that can be used."""
    sources, targets = (Windows(pq.read_table(folder / f"{side}.parquet"), Window) for side in ("source", "target"))
    links = (row for part in rows_in_parts(folder / "links.parquet", ["links"]) for row in part["links"])
    return pair_up(sources, targets, links, limit)


def read_whole_pairs(folder: Path) -> Sequence[EncodedPair]:
    """Read the output of an `encode`, with the pairs of which no word is linked."""
    sources, targets = (Windows(pq.read_table(folder / f"{side}.parquet"), Window) for side in ("source", "target"))
    links = (row or None for part in rows_in_parts(folder / "links.parquet", ["links"]) for row in part["links"])
    return pair_up(sources, targets, links).pairs


def block_parameters(encoder: Any) -> int:
    """Count the parameters that every token passes, so without embedding tables: 6 FLOPs each a token in training."""
    number: int = encoder.num_parameters(exclude_embeddings=True)
    return number


def training_costs(log: TrainingLog, tokens: int, encoder: Any) -> Costs:
    return {
        "tokens": tokens,
        "flops": 6.0 * tokens * block_parameters(encoder),
        "batch_parts": log.batch_parts,
    }


def _quantisation(context: RunContext) -> dict[str, Any]:
    return quantisation_options(context.quantised, pick_device(context.device), context.precision)
