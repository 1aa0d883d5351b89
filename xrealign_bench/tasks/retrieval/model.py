"""Find a sentence's translation by the vectors of the encoder as it is; nothing is fine-tuned.

A sentence's vector is the mean over its tokens, without the special ones, of the output of one block (`task.layer`).
The nearest sentence of the other side, by cosine, is taken as the translation, in both directions; of equally near ones
the first. Sentences of the same tokens have the same vector to the last bit, whatever stands in their batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.pooling import pool_words
from xrealign_bench.models.windows import Window, collate, windows_of
from xrealign_bench.specs import Task
from xrealign_bench.tasks.retrieval.metric import METRIC

_ROWS = 1024
"""Sentences whose similarities to all candidates are in memory at once."""

train = None


class SentenceEncoder(nn.Module):
    """One vector a sentence, from the output of one block of the encoder, which stays as it is.

    Args:
        encoder: as `load_encoder` gives it.
        layer: the block, as in `models.blocks.resolve_layer`.
    """

    def __init__(self, encoder: nn.Module, layer: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """(batch, dim): the mean over tokens `starts` up to, not including, `ends`, both (batch, 1)."""
        hidden = block_output(self.encoder, self.layer, input_ids, attention_mask)
        return pool_words(hidden, starts, ends, "mean")[:, 0]


def new_model(encoder: nn.Module, task: Task) -> SentenceEncoder:
    return SentenceEncoder(encoder, task.layer)


def predict(
    model: SentenceEncoder,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> pa.Table:
    """Of each pair the one whose target its source finds among all, and the one whose source its target finds.

    Args:
        model: from `new_model`.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: unused here; other kinds need it.
        device: where to compute.
        tokens_per_batch: sub-words of a batch at most, padding included.

    Raises:
        UserError: a sentence's vector is not finite.
        ValueError: the two sides are not equally many.
    """
    sides = [windows_of(tables[name]) for name in ("sources", "targets")]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"{len(sides[0])} sources and {len(sides[1])} targets are no pairs")
    rows = np.array(tables["pairs"]["example"])
    sources, targets = (_distinct_vectors(model, pad_id, side, device, tokens_per_batch) for side in sides)
    columns = {
        "example": rows,
        "forward": rows[targets.first[nearest(sources.vectors, targets.vectors)][sources.number]],
        "backward": rows[sources.first[nearest(targets.vectors, sources.vectors)][targets.number]],
    }
    return pa.table(columns, schema=METRIC.schema)


def nearest(queries: NDArray[np.float64], candidates: NDArray[np.float64]) -> NDArray[np.int64]:
    """The candidate with the highest cosine to each query; of equal ones the first.

    A vector of zeros has the cosine 0 to all.

    Args:
        queries: (q, dim).
        candidates: (c, dim).

    Returns:
        (q,), numbers of candidates.

    >>> nearest(np.array([[1.0, 0.1], [0.0, 2.0]]), np.array([[0.0, 1.0], [3.0, 0.0], [5.0, 0.0]])).tolist()
    [1, 0]
    """
    left, right = _unit(queries), _unit(candidates)
    found = [np.argmax(left[row : row + _ROWS] @ right.T, axis=1) for row in range(0, len(left), _ROWS)]
    return np.concatenate(found)


@dataclass(frozen=True)
class _Distinct:
    """Sentences of one side; those of the same tokens are one."""

    vectors: NDArray[np.float64]
    """(distinct, dim), in the order of their first sentences."""
    first: NDArray[np.int64]
    """(distinct,), their first sentences."""
    number: NDArray[np.int64]
    """(sentences,), which of the distinct ones each is."""


def _distinct_vectors(
    model: SentenceEncoder, pad_id: int, windows: Sequence[Window], device: torch.device, tokens_per_batch: int
) -> _Distinct:
    numbers: dict[tuple[int, ...], int] = {}
    number = [numbers.setdefault(tuple(window.input_ids), len(numbers)) for window in windows]
    _, first = np.unique(number, return_index=True)
    model.to(device).eval()
    vectors: dict[int, NDArray[np.float64]] = {}
    with torch.inference_mode():
        for chosen in by_length([len(windows[index].input_ids) for index in first], tokens_per_batch):
            batch = [windows[first[place]] for place in chosen]
            padded = collate(batch, pad_id).to(device)
            rows = model(padded.input_ids, padded.attention_mask, padded.starts, padded.ends)
            check_finite_outputs(rows, "vectors of sentences", model)
            for window, row in zip(batch, rows.cpu().numpy().astype(np.float64), strict=True):
                vectors[window.sentence] = row
    return _Distinct(np.stack([vectors[index] for index in first.tolist()]), first, np.array(number))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)
