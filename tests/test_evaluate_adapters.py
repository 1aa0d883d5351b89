"""A decoder fine-tuned by LoRA, through the real stages. Truth: PEFT's own model with the stored adapter, unmerged."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from tests.small import RECIPE, SUITE, World, write_llama, write_recipe, write_suite
from xrealign_bench.models.windows import Window, Windows

LORA = {"r": 4, "alpha": 8}
JOINT = {"joint": "during", "alternating": "alternate"}
"""Recipe -> its `schedule.when`."""


@pytest.fixture(scope="module", params=["linear", "transformers"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("lora")
    write_llama(folder / "llama")
    finetuning = SUITE["finetuning"] | {"adapter": LORA, "learning_rate": {"default": 3e-2}, "steps": 6}
    suite = write_suite(folder, finetuning=finetuning, target_languages=["de"], seeds=[3], head=request.param)
    world = World(folder, suite, folder / "llama")
    recipes = [write_recipe(folder)]
    for name, when in JOINT.items():
        recipes.append(write_recipe(folder, name=name, schedule={"when": when, "batch_size": 4}))
    ran = world.evaluate(*chain.from_iterable(("--recipe", recipe) for recipe in recipes))
    assert ran.status == 0, ran.err
    return world


def stage_of(world: World, label: str) -> tuple[Path, dict[str, Any]]:
    for stage in world.store.glob("*/*/*/manifest.json"):
        description = json.loads(stage.read_bytes())["description"]
        if description["label"] == label:
            return stage.parent, description["inputs"]
    raise AssertionError(f"no stage '{label}'")


def folder_of(world: World, ref: dict[str, str]) -> Path:
    return world.store / ref["kind"] / ref["key"][:2] / ref["key"]


def test_the_adapter_and_the_head_are_what_is_stored(world: World) -> None:
    folder, _ = stage_of(world, f"fine-tune phrases after {RECIPE['name']}, seed 3")
    head = load_file(folder / "model.safetensors")
    linear, transformers = {"classifier.weight", "classifier.bias"}, {"score.weight", "score.bias"}
    assert head.keys() in (linear, transformers)
    config = json.loads((folder / "adapter" / "adapter_config.json").read_bytes())
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert adapter and all(".lora_A." in name or ".lora_B." in name for name in adapter)
    assert any(tensor.any() for name, tensor in adapter.items() if ".lora_B." in name)


@pytest.mark.parametrize("recipe", ["finetune-only", RECIPE["name"], *JOINT])
def test_predictions_are_those_of_pefts_own_model(world: World, recipe: str) -> None:
    folder, inputs = stage_of(world, f"fine-tune phrases {'with' if recipe in JOINT else 'after'} {recipe}, seed 3")
    predicted, of_prediction = stage_of(world, f"predict phrases de after {recipe}, seed 3")
    assert ("encoder" in of_prediction) == (recipe == RECIPE["name"])  # the weights below the adapter
    body = AutoModel.from_pretrained(world.checkpoint, dtype=torch.float32)
    if recipe == RECIPE["name"]:
        body.load_state_dict(load_file(folder_of(world, inputs["encoder"]) / "encoder.safetensors"))
    adapted = PeftModel.from_pretrained(body, str(folder / "adapter")).eval()
    weight, bias = (tensor for _, tensor in sorted(load_file(folder / "model.safetensors").items(), reverse=True))
    windows = list(Windows(pq.read_table(folder_of(world, of_prediction["test"]) / "windows.parquet"), Window))
    rows = pq.read_table(predicted / "predictions.parquet")["predicted"].to_pylist()
    assert len(windows) == len(rows)
    for window in windows:
        ids = torch.tensor([window.input_ids])
        with torch.no_grad():
            hidden = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        logits = hidden[torch.tensor(window.starts)] @ weight.T + bias
        assert rows[window.sentence] == logits.argmax(-1).tolist()


def test_realignment_beside_fine_tuning_trains_the_adapter_alone(world: World) -> None:
    plain = adapter_of(world, "after finetune-only")
    for recipe in JOINT:
        folder, _ = stage_of(world, f"fine-tune phrases with {recipe}, seed 3")
        assert {file.name for file in folder.glob("*.safetensors")} == {"model.safetensors"}  # the head's
        record = json.loads((folder / "log.json").read_bytes())
        own = adapter_of(world, f"with {recipe}")
        assert own.keys() == plain.keys()
        # RECIPE freezes the lower half for the realignment loss, which sits on the penultimate of four blocks.
        trained = sum(tensor.numel() for name, tensor in own.items() if ".layers.2." in name)
        assert record["record"]["trained_parameters"] == trained
        assert all(not torch.equal(own[name], plain[name]) for name in own if ".lora_B." in name)


def adapter_of(world: World, what: str) -> dict[str, torch.Tensor]:
    folder, _ = stage_of(world, f"fine-tune phrases {what}, seed 3")
    return load_file(folder / "adapter" / "adapter_model.safetensors")
