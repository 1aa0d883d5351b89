"""Decoders evaluated as language models, through the real stages. Truth: predictions counted anew, transformers' own
loss, stages counted by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Features, Value
from peft import PeftModel
from transformers import AutoTokenizer, BitsAndBytesConfig, LlamaForCausalLM

from tests.data.hub_folder import write_rows
from tests.small import (
    RECIPE,
    SEEDS,
    SOURCE,
    SUITE,
    TARGETS,
    World,
    mean_by_language,
    write_llama,
    write_suite,
    write_yaml,
)
from xrealign_bench.demo import phrases
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.reproduction import evaluate_command
from xrealign_bench.results.storage import read_comparison, read_result

TEXTS = 6
HUB: dict[str, Any] = {
    "licence": "Unicode-3.0",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "configs": {code: code for code in [SOURCE, *TARGETS]},
}
PLAIN = HUB | {
    "name": "plain", "title": "Plain text", "task_type": "language_modelling",
    "columns": {"text": "text"}, "metric": "compression",
}  # fmt: skip
TOPIC = HUB | {
    "name": "topic", "title": "Long or short", "task_type": "prompted_classification",
    "columns": {"text": "text", "label": "label"}, "labels": ["short", "long"],
    "prompt": "{text}: {label}.", "verbalisers": {"short": "May", "long": "April"},
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("decoder")
    write_llama(folder / "llama")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["short", "long"])})
    for code in TARGETS:
        pairs = phrases.parallel_rows(SOURCE, code, TEXTS)
        sides = {code: [" ".join(row.target_words) for row in pairs]}
        sides[SOURCE] = [" ".join(row.source_words) for row in pairs]
        for language, texts in sides.items():
            rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
            write_rows(folder / "data", language, "test", rows, features)
    suite = write_suite(folder, tasks=["plain", "topic"], finetuning=SUITE["finetuning"] | {"max_length": 60})
    write_yaml(folder / "plain.yaml", PLAIN)
    write_yaml(folder / "topic.yaml", TOPIC)
    world = World(folder, suite, folder / "llama")
    ran = world.evaluate("--data-root", folder / "data", "--json")
    assert ran.status == 0, ran.err
    assert len(json.loads(ran.out)) == 2
    return world


def bits_and_tokens(world: World, model: Any) -> tuple[float, int, int]:
    """Of the Thai texts, by transformers' loss: bits, tokens, bytes."""
    tokenizer = AutoTokenizer.from_pretrained(world.checkpoint)
    features = pq.read_table(world.folder / "data/org/tags/th/test-00000-of-00001.parquet").to_pylist()
    bits, tokens = 0.0, 0
    for row in features:
        ids = tokenizer(row["text"])["input_ids"][:-1]  # without the token behind the text
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
        bits, tokens = bits + loss * (len(ids) - 1) / np.log(2), tokens + len(ids) - 1
    return bits, tokens, sum(len(row["text"].encode()) for row in features)


def test_the_checkpoints_own_bits_are_those_of_transformers_loss(world: World) -> None:
    bits, tokens, size = bits_and_tokens(world, LlamaForCausalLM.from_pretrained(world.checkpoint).eval())
    result = read_result(world.result("finetune-only"))
    scores = [s for s in result.scores if (s.task, s.language) == ("plain", "th")]
    assert [score.seed for score in scores] == SEEDS
    for score in scores:
        assert score.metrics["bits_per_byte"] == pytest.approx(bits / size, rel=1e-5)
        assert score.metrics["compression"] == pytest.approx(1 - bits / size / 8, rel=1e-5)
        assert score.metrics["perplexity"] == pytest.approx(2 ** (bits / tokens), rel=1e-4)


def test_nothing_is_fine_tuned_and_the_source_language_is_tested(world: World) -> None:
    kinds = Counter(entry.manifest.kind for entry in Store(world.store).entries())
    cells = 2 * 4  # tasks, languages
    expected = {"tokenise": cells, "align": 3, "encode": 3, "realign": 2, "predict": cells + 2 * cells}
    assert kinds == Counter(expected)
    for recipe in ("finetune-only", "alignfreeze-front"):
        result = read_result(world.result(recipe))
        assert result.missing == []
        assert {(s.language, s.seed) for s in result.scores if s.task == "topic"} == {
            (code, seed) for code in [SOURCE, *TARGETS] for seed in SEEDS
        }


def test_the_harm_to_the_language_model_is_compared(world: World) -> None:
    """Three steps at 1e-3 change it; by how much is the difference of what is stored."""
    comparison = read_comparison(world.result("alignfreeze-front"))
    assert comparison is not None
    plain = next(task for task in comparison.tasks if task.task == "plain")
    means = [
        mean_by_language(world.result(recipe), "plain", "compression")
        for recipe in ("finetune-only", "alignfreeze-front")
    ]
    for change in plain.languages:
        assert change.gain == pytest.approx(means[1][change.language] - means[0][change.language])
        assert change.gain != 0 and change.one_std == "same"
    assert "source" in plain.gains


LORA = RECIPE | {"name": "lora", "adapter": {"r": 2}, "schedule": {"batch_size": 4, "learning_rate": 0.01}}


def with_adapter(world: World, whole: Any, result: str = "lora") -> tuple[Any, Path]:
    """A language model with the adapter that the first seed's realignment left, put on it by PEFT."""
    stages = [stage for stage in read_result(world.result(result)).stages if stage.stage_type == "realign"]
    folders = [Store(world.store).read("realign", stage.key).folder for stage in stages]
    folder = next(each for each in folders if read_json(each / "log.json")["record"]["seed"] == SEEDS[0])
    whole.model = PeftModel.from_pretrained(whole.model, folder / "adapter")
    return whole.eval(), folder


def scored(world: World, recipe: str) -> dict[int, float]:
    scores = read_result(world.result(recipe)).scores
    return {s.seed: s.metrics["bits_per_byte"] for s in scores if (s.task, s.language) == ("plain", "th")}


def test_of_a_realigned_adapter_nothing_else_is_stored(world: World) -> None:
    ran = world.evaluate("--data-root", world.folder / "data", "--recipe", write_yaml(world.folder / "lora.yaml", LORA))
    assert ran.status == 0, ran.err
    model, folder = with_adapter(world, LlamaForCausalLM.from_pretrained(world.checkpoint))
    assert not [path for path in folder.rglob("*.safetensors") if path.name != "adapter_model.safetensors"]
    bits, _, size = bits_and_tokens(world, model)
    assert scored(world, "lora")[SEEDS[0]] == pytest.approx(bits / size, rel=1e-5)
    assert scored(world, "lora")[SEEDS[0]] != pytest.approx(scored(world, "finetune-only")[SEEDS[0]], rel=1e-4)


def test_an_adapter_is_realigned_beside_quantised_weights(world: World, tmp_path: Path) -> None:
    recipe = write_yaml(tmp_path / "lora.yaml", LORA)
    quantised = World(tmp_path, world.suite, world.checkpoint)
    ran = quantised.evaluate("--data-root", world.folder / "data", "--recipe", recipe, "--quantise", "8bit")
    assert ran.status == 0, ran.err
    assert "MatMul8bitLt" not in ran.err
    bits8 = BitsAndBytesConfig(load_in_8bit=True)
    whole = LlamaForCausalLM.from_pretrained(world.checkpoint, quantization_config=bits8, dtype=torch.float32)
    assert whole.model.layers[0].mlp.up_proj.weight.dtype == torch.int8
    bits, _, size = bits_and_tokens(world, whole.eval())
    assert scored(quantised, "finetune-only--8bit") == pytest.approx(dict.fromkeys(SEEDS, bits / size), rel=1e-4)
    bits, _, size = bits_and_tokens(world, with_adapter(quantised, whole, "lora--8bit")[0])
    assert scored(quantised, "lora--8bit")[SEEDS[0]] == pytest.approx(bits / size, rel=1e-4)
    # Rounding moves the score, a little.
    assert 0 < abs(scored(quantised, "finetune-only--8bit")[3] / scored(world, "finetune-only")[3] - 1) < 0.02
    result = read_result(quantised.result("lora--8bit"))
    assert result.known_compute_settings.quantised == "8bit" and "bitsandbytes" in result.packages
    assert "--quantise 8bit" in evaluate_command(result)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("8bit", "--recipe", "alignfreeze-full"),
            "'alignfreeze-full' trains the encoder's weights, and quantised ones",
        ),
        (
            ("8bit", "--recipe", "random-init-finetune"),
            "'random-init-finetune' draws the encoder's weights, and quantised ones",
        ),
        (("4bit", "--recipe", "full-lora"), "on the CPU bitsandbytes passes no gradient through weights of 4 bits"),
        (("8bit", "--suite", "demo", "--recipe", "full-lora"), "is fine-tuned, which trains all weights"),
    ],
)
def test_quantised_weights_are_never_trained(world: World, arguments: tuple[str, ...], reason: str) -> None:
    ran = world.evaluate("--data-root", world.folder / "data", "--quantise", *arguments)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert reason in ran.err


def test_an_encoder_is_refused_before_any_work(world: World, small_checkpoint: Path) -> None:
    ran = world.evaluate("--data-root", world.folder / "data", "--checkpoint", small_checkpoint)
    assert ran.status == 2
    assert "task 'plain' needs the probabilities that a decoder gives to text, and the checkpoint tiny is not" in (
        ran.err
    )


def test_what_has_no_place_here_is_refused(world: World) -> None:
    """Joint realignment has no fine-tuning to go beside; who sees both sides expects nothing to come next."""
    for recipe, reason in (
        ("joint-full", "realigns during fine-tuning and the task 'plain' has none"),
        ("full-bidirectional", "makes a decoder's attention bidirectional, and the task 'plain' predicts the next"),
    ):
        ran = world.evaluate("--data-root", world.folder / "data", "--recipe", recipe)
        assert ran.status == 2
        assert reason in ran.err


def test_a_decoder_that_sees_both_sides_is_realigned_and_fine_tuned_so(world: World, tmp_path: Path) -> None:
    tagging = World(tmp_path, write_suite(tmp_path, target_languages=["de"], seeds=[3]), world.checkpoint)
    recipes = ["full-bidirectional", "finetune-bidirectional"]
    ran = tagging.evaluate(*[part for recipe in recipes for part in ("--recipe", recipe)])
    assert ran.status == 0, ran.err
    kinds = Counter(entry.manifest.kind for entry in Store(tagging.store).entries())
    assert (kinds["realign"], kinds["finetune"], kinds["predict"]) == (1, 3, 6)
    logs = {
        recipe: [stage.key for stage in read_result(tagging.result(recipe)).stages if stage.stage_type == "finetune"]
        for recipe in ("finetune-only", *recipes)
    }
    losses = [
        json.loads((Store(tagging.store).read("finetune", key).folder / "log.json").read_text())["losses"]
        for keys in logs.values()
        for key in keys
    ]
    assert len({tuple(each) for each in losses}) == 3
