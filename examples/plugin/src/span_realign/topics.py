"""Topics of one's own CSV files: a title and a text, and a topic such as `sport/football`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import xrealign_bench as xb
from xrealign_bench.tasks.sequence_classification.data import load

_SHORTEST = 3
"""Words of an example that is kept."""


@xb.register_task_type(
    "topics", version="1", like="sequence_classification", required_columns=("text", "text_pair", "label"),
    optional_columns=(),
)  # fmt: skip
class Topics:
    """Classify a title (`text`) and a body (`text_pair`) as one text; drop examples of one or two words."""

    def load(self, task: xb.Task, language: str, split: Any, location: Any, limit: int | None = None) -> Any:
        """Read the examples as the shipped type does, and join both texts."""
        data = load(task, language, split, location, limit)
        assert data.text_pair is not None  # required_columns
        joined = [f"{title}. {body}" for title, body in zip(data.text, data.text_pair, strict=True)]
        kept = [place for place, text in enumerate(joined) if len(text.split()) >= _SHORTEST]
        return replace(
            data,
            rows=[data.rows[place] for place in kept],
            text=[joined[place] for place in kept],
            text_pair=None,
            labels=[data.labels[place] for place in kept],
            dropped={**data.dropped, "too_short": len(joined) - len(kept)},
        )


@xb.register_metric("broad-accuracy", version="1", task_types=("sequence_classification", "topics"))
class BroadAccuracy:
    """Share of examples whose topic is right up to the slash: sport/football for sport/tennis is right."""

    def counts(self, task: xb.Task, columns: Mapping[str, Sequence[int]]) -> tuple[list[float], list[float]]:
        """Return 1 or 0 for each example, and 1."""
        broad = [label.partition("/")[0] for label in task.labels]
        pairs = zip(columns["gold"], columns["predicted"], strict=True)
        right = [float(broad[gold] == broad[predicted]) for gold, predicted in pairs]
        return right, [1.0] * len(right)
