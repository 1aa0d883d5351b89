"""The base of this package's `evaluate` metrics."""

from __future__ import annotations

from typing import Any

import evaluate


class DirectMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Metric whose `compute` reads its arguments as they are.

    `evaluate.Metric` would copy them into an Arrow table with a fingerprint first, which takes ten milliseconds a
    language. Constructed rather than fetched by `evaluate.load`; with `keep_in_memory=True` no file is written.
    """

    def compute(self, **columns: Any) -> Any:
        """Compute the metric on its columns, such as predictions and references."""  # evaluate adds to it
        return self._compute(**columns)
