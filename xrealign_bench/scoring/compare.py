"""Compare a result with its baseline: gains with intervals, and a verdict for each language."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from xrealign_bench.errors import UserError
from xrealign_bench.results.comparison import (
    LEVEL,
    Comparison,
    FurtherLanguage,
    Gain,
    LanguageChange,
    OneStd,
    TaskComparison,
    Variance,
    Verdict,
)
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.scoring.aggregate import SCORING_VERSION, SHOWN_REASONS, counts_in_mean, groups_of, score_groups
from xrealign_bench.scoring.bootstrap import resample, seed_shares
from xrealign_bench.scoring.example_variance import ExampleVariance, PairedCounts, variance_of_examples
from xrealign_bench.scoring.further_language import FEWEST_SEEDS, predict_further
from xrealign_bench.scoring.inference import Estimate, estimate, holm
from xrealign_bench.scoring.one_std import ONE_STD, count_one_std, has_std, improved_by_one_std, signs_of
from xrealign_bench.scoring.pairing import System, check_comparable, pair_counts
from xrealign_bench.scoring.prior import Prior, SeedPrior, load_prior, over_tasks
from xrealign_bench.scoring.stored import RESAMPLES as RESAMPLES
from xrealign_bench.specs import Task

NO_PRIOR = Variance(value=0, df=0)


def compare(
    result_folder: Path,
    baseline_folder: Path,
    resamples: int = RESAMPLES,
    seed: int = 0,
    prior: Prior | None = None,
) -> Comparison:
    """Compare two results from their stored predictions by the model of `scoring.inference`.

    Reported results have no predictions, so their intervals leave out the variance of examples.

    Args:
        result_folder: result of the recipe in question.
        baseline_folder: result with the same checkpoint, suite, seeds and limit, usually fine-tuned only.
        resamples: number of bootstrap resamples for the one-std rule.
        seed: seed of the bootstrap. The same seed gives the same comparison.
        prior: prior of the variance between seeds. None: the shipped one.

    Raises:
        UserError: the folders are the same, the results can't be compared (different suite, checkpoint, limit, seeds or
            test data; no scores), or the predictions are not those that the scores were computed from.
    """
    if result_folder.resolve() == baseline_folder.resolve():
        raise UserError(f"{result_folder}: can't be compared with itself. Name another result")
    systems = System.read(result_folder), System.read(baseline_folder)
    check_comparable(*systems)
    result, prior = systems[0].result, prior or load_prior()
    in_order = sorted(result.tasks, key=lambda task: result.suite.tasks.index(task.name))
    measured = [_measure(task, systems, prior) for task in in_order]
    changes = _changes(measured, *systems)
    one_std = _count_one_std(measured, changes, result, Draws(resamples, seed))
    return Comparison(
        scoring=SCORING_VERSION,
        prior=prior.version,
        ddof=result.ddof,
        result_digest=digest_evidence(result),
        baseline_digest=digest_evidence(systems[1].result),
        baseline=Path(os.path.relpath(baseline_folder.resolve(), result_folder.resolve())).as_posix(),
        resamples=resamples,
        seed=seed,
        gains={name: mean.gain() for name, mean in _over_tasks(result, measured).items()},
        one_std=one_std[None],
        tasks=[_compare_task(each, result, changes[each.task.name], one_std[each.task.name]) for each in measured],
    )


@dataclass(frozen=True)
class Draws:
    """Number of bootstrap resamples and the seed of their random generator."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class MeanGain:
    """A weighted mean of languages' gains, or the reason why there is none."""

    languages: int
    by_seed: tuple[float, ...] = ()
    prior: Variance | None = None
    examples: Variance | None = None
    reason: str | None = None

    @property
    def estimate(self) -> Estimate | None:
        return estimate(self.by_seed, self.prior, self.examples) if self.by_seed else None

    def gain(self) -> Gain:
        found = self.estimate
        low, high = found.interval() if found else (None, None)
        return Gain(
            mean=float(np.mean(self.by_seed)) if self.by_seed else None,
            low=low,
            high=high,
            languages=self.languages,
            reason=self.reason,
            by_seed=list(self.by_seed),
            prior=self.prior,
            examples=self.examples,
        )


@dataclass(frozen=True)
class TaskGains:
    """The gains of one task, by language and by group of languages."""

    task: Task
    counts: dict[str, PairedCounts]
    """By language, including the source language."""
    missing: dict[str, str]
    """Language -> reason why it has no counts."""
    reported: bool
    prior: SeedPrior | None
    is_seeded: bool
    """Whether gains can depend on the seed."""
    targets: list[str]
    """Target languages with counts."""
    means: dict[str, MeanGain] = field(default_factory=dict)
    """Group -> mean gain, `xr` first."""

    def mean(self, weights: Mapping[str, float]) -> MeanGain:
        """Return the weighted mean gain.

        Args:
            weights: language -> weight; they sum to 1.
        """
        if reasons := [self.missing[code] for code in weights if code in self.missing]:
            return MeanGain(len(weights), reason="; ".join(reasons[:SHOWN_REASONS]))
        by_seed = sum(weight * self.counts[code].gains for code, weight in weights.items())
        examples = self._example_variance(weights)
        prior = self.prior.expect(list(weights.values())) if self.prior else NO_PRIOR
        return MeanGain(
            languages=len(weights),
            by_seed=tuple(np.atleast_1d(by_seed).tolist()),
            prior=self._with_interaction(prior, examples),
            examples=examples and examples.own,
        )

    def estimate_language(self, code: str) -> Estimate | None:
        """Estimate the gain of one target language with counts."""
        mean = self._single[code]
        prior = mean.prior and Variance(value=mean.prior.value * self._raised, df=mean.prior.df)
        return estimate(mean.by_seed, prior, mean.examples)

    @cached_property
    def _single(self) -> dict[str, MeanGain]:
        """Target language -> gain."""
        return {code: self.mean({code: 1.0}) for code in self.targets}

    @cached_property
    def _raised(self) -> float:
        """Factor for the priors of single languages, above 1 if this comparison varies more than they expect."""
        means = self._single.values()
        expected = [(mean, mean.prior.value) for mean in means if mean.prior and mean.prior.value > 0]
        if self.prior is None or not expected or len(expected[0][0].by_seed) < 2:
            return 1.0
        ratios = [float(np.var(mean.by_seed, ddof=1)) / value for mean, value in expected]
        return self.prior.raise_for(ratios, len(expected[0][0].by_seed) - 1)

    def _with_interaction(self, prior: Variance, examples: ExampleVariance | None) -> Variance | None:
        """Add the seed-by-example interaction to a prior, which does not depend on the size of the test sets."""
        if not self.is_seeded:
            return None
        return Variance(value=prior.value + (examples.interaction if examples else 0.0), df=prior.df)

    def _example_variance(self, weights: Mapping[str, float]) -> ExampleVariance | None:
        """Return the variance due to the choice of examples; None for reported scores, whose examples are not known."""
        if self.reported:
            return None
        cells = ((weight, self.counts[code]) for code, weight in weights.items())
        return variance_of_examples((weight, counts.examples, counts.influence) for weight, counts in cells)


def _measure(task: Task, systems: tuple[System, System], prior: Prior) -> TaskGains:
    """Pair one task of both systems, and average its groups of languages."""
    result = systems[0].result
    counts, missing = pair_counts(task, *systems)
    is_seeded = task.finetunes or any(
        each.result.recipe.realigns or each.result.recipe.initialisation == "random" for each in systems
    )
    targets = [code for code in counts if code != result.suite.source_language]
    measured = TaskGains(
        task, counts, missing, bool(result.reported), prior.of(task.name, task.metric), is_seeded, targets
    )
    members = {name: codes for name, codes in groups_of(result, task).items() if codes}
    averaged = [name for name in score_groups(members) if name in members]
    weights = {name: dict.fromkeys(codes, 1 / len(codes)) for name, codes in members.items()}
    score = {code: weight / len(averaged) for name in averaged for code, weight in weights[name].items()}
    xr = measured.mean(score) if score else MeanGain(0, reason="the task has no target language")
    measured.means.update({"xr": xr, **{name: measured.mean(each) for name, each in weights.items()}})
    return measured


def _compare_task(
    measured: TaskGains, result: Result, changes: list[LanguageChange], one_std: OneStd | None
) -> TaskComparison:
    return TaskComparison(
        task=measured.task.name,
        metric=measured.task.metric,
        gains={name: mean.gain() for name, mean in measured.means.items()},
        languages=changes,
        further=_further_language(measured, result),
        one_std=one_std,
        not_compared=measured.missing,
    )


def _over_tasks(result: Result, measured: Sequence[TaskGains]) -> dict[str, MeanGain]:
    """Return each group's mean over the tasks in which it counts. Without a mean if a task was not evaluated."""
    done = {task.name for task in result.tasks}
    gone = [f"task {name} was not evaluated" for name in result.suite.tasks if name not in done]
    means = {}
    for name in dict.fromkeys(name for each in measured for name in each.means):
        parts = {each.task.name: each.means[name] for each in measured if name in each.means}
        parts = {task: mean for task, mean in parts.items() if counts_in_mean(name, mean.languages)}
        reasons = [*(mean.reason for mean in parts.values() if mean.reason), *gone]
        if not parts:
            reasons = ["too few languages in every task"]
        means[name] = average_tasks(parts, reasons)
    return means


def average_tasks(parts: Mapping[str, MeanGain], reasons: Sequence[str]) -> MeanGain:
    """Average the means of tasks. If there are reasons against a mean, return these.

    Args:
        parts: task -> mean.
        reasons: why there is no mean; usually empty.
    """
    languages = sum(mean.languages for mean in parts.values())
    if reasons:
        return MeanGain(languages, reason="; ".join(reasons[:SHOWN_REASONS]))
    share = 1 / len(parts)
    priors = {task: mean.prior for task, mean in parts.items() if mean.prior}
    examples = {task: mean.examples for task, mean in parts.items() if mean.examples}
    return MeanGain(
        languages=languages,
        by_seed=tuple(np.mean([mean.by_seed for mean in parts.values()], axis=0).tolist()),
        prior=over_tasks(priors, share) if priors else None,
        examples=over_tasks(examples, share) if examples else None,
    )


def _further_language(measured: TaskGains, result: Result) -> FurtherLanguage | None:
    """Predict the gain in a further language; None with one seed, or if a language is missing."""
    mean = measured.means["all"].estimate if "all" in measured.means else None
    if mean is None or len(result.seeds) < FEWEST_SEEDS:
        return None
    families = {language.code: language.family for language in result.languages}
    averaged = groups_of(result, measured.task)["all"]
    codes = [code for code in measured.targets if code in families and code in averaged]
    gains = [float(measured.counts[code].gains.mean()) for code in codes]
    return predict_further(gains, [families[code] for code in codes], mean)


def _changes(measured: Sequence[TaskGains], ours: System, theirs: System) -> dict[str, list[LanguageChange]]:
    """Return every target language's change by task. All languages of all tasks are tested together."""
    seeds = len(ours.result.seeds)
    cells = [(each, code) for each in measured for code in each.targets]
    estimates = [each.estimate_language(code) for each, code in cells]
    tested = {
        place: found.p_value
        for place, ((each, _), found) in enumerate(zip(cells, estimates, strict=True))
        if found is not None and (seeds > 1 or not each.is_seeded)
    }
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    changes: dict[str, list[LanguageChange]] = {each.task.name: [] for each in measured}
    for place, ((each, code), found) in enumerate(zip(cells, estimates, strict=True)):
        changes[each.task.name].append(_change(each.task, code, found, corrected.get(place), ours, theirs))
    return changes


def _count_one_std(
    measured: Sequence[TaskGains], changes: Mapping[str, list[LanguageChange]], result: Result, draws: Draws
) -> dict[str | None, OneStd | None]:
    """Count languages by AlignFreeze's rule for each task, and for all tasks under the key None."""
    rng = np.random.default_rng(draws.seed)
    # All tasks share the drawn seeds, because one realignment may serve several tasks.
    shares = seed_shares(len(result.seeds), draws.resamples, rng)
    counted, counts = [], dict[str | None, OneStd | None]()
    for each in measured:
        name, of_task = each.task.name, []
        if has_std(each.task, result) and changes[name]:
            resampled = resample(each.counts, shares, rng)
            of_task = [(changes[name], signs_of(resampled[change.language] for change in changes[name]))]
        counts[name] = count_one_std(of_task)
        counted += of_task
    return counts | {None: count_one_std(counted)}


def _change(
    task: Task, code: str, found: Estimate | None, p: float | None, ours: System, theirs: System
) -> LanguageChange:
    """Return the change of one language.

    Args:
        found: estimate of the gain, for the interval.
        p: corrected p-value; None: not tested.
    """
    score, baseline = ours.languages[task.name][code], theirs.languages[task.name][code]
    mean, other = float(np.mean(score.by_seed)), float(np.mean(baseline.by_seed))
    low, high = found.interval() if found else (None, None)
    verdict: Verdict = "untested" if p is None else "same" if p >= LEVEL else "helped" if mean > other else "harmed"
    sign = improved_by_one_std([mean], [other], [np.std(baseline.by_seed)])[0] if has_std(task, ours.result) else 0
    return LanguageChange(
        task=task.name,
        language=code,
        score=mean,
        std=score.std,
        baseline=other,
        baseline_std=baseline.std,
        gain=mean - other,
        low=low,
        high=high,
        p_value=p,
        verdict=verdict,
        one_std=ONE_STD[int(sign)],
    )
