"""Build transformers models from stored stages, save them, and check that they compute the same when loaded again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForTextEncoding

from xrealign_bench.errors import UserError
from xrealign_bench.model_export.request import ADAPTER, SENTENCES, TASK, ExportOptions, Target
from xrealign_bench.models.blocks import block_output, remove_blocks_above
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.checkpoint_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from xrealign_bench.models.config import load_config, quiet_transformers
from xrealign_bench.models.encoder import without_pooler
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.task_class import AUTO_CLASSES, to_task_class
from xrealign_bench.models.windows import TokenBatch, collate_tokens
from xrealign_bench.pipeline.loading import StartingWeights, forget_models, kept_finetuned, load_realigned, tokenizer_of
from xrealign_bench.pipeline.stage import RunContext
from xrealign_bench.pipeline.stages.realign import ADAPTER as ADAPTER_FOLDER
from xrealign_bench.tasks.heads import EncoderHead, TransformersHead

_PROBES = (
    "On Monday twelve euros and fifty cents were paid.",
    "Am Montag wurden zwölf Euro bezahlt",
    "понедельник",
    "วันจันทร์",
)
"""Texts on which the exported model is compared; of different lengths, so that padding matters."""
_TOLERANCE = 1e-4
"""Largest difference to the trained model in float32, relative to the largest output."""


@dataclass(frozen=True)
class Loader:
    """The call that loads an exported model."""

    auto_class: str
    arguments: dict[str, Any]
    """Besides the folder."""


@dataclass(frozen=True)
class Trained:
    """The stored output of a training."""

    folder: Path
    start: StartingWeights | None = None
    """Of a fine-tuning: the weights that it began with, which are read if only an adapter was trained."""


@dataclass(frozen=True)
class Saved:
    """What is known of a saved model."""

    difference: float
    """Largest difference between its outputs and those of the trained model."""
    width: int
    """Dimension of its outputs."""


def save_model(target: Target, trained: Trained, context: RunContext, options: ExportOptions, folder: Path) -> Saved:
    """Save the model and its tokenizer to a folder, and load it again with plain transformers.

    Args:
        target: what to export.
        trained: output of the stage.
        context: its checkpoint is the base model.
        options: options of the export.
        folder: existing folder to write to.

    Raises:
        UserError: the saved model computes something else, or can't be made.
    """
    context = replace(context, device="cpu", precision="float32", gradient_checkpointing=False, quantised=None)
    tokenizer = tokenizer_of(context.checkpoint)
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
        batch = collate_tokens([ids[:32] for ids in tokenizer(list(_PROBES))["input_ids"]], tokenizer.pad_token_id)
        expected = _save_weights(target, trained, context, options, folder, batch)
        found = _outputs(_load_saved(target, context.checkpoint, folder), batch)
    difference = float((found - expected).abs().max())
    exact = options.dtype in (None, "float32")
    if not difference <= (_TOLERANCE * float(expected.abs().max()) if exact else float("inf")):
        raise UserError(
            f"recipe '{target.run.recipe.name}': loaded by transformers, the exported {target.form} gives other "
            f"outputs (difference {difference:.3g}), because its class can't express {_unusual(target)}; use "
            "xb.realign to have the model in memory"
        )
    return Saved(difference, expected.shape[-1])


def loader(target: Target, checkpoint: Checkpoint) -> Loader:
    """Return the call that loads the exported model."""
    if target.form == TASK:
        assert target.task is not None
        return Loader(AUTO_CLASSES[target.task.base_type].__name__, {})
    if checkpoint.family == "encoder_decoder":
        return Loader(AutoModelForTextEncoding.__name__, {})
    return Loader(AutoModel.__name__, without_pooler(load_config(checkpoint)))


def _unusual(target: Target) -> str:
    if target.run.recipe.attention == "bidirectional":
        return "its bidirectional attention"
    return f"the output of block '{target.task.layer}'" if target.form == SENTENCES and target.task else "it"


def _save_weights(
    target: Target, trained: Trained, context: RunContext, options: ExportOptions, folder: Path, batch: TokenBatch
) -> Tensor:
    """Save weights and configuration. Returns the trained model's outputs."""
    if target.form == TASK:
        model, whole = _finetuned(target, trained, context)
        expected = _head_outputs(model, batch)
    else:
        model = load_realigned(trained.folder, target.run.recipe.attention, context).eval()
        if target.form == ADAPTER:
            _save_adapter(trained.folder / ADAPTER_FOLDER, context.checkpoint, options, folder)
            return _outputs(model, batch)
        layer = "last" if target.task is None else target.task.layer
        expected = _masked(block_output(model, layer, batch.input_ids, batch.attention_mask), batch)
        remove_blocks_above(model, layer)
        whole = _whole(target, model, context.checkpoint)
    if target.run.recipe.attention == "bidirectional":
        whole.config.is_causal = False
    if options.dtype is not None:
        whole.to(getattr(torch, options.dtype))
    whole.save_pretrained(folder)
    return expected


def _finetuned(target: Target, trained: Trained, context: RunContext) -> tuple[Any, Any]:
    """Return the fine-tuned model, and the same as a class of transformers with the task's labels."""
    task, recipe = target.task, target.run.recipe
    assert task is not None and trained.start is not None
    folder, start = trained.folder, trained.start
    model, pad_id = kept_finetuned(folder, start, recipe.attention, context, task, target.head)
    forget_models()
    if isinstance(model, TransformersHead):
        whole = model.whole
    else:
        whole = to_task_class(context.checkpoint, model.encoder, model.classifier, task.base_type, pad_id)
    if task.labels:
        whole.config.id2label = dict(enumerate(task.labels))
        whole.config.label2id = {label: number for number, label in enumerate(task.labels)}
    return model, whole


def _whole(target: Target, encoder: Any, checkpoint: Checkpoint) -> Any:
    """Return the model to save: an encoder, or a decoder with the output layer of its checkpoint if it has one."""
    if checkpoint.family == "encoder_decoder":
        models: Any = AutoModelForTextEncoding
        whole = models.from_config(load_config(checkpoint), dtype=torch.float32)
        whole.get_encoder().load_state_dict(encoder.state_dict())
        return whole
    recipe = target.run.recipe
    if checkpoint.family == "decoder" and target.task is None and recipe.attention == "own":
        try:
            random = recipe.initialisation == "random"
            return add_output_layer(checkpoint, encoder, random=random, seed=target.seed).whole
        except UserError:  # the checkpoint has no output layer, or is no language model
            return encoder
    return encoder


def _save_adapter(stored: Path, checkpoint: Checkpoint, options: ExportOptions, folder: Path) -> None:
    """Copy the stored adapter, and name its base model so that transformers finds it."""
    settings = json.loads((stored / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    on_hub = checkpoint.revision is not None
    settings["base_model_name_or_path"] = checkpoint.id if on_hub else str(checkpoint.folder.absolute())
    settings["revision"] = checkpoint.revision
    (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    weights = load_file(stored / ADAPTER_WEIGHTS)
    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    save_file({name: tensor.to(dtype) for name, tensor in weights.items()}, folder / ADAPTER_WEIGHTS, {"format": "pt"})


def _load_saved(target: Target, checkpoint: Checkpoint, folder: Path) -> Any:
    """Load what was saved in float32, as its reader would."""
    call = loader(target, checkpoint)
    models: Any = AUTO_CLASSES[target.task.base_type] if target.form == TASK and target.task else AutoModel
    if call.auto_class == AutoModelForTextEncoding.__name__:
        models = AutoModelForTextEncoding
    code = checkpoint.trust_remote_code
    options = {"dtype": torch.float32, "local_files_only": True, "trust_remote_code": code, **call.arguments}
    if target.form != ADAPTER:
        return models.from_pretrained(folder, **options).eval()
    from peft import PeftModel

    # Not through the name of the base model: the Hub may be out of reach.
    return PeftModel.from_pretrained(models.from_pretrained(checkpoint.folder, **options), str(folder)).eval()


def _head_outputs(model: EncoderHead | TransformersHead, batch: TokenBatch) -> Tensor:
    """Return the logits of a fine-tuned model, 0 for padding: of tokens, or of the text at its first token."""
    with torch.inference_mode():
        if isinstance(model, TransformersHead):
            logits = model.token_logits(batch.input_ids, batch.attention_mask)
        else:
            logits = model.classify(model.encode(batch.input_ids, batch.attention_mask))
    return _masked(logits, batch)


def _outputs(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Return the hidden states or logits of a transformers model in the shape of `_head_outputs`."""
    with torch.inference_mode():
        output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    if "start_logits" in output:
        found = torch.stack([output.start_logits, output.end_logits], -1)
    else:
        found = output.logits if "logits" in output else output.last_hidden_state
    if found.dim() == 2:  # one row a text
        found = nn.functional.pad(found[:, None], (0, 0, 0, batch.input_ids.shape[1] - 1))
    return _masked(found, batch)


def _masked(values: Tensor, batch: TokenBatch) -> Tensor:
    return values.detach() * batch.attention_mask.unsqueeze(-1)
