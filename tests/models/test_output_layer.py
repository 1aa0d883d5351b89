"""Output layers for language modelling. Truth: the loss that transformers' own class computes for the same text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from tests.models.test_language_model import DECODERS
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.output_layer import OutputLayer, load_output_layer
from xrealign_bench.models.tied_weights import find_tied_parameters

ENCODERS = ["bert", "xlm-roberta", "distilbert", "modernbert", "deberta-v2", "electra"]
IDS = torch.tensor([[5, 9, 30, 31, 7, 12]])


def loaded(checkpoint: Checkpoint, *, random: bool = False, seed: int = 0) -> OutputLayer:
    initialisation: Any = "random" if random else "checkpoint"
    encoder = load_encoder(checkpoint, initialisation=initialisation, seed=seed)
    return load_output_layer(checkpoint, encoder, random=random, seed=seed).eval()


def logits(layer: OutputLayer) -> torch.Tensor:
    with torch.no_grad():
        return layer(layer.encoder(input_ids=IDS).last_hidden_state[0])


def headless(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    shutil.copytree(checkpoint.folder, folder)
    AutoModel.from_pretrained(checkpoint.folder).save_pretrained(folder)
    return resolve_checkpoint(str(folder))


@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_logits_are_those_of_transformers_own_class(checkpoints: dict[str, Checkpoint], name: str) -> None:
    models: Any = AutoModelForCausalLM if name in DECODERS else AutoModelForMaskedLM
    whole = models.from_pretrained(checkpoints[name].folder, dtype=torch.float32).eval()
    layer = loaded(checkpoints[name])
    with torch.no_grad():
        expected = whole(input_ids=IDS).logits[0]
    assert layer.source == ("input_embeddings" if name == "opt" else "checkpoint")  # OPT's are tied
    assert torch.allclose(logits(layer), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "xlm-roberta"])
def test_a_missing_layer_is_new_and_tied_to_the_embeddings(
    checkpoints: dict[str, Checkpoint], name: str, tmp_path: Path
) -> None:
    checkpoint = headless(checkpoints[name], tmp_path / "headless")
    one, again, other = (loaded(checkpoint, seed=seed) for seed in (3, 3, 4))
    assert one.source == "new"
    assert torch.equal(logits(one), logits(again)) and not torch.equal(logits(one), logits(other))
    embeddings: Any = one.encoder.get_input_embeddings()
    assert any("encoder" in "".join(names) for names in find_tied_parameters(one))
    assert all(parameter is not embeddings.weight for parameter in one.own_parameters())
    assert one.own_parameters()


@pytest.mark.parametrize("name", ["llama", "mt5"])
def test_without_a_layer_to_tie_the_embeddings_are_it(
    checkpoints: dict[str, Checkpoint], name: str, tmp_path: Path
) -> None:
    """Llama's output layer is not tied, and the encoder of mT5 has none."""
    checkpoint = headless(checkpoints[name], tmp_path / "headless") if name == "llama" else checkpoints[name]
    layer = loaded(checkpoint)
    encoder: Any = layer.encoder
    assert layer.source == "input_embeddings"
    with torch.no_grad():
        expected = encoder(input_ids=IDS).last_hidden_state[0] @ encoder.get_input_embeddings().weight.T
    assert torch.allclose(logits(layer), expected, atol=1e-5)


def test_a_random_layer_is_the_same_for_a_seed(checkpoints: dict[str, Checkpoint]) -> None:
    found = [logits(loaded(checkpoints["bert"], random=True, seed=seed)) for seed in (3, 3, 4)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_decoder_that_sees_the_next_token_is_refused(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints["llama"].folder, tmp_path / "llama"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_causal": False}))
    with pytest.raises(UserError, match="can't be trained to predict the next token; use another method"):
        loaded(resolve_checkpoint(str(folder)))


def test_embeddings_of_another_width_are_refused(checkpoints: dict[str, Checkpoint]) -> None:
    encoder: Any = load_encoder(checkpoints["mt5"], seed=0)
    narrow = torch.nn.Embedding(40, 8)
    encoder.get_input_embeddings = lambda: narrow
    with pytest.raises(UserError, match=r"embeddings of width 8 can't be one on hidden states of width \d+; use"):
        load_output_layer(checkpoints["mt5"], encoder, random=False, seed=0)
