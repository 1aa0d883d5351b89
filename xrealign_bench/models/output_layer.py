"""Output layers for language modelling on an encoder: the checkpoint's own, a new one, or the input embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import output_width
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.config import quiet_transformers
from xrealign_bench.models.language_model import load_with_output_layer, replace_blocks, sees_ahead

LayerSource = Literal["checkpoint", "new", "input_embeddings"]
"""Where an output layer is from. `new`: transformers' layer for the model type with new weights, tied to the input
embeddings as far as they are tied in that class."""


class OutputLayer(nn.Module):
    """Output layer on an encoder, for masked or next-token language modelling.

    Args:
        encoder: as `load_encoder` returns it.
        whole: transformers' class around this encoder, with the output layer; None: the input embeddings are it.
        is_new: whether the weights of the output layer are new.
    """

    def __init__(self, encoder: nn.Module, whole: nn.Module | None, *, is_new: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.whole = whole
        self.source: LayerSource = "input_embeddings" if whole is None else "new" if is_new else "checkpoint"

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits (n, vocabulary) of hidden states (n, dim) of the encoder's last block."""
        if self.whole is None:
            embeddings: Any = self.encoder.get_input_embeddings()  # type: ignore[operator]
            return functional.linear(hidden, embeddings.weight)
        ids = torch.zeros((1, len(hidden)), dtype=torch.long, device=hidden.device)
        with _returning(self.encoder, hidden[None]):
            logits: Tensor = self.whole(input_ids=ids).logits[0]
        return logits

    def own_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are not the encoder's."""
        encoders = {id(parameter) for parameter in self.encoder.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in encoders]


def load_output_layer(
    checkpoint: Checkpoint,
    encoder: nn.Module,
    *,
    random: bool,
    seed: int,
    quantisation: Mapping[str, Any] = {},
) -> OutputLayer:
    """Load the checkpoint's output layer.

    If it has none, it gets the one of its model type in transformers with new weights, provided that they are tied to
    the input embeddings; else the input embeddings are the output layer.

    Args:
        checkpoint: as `resolve_checkpoint` returns it.
        encoder: the checkpoint's encoder, from `load_encoder`.
        random: initialise the layer at random, as `load_encoder` does for the blocks.
        seed: seed of the initialisation.
        quantisation: the argument given to `load_encoder`; the layer itself is never quantised.

    Raises:
        UserError: the input embeddings are needed and don't have the width of the last block, or a decoder's tokens
            attend to later ones.
    """
    whole: Any = None
    is_new = False
    if checkpoint.family in ("encoder", "decoder"):
        models = AutoModelForCausalLM if checkpoint.family == "decoder" else AutoModelForMaskedLM
        with torch.random.fork_rng(devices=[]), quiet_transformers():
            torch.default_generator.manual_seed(seed)
            loaded, missing = load_with_output_layer(models, checkpoint, random=random, quantisation=quantisation)
        is_new = bool(missing)
        if type(loaded.base_model) is type(encoder) and (not is_new or _is_tied(loaded)):
            whole = loaded
            replace_blocks(whole, encoder)
            whole = whole if _reads_states(OutputLayer(encoder, whole)) else None
    if whole is None:
        _check_width(checkpoint, encoder)
    if checkpoint.family == "decoder" and sees_ahead(encoder, tolerance=0.1 if quantisation else 1e-3):
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokens see those that come after them (is_causal or "
            "use_bidirectional_attention in its config.json), so it can't be trained to predict the next token; use "
            "another method or checkpoint"
        )
    return OutputLayer(encoder, whole, is_new=is_new).train()


def _reads_states(layer: OutputLayer) -> bool:
    """Return whether transformers' class reads what the encoder returns: OPT's reads a part of the encoder instead."""
    hidden = torch.zeros(2, output_width(layer.encoder), device=next(layer.encoder.parameters()).device)
    hidden[1, ::2] = 1.0
    with torch.no_grad():
        one, other = (layer.eval()(hidden[[row]]) for row in (0, 1))
    return not torch.equal(one, other)


def _is_tied(whole: Any) -> bool:
    """Return whether the output embeddings of a model are its input embeddings."""
    output = whole.get_output_embeddings()
    return output is not None and output.weight is whole.get_input_embeddings().weight


def _check_width(checkpoint: Checkpoint, encoder: Any) -> None:
    embedded, width = encoder.get_input_embeddings().weight.shape[1], output_width(encoder)
    if embedded != width:
        raise UserError(
            f"checkpoint {checkpoint.id}: has no output layer for language modelling, and its input embeddings of "
            f"width {embedded} can't be one on hidden states of width {width}; use another method or checkpoint"
        )


@contextmanager
def _returning(encoder: nn.Module, hidden: Tensor) -> Iterator[None]:
    """Let the encoder return these hidden states, whatever it is given, so that only the layer on top is computed."""
    own = encoder.__dict__.get("forward")
    encoder.forward = lambda *_, **__: BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden)
    try:
        yield
    finally:
        if own is None:
            del encoder.forward
        else:
            encoder.forward = own
