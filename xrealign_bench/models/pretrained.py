"""Load a transformers model with a checkpoint's weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedConfig

from xrealign_bench.errors import UserError, first_line
from xrealign_bench.models.adapters import AdapterBase, load_adapter
from xrealign_bench.models.checkpoint import Checkpoint, weight_files
from xrealign_bench.models.checkpoint_files import ADAPTER_WEIGHTS
from xrealign_bench.models.finite_checks import check_finite_files
from xrealign_bench.models.weight_names import find_wrapper_prefix


def load_pretrained(
    models: Any, checkpoint: Checkpoint, config: PreTrainedConfig, **more: Any
) -> tuple[Any, dict[str, Any]]:
    """Load a transformers model in float32, and return it with transformers' loading information.

    Args:
        models: the class of the model, or an `Auto` class.
        checkpoint: the checkpoint; an adapter of it is not applied.
        config: its configuration.
        more: further arguments of `from_pretrained`.

    Raises:
        UserError: the weights are not finite, are a pickle that is damaged or holds more than tensors, or are those of
            none or of several such models.
    """
    check_weights(checkpoint)

    def read(**more: Any) -> tuple[Any, dict[str, Any]]:
        model, loaded = models.from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=not checkpoint.pickled,
            trust_remote_code=checkpoint.trust_remote_code,
            output_loading_info=True,
            **more,
        )
        return model, loaded

    with loading_errors(checkpoint):
        model, loaded = read(**more)
        prefix = find_wrapper_prefix(model, loaded, f"checkpoint {checkpoint.id}")
        return read(key_mapping={f"^{re.escape(prefix)}": ""}, **more) if prefix else (model, loaded)


def apply_adapter(checkpoint: Checkpoint, base: AdapterBase, model: Any, encoder: Any) -> None:
    """Apply the checkpoint's adapter to its base model, in place.

    Args:
        checkpoint: a checkpoint with an adapter.
        base: `load_adapter_base` of it.
        model: a model of class `base.model_class` with the base model's weights.
        encoder: the part of the model that is used, or the model itself.

    Raises:
        UserError: the adapter doesn't fit or can't be merged.
    """
    assert checkpoint.adapter is not None
    if base.vocabulary is not None:
        model.resize_token_embeddings(base.vocabulary, mean_resizing=False)
    load_adapter(model, checkpoint.adapter, f"checkpoint {checkpoint.id}", encoder)


def check_weights(checkpoint: Checkpoint) -> None:
    """Check that the weights of a checkpoint, and of its adapter, are finite. Reads them once.

    Raises:
        UserError: they are not, or are a pickle that is damaged or holds more than tensors.
    """
    with loading_errors(checkpoint):
        own = [] if checkpoint.adapter is None else [checkpoint.adapter / ADAPTER_WEIGHTS]
        check_finite_files(f"checkpoint {checkpoint.id}", [*weight_files(checkpoint), *own])


@contextmanager
def loading_errors(checkpoint: Checkpoint) -> Iterator[None]:
    """Raise a `UserError` for whatever transformers and torch raise about a checkpoint that they can't load."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        what = (
            "its pickled weights can't be read as tensors alone, and nothing else is"
            if checkpoint.pickled
            else "no model can be made of its config.json and weights"
        )
        raise UserError(f"checkpoint {checkpoint.id}: {what}: {first_line(error)}; get it again") from error
