"""What each kind of stage does: read its inputs from the store, compute, leave its files in a folder.

| kind | reads | leaves |
|---|---|---|
| tokenise | task data | the tables of the kind of task (for words: windows.parquet, sentences.parquet), data.json |
| align | parallel corpus | pairs.parquet (links null where none are needed), data.json |
| encode | pairs of an `align` | source.parquet, target.parquet, links.parquet |
| realign | `encode` of every language | encoder.safetensors or an adapter's folder, log.json |
| finetune | `tokenise`, `realign` or the checkpoint; `encode` where both are joint | model.safetensors, log.json |
| predict | `finetune` (where a task has none: `realign` or the checkpoint), `tokenise` | predictions.parquet, \
score.json (without `finetune` also log.json) |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from xrealign_bench import distributed
from xrealign_bench.aligners import Resources, WordVectors, align
from xrealign_bench.aligners.similarity import encoder_vectors
from xrealign_bench.data import Links, LocatedSplit, load_lexicon, load_pairs
from xrealign_bench.models.adapters import load_adapter, save_adapter
from xrealign_bench.models.attention import make_bidirectional
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.device import pick_device, seed_everything
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.precision import enable_gradient_checkpointing, set_precision
from xrealign_bench.models.quantisation import quantisation_options
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights, save_weights
from xrealign_bench.models.training import TrainingLog, TrainingProgress
from xrealign_bench.models.windows import Window, Windows, windows_table
from xrealign_bench.pipeline.files import PAIRS, rows_in_parts, table_in_parts, write_json, write_table
from xrealign_bench.pipeline.plan import PAIRS_OF, TRAINING, Sources, Stage, StageKind
from xrealign_bench.pipeline.store import Store
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.joint import JointRealignment
from xrealign_bench.realignment.losses import RealignmentLog
from xrealign_bench.realignment.pairs import EncodedPairs, PairCorpus, pair_up
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Columns, Corpus, EmbeddedData, Schedule, Task
from xrealign_bench.tasks.registry import TASK_TYPES
from xrealign_bench.tasks.token_classification.data import WordData

Inputs = Mapping[str, Path]
"""Role -> folder of the stage that plays it."""
Costs = Mapping[str, float]
_WEIGHTS, _ADAPTER = "encoder.safetensors", "adapter"
"""What a realignment leaves: the whole encoder, or the folder of the adapter that was realigned in place of it."""


def run_stage(stage: Stage, store: Store, sources: Sources, progress: TrainingProgress) -> None:
    """Run one stage whose inputs are in the store, and store its output; of a training that several processes compute
    together, the first one's.

    Raises:
        UserError: bad data or a bad checkpoint.
        TrainingError: a loss that is not a number.
    """

    def make(folder: Path) -> Costs:
        inputs = {role: store.read(ref.kind, ref.key).folder for role, ref in stage.inputs.items()}
        with _gpu_memory(sources) as on_gpu:
            costs = _RUNNERS[stage.kind](stage.settings, inputs, folder, sources, progress)
        return {**costs, **on_gpu}

    if stage.kind not in TRAINING:
        store.produce(stage.kind, stage.key, stage.model_dump(mode="json"), make)
    elif distributed.is_main_process():
        _lead(stage, store, make)
    elif distributed.all_gather(False)[0]:
        with TemporaryDirectory() as folder:
            make(Path(folder))


def _lead(stage: Stage, store: Store, make: Callable[[Path], Costs]) -> None:
    """Produce a training, telling the other processes whether there is something to compute: not where a process of
    another run, for which the store waits, has made it meanwhile."""
    begun = False

    def make_together(folder: Path) -> Costs:
        nonlocal begun
        begun = True
        distributed.all_gather(True)
        return make(folder)

    store.produce(stage.kind, stage.key, stage.model_dump(mode="json"), make_together)
    if not begun:
        distributed.all_gather(False)


@contextmanager
def _gpu_memory(sources: Sources) -> Iterator[dict[str, int]]:
    """Costs to which the highest memory that was taken of a GPU is added at the end."""
    costs: dict[str, int] = {}
    device = pick_device(sources.device)
    if device.type != "cuda":
        yield costs
        return
    torch.cuda.reset_peak_memory_stats(device)
    yield costs
    costs["gpu_memory_bytes"] = torch.cuda.max_memory_reserved(device)


def _tokenise(settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, _: TrainingProgress) -> Costs:
    task: Task = settings["task"]
    language, split = settings["language"], settings["split"]
    kind = TASK_TYPES[task.task_type]
    data = kind.load(task, language, split, sources.location, settings["limit"])
    tables, altered = kind.encode(task, data, _tokenizer(sources.checkpoint), settings["max_length"])
    for name, table in tables.items():
        write_table(out / f"{name}.parquet", table)
    record = _data_record(split, task.name, language, data.located, len(data), data.dropped)
    repaired = data.repaired if isinstance(data, WordData) else {}
    write_json(out / "data.json", [record | {"repaired": repaired, "altered": altered}])
    return {}


def _align(settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, _: TrainingProgress) -> Costs:
    corpus: Corpus = settings["corpus"]
    source, target = settings["source"], settings["target"]
    text = load_pairs(corpus, source, target, sources.location, settings["limit"])
    resources, records = Resources(), []
    if "lexicon" in settings:
        lexicon = load_lexicon(corpus, source, target, sources.location)
        resources = Resources(lexicon=lexicon)
        located = replace(text.located, fingerprint=lexicon.fingerprint)
        records = [_data_record("lexicon", corpus.name, target, located, len(lexicon.entries), lexicon.dropped)]
    if "checkpoint" in settings:
        resources = Resources(vectors=_word_vectors(sources, settings["max_length"]))
    links: list[Links] | list[None] = [None] * len(text.source_words)
    dropped = text.dropped
    if settings["aligner"] is not None:
        alignment = align(settings["aligner"], text, resources)
        links = alignment.links
        dropped = dropped | {f"link {rule}": count for rule, count in alignment.dropped.items()}
    columns = {"source_words": text.source_words, "target_words": text.target_words, "links": links}
    write_table(out / "pairs.parquet", pa.table(columns, schema=PAIRS))
    records.append(_data_record("parallel", corpus.name, target, text.located, len(text.source_words), dropped))
    write_json(out / "data.json", records)
    return {}


def _encode(settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, _: TrainingProgress) -> Costs:
    tokenizer = _tokenizer(sources.checkpoint)
    given = inputs["pairs"] / "pairs.parquet"
    for side in ("source", "target"):
        number, words = 0, f"{side}_words"
        with table_in_parts(out / f"{side}.parquet") as add:
            for part in rows_in_parts(given, [words]):
                windows = encode_words(tokenizer, part[words], settings["max_length"], number)
                add(windows_table(windows))
                number += len(part[words])
    write_table(out / "links.parquet", pq.read_table(given, columns=["links"]))
    return {}


def _realign(
    settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, progress: TrainingProgress
) -> Costs:
    attention = settings.get("attention")
    encoder = _load_encoder(sources, attention, initialisation=settings["initialisation"], seed=settings["seed"])
    pairs = {language: _read_pairs(folder) for language, folder in inputs.items()}
    given = ("steps", "batch_size", "learning_rate", "lr_schedule")
    realignment = Realignment(
        method=settings["method"],
        objective=settings["objective"],
        freezing=settings["freeze"],
        schedule=Schedule.model_validate({name: settings[name] for name in given}),
        mixing=settings["mixing"],
        adapter=settings.get("adapter_alone"),
    )
    log = realign(
        encoder,
        PairCorpus(pairs, _tokenizer(sources.checkpoint).pad_token_id),
        realignment,
        seed=settings["seed"],
        device=pick_device(sources.device),
        progress=progress,
    )
    if log.adapter is not None:
        save_adapter(log.adapter, out / _ADAPTER, sources.checkpoint.id)
    elif distributed.is_main_process():
        save_weights(encoder, out / _WEIGHTS)
    record = _realignment_record(log, pairs, settings["seed"], settings["learning_rate"])
    write_json(out / "log.json", {"record": record, "losses": log.losses})
    return _training_costs(log, log.tokens, encoder)


def _realignment_record(
    log: RealignmentLog, pairs: Mapping[str, EncodedPairs], seed: int, learning_rate: float
) -> dict[str, Any]:
    tenth = max(1, len(log.losses) // 10)
    return {
        "seed": seed,
        "steps": len(log.losses),
        "learning_rate": learning_rate,
        "pairs": {language: len(encoded.pairs) for language, encoded in pairs.items()},
        "pairs_seen": log.pairs_seen,
        "links": {language: encoded.links for language, encoded in pairs.items()},
        "dropped": {language: encoded.dropped for language, encoded in pairs.items() if encoded.dropped},
        "frozen_blocks": log.frozen.blocks,
        "frozen_embeddings": log.frozen.embeddings,
        "trained_parameters": log.trained,
        "frozen_parameters": log.frozen.frozen,
        "first_loss": float(np.mean(log.losses[:tenth])),
        "last_loss": float(np.mean(log.losses[-tenth:])),
    }


def _finetune(
    settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, progress: TrainingProgress
) -> Costs:
    seed, task = settings["seed"], settings["task"]
    kind = TASK_TYPES[task.task_type]
    attention = settings.get("attention")
    if settings["initialisation"] == "realigned":
        encoder = _realigned(inputs["encoder"], attention, sources)
    else:
        encoder = _load_encoder(sources, attention, initialisation=settings["initialisation"], seed=seed)
    seed_everything(seed)  # for the head
    assert kind.train is not None  # else the plan has no such stage
    model = kind.new_model(encoder, task)
    joint = _joint(settings, inputs, encoder, sources)
    log = kind.train(
        model,
        _tokenizer(sources.checkpoint).pad_token_id,
        _read_tables(inputs["train"]),
        settings["finetuning"],
        seed=seed,
        device=pick_device(sources.device),
        progress=progress,
        joint=None if joint is None else joint.loss,
    )
    if distributed.is_main_process():
        save_weights(model, out / "model.safetensors")
    record: dict[str, Any] = {
        "encoder_parameters": encoder.num_parameters(),
        "losses": log.losses,
    }
    tokens = log.tokens
    if joint is not None:
        rate = settings["finetuning"].learning_rate["default"]
        beside = joint.log(log.batch_parts)
        record["record"] = _realignment_record(beside, joint.corpus.languages, seed, rate)
        record["realignment_losses"] = beside.losses
        tokens += beside.tokens
    write_json(out / "log.json", record)
    return _training_costs(log, tokens, encoder)


def _training_costs(log: TrainingLog, tokens: int, encoder: Any) -> Costs:
    return {
        "tokens": tokens,
        "flops": 6.0 * tokens * _block_parameters(encoder),
        "batch_parts": log.batch_parts,
    }


def _joint(settings: dict[str, Any], inputs: Inputs, encoder: nn.Module, sources: Sources) -> JointRealignment | None:
    """The realignment that goes beside a fine-tuning, if its recipe wants one."""
    if "joint" not in settings:
        return None
    given = settings["joint"]
    pairs = {role.removeprefix(PAIRS_OF): _read_pairs(at) for role, at in inputs.items() if role.startswith(PAIRS_OF)}
    realignment = Realignment(
        method=given["method"],
        objective=given["objective"],
        freezing=given["freeze"],
        schedule=Schedule(when="during", batch_size=given["batch_size"], weight=given["weight"]),
        mixing=given["mixing"],
    )
    return JointRealignment(
        encoder,
        PairCorpus(pairs, _tokenizer(sources.checkpoint).pad_token_id),
        realignment,
        steps=settings["finetuning"].steps,
        seed=settings["seed"],
        device=pick_device(sources.device),
    )


def _predict(settings: dict[str, Any], inputs: Inputs, out: Path, sources: Sources, _: TrainingProgress) -> Costs:
    task: Task = settings["task"]
    attention = settings.get("attention")
    if task.finetunes:
        model, pad_id = _trained(inputs["model"] / "model.safetensors", attention, sources, _without_language(task))
    else:
        given = settings["initialisation"], settings.get("seed", 0)
        model, pad_id = _as_it_is(inputs.get("encoder"), *given, attention, sources, _without_language(task))
        write_json(out / "log.json", {"encoder_parameters": model.encoder.num_parameters()})
    tables = _read_tables(inputs["test"])
    predictions = TASK_TYPES[task.task_type].predict(model, pad_id, tables, task, device=pick_device(sources.device))
    write_table(out / "predictions.parquet", predictions)
    score = TASK_TYPES[task.task_type].metric.score(task, predictions.to_pydict())
    write_json(out / "score.json", {"examples": len(predictions), **score})
    read = [table["input_ids"] for table in tables.values() if "input_ids" in table.column_names]
    tokens = sum(len(pc.list_flatten(ids)) for ids in read)
    return {"tokens": tokens, "flops": 2.0 * tokens * _block_parameters(model.encoder)}


def _realigned(folder: Path, attention: str | None, sources: Sources) -> Any:
    """The encoder that a realignment left, whole or as an adapter of the checkpoint's."""
    if (folder / _WEIGHTS).is_file():
        return _load_encoder(sources, attention, seed=0, weights=folder / _WEIGHTS)
    return _load_encoder(sources, attention, folder / _ADAPTER, seed=0)


def _load_encoder(sources: Sources, attention: str | None, adapter: Path | None = None, **which: Any) -> Any:
    """The checkpoint's encoder as `load_encoder` gives it, with a realigned adapter if there is one, to be computed
    with as this run wants it."""
    encoder = load_encoder(sources.checkpoint, **which, quantisation=_quantisation(sources))
    if adapter is not None:
        load_adapter(encoder, adapter, str(adapter)).eval()
    if attention == "bidirectional":
        make_bidirectional(encoder)
    set_precision(encoder, sources.precision, pick_device(sources.device))
    if sources.gradient_checkpointing:
        enable_gradient_checkpointing(encoder)
    return encoder


@lru_cache(maxsize=1)
def _trained(weights: Path, attention: str | None, sources: Sources, task: Task) -> tuple[Any, int]:
    """The fine-tuned model, kept while one language after the other is predicted with it."""
    encoder = _load_encoder(sources, attention, initialisation="random", seed=0)
    model = TASK_TYPES[task.task_type].new_model(encoder, task)
    load_weights(model, weights)
    return model.eval(), _tokenizer(sources.checkpoint).pad_token_id


@lru_cache(maxsize=1)
def _as_it_is(
    realigned: Path | None, initialisation: Any, seed: int, attention: str | None, sources: Sources, task: Task
) -> tuple[Any, int]:
    """A model that is not fine-tuned, of the realigned encoder or the checkpoint, kept likewise."""
    if realigned is None:
        encoder = _load_encoder(sources, attention, initialisation=initialisation, seed=seed)
    else:
        encoder = _realigned(realigned, attention, sources)
    if task.reads_language_model:
        random, bits = initialisation == "random", _quantisation(sources)
        encoder = add_output_layer(sources.checkpoint, encoder, random=random, seed=seed, quantisation=bits)
    return TASK_TYPES[task.task_type].new_model(encoder, task).eval(), _tokenizer(sources.checkpoint).pad_token_id


def forget_models() -> None:
    """Let go of the models that are kept for the next language."""
    for kept in (_trained, _as_it_is):
        kept.cache_clear()


def _without_language(task: Task) -> Task:
    """The task as the model knows it, so that one model serves all languages."""
    nowhere = {"source": EmbeddedData(kind="embedded"), "configs": {}, "columns": Columns(), "label_map": {}}
    return task.model_copy(update=nowhere | {"test_split": ""})


@lru_cache(maxsize=1)
def _tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """The tokenizer, kept: a large one takes a second to read, and every language needs it."""
    return load_tokenizer(checkpoint)


def _quantisation(sources: Sources) -> dict[str, Any]:
    return quantisation_options(sources.quantised, pick_device(sources.device), sources.precision)


def _word_vectors(sources: Sources, max_length: int) -> WordVectors:
    return encoder_vectors(
        _tokenizer(sources.checkpoint),
        _load_encoder(sources, None, seed=0),
        max_length=max_length,
        device=pick_device(sources.device),
    )


def _block_parameters(encoder: Any) -> int:
    """Parameters that every token meets: all but the tables of embeddings. Six flops each a token in training."""
    number: int = encoder.num_parameters(exclude_embeddings=True)
    return number


def _data_record(
    used_as: str, name: str, language: str, located: LocatedSplit, examples: int, dropped: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "used_as": used_as,
        "name": name,
        "language": language,
        "config": located.config,
        "split": located.split,
        "revision": located.revision,
        "fingerprint": located.fingerprint,
        "examples": examples,
        "dropped": dict(dropped),
    }


def _read_tables(folder: Path) -> dict[str, pa.Table]:
    """The tables that a `tokenise` left, by name."""
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def _read_pairs(folder: Path) -> EncodedPairs:
    sources, targets = (Windows(pq.read_table(folder / f"{side}.parquet"), Window) for side in ("source", "target"))
    links = (row for part in rows_in_parts(folder / "links.parquet", ["links"]) for row in part["links"])
    return pair_up(sources, targets, links)


_RUNNERS: Mapping[StageKind, Callable[[dict[str, Any], Inputs, Path, Sources, TrainingProgress], Costs]] = {
    "tokenise": _tokenise,
    "align": _align,
    "encode": _encode,
    "realign": _realign,
    "finetune": _finetune,
    "predict": _predict,
}
