"""Adapters as checkpoints. Truth: PEFT itself, loading the adapter onto the model that it was trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from transformers import AutoConfig, AutoModel

from tests.models.conftest import language_model
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.load import load_encoder

IDS = torch.tensor([[8, 11, 12, 13, 14, 9]])


def trained_on(base: Path, head: bool) -> Any:
    config = AutoConfig.from_pretrained(base)
    return (language_model(config) if head else AutoModel).from_pretrained(base)


def write_adapter(base: Path, folder: Path, head: bool = True, **settings: Any) -> Path:
    """An adapter with random weights, written by PEFT."""
    torch.manual_seed(4)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, **settings)
    get_peft_model(trained_on(base, head), config).save_pretrained(folder)
    return folder


def states(encoder: Any) -> torch.Tensor:
    with torch.no_grad():
        hidden: torch.Tensor = encoder(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
        return hidden


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "modernbert", "llama", "gpt2", "bloom", "mt5", "m2m-100"])
def test_it_is_merged_as_peft_merges_it(
    checkpoints: dict[str, Checkpoint], name: str, head: bool, tmp_path: Path
) -> None:
    base = checkpoints[name]
    folder = write_adapter(base.folder, tmp_path / "adapter", head)
    whole = PeftModel.from_pretrained(trained_on(base.folder, head), folder).merge_and_unload().eval()
    plain = getattr(whole, whole.base_model_prefix, whole)
    expected = states(plain.get_encoder() if plain.config.is_encoder_decoder else plain)
    adapted = resolve_checkpoint(str(folder))
    assert torch.allclose(states(load_encoder(adapted, seed=0)), expected, atol=1e-6)
    assert not torch.allclose(states(load_encoder(base, seed=0)), expected, atol=1e-3)
    assert (adapted.id, adapted.adapter, adapted.folder) == ("adapter", folder, base.folder)
    assert adapted.weights_sha256 != base.weights_sha256 and adapted.config_sha256 != base.config_sha256
    assert adapted.tokenizer_sha256 == base.tokenizer_sha256


LINEAR = {"target_modules": ["query", "value"]}
OTHERS = [
    LoHaConfig(r=2, init_weights=False, **LINEAR),
    LoKrConfig(r=2, init_weights=False, **LINEAR),
    IA3Config(feedforward_modules=[], init_ia3_weights=False, **LINEAR),
    VeraConfig(r=2, init_weights=False, **LINEAR),
    OFTConfig(oft_block_size=4, init_weights=False, **LINEAR),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: str(config.peft_type.value))
def test_other_kinds_are_merged_too(checkpoints: dict[str, Checkpoint], config: PeftConfig, tmp_path: Path) -> None:
    base = checkpoints["bert"]
    torch.manual_seed(4)
    get_peft_model(trained_on(base.folder, True), config).save_pretrained(tmp_path / "adapter")
    whole = PeftModel.from_pretrained(trained_on(base.folder, True), tmp_path / "adapter").merge_and_unload().eval()
    found = states(load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0))
    assert torch.allclose(found, states(getattr(whole, whole.base_model_prefix)), atol=1e-5)
    assert not torch.allclose(found, states(load_encoder(base, seed=0)), atol=1e-3)


def test_a_base_model_beside_the_adapter_is_found(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(checkpoints["bert"].folder, tmp_path / "base")
    folder = write_adapter(tmp_path / "base", tmp_path / "adapter")
    change(folder, base_model_name_or_path="../base")
    assert resolve_checkpoint(str(folder)).folder == (tmp_path / "base").resolve()


def change(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


BAD: dict[str, tuple[Callable[[Path, dict[str, Checkpoint]], object], str]] = {
    "no weights": (
        lambda f, _: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
        r"has an adapter_config.json but no adapter_model.safetensors; add it \(a pickle",
    ),
    "no base": (lambda f, _: change(f, base_model_name_or_path=None), "names no base_model_name_or_path"),
    "base is gone": (
        lambda f, _: change(f, base_model_name_or_path="./nowhere"),
        "is an adapter, and its base model can't be had: checkpoint ./nowhere: there is no such folder",
    ),
    "another size": (
        lambda f, c: change(f, base_model_name_or_path=str(c["electra"].folder)),
        "the adapter is for another base model: .* and .* more don't fit",
    ),
    "another architecture": (
        lambda f, c: change(f, base_model_name_or_path=str(c["llama"].folder), target_modules=["query"]),
        "the adapter is for another base model: .*query",
    ),
    "an adapter's adapter": (
        lambda f, _: change(f, base_model_name_or_path=str(shutil.copytree(f, f.parent / "first"))),
        "is an adapter of an adapter",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_adapters_that_do_not_fit(checkpoints: dict[str, Checkpoint], case: str, tmp_path: Path) -> None:
    folder = write_adapter(checkpoints["bert"].folder, tmp_path / "adapter")
    spoil, message = BAD[case]
    spoil(folder, checkpoints)
    with pytest.raises(UserError, match=message):
        load_encoder(resolve_checkpoint(str(folder)), seed=0)


def test_prompts_can_not_be_merged(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(trained_on(checkpoints["llama"].folder, True), config).save_pretrained(tmp_path / "prompt")
    with pytest.raises(UserError, match="PROMPT_TUNING adds to the text and can't be merged"):
        load_encoder(resolve_checkpoint(str(tmp_path / "prompt")), seed=0)
