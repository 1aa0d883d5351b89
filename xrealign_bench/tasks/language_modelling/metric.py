"""How likely plain text is: an `evaluate` metric that works without the network, and the scores of one language."""

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
    """Bits a byte, perplexity a token, and compression: the share of a text's 8 bits a byte that the model saves.

    `predictions` are the bits that the model takes to say each text, `references` its bytes, `tokens` its tokens.
    Compression is 1 - (bits a byte) / 8: higher is better, as in the other tasks, and below 0 the model is worse than
    none. Perplexity is not to be compared between tokenizers.

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
    """Text by text: the row in the data, and the size of the text in bytes of UTF-8."""
    return {"example": data.rows, "bytes": [len(text.encode()) for text in data.text]}


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The metrics of `TextLikelihood` of a language's texts; every text counts."""
    metrics = compute(
        TextLikelihood, predictions=columns["bits"], references=columns["bytes"], tokens=columns["tokens"]
    )
    return {"metrics": metrics, "counted": len(columns["bits"]), "groups": {}, "reason": None}


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By text: the bits that the model saves, and those that there are. Both are (rows,)."""
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
