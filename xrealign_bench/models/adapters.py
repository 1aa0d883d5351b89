"""Adapters, by PEFT: merge those that a checkpoint brings, or realign one in place of the encoder's own weights."""

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
        PEFT's model around the encoder, for `adapter_parameters` and `merge_adapter`.

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


def merge_adapter(adapted: Any) -> None:
    """Add the adapter to the weights that it stands beside and take it off: the encoder is built as it was before."""
    adapted.merge_and_unload()


def load_adapter(model: Any, folder: Path, what: str) -> Any:
    """Merge the adapter in a folder into a model without a head; what it holds for a head is left out.

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
    given = {_without_prefix(name, model): tensor for name, tensor in load_file(folder / ADAPTER_WEIGHTS).items()}
    children = {name for name, _ in model.named_children()}
    given = {name: tensor for name, tensor in given.items() if name.split(".")[2] in children}
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
    return adapted.merge_and_unload()


def _without_prefix(name: str, model: Any) -> str:
    """A tensor's name as if the adapter had been trained without a head: `base_model.model.layers...`."""
    return name.replace(f"base_model.model.{model.base_model_prefix}.", "base_model.model.", 1)
