"""Evaluations with transformers' own heads. Truth: the weight files, and transformers' classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, XGLMConfig, XGLMModel

from tests.small import RECIPE, World, write_recipe, write_suite, write_yaml
from tests.test_evaluate_texts import TASK, write_pairs
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.pipeline.stages import Finetune
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs import Recipe

NEXT_TO_NOTHING = 1e-12
"""A learning rate that leaves weights as they are."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> Path:
    """A BERT with a pooler."""
    folder = tmp_path_factory.mktemp("pooled") / "pooled"
    torch.manual_seed(4)
    BertModel(BertConfig.from_pretrained(small_checkpoint)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((small_checkpoint / name).read_bytes())
    return folder


def new_world(folder: Path, checkpoint: Path, rate: float) -> World:
    write_pairs(folder / "data/org/nli/en", "en", "train", 25)
    write_pairs(folder / "data/org/nli/en", "en", "test", 13)
    write_pairs(folder / "data/org/more/deu", "de", "test", 11)
    finetuning = {"steps": 3, "batch_size": 8, "max_length": 32, "learning_rate": {"default": rate}}
    own = {"tasks": ["phrases", "pairs-nli"], "target_languages": ["de"], "seeds": [3], "head": "transformers"}
    suite = write_suite(folder, **own, finetuning=finetuning)
    write_yaml(folder / "pairs-nli.yaml", TASK)
    return World(folder, suite, checkpoint)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> World:
    """Realigned at a learning rate that moves weights, and fine-tuned at one that doesn't."""
    folder = tmp_path_factory.mktemp("heads")
    world = new_world(folder, checkpoint, NEXT_TO_NOTHING)
    recipes = [write_recipe(folder, schedule={"batch_size": 4, "learning_rate": 1e-3})]
    recipes.append(write_recipe(folder, name="joint", schedule={"when": "during", "batch_size": 4}))
    ran = world.evaluate("--data-root", folder / "data", *(word for path in recipes for word in ("--recipe", path)))
    assert ran.status == 0, ran.err
    return world


def finetuned(world: World, task: str, recipe: str) -> dict[str, torch.Tensor]:
    """Return the stored weights of a fine-tuning."""
    for stage in world.store.glob("finetune/*/*/manifest.json"):
        label = json.loads(stage.read_bytes())["description"]["label"]
        if label.startswith(f"fine-tune {task} ") and label.endswith(f" {recipe}, seed 3"):
            return load_file(stage.parent / "model.safetensors")
    raise AssertionError(f"no fine-tuning of {task} after {recipe}")


@pytest.mark.parametrize("recipe", ["finetune-only", RECIPE["name"], "joint"])
def test_the_pooler_after_realignment_is_the_checkpoints(evaluated: World, recipe: str) -> None:
    stored, own = finetuned(evaluated, "pairs-nli", recipe), load_file(evaluated.checkpoint / "model.safetensors")

    def is_unchanged(name: str) -> bool:
        return torch.allclose(stored[f"bert.{name}"], own[name], rtol=0, atol=10 * NEXT_TO_NOTHING)

    assert is_unchanged("pooler.dense.weight") and is_unchanged("pooler.dense.bias")
    assert is_unchanged("encoder.layer.2.output.dense.weight") == (recipe != RECIPE["name"])


def test_random_weights_get_a_random_head_after_realignment_too(evaluated: World) -> None:
    mine = Recipe.model_validate(RECIPE)
    recipes = [mine, mine.model_copy(update={"name": "random", "initialisation": "random"})]
    plan = prepare(
        Options(
            checkpoint=str(evaluated.checkpoint),
            recipes=recipes,
            suite=str(evaluated.suite),
            data_root=evaluated.folder / "data",
            device="cpu",
        )
    )
    stages = [plan.stages[run.finetune["pairs-nli", 3]] for run in plan.runs]
    assert all(isinstance(stage, Finetune) for stage in stages)
    settings = [stage.settings for stage in stages if isinstance(stage, Finetune)]
    assert [(s.head, s.random_head) for s in settings] == [
        ("transformers", False), ("transformers", False), ("transformers", True),
    ]  # fmt: skip


def test_stored_weights_have_the_names_of_transformers_class(evaluated: World) -> None:
    config = BertConfig.from_pretrained(evaluated.checkpoint, num_labels=3)
    whole = BertForSequenceClassification(config)
    whole.load_state_dict(finetuned(evaluated, "pairs-nli", RECIPE["name"]), strict=True)
    assert not any("pooler" in name for name in finetuned(evaluated, "phrases", RECIPE["name"]))


def test_results_have_both_tasks_and_the_same_number_of_parameters(evaluated: World, checkpoint: Path) -> None:
    result = read_result(evaluated.result(RECIPE["name"]))
    assert {(score.task, score.language) for score in result.scores} == {
        (task, language) for task in ("phrases", "pairs-nli") for language in ("en", "de")
    }
    bare = BertModel(BertConfig.from_pretrained(checkpoint), add_pooling_layer=False)
    assert result.checkpoint.parameters == bare.num_parameters()
    assert result.suite.head == "transformers"


def test_a_checkpoint_without_such_a_class_is_refused_before_anything_is_computed(
    tmp_path: Path, checkpoint: Path
) -> None:
    sizes = {"d_model": 16, "num_layers": 4, "attention_heads": 2, "ffn_dim": 24, "vocab_size": 12000}
    XGLMModel(XGLMConfig(**sizes, max_position_embeddings=64, pad_token_id=0)).save_pretrained(tmp_path / "xglm")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "xglm" / name).write_bytes((checkpoint / name).read_bytes())
    ran = new_world(tmp_path, tmp_path / "xglm", 1e-3).evaluate("--data-root", tmp_path / "data", "--task", "phrases")
    assert ran.status == 2
    assert (
        "suite 'small' sets 'head: transformers', and transformers has no head for the task type "
        "'token_classification' of task 'phrases' on the encoder of the checkpoint xglm" in ran.err
    )
    assert "Traceback" not in ran.err and not list((tmp_path / "store").glob("*/*"))
