"""What is expected of the variance between seeds, before a comparison's own seeds are seen.

Two components, so that the prior means the same for any set of languages: what all languages of a seed have in common,
and what is a language's own. The mean over L languages has variance common + own / L. `prior.json` holds the fitted
values with their sources; `scripts/fit_prior.py` writes it. docs/statistics.md describes the fit.
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
"""Of fewer languages the median says too little."""

Positive = Annotated[float, Field(gt=0)]


class SeedPrior(Spec):
    """The prior of one metric or task: variances of the gain with one seed (0..1 scale, squared)."""

    common: Annotated[float, Field(ge=0)]
    """Of what all languages of a seed have in common."""
    own: Positive
    """Of what is a language's own, the mean over languages."""
    df: Positive
    """Degrees of freedom of a mean over many languages."""
    language: Positive
    """Scale for one language alone. Smaller than common + own: most languages vary less than the mean, a few far
    more."""
    language_df: Positive
    studies: int
    """Pairs of checkpoint and task; for a task with a prior of its own, comparisons."""
    comparisons: int
    """Of recipes with a baseline; those of a study share it, and weigh as one together."""

    def expect(self, weights: Sequence[float]) -> Variance:
        """Return the prior of the variance of a weighted mean over languages.

        Args:
            weights: one a language; they sum to 1.
        """
        languages = 1 / fsum(weight**2 for weight in weights)  # as many equal weights have this variance
        if languages < 1.5:
            return Variance(value=self.language, df=self.language_df)
        df = 1 / (1 / self.df + (1 / self.language_df - 1 / self.df) / languages)
        return Variance(value=self.common + self.own / languages, df=df)

    def raise_for(self, ratios: Sequence[float], df: int) -> float:
        """Return a factor for the priors of the single languages of one comparison, at least 1.

        If the median language varies more between seeds than its prior lets the median do, all are raised by that
        ratio: verdicts then keep their error rate where a study varies more than those that the prior was fitted to.

        Args:
            ratios: for each language, the variance of its gain over the seeds over its prior; fewer than
                `FEWEST_LANGUAGES` raise nothing.
            df: seeds - 1; 0 raises nothing.
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
    """Task -> prior of its own, from many seeds of the task; it goes before that of the metric."""

    def of(self, task: str, metric: str) -> SeedPrior | None:
        """Return the prior for a task; None if neither it nor its metric was fitted."""
        return self.tasks.get(task) or self.metrics.get(metric)


@cache
def load_prior() -> Prior:
    """Read the shipped prior."""
    return Prior.model_validate_json(files("xrealign_bench.scoring").joinpath("prior.json").read_text("utf-8"))


def over_tasks(priors: Mapping[str, Variance], share: float) -> Variance:
    """Combine the priors of tasks into that of `share` times the sum of their gains; tasks count as independent."""
    return add([Variance(value=share**2 * each.value, df=each.df) for each in priors.values()])
