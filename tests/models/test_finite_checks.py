"""NaN and infinity are refused. Truth: where the test put them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForMaskedLM

from tests.models.test_language_model import DATA, TASKS
from tests.small import World, command, write_checkpoint, write_suite
from xrealign_bench.aligners.similarity import encoder_vectors
from xrealign_bench.errors import TrainingError, UserError
from xrealign_bench.models.adapters import add_adapter, save_adapter
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.finite_checks import check_finite_outputs, check_finite_training
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights, save_weights
from xrealign_bench.models.windows import windows_table
from xrealign_bench.specs import Adapter, Spans, Task
from xrealign_bench.tasks.question_answering import model as question_answering
from xrealign_bench.tasks.question_answering.encoding import SpanWindow, encode_questions, tokenise
from xrealign_bench.tasks.question_answering.model import SpanClassifier
from xrealign_bench.tasks.registry import TASK_TYPES
from xrealign_bench.tasks.retrieval import model as retrieval
from xrealign_bench.tasks.retrieval.encoding import encode_sentences
from xrealign_bench.tasks.sequence_classification import model as sequence_classification
from xrealign_bench.tasks.sequence_classification.model import SequenceClassifier
from xrealign_bench.tasks.token_classification.model import TokenClassifier, tag

CPU = torch.device("cpu")
NAMES = ["bert.encoder.layer.2.output.dense.weight", "cls.predictions.transform.dense.bias"]
"""One that is read, and one of a head that is not."""


@pytest.fixture
def folder(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["bert"].folder, tmp_path / "tiny"))


def spoil(path: Path, name: str, value: float = torch.nan, dtype: torch.dtype = torch.float32) -> None:
    """Replace one value of a tensor by NaN or infinity."""
    weights = {key: tensor.to(dtype) for key, tensor in load_file(path).items()}
    weights[name].view(-1)[-1] = value
    save_file(weights, path, {"format": "pt"})


def refused(folder: Path, name: str, file: str) -> None:
    with pytest.raises(UserError, match=rf"^checkpoint \S+: .*{re.escape(file)}: the tensor {re.escape(name)} has"):
        load_encoder(resolve_checkpoint(str(folder), allow_pickle=True), seed=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "dtype"), [(torch.nan, torch.float32), (torch.inf, torch.float16), (-torch.inf, torch.bfloat16)]
)
def test_a_tensor_of_a_checkpoint(folder: Path, name: str, value: float, dtype: torch.dtype) -> None:
    load_encoder(resolve_checkpoint(str(folder)), seed=0)
    spoil(folder / "model.safetensors", name, value, dtype)
    refused(folder, name, "tiny/model.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_a_shard(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, own in shards.items():
        save_file({key: weights[key] for key in own}, folder / shard, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: shard for shard, own in shards.items() for key in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    load_encoder(resolve_checkpoint(str(folder)), seed=0)
    spoil(folder / index["weight_map"][name], name)
    refused(folder, name, index["weight_map"][name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_tensor_of_a_pickle(folder: Path, name: str, legacy: bool) -> None:
    spoil(folder / "model.safetensors", name)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    (folder / "model.safetensors").unlink()
    refused(folder, name, "pytorch_model.bin")


def test_a_tensor_of_an_adapter(folder: Path, tmp_path: Path) -> None:
    model = get_peft_model(AutoModelForMaskedLM.from_pretrained(folder), LoraConfig(r=2, target_modules=["query"]))
    model.save_pretrained(tmp_path / "adapter")
    load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)
    name = "base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight"
    spoil(tmp_path / "adapter" / "adapter_model.safetensors", name)
    refused(tmp_path / "adapter", name, "adapter/adapter_model.safetensors")


def test_a_tensor_of_a_stage(tmp_path: Path) -> None:
    head = nn.Linear(3, 2)
    save_weights(head, tmp_path / "model.safetensors")
    spoil(tmp_path / "model.safetensors", "bias")
    with pytest.raises(UserError, match=r"model.safetensors: the tensor bias has values that are not finite"):
        load_weights(head, tmp_path / "model.safetensors")
    with torch.no_grad():
        head.weight[1, 2] = torch.inf
    with pytest.raises(TrainingError, match="the trained weight is not finite"):
        save_weights(head, tmp_path / "again.safetensors")
    assert not (tmp_path / "again.safetensors").exists()


def test_integers_and_numbers_of_few_bits_are_looked_at_too() -> None:
    few = torch.tensor([1.0, torch.nan]).to(torch.float8_e4m3fn)
    large = torch.tensor([65504.0] * 9, dtype=torch.float16)  # their sum would overflow
    check_finite_training({"ids": torch.tensor([1]), "none": torch.empty(0), "few": few[:1], "large": large})
    with pytest.raises(TrainingError, match="the trained few is not finite"):
        check_finite_training({"large": large, "few": few})


def test_a_realigned_adapter_that_is_not_finite_is_not_kept(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    adapted = add_adapter(load_encoder(checkpoints["bert"], seed=0), Adapter(r=2))
    with torch.no_grad():
        next(p for name, p in adapted.named_parameters() if ".lora_" in name).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"lora_A.* is not finite"):
        save_adapter(adapted, tmp_path / "adapter", "bert")
    assert not (tmp_path / "adapter").exists()


def test_what_an_older_version_computed_is_not_served(tmp_path: Path) -> None:
    """The command is refused before it looks at what is stored, in a dry run too."""
    world = World(tmp_path, write_suite(tmp_path), write_checkpoint(tmp_path / "bert"))
    dry = ["--dry-run", "--recipe", "random-init-finetune"]
    assert world.evaluate(*dry).status == 0
    spoil(world.checkpoint / "model.safetensors", "encoder.layer.2.output.dense.weight")
    ran = world.evaluate(*dry)
    assert ran.status == 2 and "encoder.layer.2.output.dense.weight" in ran.err and "Traceback" not in ran.err
    assert command("evaluate", "--checkpoint", tmp_path / "bert", "--dry-run").status == 2


def overflowing(checkpoint: Checkpoint) -> Any:
    """Return an encoder with finite weights whose outputs are not finite."""
    encoder = load_encoder(checkpoint, seed=0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(torch.finfo(torch.float32).max)
    return encoder


TEXTS = ["On Monday the 17th", "twelve euros"]
PAIRS = Task.model_validate(
    {"name": "pairs", "title": "Pairs", "licence": "none", "task_type": "retrieval", "configs": {"de": "de"},
     "source": {"kind": "hub", "dataset": "org/pairs"}, "columns": {"text": "en", "text_pair": "de"},
     "text_language": "en"}
)  # fmt: skip


def classify(encoder: Any, tokenizer: Any) -> object:
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    examples = {"example": [0, 1], "input_ids": ids, "token_type_ids": [None] * 2, "label": [0, 1]}
    model = SequenceClassifier(encoder, 2)
    return sequence_classification.predict(model, 0, {"examples": pa.table(examples)}, PAIRS, device=CPU)


def tag_words(encoder: Any, tokenizer: Any) -> object:
    windows = encode_words(tokenizer, [text.split() for text in TEXTS], 32)
    return tag(TokenClassifier(encoder, 3), 0, windows, [4, 2], device=CPU)


def find_answers(encoder: Any, tokenizer: Any) -> object:
    contexts = tokenise(tokenizer, TEXTS)
    windows, _ = encode_questions(tokenizer, TEXTS, contexts, [(0, 2), (0, 6)], max_length=48, doc_stride=4)
    tables = {
        "windows": windows_table(windows, SpanWindow),
        "questions": pa.table({"context": [0, 1]}),
        "contexts": pa.table(
            {"text": TEXTS, "begins": [c.begins for c in contexts], "ends": [c.ends for c in contexts]}
        ),
    }
    return question_answering.answer(SpanClassifier(encoder), 0, tables, Spans(), device=CPU)


def find_translations(encoder: Any, tokenizer: Any) -> object:
    side = windows_table(encode_sentences(tokenizer, TEXTS, 32))
    tables = {"pairs": pa.table({"example": [0, 1]}), "sources": side, "targets": side}
    return retrieval.predict(retrieval.new_model(encoder, PAIRS), 0, tables, PAIRS, device=CPU)


def word_vectors(encoder: Any, tokenizer: Any) -> object:
    return encoder_vectors(tokenizer, encoder, max_length=32, device=CPU)([text.split() for text in TEXTS])


READERS: dict[str, Callable[[Any, Any], object]] = {
    "logits of labels": classify,
    "logits of labels ": tag_words,
    "logits of answers": find_answers,
    "vectors of sentences": find_translations,
    "vectors of words": word_vectors,
}


@pytest.mark.parametrize("what", READERS)
def test_what_is_compared_is_finite(checkpoints: dict[str, Checkpoint], what: str) -> None:
    tokenizer = load_tokenizer(checkpoints["bert"])
    READERS[what](load_encoder(checkpoints["bert"], seed=0), tokenizer)
    with pytest.raises(UserError, match=rf"the {what.strip()} that the model computes in float32 are not all finite"):
        READERS[what](overflowing(checkpoints["bert"]), tokenizer)


@pytest.mark.parametrize("name", TASKS)
def test_likelihoods_are_finite(checkpoints: dict[str, Checkpoint], name: Any) -> None:
    checkpoint = checkpoints["llama"]
    tables, _ = TASK_TYPES[name].encode(TASKS[name], DATA[name], load_tokenizer(checkpoint), 48)
    model = add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0)
    TASK_TYPES[name].predict(model, 0, tables, TASKS[name], device=CPU)
    with torch.no_grad():  # the blocks of a Llama normalise what overflows
        model.whole.lm_head.weight.fill_(torch.finfo(torch.float32).max)
    with pytest.raises(UserError, match=r"the likelihoods of texts that the model computes in float32 are not all"):
        TASK_TYPES[name].predict(model, 0, tables, TASKS[name], device=CPU)


@pytest.mark.parametrize(("precision", "remedy"), [("float16", "bf16 or fp32"), ("bfloat16", "fp32")])
def test_the_remedy_for_an_overflow_is_another_precision(precision: str, remedy: str) -> None:
    encoder = nn.Linear(1, 1)
    encoder.precision = precision  # type: ignore[assignment]
    with pytest.raises(UserError, match=rf"in {precision} .*; use --precision {remedy}$"):
        check_finite_outputs(np.array([1.0, np.nan]), "vectors", encoder)
    check_finite_outputs(torch.ones(3), "vectors", encoder)
