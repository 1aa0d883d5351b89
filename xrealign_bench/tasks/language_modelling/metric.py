"""Likelihood of plain text, as an `evaluate` metric that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.specs import Task
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.metrics import TaskMetric, compute

_BITS_PER_BYTE = 8


class TextLikelihood(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Bits per byte, perplexity per token, and compression: the share of a text's 8 bits per byte that the model saves.

    `predictions` are the bits that the model needs for each text, `references` its bytes, `tokens` its tokens.
    Compression is 1 - (bits per byte) / 8. Higher is better, as in the other tasks; below 0 the model needs more bits
    than the plain text has. Perplexities can't be compared between tokenizers.

    >>> metric = TextLikelihood(keep_in_memory=True)
    >>> metric.compute(predictions=[6.0, 10.0], references=[3, 5], tokens=[2, 2])
    {'compression': 0.75, 'bits_per_byte': 2.0, 'perplexity': 16.0}
    """

    def _info(self) -> Any:
        count = datasets.Value("int64")
        features = {"predictions": datasets.Value("float64"), "references": count, "tokens": count}
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=datasets.Features(features))

    def _compute(
        self, predictions: Sequence[float], references: Sequence[int], tokens: Sequence[int]
    ) -> dict[str, float | None]:
        bits, size, count = (float(np.sum(values)) for values in (predictions, references, tokens))
        rate = bits / size
        return {
            "compression": 1 - rate / _BITS_PER_BYTE,
            "bits_per_byte": rate,
            "perplexity": float(np.exp2(bits / count)) if count else None,
        }


def gold_of(task: Task, data: PlainTextData) -> dict[str, Sequence[Any]]:
    """Return, for each text, its row in the data and its size in bytes of UTF-8."""
    return {"example": data.rows, "bytes": [len(text.encode()) for text in data.text]}


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions with `TextLikelihood`. Every text counts."""
    metrics = compute(
        TextLikelihood, predictions=columns["bits"], references=columns["bytes"], tokens=columns["tokens"]
    )
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
