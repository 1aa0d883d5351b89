"""Run the metrics of `evaluate` in memory."""

from __future__ import annotations

from functools import cache
from tempfile import TemporaryDirectory
from typing import Any


def compute(metric: Any, **columns: Any) -> dict[str, Any]:
    """Compute a metric over whole columns, read as they are.

    `evaluate` would first copy them into an Arrow table with a fingerprint, which takes ten milliseconds a language.

    Args:
        metric: a class of `evaluate`.
        columns: what its `compute` takes.
    """
    computed: dict[str, Any] = _make(metric)._compute(**columns)
    return computed


@cache
def _make(metric: Any) -> Any:
    """Make a metric. It makes a folder even if it keeps its data in memory, by default below the user's home, which a
    container may not have: hence a temporary one."""
    with TemporaryDirectory() as folder:
        return metric(keep_in_memory=True, cache_dir=folder)
