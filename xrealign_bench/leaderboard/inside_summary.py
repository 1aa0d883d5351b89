"""Means of an analysis over blocks, languages and seeds, with their spread over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xrealign_bench.leaderboard.formatting import NONE, SEEDS_FOR_STD
from xrealign_bench.scoring.aggregate import SeedScores

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "source"
"""Tier of the source language."""
SUMMARY: Mapping[str, Sequence[str]] = {
    "MEXA": ["mexa"],
    "retrieval": ["retrieval_from_source", "retrieval_to_source"],
    "word P@1": ["word_precision"],
    "CKA": ["cka"],
    "cosine": ["cosine_to_initial"],
    "anisotropy": ["anisotropy"],
    "eff. rank": ["effective_rank"],
    "language probe": ["language_probe"],
    "task probe": ["task_probe"],
    "ECE": ["calibration_error"],
    "gradients": ["gradient_cosine"],
    "anchors, lost": ["anchors_among_lost"],
    "anchors, all": ["anchors_among_all"],
}
"""Column -> measures whose mean it shows."""


@dataclass(frozen=True)
class SummaryRow:
    """The means of one form of the model with one recipe and task."""

    recipe: str
    task: str
    form: str
    means: Mapping[str, SeedScores]
    """Column of `SUMMARY` -> its mean with each seed; columns without values are left out."""


def summarise(table: pd.DataFrame) -> list[SummaryRow]:
    """Return one row per recipe, task and form: means over blocks and target languages, without the embeddings.

    Args:
        table: from `inside.collect_table`.
    """
    shown = table[(table["tier"] != SOURCE) & (table["block"].isna() | (table["block"] >= 0))]
    groups = shown.groupby(["recipe", "task", "form"], sort=False)
    return [SummaryRow(recipe, task, form, dict(_means(part))) for (recipe, task, form), part in groups]


def _means(values: pd.DataFrame) -> Iterator[tuple[str, SeedScores]]:
    found = values.groupby(["measure", "seed"])["value"].mean()
    for column, measures in SUMMARY.items():
        by_seed = [found[measure] for measure in measures if measure in found.index]
        if by_seed:
            means = sum(by_seed) / len(by_seed)
            yield column, SeedScores(tuple(float(value) for value in means))


def shown_columns(rows: Sequence[SummaryRow]) -> list[str]:
    """Return the columns of `SUMMARY` that have a value in some row."""
    return [column for column in SUMMARY if any(column in row.means for row in rows)]


def value_with_spread(value: SeedScores | None) -> str:
    """Return a mean with its standard deviation over the seeds, if there are at least `SEEDS_FOR_STD`.

    >>> value_with_spread(SeedScores((0.25, 0.5, 0.75))), value_with_spread(SeedScores((0.25, 0.75)))
    ('0.500 ±0.250', '0.500')
    >>> value_with_spread(None)
    '–'
    """
    if value is None or value.mean is None:
        return NONE
    if value.std is None or len(value.by_seed) < SEEDS_FOR_STD:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} ±{value.std:.3f}"


def over_seeds(values: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the mean over the seeds, and the standard deviation, of the means by the values of a column.

    Columns: mean, std; std is missing for a single seed.
    """
    by_seed = values.groupby([by, "seed"])["value"].mean()
    found: pd.DataFrame = by_seed.groupby(level=by).agg(["mean", "std"])
    return found
