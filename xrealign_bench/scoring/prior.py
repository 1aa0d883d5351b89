"""The prior of the variance between seeds, before a comparison's own seeds are seen.

It has two components, so that it applies to any set of languages: the variance that all languages of a seed share, and
each language's own. The mean over L languages has variance common + own / L. `prior.json` holds the fitted values with
their sources and is written by `scripts/fit_prior.py`. docs/statistics.md describes the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from math import fsum
from statistics import median
from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.results.comparison import Variance
from xrealign_bench.scoring.inference import add
from xrealign_bench.specs.base import Spec

FEWEST_LANGUAGES = 10
"""Minimum number of languages for a meaningful median."""

Positive = Annotated[float, Field(gt=0)]


class SeedPrior(Spec):
    """The prior of one metric or task: variances of the gain with one seed (0..1 scale, squared)."""

    common: Annotated[float, Field(ge=0)]
    """Variance shared by all languages of a seed."""
    own: Positive
    """A language's own variance, averaged over languages."""
    df: Positive
    """Degrees of freedom of a mean over many languages."""
    language: Positive
    """Scale for a single language. Smaller than common + own, because most languages vary less than the average and a
    few far more."""
    language_df: Positive
    studies: int
    """Number of pairs of checkpoint and task; for a task-specific prior, number of comparisons."""
    comparisons: int
    """Number of recipes compared with a baseline. Recipes of a study share it and together have the weight of one."""

    def expect(self, weights: Sequence[float]) -> Variance:
        """Return the prior of the variance of a weighted mean over languages.

        Args:
            weights: one per language; they sum to 1.
        """
        languages = 1 / fsum(weight**2 for weight in weights)  # effective number of languages
        if languages < 1.5:
            return Variance(value=self.language, df=self.language_df)
        df = 1 / (1 / self.df + (1 / self.language_df - 1 / self.df) / languages)
        return Variance(value=self.common + self.own / languages, df=df)

    def raise_for(self, ratios: Sequence[float], df: int) -> float:
        """Return a factor, at least 1, for the priors of the single languages of one comparison.

        If the median language varies more between seeds than its prior predicts for the median, all priors are raised
        by that ratio. So verdicts keep their error rate in studies that vary more than those of the fit.

        Args:
            ratios: for each language, variance of its gain over seeds divided by its prior. Returns 1 for fewer than
                `FEWEST_LANGUAGES`.
            df: seeds - 1. Returns 1 for 0.
        """
        from scipy.stats import f

        if df < 1 or len(ratios) < FEWEST_LANGUAGES:
            return 1.0
        return max(1.0, median(ratios) / float(f.median(df, self.language_df)))


class Prior(Spec):
    """A versioned prior with its provenance."""

    schema_version: Literal[1] = 1
    version: str
    created: date
    sources: list[str]
    metrics: dict[str, SeedPrior]
    """Metric -> prior, from models and data of usual size."""
    tasks: dict[str, SeedPrior] = {}
    """Task -> task-specific prior, from many seeds of the task. It takes precedence over the metric's."""

    def of(self, task: str, metric: str) -> SeedPrior | None:
        """Return the prior for a task; None if neither it nor its metric was fitted."""
        return self.tasks.get(task) or self.metrics.get(metric)


@cache
def load_prior() -> Prior:
    """Read the shipped prior."""
    return Prior.model_validate_json(files("xrealign_bench.scoring").joinpath("prior.json").read_text("utf-8"))


def over_tasks(priors: Mapping[str, Variance], share: float) -> Variance:
    """Return the variance of `share` times the sum of the tasks' gains, taking tasks as independent."""
    return add([Variance(value=share**2 * each.value, df=each.df) for each in priors.values()])
