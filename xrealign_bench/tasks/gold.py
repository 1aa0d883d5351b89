"""Digests of gold labels, from test data and from the columns of predictions. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from xrealign_bench.data import DataLocation
from xrealign_bench.specs import EmbeddedData, Lock, Task, digest
from xrealign_bench.tasks.registry import TASK_TYPES, metric_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Gold:
    """Number and digest of the gold labels of a task in one language."""

    examples: int
    sha256: str
    """SHA-256 of the row numbers and gold labels as canonical JSON, in the order of the rows."""


def read_gold(task: Task, language: str, location: DataLocation) -> Gold:
    """Return the gold of a task's test data in one language.

    Raises:
        UserError: the data can't be read.
    """
    load = TASK_TYPES[task.task_type].load
    return _gold(task, metric_of(task).gold_of(task, load(task, language, "test", location)))


def predicted_gold(task: Task, cell: pa.Table) -> Gold:
    """Return the gold in the predictions of one language and seed."""
    names = ("example", *metric_of(task).from_data)
    return _gold(task, {name: cell[name].to_pylist() for name in names})


def known_gold(task: Task, language: str, lock: Lock | None) -> Gold | None:
    """Return the gold that a result must have, or None if it is not recorded in the suite's lock.

    For embedded data, which are part of the package, it is computed.
    """
    if isinstance(task.part(language).source, EmbeddedData):
        return _embedded_gold(task, language)
    known = {(each.task, each.language): each for each in (lock and lock.gold) or []}
    found = known.get((task.name, language))
    return Gold(found.examples, found.sha256) if found else None


@lru_cache(maxsize=4096)
def _embedded_gold(task: Task, language: str) -> Gold:
    return read_gold(task, language, DataLocation(offline=True))


def _gold(task: Task, columns: Mapping[str, Sequence[Any]]) -> Gold:
    order = sorted(range(len(columns["example"])), key=lambda place: columns["example"][place])
    return Gold(len(order), digest({name: [values[place] for place in order] for name, values in columns.items()}))
