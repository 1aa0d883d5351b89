"""Low-rank adapters, by PEFT: realign a small addition to an encoder instead of the encoder itself."""

from __future__ import annotations

from typing import Any

from torch import nn

from xrealign_bench.errors import UserError
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
