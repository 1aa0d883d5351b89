"""Types of a result's fields beside those of specs, bounded so that nothing strange reaches a board or a command."""

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
"""All other metrics are shares."""


def check_metrics(metrics: Mapping[str, float | None]) -> Mapping[str, float | None]:
    """Refuse values that a metric can't have.

    Raises:
        ValueError: one is out of its range.
    """
    for name, value in metrics.items():
        low, high = METRIC_BOUNDS.get(name, (0, 1))
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} is {value} and not in {low}..{high}")
    return metrics


Finite = Annotated[float, Field(ge=-1e12, le=1e12)]
NotNegative = Annotated[float, Field(ge=0, le=1e24)]
Rule = Annotated[str, Field(pattern=r"^[A-Za-z][\w .:-]*$", max_length=80)]
"""Word of the harness: a metric, a group of words or languages, a rule by which examples are dropped."""
Metrics = Annotated[dict[Rule, Finite | None], AfterValidator(check_metrics)]
Paragraph = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=20_000)]
"""One long line, such as a command with many options."""
CheckpointId = Annotated[Title, Field(pattern=r"^[\w.]")]
"""Hub id or the name of a folder: a command line takes none of it for an option."""
NoSha256 = Annotated[str, Field(pattern=r"^$")]
"""Of a checkpoint that a publication names: nothing is known."""
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
"""Digest in full or in part."""
Version = Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+!_-]*$", max_length=64)]
"""Of a package: nothing that pip could take for more than a version."""
PackageName = Literal[
    "torch", "transformers", "tokenizers", "datasets", "pyarrow", "evaluate", "numpy", "babel", "lang2vec", "eflomal",
    "icu4py", "seqeval", "scikit-learn", "peft", "bitsandbytes",
]  # fmt: skip
"""Packages whose versions can move a score. `reproduce` tells to install them, so no others may be named."""
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]
