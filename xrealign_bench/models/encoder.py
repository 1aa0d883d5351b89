"""Load a checkpoint's encoder, and refuse configurations that don't fit its weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedConfig,
)
from transformers.initialization import no_init_weights

from xrealign_bench.errors import UserError, first_line, shorten, shorten_list
from xrealign_bench.models.blocks import find_blocks, output_width
from xrealign_bench.models.checkpoint import Checkpoint, weight_files
from xrealign_bench.models.config import load_adapter_base, load_base_config, load_config, quiet_transformers
from xrealign_bench.models.family import family_of
from xrealign_bench.models.pretrained import apply_adapter, load_pretrained, loading_errors
from xrealign_bench.models.trained_weights import load_weights
from xrealign_bench.models.weight_names import find_constants

_OTHER_CONFIG = "use the config.json that belongs to them"
_MAX_BLOCKS = 1000
"""Several times the deepest published models."""
_ALWAYS_ALLOWED = 2**28
"""Parameters, 1 GiB in float32. A larger configuration needs weight files of a matching size."""


def load_encoder(
    checkpoint: Checkpoint,
    *,
    initialisation: Literal["checkpoint", "random"] = "checkpoint",
    seed: int,
    weights: Path | None = None,
    quantisation: Mapping[str, Any] = {},
) -> nn.Module:
    """Load the checkpoint's encoder in float32 and eval mode, without a pooler if its class allows that.

    A decoder counts as an encoder: its hidden states are read, its language-model head is left out. From an
    encoder-decoder only the encoder is loaded.

    Args:
        checkpoint: as `resolve_checkpoint` returns it.
        initialisation: the checkpoint's weights, or random ones drawn with the seed.
        seed: seeds everything random; torch's own generator keeps its state.
        weights: a file of `save_weights` to load instead of the checkpoint's weights.
        quantisation: from `quantisation_options`, for the linear layers of the checkpoint.

    Raises:
        UserError: weights are missing, don't fit or are left over in the blocks, the configuration describes another or
            no model, the blocks can't be found, or it reads no text.
    """
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        _check_size(checkpoint)
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would seed the GPU's generator too
        if weights is not None:
            with no_init_weights():
                encoder = build_encoder(checkpoint)
            load_weights(encoder, weights)
        elif initialisation == "random":
            encoder = build_encoder(checkpoint)
        else:
            encoder = _from_weights(checkpoint, quantisation)
    find_blocks(encoder)  # refuse a model without blocks now rather than in realignment
    try:
        output_width(encoder)
    except Exception as error:  # whatever its classes raise about sizes that don't fit
        raise UserError(
            f"checkpoint {checkpoint.id}: its {type(encoder).__name__} can't read two tokens: {first_line(error)}; "
            "mend its config.json or use another checkpoint"
        ) from error
    return encoder.eval()


@lru_cache(maxsize=1)
def _check_size(checkpoint: Checkpoint) -> None:
    """Check, before memory is allocated, that the configuration describes a model about as large as the weights.

    Raises:
        UserError: it is far larger, or can't be built at all.
    """
    config = load_base_config(checkpoint)
    for name, value in config.to_dict().items():
        if "layer" in name and isinstance(value, int) and value > _MAX_BLOCKS:
            raise UserError(
                f"checkpoint {checkpoint.id}: its config.json sets {name} to {shorten(value)}; models have at most "
                f"{_MAX_BLOCKS} of them, get it again"
            )
    with loading_errors(checkpoint), torch.device("meta"):
        model = _class_of(config).from_config(config, trust_remote_code=checkpoint.trust_remote_code)
    described = sum(tensor.numel() for tensor in chain(model.parameters(), model.buffers()))
    available = sum(path.stat().st_size for path in weight_files(checkpoint))  # at least one byte per parameter
    if described > max(2 * available, _ALWAYS_ALLOWED):
        raise UserError(
            f"checkpoint {checkpoint.id}: its config.json describes a model of {described:,} parameters, and its "
            f"weights have {available:,} bytes; {_OTHER_CONFIG}"
        )


def build_encoder(checkpoint: Checkpoint) -> nn.Module:
    """Return the checkpoint's encoder with random weights, unchecked; on the meta device it takes no memory."""
    config = load_config(checkpoint)
    with loading_errors(checkpoint):
        model = _class_of(config).from_config(
            config, dtype=torch.float32, trust_remote_code=checkpoint.trust_remote_code, **without_pooler(config)
        )
    return _encoder_of(model)


def _from_weights(checkpoint: Checkpoint, quantisation: Mapping[str, Any]) -> nn.Module:
    config = load_base_config(checkpoint)
    base = load_adapter_base(checkpoint)
    model, loaded = load_pretrained(
        _class_of(config) if base is None else base.models,
        checkpoint,
        config,
        ignore_mismatched_sizes=True,  # refused below, by name
        **(without_pooler(config) if base is None else {}),
        **quantisation,
    )
    encoder = _encoder_of(model if base is None else model.base_model)
    own = {id(tensor) for tensor in chain(encoder.parameters(), encoder.buffers())}
    of_head = set() if base is None else {name for name, tensor in _named_tensors(model) if id(tensor) not in own}
    _check_all_loaded(checkpoint, loaded, of_head)
    _check_nothing_left_over(checkpoint, loaded, model, encoder)
    if base is not None:
        apply_adapter(checkpoint, base, model, encoder)
        if without_pooler(config):
            encoder.pooler = None  # type: ignore[assignment]
    return encoder


def _check_all_loaded(checkpoint: Checkpoint, loaded: Mapping[str, Any], of_head: set[str]) -> None:
    """Refuse weights that are missing or have another shape, except those of a pooler or of a head."""
    missing = sorted(name for name in loaded["missing_keys"] - of_head if "pooler" not in name)
    if missing:
        raise UserError(f"checkpoint {checkpoint.id}: its weights lack {shorten_list(missing)}; get it again")
    misfit = sorted(
        f"{name} {tuple(has)}"
        for name, has, _ in loaded["mismatched_keys"]
        if "pooler" not in name and name not in of_head
    )
    if misfit:
        raise UserError(
            f"checkpoint {checkpoint.id}: of its weights, {shorten_list(misfit)} don't fit its config.json; "
            f"{_OTHER_CONFIG}"
        )


def _check_nothing_left_over(checkpoint: Checkpoint, loaded: Mapping[str, Any], model: Any, encoder: nn.Module) -> None:
    """Refuse trained weights inside the blocks for which the configuration has no place."""
    blocks = find_blocks(encoder)
    path = next(name for name, module in model.base_model.named_modules() if module is blocks)
    in_blocks = re.compile(rf"({re.escape(model.base_model_prefix)}\.)?{re.escape(path)}\.\d+\.")
    left = sorted(name for name in loaded["unexpected_keys"] if in_blocks.match(name))
    if foreign := sorted(set(left) - find_constants(checkpoint, left)):
        raise UserError(
            f"checkpoint {checkpoint.id}: its config.json has no place for its weights {shorten_list(foreign)}; "
            f"{_OTHER_CONFIG}, or merge them if they are an adapter's"
        )


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))


def _class_of(config: PreTrainedConfig) -> Any:
    """Return transformers' `Auto` class; for an encoder-decoder, one that loads the encoder alone if there is one."""
    alone = family_of(config.to_dict()) == "encoder_decoder" and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    return AutoModelForTextEncoding if alone else AutoModel


def _encoder_of(model: Any) -> nn.Module:
    encoder: nn.Module = model.get_encoder() if family_of(model.config.to_dict()) == "encoder_decoder" else model
    if encoder.main_input_name != "input_ids":
        raise UserError(f"a {type(model).__name__} reads {encoder.main_input_name} and no text; use another checkpoint")
    return encoder


def without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """Return the argument that leaves out the pooler, if the model's class has one."""
    known: Any = MODEL_MAPPING.get(type(config), None)
    has_pooler = known is not None and "add_pooling_layer" in inspect.signature(known).parameters
    return {"add_pooling_layer": False} if has_pooler else {}
