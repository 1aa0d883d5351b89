"""Types of a result's fields in addition to those of specs, bounded so that they are safe on boards and in commands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from xrealign_bench.specs import Seed, Title

METRIC_BOUNDS: Mapping[str, tuple[float, float]] = {
    "compression": (-math.inf, 1),
    "bits_per_byte": (0, math.inf),
    "perplexity": (0, math.inf),
    "counted": (0, math.inf),
}
"""Metric -> its smallest and largest value. All other metrics lie in 0..1."""


def check_metrics(metrics: Mapping[str, float | None]) -> Mapping[str, float | None]:
    """Check that values lie in their metric's range.

    Raises:
        ValueError: a value is out of range.
    """
    for name, value in metrics.items():
        low, high = METRIC_BOUNDS.get(name, (0, 1))
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} is {value} and must be in {low}..{high}")
    return metrics


Finite = Annotated[float, Field(description="a number between -1e12 and 1e12", ge=-1e12, le=1e12)]
NotNegative = Annotated[float, Field(description="a number from 0 up to 1e24", ge=0, le=1e24)]
Rule = Annotated[
    str,
    Field(
        description="a letter, then letters, digits, spaces and _ . : -, 80 at most",
        pattern=r"^[A-Za-z][\w .:-]*$",
        max_length=80,
    ),
]
"""Identifier chosen by the harness: a group of words or languages, a rule that drops examples."""
MetricKey = Annotated[
    str,
    Field(
        description="the name of a metric, or package/name",
        pattern=r"^[A-Za-z0-9][\w .:-]*(/[A-Za-z0-9][\w .:-]*)?$",
        max_length=161,
    ),
]
Metrics = Annotated[dict[MetricKey, Finite | None], AfterValidator(check_metrics)]
Paragraph = Annotated[
    str,
    Field(
        description="one line of text without control characters, 20,000 characters at most",
        pattern=r"^[^\x00-\x1f\x7f]*$",
        max_length=20_000,
    ),
]
"""One long line, such as a command with many options."""
CheckpointId = Annotated[
    Title, Field(description="a Hub id or folder name that begins with a letter, digit, _ or .", pattern=r"^[\w.]")
]
"""Hub id or folder name. It can't be mistaken for a command-line option."""
NoSha256 = Annotated[str, Field(description="an empty text", pattern=r"^$")]
"""Digest of a checkpoint that a publication names: not known."""
Key = Annotated[str, Field(description="a digest, up to 64 digits and letters a to f", pattern=r"^[0-9a-f]{1,64}$")]
"""Digest, complete or shortened."""
Version = Annotated[
    str,
    Field(description="a version such as 2.1.0", pattern=r"^[0-9][0-9A-Za-z.+!_-]*$", max_length=64),
]
"""Version of a package. pip can't mistake it for anything else."""
PackageName = Literal[
    "torch", "transformers", "tokenizers", "datasets", "pyarrow", "evaluate", "numpy", "babel", "lang2vec", "eflomal",
    "icu4py", "seqeval", "scikit-learn", "peft", "bitsandbytes", "sacrebleu", "py3langid",
]  # fmt: skip
"""Packages whose versions can change a score. `reproduce` prints a command that installs them, so no others are
allowed."""
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]
