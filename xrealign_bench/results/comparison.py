"""A result compared with its baseline: gains with intervals, and a verdict for each language."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.results.fields import Finite, NotNegative, Paragraph, Rule, Version
from xrealign_bench.specs import Count, LanguageCode, Name, Seed, Sentence, Sha256, Share, Spec, Title


class Variance(Spec):
    """An estimate of a variance (0..1 scale, squared) and its degrees of freedom."""

    value: NotNegative
    df: NotNegative


class Gain(Spec):
    """Mean gain over the baseline (0..1 scale: 0.01 is one percentage point) with its 95 % interval.

    Everything that the interval follows from is here: `scoring.inference.estimate` computes it from `by_seed`, `prior`
    and `examples`.
    """

    mean: Finite | None
    """Null: a language or a tier is missing, see `reason`."""
    low: Finite | None
    high: Finite | None
    """Null: no mean, or nothing to estimate its variance from."""
    languages: Count
    """How many languages the mean covers; over several tasks, the sum of their languages."""
    reason: Paragraph | None = None
    by_seed: list[Finite] = []
    """The gain with each seed, in the order of the result's seeds."""
    prior: Variance | None = None
    """What is expected of the variance of one seed's gain: by the prior, plus the seed-by-example interaction. With 0
    degrees of freedom the metric has no prior. Null: nothing depends on the seed."""
    examples: Variance | None = None
    """Variance of the mean by the choice of test examples, without what the seeds' variance holds already; null for
    reported scores."""


MAX_RESAMPLES = 100_000
"""Ten times the default."""


Verdict = Literal["helped", "harmed", "same", "untested"]
"""`untested`: there is one seed only, or no variance to test with."""


class LanguageChange(Spec):
    """One language of one task against the baseline."""

    task: Name
    language: LanguageCode
    score: Finite
    """Mean over seeds."""
    std: NotNegative | None
    """Over seeds, with the comparison's `ddof`; null for a single seed."""
    baseline: Finite
    baseline_std: NotNegative | None
    gain: Finite
    low: Finite | None
    high: Finite | None
    """The 95 % interval of this language alone."""
    p_value: Share | None
    """Two-sided; includes the variance of seeds and examples; Holm-corrected over all tasks and languages."""
    verdict: Verdict
    """By the corrected test at 5 %."""
    one_std: Literal["helped", "harmed", "same"]
    """By AlignFreeze's rule: rounded means differ by more than the baseline's rounded std (percent, one decimal, ddof
    0). Always `same` in retrieval, where the baseline has no spread."""


class LanguageCount(Spec):
    """A number of languages (over several tasks: of languages and tasks together) with its 95 % interval."""

    count: Count
    low: Count | None
    high: Count | None
    """Null: too little to resample."""


class OneStd(Spec):
    """How many languages change by AlignFreeze's rule (see `LanguageChange.one_std`).

    The rule is applied to every resample of `scoring.bootstrap`, with seeds moved apart so that drawn seeds spread as
    much as the measured ones. In simulated studies (benchmarks/one_std_interval.py) this interval covers the count
    that fresh seeds give on average more often than the range over leaving out a seed.
    """

    helped: LanguageCount
    harmed: LanguageCount


class FurtherLanguage(Spec):
    """The gain to expect in one further language like a task's targets (see `scoring.further_language`)."""

    mean: Finite
    low: Finite
    high: Finite
    """The 95 % prediction interval: variance between languages included, language families as clusters."""
    families: Count


class TaskComparison(Spec):
    task: Name
    metric: Rule
    gains: dict[Rule, Gain]
    """`xr` (the mean over the tiers that count) and those of `scoring.aggregate.GROUPS` that have languages."""
    languages: list[LanguageChange]
    """Target languages; the source language's change is in `gains`."""
    further: FurtherLanguage | None = None
    """Null: one seed, or fewer than three language families."""
    one_std: OneStd | None
    """Null: there is no standard deviation to go by, with one seed or without fine-tuning."""
    not_compared: dict[LanguageCode, Sentence] = {}
    """Language -> why it has no change."""


class Comparison(Spec):
    """A result against its baseline: derived from the two results' predictions, and so recomputable.

    Schema version 2 added the intervals of `one_std`; version 3 replaced bootstrap intervals and tests by those of
    `scoring.inference`.
    """

    schema_version: Literal[3] = 3
    scoring: Annotated[int, Field(ge=1, le=1000)]
    """`scoring.aggregate.SCORING_VERSION` of the code that compared; 1 for a migrated comparison, which has no
    intervals and no tests."""
    prior: Version | None
    """Version of the prior (`scoring/prior.json`) that the intervals used; null for a migrated comparison."""
    ddof: Literal[0, 1]
    """Of the standard deviations of languages."""
    result_digest: Sha256
    """What `digest_evidence` returns for the result."""
    baseline_digest: Sha256
    baseline: Title
    """Path of the baseline's folder, relative to this result's."""
    resamples: Annotated[int, Field(ge=0, le=MAX_RESAMPLES)]
    seed: Seed
    """Of the resampling behind `one_std`, not of the training."""
    gains: dict[Rule, Gain]
    """The keys of the tasks' gains, each the mean over the tasks in which the group counts; `xr` is the gain in XR
    score."""
    one_std: OneStd | None
    """Over the tasks that have it; null: none has."""
    tasks: list[TaskComparison]
