"""Scores of results as one tidy table: a row per task, language, seed and metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xrealign_bench.results.result import Result

COLUMNS = (
    "suite", "version", "checkpoint", "recipe", "task", "language", "tier", "seed", "metric", "value", "examples",
    "limit",
)  # fmt: skip


def score_rows(result: Result) -> Iterator[dict[str, Any]]:
    """Yield one row, with the keys of `COLUMNS`, per score and metric, from 0 to 1."""
    suite, tiers = result.suite, {language.code: language.tier for language in result.languages}
    about = suite.name, suite.version, result.checkpoint.id, result.recipe.name
    for score in result.scores:
        tier = "source" if score.language == suite.source_language else tiers.get(score.language)
        for metric, value in score.metrics.items():
            cell = score.task, score.language, tier, score.seed, metric, value, score.examples
            yield dict(zip(COLUMNS, (*about, *cell, result.limit), strict=True))
