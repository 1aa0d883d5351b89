"""Find an encoder's blocks and embeddings from its structure and by running it, never by name; run part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xrealign_bench.errors import UserError
from xrealign_bench.models.block_numbers import resolve_layer as resolve_layer
from xrealign_bench.specs.fields import LayerName

_POSITIONS = ("position_embeddings", "embed_positions", "wpe")
"""Names of position-embedding tables in transformers."""


@dataclass(frozen=True)
class Parts:
    """The parts of an encoder. No parameter is in two parts; modules after the last block are in none."""

    embeddings: list[nn.Module]
    """Input embeddings, everything else that runs before the first block, and embeddings that blocks read."""
    blocks: list[list[nn.Module]]
    """Each block, followed by the modules that run between it and the next block."""


def find_blocks(encoder: nn.Module) -> nn.ModuleList:
    """Return the encoder's list of blocks, from the bottom up.

    It is the only module list that has parameters, is not inside another list, and has as many entries as the
    configuration has hidden layers.

    Raises:
        UserError: there is no such list or more than one, or its blocks share parameters.
    """
    configured = getattr(encoder.config, "num_hidden_layers", None)
    lists = {name: found for name, found in _outer_lists(encoder) if any(True for _ in found.parameters())}
    lengths = ", ".join(f"'{name}' of {len(found)}" for name, found in lists.items()) or "none"
    fitting = [found for found in lists.values() if configured is None or len(found) == configured]
    what = (
        f"the blocks of this {type(encoder).__name__} can't be found: it has {configured} hidden layers, "
        f"and its lists of modules are {lengths}"
    )
    if not fitting and any(len(found) < (configured or 0) for found in lists.values()):
        raise UserError(
            f"{what}; models that run one block several times can't be frozen by block, use another checkpoint"
        )
    if len(fitting) != 1:
        raise UserError(f"{what}; use a checkpoint whose blocks are one list")
    blocks = fitting[0]
    parameters = [id(p) for block in blocks for p in block.parameters(recurse=True)]
    if len(set(parameters)) < len(parameters) or len({id(b) for b in blocks}) < len(blocks):
        raise UserError(
            f"the blocks of this {type(encoder).__name__} share parameters, so they can't be frozen one by one"
        )
    return blocks


def find_parts(encoder: nn.Module) -> Parts:
    """Find the parts of an encoder by running it on two tokens and recording the order in which modules run.

    Raises:
        UserError: its blocks can't be found, or don't run once each and in order.
    """
    blocks = find_blocks(encoder)
    inside = {id(module) for module in blocks.modules()}
    number = {id(block): n for n, block in enumerate(blocks)}
    parts = Parts(embeddings=[], blocks=[[block] for block in blocks])
    reached: list[int] = []
    seen: set[int] = set()

    def note(module: nn.Module) -> None:
        if id(module) in number:
            reached.append(number[id(module)])
        elif id(module) not in inside | seen:
            seen.add(id(module))
            if not reached:
                parts.embeddings.append(module)
            elif reached[-1] < len(blocks) - 1:
                parts.blocks[reached[-1]].append(module)

    with ExitStack() as hooks:
        for module in encoder.modules():
            if id(module) in number or (id(module) not in inside and _owns_parameters(module)):
                handle = module.register_forward_pre_hook(lambda module, _: note(module))
                hooks.callback(handle.remove)
        with torch.no_grad(), _at_rest(encoder) as (ids, mask):
            encoder(input_ids=ids, attention_mask=mask)
    if reached != list(range(len(blocks))):
        raise UserError(
            f"the {len(blocks)} blocks of this {type(encoder).__name__} don't run once each from the bottom up, "
            "so they can't be frozen one by one; use another checkpoint"
        )
    # Blocks may read an embedding's weight without calling it (DeBERTa-v2's relative positions).
    for module in encoder.modules():
        if isinstance(module, nn.Embedding) and id(module) not in inside | seen:
            parts.embeddings.append(module)
    return parts


def block_output(encoder: nn.Module, layer: LayerName | int, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the hidden states (batch, tokens, dim) after a block. Exits early: the blocks above it are not run.

    The output of a block is the input of the next one, so it is entry number + 1 of `output_hidden_states`. The output
    of the last block is the encoder's `last_hidden_state`, after the final norm if the model has one.

    Args:
        encoder: as `load_encoder` returns it.
        layer: see `resolve_layer`.
        input_ids: (batch, tokens).
        attention_mask: (batch, tokens), 1 for tokens and 0 for padding.

    Raises:
        UserError: no such block, or more tokens than the model has positions.
    """
    check_length(encoder, input_ids)
    blocks = find_blocks(encoder)
    number = resolve_layer(layer, len(blocks))
    if number == len(blocks) - 1:
        hidden: Tensor = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden
    with _stopping_before(blocks[number + 1]):
        try:
            encoder(input_ids=input_ids, attention_mask=attention_mask)
        except _Reached as reached:
            return reached.hidden.float()  # under autocast only the encoder's final output is float32
    raise RuntimeError(f"block {number + 1} of this {type(encoder).__name__} was not run")


def all_block_outputs(encoder: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
    """Return the hidden states (batch, tokens, dim) before the first block and after each block, from one pass.

    Entry number + 1 is what `block_output` returns for that block.

    Args:
        encoder: as `load_encoder` returns it.
        input_ids: (batch, tokens).
        attention_mask: (batch, tokens), 1 for tokens and 0 for padding.

    Raises:
        UserError: more tokens than the model has positions.
    """
    check_length(encoder, input_ids)
    inputs: list[Tensor] = []

    def note(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        inputs.append((positional[0] if positional else named["hidden_states"]).float())

    with ExitStack() as hooks:
        for block in find_blocks(encoder):
            hooks.callback(block.register_forward_pre_hook(note, with_kwargs=True).remove)
        last: Tensor = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    return [*inputs, last]


def remove_blocks_above(encoder: nn.Module, layer: LayerName | int) -> None:
    """Remove the blocks above one, in place, also from the configuration. `layer` as in `block_output`."""
    blocks, config = find_blocks(encoder), encoder.config
    kept = resolve_layer(layer, len(blocks)) + 1
    if kept < len(blocks):
        del blocks[kept:]
        if isinstance(types := getattr(config, "layer_types", None), list):
            config.layer_types = types[:kept]  # type: ignore[union-attr]
        config.num_hidden_layers = kept  # type: ignore[union-attr]


def check_length(encoder: nn.Module, input_ids: Tensor) -> None:
    """Refuse sequences that are longer than the encoder's position embeddings, which would fail with an obscure error.

    Raises:
        UserError: they are too long.
    """
    limit = position_limit(encoder)
    if limit is not None and input_ids.shape[1] > limit:
        raise UserError(
            f"{input_ids.shape[1]} sub-words, but the model has {limit} positions; give a smaller max_length"
        )


def position_limit(encoder: nn.Module) -> int | None:
    """Return the longest input in sub-words, or None for a model without absolute position embeddings."""
    for name, module in encoder.named_modules():
        if name.rpartition(".")[2] in _POSITIONS and isinstance(module, nn.Embedding):
            # RoBERTa-like models count positions from after the padding token, OPT and BART from a fixed offset.
            skipped = getattr(module, "offset", 0 if module.padding_idx is None else module.padding_idx + 1)
            return module.num_embeddings - int(skipped)
    return None


def output_width(encoder: nn.Module, layer: LayerName | int = "last") -> int:
    """Return the dimension of a block's hidden states, which may differ from the configuration's `hidden_size`.

    It is found by a run on two tokens; `layer` as in `block_output`.
    """
    with torch.no_grad(), _at_rest(encoder) as (ids, mask):
        return block_output(encoder, layer, ids, mask).shape[-1]


class _Reached(Exception):
    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


@contextmanager
def _stopping_before(block: nn.Module) -> Iterator[None]:
    """Raise `_Reached` with the block's input when the model reaches this block."""

    def stop(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        raise _Reached(positional[0] if positional else named["hidden_states"])

    handle = block.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _outer_lists(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            yield path, child
        else:
            yield from _outer_lists(child, f"{path}.")


def _owns_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


@contextmanager
def _at_rest(encoder: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield two tokens and their mask, with the encoder in eval mode: dropout would change the generator's state."""
    training = encoder.training
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(encoder.parameters()).device)
    encoder.eval()
    try:
        yield ids, torch.ones_like(ids)
    finally:
        encoder.train(training)
