"""Adapters, by PEFT: put one on an encoder to be realigned in place of its weights, keep it, and load it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import ADAPTER_WEIGHTS
from xrealign_bench.specs import Adapter


def add_adapter(encoder: nn.Module, spec: Adapter) -> Any:
    """Put LoRA (Hu et al., ICLR 2022) on every linear layer of an encoder, in place; it computes what it did before.

    Its random start is drawn from torch's generator: call `seed_everything` first.

    Returns:
        PEFT's model around the encoder, for `adapter_parameters` and `save_adapter`.

    Raises:
        UserError: the encoder has no linear layer that PEFT knows.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=spec.r, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules="all-linear", bias="none"
    )
    try:
        return get_peft_model(encoder, config)
    except ValueError as error:
        raise UserError(f"adapter: PEFT puts no LoRA on a {type(encoder).__name__}: {error}") from None


def adapter_parameters(adapted: Any) -> set[int]:
    """The ids of the adapter's own parameters."""
    return {id(p) for name, p in adapted.named_parameters() if ".lora_" in name}


def save_adapter(adapted: Any, folder: Path, base: str) -> None:
    """Write the adapter alone, as PEFT does, for `load_adapter`.

    Args:
        adapted: PEFT's model around the encoder.
        folder: is made.
        base: the checkpoint that it stands on, by name.
    """
    adapted.peft_config["default"].base_model_name_or_path = base
    # Whether it trained embeddings too would be asked of the Hub.
    adapted.save_pretrained(str(folder), save_embedding_layers=False)


def load_adapter(model: Any, folder: Path, what: str) -> Any:
    """Put the adapter in a folder on a model without a head; what it holds for a head is left out.

    It is merged into the weights, so that the model is built as it was before. Beside weights that are quantised it
    stays: what it adds is less than they are rounded by.

    Args:
        model: transformers' class without a head, whatever class the adapter was trained on.
        folder: with `adapter_config.json` and `adapter_model.safetensors`.
        what: the checkpoint, for errors.

    Raises:
        UserError: the adapter can't be merged, or is one of another base model.
    """
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    config = PeftConfig.from_pretrained(str(folder))
    if config.is_prompt_learning:
        raise UserError(f"{what}: an adapter of type {config.peft_type} adds to the text and can't be merged")
    config.task_type, config.modules_to_save = None, None  # a head is no part of the encoder
    config.base_model_name_or_path = None  # whose vocabulary would be asked of the Hub
    given = {_without_prefix(name, model): tensor for name, tensor in load_file(folder / ADAPTER_WEIGHTS).items()}
    children = {name for name, _ in model.named_children()}
    # What all layers share (VeRA) stands beside the model.
    given = {name: t for name, t in given.items() if name.count(".") < 2 or name.split(".")[2] in children}
    try:
        adapted = PeftModel(model, config)
        expected = get_peft_model_state_dict(adapted)
        wrong = sorted(expected.keys() ^ given.keys()) or [n for n, t in expected.items() if t.shape != given[n].shape]
    except ValueError as error:  # it names modules that the model does not have
        raise UserError(f"{what}: the adapter is for another base model: {error}") from None
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{what}: the adapter is for another base model: {', '.join(wrong[:3])}{more} don't fit")
    set_peft_model_state_dict(adapted, given)
    return model if getattr(model, "is_quantized", False) else adapted.merge_and_unload()


def _without_prefix(name: str, model: Any) -> str:
    """A tensor's name as if the adapter had been trained without a head: `base_model.model.layers...`."""
    return name.replace(f"base_model.model.{model.base_model_prefix}.", "base_model.model.", 1)
