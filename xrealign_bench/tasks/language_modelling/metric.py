"""Likelihood of plain text, in bits per byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.metrics import TaskMetric

_BITS_PER_BYTE = 8


def likelihood_scores(bits: Sequence[float], size: Sequence[int], tokens: Sequence[int]) -> dict[str, float | None]:
    """Return compression, bits per byte and perplexity per token.

    Compression is the share of a text's 8 bits per byte that the model saves: 1 - (bits per byte) / 8. Higher is
    better, as in the other tasks; below 0 the model needs more bits than the plain text has. Perplexities can't be
    compared between tokenizers.

    Args:
        bits: the bits that the model needs for each text.
        size: bytes of each text.
        tokens: tokens of each text.

    >>> likelihood_scores([6.0, 10.0], [3, 5], [2, 2])
    {'compression': 0.75, 'bits_per_byte': 2.0, 'perplexity': 16.0}
    """
    all_bits, all_bytes, count = (float(np.sum(values)) for values in (bits, size, tokens))
    rate = all_bits / all_bytes
    return {
        "compression": 1 - rate / _BITS_PER_BYTE,
        "bits_per_byte": rate,
        "perplexity": float(np.exp2(all_bits / count)) if count else None,
    }


def gold_of(task: Task, data: PlainTextData) -> dict[str, Sequence[Any]]:
    """Return, for each text, its row in the data and its size in bytes of UTF-8."""
    return {"example": data.rows, "bytes": [len(text.encode()) for text in data.text]}


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions with `likelihood_scores`. Every text counts."""
    metrics = likelihood_scores(columns["bits"], columns["bytes"], columns["tokens"])
    return {"metrics": metrics, "counted": len(columns["bits"]), "groups": {}, "reason": None}


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each text, the bits that the model saves, and the bits of the text."""
    bits, size = (table[column].to_numpy().astype(np.float64) for column in ("bits", "bytes"))
    return _BITS_PER_BYTE * size - bits, _BITS_PER_BYTE * size


METRIC = TaskMetric(
    columns={"bits": pa.float64(), "bytes": pa.int32(), "tokens": pa.int32()},
    given=("bytes", "tokens"),
    from_data=("bytes",),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)
