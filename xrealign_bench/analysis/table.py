"""The tidy table of an analysis: one row a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

Form = Literal["initial", "realigned", "finetuned"]
Measure = Literal["alignment", "drift", "probes", "gradients", "errors", "anchors"]
"""Groups of measures that an analysis can be limited to."""
TextVector = Literal["mean", "weighted_mean", "last_token"]
"""Ways of `models.pooling.pool_sentences` in which a sentence becomes a vector."""

ALL_LANGUAGES = "all"
"""Language of values that belong to no single one."""


class Row(NamedTuple):
    """One value of a measure."""

    form: Form
    language: str
    block: int | None
    """Number of the block whose output is measured; -1: the input of the first block; None: no single block."""
    measure: str
    item: str
    """What the value is about besides language and block, such as a tag; empty for most measures."""
    value: float
    n: int
    """Number of sentences, words or batches behind the value."""


def make_table(rows: Iterable[Row]) -> pa.Table:
    """Return the table of some rows, in their order."""
    import pyarrow as pa

    types = {"block": pa.int16(), "value": pa.float64(), "n": pa.int32()}
    schema = pa.schema({name: types.get(name, pa.string()) for name in Row._fields})
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=schema)
