"""Train only the rows of the embedding table that are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn


@contextmanager
def shrink_embeddings(encoder: Any, texts: Iterable[Iterable[int]]) -> Iterator[None]:
    """Shrink the encoder's input embeddings to the rows that some texts use, in place, and restore them on exit.

    A multilingual vocabulary has about 250,000 rows, and a training reads some 10,000. Adam without weight decay never
    changes the other rows, because without a gradient both of their moments stay zero. So the trained weights are
    bit-identical, while gradient, moments and step are only as large as the rows that are read.

    Does nothing if the table is frozen or is shared with another module.

    Args:
        encoder: as `load_encoder` returns it; it may be moved to another device inside the block.
        texts: sub-words of everything that will be read, padding included.
    """
    table = encoder.get_input_embeddings()
    weight: nn.Parameter = table.weight
    owners = [module for module in encoder.modules() if any(own is weight for own in module._parameters.values())]
    if not weight.requires_grad or len(owners) > 1:
        yield
        return
    whole, padding = weight.data, table.padding_idx
    rows = torch.tensor(sorted(set(chain.from_iterable(texts))))
    place = torch.full((len(whole),), -1)  # -1: reading a row that is not there fails
    place[rows] = torch.arange(len(rows))

    def renumber(_: nn.Module, read: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal place
        place = place.to(read[0].device)
        return place[read[0]], *read[1:]

    hook = table.register_forward_pre_hook(renumber)
    weight.data = whole[rows]
    # If padding is not read, no row has to be kept without a gradient.
    table.padding_idx = int(place[padding]) if padding is not None and place[padding] >= 0 else None
    try:
        yield
    finally:
        hook.remove()
        whole[rows] = weight.data.to(whole.device)
        weight.grad, weight.data, table.padding_idx = None, whole.to(weight.device), padding
