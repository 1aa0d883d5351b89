"""Simulated studies of known truth for `calibration.py`, and the package's model computed for many of them at once."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xrealign_bench.results.comparison import LEVEL, Variance
from xrealign_bench.scoring.prior import FEWEST_LANGUAGES, Prior

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_prior import Gains, read_reported, read_scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SEEDS = (1, 2, 3, 5, 10)
CHECKED = 20
"""Number of studies per row that the package computes too."""
RESAMPLES = 1000
CELLS = 1 << 23
"""Number of simulated examples (x languages x seeds x studies) in memory at once."""
POINT = 0.01
NO_PRIOR = Variance(value=0, df=0)
FAMILIES = (15, 5, 3, 2, 2, 2, 2, 1, 1, 1)
"""Languages of each family, for 34 languages."""


# ---- The model for many studies at once -------------------------------------------------------------------------


@dataclass(frozen=True)
class Variances:
    """Variances of many means, with the degrees of freedom that each has."""

    value: Floats
    df: float

    def at(self, *index: int) -> Variance:
        return Variance(value=float(self.value[index]), df=self.df)

    def plus(self, value: Floats) -> Variances:
        """Add a known variance, such as the seed-by-example interaction, to a prior."""
        return Variances(self.value + value, self.df)


@dataclass(frozen=True)
class Estimates:
    """`scoring.inference.Estimate` for many means."""

    mean: Floats
    variance: Floats
    df: Floats

    @property
    def half(self) -> Floats:
        """Half the width of the 95 % interval."""
        return np.asarray(stats.t.ppf(1 - LEVEL / 2, self.df) * np.sqrt(self.variance))

    def p_values(self, shift: float = 0.0) -> Floats:
        """Two-sided p-values if all gains were higher by `shift`."""
        return np.asarray(2 * stats.t.sf(np.abs(self.mean + shift) / np.sqrt(self.variance), self.df))


def estimate_all(by_seed: Floats, prior: Variances, examples: Variances | None) -> Estimates:
    """Compute `scoring.inference.estimate` for means (..., seeds). NaN if the variance is unknown."""
    seeds = by_seed.shape[-1]
    mean, df = by_seed.mean(axis=-1), np.float64(prior.df + seeds - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = ((by_seed - mean[..., None]) ** 2).sum(axis=-1)
        variance = (prior.df * prior.value + squares) / df / seeds
        if examples is None:
            return Estimates(mean, variance, np.full_like(mean, df))
        total = variance + examples.value
        if prior.df == 0:
            return Estimates(mean, total, np.full_like(total, df))
        return Estimates(mean, total, total**2 / (variance**2 / df + examples.value**2 / examples.df))


def examples_of(table: Floats) -> tuple[Variances, Floats]:
    """Compute `variance_of_examples` for gains by example (..., seeds, examples) of equal weight."""
    seeds, examples = table.shape[-2:]
    influence = (table - table.mean(axis=-1, keepdims=True)) / examples
    over_seeds, unbiased = influence.mean(axis=-2, keepdims=True), examples / (examples - 1)
    value = unbiased * (over_seeds**2).sum(axis=(-2, -1))
    interaction = np.zeros_like(value)
    if seeds > 1:
        interaction = unbiased * ((influence - over_seeds) ** 2).sum(axis=(-2, -1)) / (seeds - 1)
    return Variances(np.maximum(0.0, value - interaction / seeds), examples - 1), interaction


def significant(p_values: Floats) -> Bools:
    """Return what is significant at `LEVEL` after Holm's correction over the last axis. NaN never is."""
    tests = p_values.shape[-1]
    order = np.argsort(p_values, axis=-1)
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(tests, 0, -1)
    passed = np.logical_and.accumulate(steps < LEVEL, axis=-1)
    found = np.zeros(p_values.shape, dtype=bool)
    np.put_along_axis(found, order, passed, axis=-1)
    return found


# ---- Simulated studies ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """The variances between seeds of the gains in one task of one checkpoint."""

    task: str
    metric: str
    common: float
    own: Floats
    """Own variance of each language."""

    @property
    def of_mean(self) -> float:
        """The variance of the mean over languages."""
        return float(self.common + self.own.mean() / len(self.own))

    def expect_mean(self, prior: Prior | None) -> Variances:
        """Return the prior of the mean over languages. `prior` None: no prior, as for a plain t."""
        known, languages = prior and prior.of(self.task, self.metric), len(self.own)
        found = known.expect([1 / languages] * languages) if known else NO_PRIOR
        return Variances(np.array(found.value), found.df)

    def expect_language(self, prior: Prior | None, gains: Floats, interaction: Floats | float = 0.0) -> Variances:
        """Return the raised priors of single languages, for gains (studies, languages, seeds): see `raise_for`.

        Args:
            interaction: seed-by-example interaction of each language, (studies, languages).
        """
        known, df = prior and prior.of(self.task, self.metric), gains.shape[2] - 1
        found = known.expect([1.0]) if known else NO_PRIOR
        value, raised = found.value + interaction, np.ones((len(gains), 1))
        if known and df and gains.shape[1] >= FEWEST_LANGUAGES:
            ratios = gains.var(axis=2, ddof=1) / value
            raised = np.maximum(1.0, np.median(ratios, axis=1, keepdims=True) / stats.f.median(df, found.df))
        return Variances(value * raised, found.df)


@dataclass(frozen=True)
class Setting:
    """The kind of studies to simulate."""

    name: str
    checkpoints: Sequence[Sequence[Truth]]
    """The tasks of each checkpoint. A study uses one checkpoint, drawn at random."""
    examples: int = 0
    """Test examples, the same in all languages; 0: none are simulated."""
    error: float = 0.0
    """Standard deviation of a language's gain by the choice of examples, if none are simulated."""
    share: float = 0.5
    """Share of the variance between examples that all languages have in common."""
    std: float = 0.3
    """Standard deviation between examples."""
    interaction: float = 0.3
    """Standard deviation between the seeds of one example."""


@dataclass(frozen=True)
class Scenario:
    """How the truth differs from the data that the prior was fitted to."""

    name: str
    factor: float = 1.0
    """Factor of the variances."""
    tails: int = 0
    """Degrees of freedom of the t distribution of seeds' effects; 0: a normal distribution."""
    collapse: float = 0.0
    """Share of the seeds that lose 10 points in all languages."""

    def effects(self, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
        """Draw effects of mean 0 and variance `factor`."""
        drawn = (
            rng.standard_t(self.tails, shape) * np.sqrt(1 - 2 / self.tails) if self.tails else rng.normal(size=shape)
        )
        return np.asarray(drawn * np.sqrt(self.factor))

    def collapses(self, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
        """Draw the losses of collapsed seeds around their mean, which is part of the true gain."""
        return -0.1 * ((rng.random(shape) < self.collapse) - self.collapse)


RIGHT = Scenario("prior right")
SCENARIOS = (
    RIGHT,
    Scenario("variance x 2", factor=2),
    Scenario("variance x 1/2", factor=0.5),
    Scenario("variance x 4", factor=4),
    Scenario("heavy tails", tails=3),
    Scenario("collapse 1/20", collapse=1 / 20),
)


@dataclass(frozen=True)
class SimulatedTask:
    """The errors of measured gains in one task of many studies."""

    truth: Truth
    gains: Floats
    """(studies, languages, seeds): around the true gain."""
    table: Floats | None = None
    """(studies, languages, seeds, examples)."""
    languages: Variances | None = None
    """Variance of examples, (studies, languages)."""
    mean: Variances | None = None
    """Variance of examples of the mean over languages, (studies,)."""
    language_interaction: Floats | float = 0.0
    """Seed-by-example interaction, (studies, languages)."""
    mean_interaction: Floats | float = 0.0
    """(studies,)."""


def truths(comparisons: Sequence[Gains]) -> dict[str, Truth]:
    """Pool the variances between seeds over the recipes of each study (two-way residuals)."""
    by_study: dict[str, list[Gains]] = defaultdict(list)
    for each in comparisons:
        by_study[each.study].append(each)
    return {study: _pool(study.split()[-1], recipes) for study, recipes in by_study.items()}


def _pool(task: str, recipes: Sequence[Gains]) -> Truth:
    own, common = [], []
    for gains in (each.gains for each in recipes):
        seeds, languages = gains.shape
        residuals = gains - gains.mean(axis=1, keepdims=True) - gains.mean(axis=0) + gains.mean()
        own.append((residuals**2).sum(axis=0) / (seeds - 1) / (1 - 1 / languages))
        common.append(gains.mean(axis=1).var(ddof=1) - own[-1].mean() / languages)
    return Truth(task, recipes[0].metric, max(0.0, float(np.mean(common))), np.mean(own, axis=0))


def read_settings(results: Path, scores: Path | None) -> list[Setting]:
    """Make the four settings. Without a file of `scores`, print a note and skip the demo-like setting."""
    by_study = truths(read_reported(results))
    by_checkpoint: dict[str, dict[str, Truth]] = defaultdict(dict)
    for study, truth in by_study.items():
        checkpoint, task = study.split()
        by_checkpoint[checkpoint][task] = truth
    pos = [[next(t for name, t in tasks.items() if "pos" in name)] for tasks in by_checkpoint.values()]
    settings = [Setting("PoS-like", pos, error=0.04 * POINT), Setting("hundred examples", pos, examples=100)]
    if scores is not None and scores.exists():
        settings.insert(1, demo_like(list(truths(read_scores(scores)).values())))
    else:
        print(f"The demo-like setting is skipped, because there is no file {scores}.\n")
    return [*settings, Setting("reported only", [list(tasks.values()) for tasks in by_checkpoint.values()])]


def demo_like(found: Sequence[Truth]) -> Setting:
    """Return a setting like the embedded suite: 200 examples with the errors of its full realignment's gain.

    The measured variance between seeds includes the seed-by-example interaction, which is drawn separately here.
    """
    setting = Setting("demo-like", [], examples=200, share=0.25, std=0.09, interaction=0.18)
    held = setting.interaction**2 / setting.examples
    without = [replace(truth, own=np.maximum(truth.own - held, held / 10)) for truth in found]
    return replace(setting, checkpoints=[[truth] for truth in without])


def draw_studies(
    setting: Setting, scenario: Scenario, seeds: int, studies: int, rng: np.random.Generator
) -> Iterator[list[SimulatedTask]]:
    """Draw studies in parts that share a checkpoint and fit in memory. Yields the tasks of each part."""
    of_checkpoint = np.bincount(
        rng.integers(len(setting.checkpoints), size=studies), minlength=len(setting.checkpoints)
    )
    for checkpoint, left in zip(setting.checkpoints, of_checkpoint.tolist(), strict=True):
        cells = max(len(truth.own) for truth in checkpoint) * seeds * max(1, setting.examples)
        while left > 0:
            size = min(left, max(1, CELLS // cells))
            left -= size
            yield [_draw_task(setting, truth, scenario, seeds, size, rng) for truth in checkpoint]


def _draw_task(
    setting: Setting, truth: Truth, scenario: Scenario, seeds: int, studies: int, rng: np.random.Generator
) -> SimulatedTask:
    languages = len(truth.own)
    shape = studies, languages, seeds
    common = scenario.effects((studies, 1, seeds), rng) * np.sqrt(truth.common)
    gains = common + scenario.effects(shape, rng) * np.sqrt(truth.own)[:, None]
    gains += scenario.collapses((studies, 1, seeds), rng)
    if setting.examples:
        table = setting.interaction * rng.normal(size=(*shape, setting.examples))
        of_language, of_all = (setting.std * np.sqrt(share) for share in (1 - setting.share, setting.share))
        table += of_language * rng.normal(size=(studies, languages, 1, setting.examples))
        table += of_all * rng.normal(size=(studies, 1, 1, setting.examples))
        gains += table.mean(axis=-1)
        (languages_own, of_languages), (mean_own, of_mean) = examples_of(table), examples_of(table.mean(axis=1))
        return SimulatedTask(truth, gains, table, languages_own, mean_own, of_languages, of_mean)
    if not setting.error:
        return SimulatedTask(truth, gains)
    gains += setting.error * rng.normal(size=(studies, languages, 1))
    of_language = Variances(np.full((studies, languages), setting.error**2), 999)
    of_mean = Variances(np.full(studies, setting.error**2 / languages), 999 * languages)
    return SimulatedTask(truth, gains, None, of_language, of_mean)
