"""Find a sentence's translation by the encoder's vectors; nothing is fine-tuned.

A sentence's vector is the mean of one block's output (`task.layer`) over its tokens, without special tokens. In both
directions, the nearest sentence of the other side, by cosine, is predicted as the translation; ties go to the first.
Sentences with the same tokens get the same vector to the last bit, whatever else is in their batches.
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
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.pooling import pool_words
from xrealign_bench.models.windows import Window, Windows, collate
from xrealign_bench.specs import Task
from xrealign_bench.tasks.retrieval.metric import METRIC

_ROWS = 1024
"""Sentences whose similarities to all candidates are in memory at once."""

train = None


class SentenceEncoder(nn.Module):
    """One vector per sentence, from the output of one block of the unchanged encoder.

    Args:
        encoder: from `load_encoder`.
        layer: the block, as in `models.block_numbers.resolve_layer`.
    """

    def __init__(self, encoder: nn.Module, layer: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return the means (batch, dim) over tokens `starts` up to, not including, `ends`, both (batch, 1)."""
        hidden = block_output(self.encoder, self.layer, input_ids, attention_mask)
        return pool_words(hidden, starts, ends, "mean")[:, 0]


def new_model(encoder: nn.Module, task: Task) -> SentenceEncoder:
    return SentenceEncoder(encoder, task.layer)


def predict(
    model: SentenceEncoder,
    pad_id: int,
    tables: Mapping[str, pa.Table],
    task: Task,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> pa.Table:
    """Predict, for each pair, the pair whose target its source finds and the pair whose source its target finds.

    Args:
        model: from `new_model`.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: not used; part of the interface.
        device: where to compute.
        tokens_per_batch: maximum sub-words in a batch, padding included.

    Raises:
        UserError: a sentence's vector is not finite.
        ValueError: there are more sentences on one side than on the other.
    """
    sides = [list(Windows(tables[name], Window)) for name in ("sources", "targets")]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"{len(sides[0])} sources and {len(sides[1])} targets are no pairs")
    rows = tables["pairs"]["example"].to_numpy()
    sources, targets = (_distinct_vectors(model, pad_id, side, device, tokens_per_batch) for side in sides)
    columns = {
        "example": rows,
        "forward": rows[_find(sources, targets)],
        "backward": rows[_find(targets, sources)],
    }
    return pa.table(columns, schema=METRIC.schema)


def nearest(queries: NDArray[np.float64], candidates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the candidate with the highest cosine to each query; ties go to the first.

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
class _DistinctSentences:
    """The distinct sentences of one side: sentences with the same tokens are one."""

    vectors: NDArray[np.float64]
    """(distinct, dim), in the order in which they first occur."""
    first: NDArray[np.int64]
    """(distinct,): the sentence in which each occurs first."""
    number: NDArray[np.int64]
    """(sentences,): the distinct sentence of each."""


def _find(queries: _DistinctSentences, candidates: _DistinctSentences) -> NDArray[np.int64]:
    """Return the sentence of the other side that each sentence finds: (sentences,)."""
    found = nearest(queries.vectors, candidates.vectors)
    return candidates.first[found][queries.number]


def _distinct_vectors(
    model: SentenceEncoder, pad_id: int, windows: Sequence[Window], device: torch.device, tokens_per_batch: int
) -> _DistinctSentences:
    numbers: dict[tuple[int, ...], int] = {}
    number = [numbers.setdefault(tuple(window.input_ids), len(numbers)) for window in windows]
    _, first = np.unique(number, return_index=True)
    distinct = [windows[sentence] for sentence in first]
    vectors: list[NDArray[np.float64]] = [np.empty(0)] * len(distinct)
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(window.input_ids) for window in distinct], tokens_per_batch):
            batch = collate([distinct[place] for place in chosen], pad_id).to(device)
            rows = model(batch.input_ids, batch.attention_mask, batch.starts, batch.ends)
            check_finite_outputs(rows, "vectors of sentences", model)
            for place, row in zip(chosen, rows.cpu().numpy().astype(np.float64), strict=True):
                vectors[place] = row
    return _DistinctSentences(np.stack(vectors), first, np.array(number))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)
