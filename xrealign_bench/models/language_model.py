"""Language models: a decoder's blocks, realigned or not, followed by the output layer of its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

from xrealign_bench.errors import UserError, shorten_list
from xrealign_bench.models.adapters import AdapterBase
from xrealign_bench.models.blocks import check_length
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.config import load_adapter_base, load_base_config, load_config, quiet_transformers
from xrealign_bench.models.pretrained import apply_adapter, load_pretrained
from xrealign_bench.models.tied_weights import find_tied_parameters, set_parameter


class LanguageModel(nn.Module):
    """A decoder's blocks followed by its checkpoint's output layer.

    Args:
        whole: the model class of transformers with the output layer.
        encoder: the blocks inside it.
    """

    def __init__(self, whole: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.whole = whole
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the log-likelihood, in nats, of every token but the first, given those before: (batch, tokens - 1)."""
        check_length(self.encoder, input_ids)
        logits = self.whole(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits[:, :-1]
        return -functional.cross_entropy(logits.float().transpose(1, 2), input_ids[:, 1:], reduction="none")


def add_output_layer(
    checkpoint: Checkpoint,
    encoder: nn.Module,
    *,
    random: bool,
    seed: int,
    quantisation: Mapping[str, Any] = {},
) -> LanguageModel:
    """Put a decoder's blocks below the output layer of its checkpoint.

    If the loaded output layer is tied to the input embeddings, it becomes the encoder's own, realigned or not.

    Args:
        checkpoint: a decoder, from `resolve_checkpoint`.
        encoder: the checkpoint's encoder, from `load_encoder`.
        random: initialise the layer at random, as `load_encoder` does for the blocks.
        seed: seed of the initialisation.
        quantisation: the argument given to `load_encoder`; the layer itself is never quantised.

    Raises:
        UserError: the checkpoint has no output layer, transformers has no language model of its type, or its tokens
            attend to later ones.
    """
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.default_generator.manual_seed(seed)
        whole, missing = load_with_output_layer(
            AutoModelForCausalLM, checkpoint, random=random, quantisation=quantisation
        )
    if missing:
        raise UserError(
            f"checkpoint {checkpoint.id}: its weights lack the output layer of a language model "
            f"({shorten_list(missing)}); leave out the tasks that need it, or use the checkpoint that it was taken from"
        )
    if type(whole.base_model) is not type(encoder):
        raise UserError(
            f"checkpoint {checkpoint.id}: in a {type(whole).__name__} the blocks are a "
            f"{type(whole.base_model).__name__} and not the {type(encoder).__name__} that is realigned; leave out the "
            "tasks that need a language model"
        )
    replace_blocks(whole, encoder)
    model = LanguageModel(whole, encoder).eval()
    if sees_ahead(model.whole, tolerance=0.1 if quantisation else 1e-3):
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokens see those that come after them (is_causal or "
            "use_bidirectional_attention in its config.json), so it can't tell how likely a text is; leave out the "
            "tasks that need a language model"
        )
    return model


def load_with_output_layer(
    models: Any, checkpoint: Checkpoint, *, random: bool, quantisation: Mapping[str, Any] = {}
) -> tuple[Any, list[str]]:
    """Load a checkpoint in a class with an output layer, and its adapter if it has one.

    Args:
        models: transformers' `Auto` class for masked or next-token language modelling.
        checkpoint: as `resolve_checkpoint` returns it.
        random: initialise the whole model at random, from torch's generator.
        quantisation: from `quantisation_options`.

    Returns:
        The model and the names of the weights that the checkpoint lacks. If there are any, the model has no adapter.
    """
    if random:
        code = checkpoint.trust_remote_code
        return models.from_config(load_config(checkpoint), dtype=torch.float32, trust_remote_code=code), []
    whole, loaded = load_pretrained(models, checkpoint, load_base_config(checkpoint), **quantisation)
    missing = sorted(loaded["missing_keys"])
    base = load_adapter_base(checkpoint)
    if base is not None and not missing:
        _put_adapter(checkpoint, base, whole)
    return whole, missing


def sees_ahead(model: nn.Module, tolerance: float) -> bool:
    """Return whether the output for the first token depends on later tokens.

    Args:
        model: a model of transformers in eval mode: its first output is read, logits or hidden states.
        tolerance: largest difference of outputs due to rounding, in their standard deviations: with quantised weights
            rounding depends on the other tokens of the batch.
    """
    ids = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]], device=next(model.parameters()).device)
    with torch.no_grad():
        one, other = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)[0][:, 0]
    return bool((one - other).abs().max() > tolerance * one.std())


def _put_adapter(checkpoint: Checkpoint, base: AdapterBase, whole: Any) -> None:
    """Add the checkpoint's adapter to its language model if it was trained on one: it may adapt the output layer."""
    if type(whole) is base.model_class:
        apply_adapter(checkpoint, base, whole, whole.base_model)
    elif base.vocabulary is not None:
        raise UserError(
            f"checkpoint {checkpoint.id}: its adapter has {base.vocabulary} embeddings, and was trained on a "
            f"{base.model_class.__name__}, without an output layer for as many; leave out the tasks that need a "
            "language model"
        )


def replace_blocks(whole: Any, encoder: nn.Module) -> None:
    """Replace the blocks of a language model by the encoder, and tie to it what was tied to them.

    Tied parameters are found in the weights: a configuration may differ from the file that was loaded.
    """
    inside = f"{whole.base_model_prefix}."
    tied = find_tied_parameters(whole)
    setattr(whole, whole.base_model_prefix, encoder)
    for names in tied:
        own = [name for name in names if name.startswith(inside)]
        for name in names:
            if own and name not in own:
                set_parameter(whole, name, whole.get_parameter(own[0]))
