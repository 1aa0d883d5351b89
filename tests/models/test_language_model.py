"""The language model of a decoder. Truth: the loss that transformers' own class computes for the same text."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from tests.models.conftest import LINES
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights, save_weights
from xrealign_bench.specs import Task, TaskType
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.likelihoods import encode_for_likelihood, log_likelihoods
from xrealign_bench.tasks.registry import TASK_TYPES

CPU = torch.device("cpu")
PLACE = LocatedSplit("nowhere", "default", "test", None, "0" * 64, ())
TEXTS = ["On Monday twelve euros", "On the 17th of March", "fifty cents and twelve euros"]
SAID = {"title": "Said", "licence": "none", "source": {"kind": "hub", "dataset": "org/said"}, "configs": {"en": "en"}}
SPECS: dict[TaskType, dict[str, Any]] = {
    "prompted_classification": {
        "columns": {"text": "a", "label": "l"}, "labels": ["A", "B"],
        "prompt": "{text} {label} fifty", "verbalisers": {"A": "and", "B": "or"},
    },
    "language_modelling": {"columns": {"text": "a"}, "metric": "compression"},
}  # fmt: skip
TASKS = {
    task_type: Task.model_validate({**SAID, **own, "name": "said", "task_type": task_type})
    for task_type, own in SPECS.items()
}
DATA: dict[TaskType, Any] = {
    "prompted_classification": TextData("en", [0, 1, 2], TEXTS, None, [0, 1, 0], {}, PLACE),
    "language_modelling": PlainTextData("en", [0, 1, 2], TEXTS, {}, PLACE),
}
DECODERS = [
    "bloom", "xglm", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "opt", "gpt2", "apertus",
]  # fmt: skip
TIED = ["bloom", "gpt2", "gemma", "opt"]


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]


def test_log_likelihoods_are_those_of_transformers_own_loss(decoder: Checkpoint) -> None:
    tokenizer = load_tokenizer(decoder)
    read = encode_for_likelihood(tokenizer, [line[:20] for line in LINES])
    ids, starts = [tokens.input_ids for tokens in read], [1, 1, 2, 3, 1, 1]
    model = add_output_layer(decoder, load_encoder(decoder, seed=0), random=False, seed=0)
    sums = log_likelihoods(model, tokenizer.pad_token_id, ids, starts, device=CPU, tokens_per_batch=90)
    whole = AutoModelForCausalLM.from_pretrained(decoder.folder, dtype=torch.float32).eval()
    for row, start, found in zip(ids, starts, sums, strict=True):
        labels = torch.tensor([[-100] * start + row[start:]])
        with torch.no_grad():
            loss = whole(input_ids=torch.tensor([row]), labels=labels).loss.item()
        assert found == pytest.approx(-loss * (len(row) - start), abs=1e-3)


def test_prompts_and_plain_text_are_predicted_whatever_the_batches(decoder: Checkpoint) -> None:
    tokenizer = load_tokenizer(decoder)
    model = add_output_layer(decoder, load_encoder(decoder, seed=0), random=False, seed=0)
    for name, task in TASKS.items():
        tables, _ = TASK_TYPES[name].encode(task, DATA[name], tokenizer, 48)
        found = [
            TASK_TYPES[name].predict(model, tokenizer.pad_token_id, tables, task, device=CPU, tokens_per_batch=size)
            for size in (1, 300)
        ]
        assert found[0]["example"].to_pylist() == [0, 1, 2]
        if name == "language_modelling":
            assert found[0]["bits"].to_pylist() == pytest.approx(found[1]["bits"].to_pylist(), abs=1e-3)
        else:
            assert found[0].equals(found[1])


@pytest.mark.parametrize("name", ["llama", *TIED])
def test_realigned_blocks_stand_below_the_checkpoints_own_output_layer(
    checkpoints: dict[str, Checkpoint], name: str, tmp_path: Path
) -> None:
    """A tied output layer uses the realigned embeddings."""
    checkpoint = checkpoints[name]
    encoder = load_encoder(checkpoint, seed=0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    save_weights(encoder, tmp_path / "encoder.safetensors")
    realigned = load_encoder(checkpoint, seed=0, weights=tmp_path / "encoder.safetensors")
    model = add_output_layer(checkpoint, realigned, random=False, seed=0)
    expected = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    load_weights(expected.base_model, tmp_path / "encoder.safetensors")
    expected.tie_weights()
    tied = expected.get_output_embeddings().weight is expected.get_input_embeddings().weight
    assert tied == (name in TIED)
    ids = torch.tensor([[5, 9, 30, 31, 7, 12]])
    with torch.no_grad():
        logits = expected(input_ids=ids).logits.log_softmax(-1)
        given = logits[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
        assert torch.allclose(model(ids, torch.ones_like(ids))[0], given, atol=1e-5)


def test_an_output_layer_of_its_own_stays_its_own_whatever_the_configuration_says(
    make_checkpoint: Callable[..., Path],
) -> None:
    """A layer that equals the embeddings but is not tied by the configuration stays untied."""
    ids = torch.tensor([[5, 9, 30, 31, 7, 12]])
    for tied, own in ((True, True), (False, False)):
        folder = make_checkpoint("llama", tie_word_embeddings=not tied)
        weights = load_file(folder / "model.safetensors")
        embeddings = weights["model.embed_tokens.weight"]
        weights["lm_head.weight"] = embeddings.flip(0).contiguous() if own else embeddings.clone()
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": tied}))
        checkpoint = resolve_checkpoint(str(folder))
        encoder = load_encoder(checkpoint, seed=0)
        with torch.no_grad():
            encoder.get_input_embeddings().weight.mul_(1.5)  # as if realigned
            hidden = encoder(input_ids=ids).last_hidden_state
        expected = (hidden @ weights["lm_head.weight"].T).log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
        model = add_output_layer(checkpoint, encoder, random=False, seed=0)
        with torch.no_grad():
            assert torch.allclose(model(ids, torch.ones_like(ids))[0], expected, atol=1e-5)


def test_a_random_language_model_is_the_same_for_a_seed_and_knows_nothing(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = checkpoints["llama"]
    ids = torch.tensor([[5, 9, 30, 31, 7, 12]])
    found = []
    for seed in (3, 3, 4):
        encoder = load_encoder(checkpoint, initialisation="random", seed=seed)
        model = add_output_layer(checkpoint, encoder, random=True, seed=seed)
        with torch.no_grad():
            found.append(model(ids, torch.ones_like(ids)))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    size = encoder.config.vocab_size
    assert found[0].mean().item() == pytest.approx(-math.log(size), abs=0.1)


def test_a_text_is_read_behind_what_begins_it(checkpoints: dict[str, Checkpoint]) -> None:
    """XGLM and Llama put a token in front themselves, BLOOM none, T5 one behind that is no part of the text."""
    for name, first in (("xglm", "</s>"), ("llama", "<s>"), ("bloom", "</s>"), ("mt5", "</s>")):
        tokenizer = load_tokenizer(checkpoints[name])
        (read,) = encode_for_likelihood(tokenizer, ["On Monday"])
        assert read.start == 1
        assert tokenizer.convert_ids_to_tokens(read.input_ids[0]) == first
        text = "".join(tokenizer.convert_ids_to_tokens(read.input_ids[1:]))
        assert text.replace("▁", " ").replace("Ġ", " ").strip() == "On Monday"
        assert not read.unknown
    assert encode_for_likelihood(load_tokenizer(checkpoints["xglm"]), ["Monday ☃"])[0].unknown


def test_a_checkpoint_without_an_output_layer_is_refused(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(checkpoints["llama"].folder, tmp_path / "headless")
    AutoModel.from_pretrained(checkpoints["llama"].folder).save_pretrained(tmp_path / "headless")
    checkpoint = resolve_checkpoint(str(tmp_path / "headless"))
    with pytest.raises(UserError, match=r"lack the output layer of a language model \(lm_head.weight\); leave out"):
        add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("llama", "is_causal"), ("qwen3", "is_causal"), ("gemma3", "use_bidirectional_attention")],
)
def test_a_decoder_whose_tokens_see_those_to_come_is_refused(
    checkpoints: dict[str, Checkpoint], name: str, setting: str, tmp_path: Path
) -> None:
    """It would see each token before predicting it."""
    folder = Path(shutil.copytree(checkpoints[name].folder, tmp_path / name))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {setting: setting != "is_causal"}))
    checkpoint = resolve_checkpoint(str(folder))
    with pytest.raises(UserError, match=r"its tokens see those that come after them \(is_causal or"):
        add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0)
