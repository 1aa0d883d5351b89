"""Transformers' own heads. Truth: the class as `from_pretrained` makes it from the checkpoint, and the files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from tests.models.conftest import new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.precision import set_precision
from xrealign_bench.models.task_class import has_task_class, load_task_class
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.specs import TaskType
from xrealign_bench.tasks.registry import TASK_TYPES

CLASSES: dict[TaskType, Any] = {
    "token_classification": AutoModelForTokenClassification,
    "sequence_classification": AutoModelForSequenceClassification,
    "question_answering": AutoModelForQuestionAnswering,
}
OUTPUTS: dict[TaskType, int] = {"token_classification": 5, "sequence_classification": 3, "question_answering": 2}
IDS = torch.tensor([[3, *range(8, 19)], [3, 9, 12, 15, 4, *[0] * 7], [3, 17, *range(20, 29), 5]])
MASK = torch.tensor([[1] * 12, [1] * 5 + [0] * 7, [1] * 12])
LACKING: dict[TaskType, set[str]] = {
    "token_classification": {"xglm", "opt", "gemma3"},
    "sequence_classification": {"xglm", "apertus"},
    "question_answering": {"xglm", "apertus", "gemma", "gemma2", "gemma3", "eurobert"},
}
"""Families that are missing in the documentation of each of transformers' Auto classes."""
ENCODER_DECODERS = {"mt5", "umt5", "m2m-100"}


def ours(checkpoint: Checkpoint, encoder: Any, task_type: TaskType, **more: Any) -> Any:
    settings = {"random": False, "pad_id": 0, **more}
    return load_task_class(checkpoint, encoder, task_type, OUTPUTS[task_type], **settings)


def transformers_own(checkpoint: Checkpoint, task_type: TaskType) -> Any:
    labels = {"num_labels": OUTPUTS[task_type]}
    model = CLASSES[task_type].from_pretrained(checkpoint.folder, dtype=torch.float32, **labels).eval()
    model.config.pad_token_id = 0
    if task_type == "question_answering":  # some classes call their decoder otherwise than the checkpoint does
        encoder = AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32)
        model.base_model.load_state_dict(encoder.state_dict(), strict=False)
    return model


def with_pooler(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """Copy a checkpoint of a BERT and add a pooler to its weights."""
    shutil.copytree(checkpoint.folder, folder)
    weights = load_file(folder / "model.safetensors")
    random = torch.Generator().manual_seed(3)
    weights["bert.pooler.dense.weight"] = torch.randn(16, 16, generator=random)
    weights["bert.pooler.dense.bias"] = torch.randn(16, generator=random)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return resolve_checkpoint(str(folder))


def scores(model: Any, task_type: TaskType) -> torch.Tensor:
    """Return what a wrapped model gives, for word tagging of every token."""
    starts = torch.arange(IDS.shape[1]).expand_as(IDS)
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS, MASK, starts if task_type == "token_classification" else None)
    return found


def own_scores(model: Any, task_type: TaskType) -> torch.Tensor:
    with torch.no_grad():
        output = model(input_ids=IDS, attention_mask=MASK)
    if task_type == "question_answering":
        return torch.stack([output.start_logits, output.end_logits], -1)
    return output.logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("task_type", CLASSES)
@pytest.mark.few_families
def test_scores_are_those_of_transformers_own_class(
    checkpoint: Checkpoint, checkpoints: dict[str, Checkpoint], task_type: TaskType
) -> None:
    name = next(name for name, other in checkpoints.items() if other is checkpoint)
    is_lacking = name in LACKING[task_type] | ENCODER_DECODERS
    assert has_task_class(checkpoint, task_type) != is_lacking
    if is_lacking:
        return
    torch.manual_seed(5)
    whole = transformers_own(checkpoint, task_type)
    torch.manual_seed(5)
    model = TASK_TYPES[task_type].new_transformers_model(ours(checkpoint, new_encoder(checkpoint), task_type))
    if task_type == "question_answering":  # some of its classes find nothing in the checkpoint and draw once more
        head = {n: t for n, t in model.stored.state_dict().items() if not n.startswith(whole.base_model_prefix)}
        whole.load_state_dict(head, strict=False)
    found, truth = scores(model, task_type), own_scores(whole, task_type)
    read = MASK.bool() if truth.dim() == 3 else slice(None)  # scores of padding are not read
    assert torch.allclose(found[read], truth[read], atol=1e-5)
    assert {n: t.shape for n, t in model.stored.state_dict().items()} == {
        n: t.shape for n, t in whole.state_dict().items()
    }


def test_another_seed_draws_another_head_and_a_random_one_ignores_the_checkpoint(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    checkpoint = with_pooler(checkpoints["bert"], tmp_path / "bert")
    drawn = []
    for seed, random in ((1, False), (2, False), (1, True)):
        torch.manual_seed(seed)
        drawn.append(ours(checkpoint, new_encoder(checkpoint), "sequence_classification", random=random).state_dict())
    pooler = load_file(checkpoint.folder / "model.safetensors")["bert.pooler.dense.weight"]
    assert [torch.equal(state["bert.pooler.dense.weight"], pooler) for state in drawn] == [True, True, False]
    assert not torch.equal(drawn[0]["classifier.weight"], drawn[1]["classifier.weight"])


def test_a_realigned_encoder_keeps_its_weights_and_gets_the_checkpoints_pooler(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    checkpoint = with_pooler(checkpoints["bert"], tmp_path / "bert")
    encoder = load_encoder(checkpoint, seed=0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    moved = {f"bert.{name}": tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = ours(checkpoint, encoder, "sequence_classification").state_dict()
    stored = load_file(checkpoint.folder / "model.safetensors")
    assert all(torch.equal(state[name], tensor) for name, tensor in moved.items())
    assert {name for name in state if name not in moved} == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias",
    }  # fmt: skip
    assert torch.equal(state["bert.pooler.dense.weight"], stored["bert.pooler.dense.weight"])
    assert torch.equal(state["bert.pooler.dense.bias"], stored["bert.pooler.dense.bias"])


def test_tagging_and_questions_read_no_pooler(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    checkpoint = with_pooler(checkpoints["bert"], tmp_path / "bert")
    for task_type in ("token_classification", "question_answering"):
        names = ours(checkpoint, new_encoder(checkpoint), task_type).state_dict()
        assert not any("pooler" in name for name in names)


def test_a_head_runs_in_float32_above_an_encoder_in_bfloat16(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = new_encoder(checkpoints["bert"])
    set_precision(encoder, "bfloat16", torch.device("cpu"))
    model = TASK_TYPES["sequence_classification"].new_transformers_model(
        ours(checkpoints["bert"], encoder, "sequence_classification")
    )
    assert scores(model, "sequence_classification").dtype == torch.float32


def test_a_decoder_classifies_by_the_last_token_before_the_padding(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = checkpoints["llama"]
    whole = ours(checkpoint, new_encoder(checkpoint), "sequence_classification")
    model = TASK_TYPES["sequence_classification"].new_transformers_model(whole).eval()
    short = IDS[1:2, :5]
    with torch.no_grad():
        last = whole.model(input_ids=short, attention_mask=torch.ones_like(short)).last_hidden_state[:, -1]
        assert torch.allclose(scores(model, "sequence_classification")[1:2], whole.score(last), atol=1e-5)


def test_an_encoder_of_another_class_is_refused(checkpoints: dict[str, Checkpoint]) -> None:
    with pytest.raises(UserError, match="a XLMRobertaForTokenClassification is built on a XLMRobertaModel, and the"):
        ours(checkpoints["xlm-roberta"], new_encoder(checkpoints["bert"]), "token_classification")


def test_the_padding_token_is_the_tokenizers(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = checkpoints["gpt2"]
    pad_id = load_tokenizer(checkpoint).pad_token_id
    whole = ours(checkpoint, new_encoder(checkpoint), "sequence_classification", pad_id=pad_id)
    assert whole.config.pad_token_id == pad_id
