"""Train no more of a table of embeddings than is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn


@contextmanager
def only_rows_of(encoder: Any, texts: Iterable[Iterable[int]]) -> Iterator[None]:
    """Leave of an encoder's table of sub-words only the rows of some texts, in place; whole again afterwards.

    A multilingual vocabulary has a quarter of a million rows, of which a training reads some ten thousand. Adam without
    decay never moves the others: without a gradient both of their moments stay zero. So the trained weights are the
    same to the bit, and gradient, moments and step have the size of what is read.

    Nothing is done where the table is not trained, or is also something else's.

    Args:
        encoder: as `load_encoder` gives it; it may be moved to another device meanwhile.
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
    place = torch.full((len(whole),), -1)  # no row: reading another one fails
    place[rows] = torch.arange(len(rows))

    def renumber(_: nn.Module, read: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal place
        place = place.to(read[0].device)
        return place[read[0]], *read[1:]

    hook = table.register_forward_pre_hook(renumber)
    weight.data = whole[rows]
    # Without a row of its own there is no padding to leave without a gradient.
    table.padding_idx = int(place[padding]) if padding is not None and place[padding] >= 0 else None
    try:
        yield
    finally:
        hook.remove()
        whole[rows] = weight.data.to(whole.device)
        weight.grad, weight.data, table.padding_idx = None, whole.to(weight.device), padding
