"""A result compared with its baseline: gains with intervals, and a verdict for each language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum, isclose
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from xrealign_bench.results.fields import Finite, MetricKey, NotNegative, Paragraph, Rule, Version
from xrealign_bench.specs import Count, LanguageCode, Name, Seed, Sentence, Sha256, Share, Spec, Title

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
"""Significance level of tests; intervals cover 1 - LEVEL."""
MAX_RESAMPLES = 100_000
"""Ten times the default."""
Verdict = Literal["helped", "harmed", "same", "untested"]
"""`untested`: there is only one seed, or the variance can't be estimated."""


class Variance(Spec):
    """An estimate of a variance (0..1 scale, squared) and its degrees of freedom."""

    value: NotNegative
    df: NotNegative


class Gain(Spec):
    """Mean gain over the baseline (0..1 scale: 0.01 is one percentage point) with its 95 % interval.

    `scoring.inference.estimate` computes the interval from `by_seed`, `prior` and `examples`.
    """

    mean: Finite | None
    """Null: a language or a tier is missing, see `reason`."""
    low: Finite | None
    high: Finite | None
    """Null: there is no mean, or its variance can't be estimated."""
    languages: Count
    """Number of languages in the mean; over several tasks, the sum of their languages."""
    reason: Paragraph | None = None
    by_seed: list[Finite] = []
    """The gain with each seed, in the order of the result's seeds."""
    prior: Variance | None = None
    """Expected variance of one seed's gain: the prior plus the seed-by-example interaction. 0 degrees of freedom: the
    metric has no prior. Null: the gain does not depend on the seed."""
    examples: Variance | None = None
    """Variance of the mean due to the choice of test examples, without the part included in the seeds' variance; null
    for reported scores."""


class LanguageChange(Spec):
    """The change of one language of one task over the baseline."""

    task: Name
    language: LanguageCode
    score: Finite
    """Mean over seeds."""
    std: NotNegative | None
    """Standard deviation over seeds, with the comparison's `ddof`; null for a single seed."""
    baseline: Finite
    baseline_std: NotNegative | None
    gain: Finite
    low: Finite | None
    high: Finite | None
    """`low` and `high` are the 95 % interval of this language alone."""
    p_value: Share | None
    """Two-sided, includes the variance of seeds and examples, Holm-corrected over all tasks and languages."""
    verdict: Verdict
    """Outcome of the corrected test at 5 %."""
    one_std: Literal["helped", "harmed", "same"]
    """Outcome of AlignFreeze's rule: rounded means differ by more than the baseline's rounded std (percent, one
    decimal, ddof 0). Always `same` in retrieval, where the baseline has no spread."""


class LanguageCount(Spec):
    """A number of languages (over several tasks: of pairs of language and task) with its 95 % interval."""

    count: Count
    low: Count | None
    high: Count | None
    """Null: there are too few seeds and examples to resample."""


class OneStd(Spec):
    """Numbers of languages that change by AlignFreeze's rule (see `LanguageChange.one_std`).

    The interval comes from applying the rule to every resample of `scoring.bootstrap`, with the seeds' deviations
    scaled up so that resampled seeds spread as much as the measured ones. In simulated studies
    (benchmarks/one_std_interval.py) it contains the mean count of fresh seeds more often than the leave-one-seed-out
    range does.
    """

    helped: LanguageCount
    harmed: LanguageCount


class FurtherLanguage(Spec):
    """Predicted gain in one further language like a task's targets (see `scoring.further_language`)."""

    mean: Finite
    low: Finite
    high: Finite
    """`low` and `high` are the 95 % prediction interval. It includes the variance between languages, with families as
    clusters."""
    families: Count


class TaskComparison(Spec):
    """One task compared with the baseline."""

    task: Name
    metric: MetricKey
    gains: dict[Rule, Gain]
    """Group -> gain: `xr` (the mean over the counted tiers) and the groups of `scoring.aggregate.GROUPS` that have
    languages."""
    languages: list[LanguageChange]
    """Changes of the target languages. The source language's change is in `gains`."""
    further: FurtherLanguage | None = None
    """Null: there is only one seed, or fewer than three language families."""
    one_std: OneStd | None
    """Null: there is no standard deviation, because there is only one seed or no fine-tuning."""
    not_compared: dict[LanguageCode, Sentence] = {}
    """Language -> reason why it has no change."""


class Comparison(Spec):
    """A result compared with its baseline. It can be recomputed from the two results' predictions.

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
    """Delta degrees of freedom of the languages' standard deviations."""
    result_digest: Sha256
    """`digest_evidence` of the result."""
    baseline_digest: Sha256
    baseline: Title
    """Path of the baseline's folder, relative to this result's."""
    resamples: Annotated[int, Field(ge=0, le=MAX_RESAMPLES)]
    seed: Seed
    """Seed of the resampling for `one_std`, not a training seed."""
    gains: dict[Rule, Gain]
    """Group -> mean gain over the tasks in which the group counts; `xr` is the gain in XR score."""
    one_std: OneStd | None
    """Sum over the tasks that have counts; null: no task has."""
    tasks: list[TaskComparison]

    def __repr__(self) -> str:
        gain = self.gains.get("xr")
        mean = "unknown" if gain is None or gain.mean is None else f"{gain.mean:+.4f}"
        return f"<comparison with {self.baseline}: gain in XR score {mean}, {len(self.tasks)} tasks; see to_frame()>"

    __str__ = __repr__

    def to_frame(self) -> pd.DataFrame:
        """Return one row per task and target language, scores and gains from 0 to 1.

        Columns: task, language, score, baseline, gain, low, high, p, verdict, one_std.
        """
        import pandas as pd

        names = ("task", "language", "score", "baseline", "gain", "low", "high", "p_value", "verdict", "one_std")
        changes = [change for task in self.tasks for change in task.languages]
        rows = [[getattr(change, name) for name in names] for change in changes]
        return pd.DataFrame(rows, columns=[name.removesuffix("_value") for name in names])


def contradictions(comparison: Comparison) -> Iterator[str]:
    """Yield figures of a comparison that contradict each other, one sentence each.

    This needs no predictions. `scoring.recompute` computes every figure again and finds the rest.
    """
    for task in comparison.tasks:
        for name, gain in task.gains.items():
            yield from _gain_problems(f"{task.task}, gain '{name}'", gain)
        for change in task.languages:
            yield from _change_problems(f"{task.task} in {change.language}", task.task, change)
        yield from _count_problems(task.task, task.one_std, task.languages)
    for name, gain in comparison.gains.items():
        yield from _gain_problems(f"gain '{name}'", gain)
    changes = [change for task in comparison.tasks for change in task.languages]
    yield from _count_problems("all tasks", comparison.one_std, changes)


def _gain_problems(where: str, gain: Gain) -> Iterator[str]:
    if gain.mean is not None and gain.by_seed and not _equal(gain.mean, fsum(gain.by_seed) / len(gain.by_seed)):
        yield f"{where}: its mean {gain.mean:.6g} is not the mean of 'by_seed'"
    if not _is_inside(gain.mean, gain.low, gain.high):
        yield f"{where}: its mean is outside its interval"


def _change_problems(where: str, task: str, change: LanguageChange) -> Iterator[str]:
    if change.task != task:
        yield f"{where}: its 'task' is '{change.task}'"
    if not _equal(change.gain, change.score - change.baseline):
        yield f"{where}: its gain {change.gain:.6g} is not score minus baseline"
    if not _is_inside(change.gain, change.low, change.high):
        yield f"{where}: its gain is outside its interval"
    if change.p_value is None:
        expected = "untested"
    elif change.p_value >= LEVEL:
        expected = "same"
    else:
        expected = "helped" if change.gain > 0 else "harmed"
    if change.verdict != expected:
        yield f"{where}: its verdict is '{change.verdict}', but p_value and gain give '{expected}'"


def _count_problems(where: str, counts: OneStd | None, changes: Sequence[LanguageChange]) -> Iterator[str]:
    if counts is None:
        return
    for name, stored in (("helped", counts.helped.count), ("harmed", counts.harmed.count)):
        if stored != (found := sum(change.one_std == name for change in changes)):
            yield f"{where}: one_std counts {stored} languages as {name}, but {found} are marked so"


def _equal(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _is_inside(mean: float | None, low: float | None, high: float | None) -> bool:
    """Whether a mean is in its interval, up to rounding. An interval that is null contains everything."""
    if mean is None or low is None or high is None:
        return (low is None) == (high is None)
    return low - 1e-9 <= mean <= high + 1e-9
