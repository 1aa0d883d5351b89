"""Measure the coverage of intervals and sets of ranks, and the error rates of verdicts.

    python benchmarks/calibration.py simulate leaderboard/results/alignfreeze-1.0 --scores benchmarks/demo-seeds.csv
    python benchmarks/calibration.py best-of-many leaderboard/results/alignfreeze-1.0
    python benchmarks/calibration.py held-out ../shared/reference/lowresource_scores/scores.csv
    python benchmarks/calibration.py nulls OUTPUT/results/demo-seeds-1.0/xrealign-mini/finetune-only
    python benchmarks/calibration.py same-recipe leaderboard/results/demo-1.0

- `simulate`: studies of known truth, with the variances between seeds of published runs.
- `best-of-many`: the best row of a board on which no recipe has an effect.
- `held-out`: predict the mean gain of seeds from other seeds, on studies that the prior was not fitted to.
- `nulls`: disjoint groups of seeds of one recipe, compared with each other.
- `same-recipe`: the same for the seeds of every stored result.

Simulated studies are computed together as arrays. For each row of a table, 20 studies are also computed by the package,
and the program stops if the two differ. Gains are in percentage points. docs/statistics.md shows the tables.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from tabulate import tabulate
from tqdm import tqdm

from xrealign_bench.results.comparison import LEVEL, Gain, Variance
from xrealign_bench.results.storage import find_results
from xrealign_bench.scoring.compare import TaskGains, average_tasks
from xrealign_bench.scoring.example_variance import PairedCounts, variance_of_examples
from xrealign_bench.scoring.further_language import predict_further
from xrealign_bench.scoring.inference import Estimate, estimate, holm
from xrealign_bench.scoring.pairing import System, pair_counts
from xrealign_bench.scoring.prior import Prior, load_prior, over_tasks
from xrealign_bench.scoring.ranks import baseline_gain, rank_sets, tell_apart
from xrealign_bench.specs import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_prior import Gains, fit
from simulated_studies import (
    CHECKED,
    FAMILIES,
    NO_PRIOR,
    POINT,
    RESAMPLES,
    RIGHT,
    SCENARIOS,
    SEEDS,
    Bools,
    Estimates,
    Floats,
    Setting,
    SimulatedTask,
    Truth,
    Variances,
    draw_studies,
    estimate_all,
    examples_of,
    read_settings,
    significant,
)

# ---- Outcomes of simulated studies --------------------------------------------------------------------------------


@dataclass
class Tally:
    """Named lists with one number per study. Their means are a table's figures."""

    values: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))

    def add(self, **values: ArrayLike) -> None:
        for name, value in values.items():
            self.values[name].append(np.asarray(value, dtype=np.float64).reshape(-1))

    def mean(self, name: str) -> float:
        return float(np.concatenate(self.values[name]).mean()) if name in self.values else np.nan

    def percent(self, name: str) -> str:
        return "–" if np.isnan(self.mean(name)) else f"{100 * self.mean(name):.1f} %"

    def points(self, name: str) -> str:
        return "–" if np.isnan(self.mean(name)) else f"{self.mean(name) / POINT:.2f}"


def overall(tasks: Sequence[SimulatedTask], prior: Prior | None) -> tuple[Floats, Variances, Variances | None]:
    """Average languages and then tasks. Returns gains (studies, seeds), the prior, and the variance of examples."""
    by_seed = np.mean([task.gains.mean(axis=1) for task in tasks], axis=0)
    each = {task.truth.task: task.truth.expect_mean(prior).at() for task in tasks}
    expected = over_tasks(each, 1 / len(tasks))
    # Examples are simulated in settings with one task alone.
    interaction = np.zeros(len(by_seed)) + tasks[0].mean_interaction
    return by_seed, Variances(expected.value + interaction, expected.df), tasks[0].mean


def single_languages(tasks: Sequence[SimulatedTask], prior: Prior | None) -> Estimates:
    """Estimate the gain of every language of every task: (studies, languages)."""
    found = [
        estimate_all(t.gains, t.truth.expect_language(prior, t.gains, t.language_interaction), t.languages)
        for t in tasks
    ]
    return Estimates(*(np.concatenate([getattr(e, n) for e in found], axis=1) for n in ("mean", "variance", "df")))


def judge(tally: Tally, tasks: Sequence[SimulatedTask], prior: Prior | None) -> tuple[Estimates, Estimates]:
    """Record coverage, widths, false verdicts and power of many studies. `prior` None: a plain t."""
    by_seed, expected, examples = overall(tasks, prior)
    mean, languages = estimate_all(by_seed, expected, examples), single_languages(tasks, prior)
    tally.add(width=2 * mean.half, covered=np.where(np.isnan(mean.half), np.nan, np.abs(mean.mean) <= mean.half))
    if by_seed.shape[1] > 1:
        tally.add(any_called=significant(languages.p_values()).any(axis=1))
        for points in (1, 3):
            tally.add(**{f"power{points}": significant(languages.p_values(points * POINT)).mean(axis=1)})
    return mean, languages


def judge_further(tally: Tally, mean: Estimates, languages: Estimates, rng: np.random.Generator) -> None:
    """Record how often `predict_further` covers the gain of a language of a new family; effects of 1 point each."""
    studies, size = languages.mean.shape
    sizes = np.round(np.cumsum(FAMILIES) * size / sum(FAMILIES)).astype(int)
    families = np.searchsorted(sizes, np.arange(size), side="right")
    effects = POINT * (rng.normal(size=(studies, len(FAMILIES)))[:, families] + rng.normal(size=(studies, size)))
    target = POINT * np.sqrt(2) * rng.normal(size=studies)
    names = [str(number) for number in families]
    gains = languages.mean + effects
    held, widths = [], []
    for n in range(studies):
        estimated = Estimate(float(gains[n].mean()), float(mean.variance[n]), float(mean.df[n]))
        found = predict_further(gains[n].tolist(), names, estimated)
        held.append(found.low <= target[n] <= found.high)
        widths.append(found.high - found.low)
    tally.add(further=np.array(held), further_width=np.array(widths))


def judge_bootstrap(tally: Tally, tasks: Sequence[SimulatedTask], rng: np.random.Generator) -> None:
    """Record how often the percentile bootstrap over seeds and examples (version 1) covers the true mean gain."""
    by_seed, _, examples = overall(tasks, None)
    studies, seeds = by_seed.shape
    shares = rng.multinomial(seeds, [1 / seeds] * seeds, size=RESAMPLES) / seeds
    if tasks[0].table is not None:
        table = tasks[0].table.mean(axis=1)
        number = table.shape[-1]
        drawn = rng.multinomial(number, [1 / number] * number, size=RESAMPLES) / number
        noise = tasks[0].gains.mean(axis=1) - table.mean(axis=-1)
        resampled = np.stack([((shares @ each) * drawn).sum(axis=1) for each in table]) + noise @ shares.T
    else:
        resampled = by_seed @ shares.T
        if examples is not None:
            resampled = resampled + np.sqrt(examples.value)[:, None] * rng.normal(size=(studies, RESAMPLES))
        elif seeds == 1:
            return
    low, high = np.quantile(resampled, [LEVEL / 2, 1 - LEVEL / 2], axis=1)
    tally.add(boot_width=high - low, boot_covered=(low <= 0) & (high >= 0))


def check(tasks: Sequence[SimulatedTask], prior: Prior | None, mean: Estimates, languages: Estimates) -> None:
    """Check some studies against the package's own computation.

    Raises:
        AssertionError: they differ.
    """
    by_seed, expected, examples = overall(tasks, prior)
    for n in range(min(CHECKED, len(by_seed))):
        _check_one(by_seed[n], expected.at(n), examples and examples.at(n), mean, (n,))
        singles: list[Estimate | None] = []
        for task in tasks:
            gains, known = task.gains[n], prior and prior.of(task.truth.task, task.truth.metric)
            of_language = known.expect([1.0]) if known else NO_PRIOR
            interaction = np.zeros(task.gains.shape[:2]) + task.language_interaction
            values, raised = of_language.value + interaction[n], 1.0
            if known and gains.shape[1] > 1:
                raised = known.raise_for((gains.var(axis=1, ddof=1) / values).tolist(), gains.shape[1] - 1)
            for code, of_code in enumerate(gains):
                part = task.languages and task.languages.at(n, code)
                value = float(values[code]) * raised
                of_code_prior = of_language.model_copy(update={"value": value})
                singles.append(_check_one(of_code, of_code_prior, part, languages, (n, len(singles))))
            if task.table is not None:
                _check_examples(task, n)
        if None not in singles:
            ours = significant(languages.p_values()[n : n + 1])[0]
            assert (ours == (np.array(holm([each.p_value for each in singles])) < LEVEL)).all()


def _check_one(
    by_seed: Floats, prior: Variance, examples: Variance | None, ours: Estimates, at: tuple[int, ...]
) -> Estimate | None:
    found = estimate(by_seed.tolist(), prior, examples)
    if found is None:
        assert not np.isfinite(ours.variance[at])
    else:
        low, high = found.interval()
        one = Estimates(ours.mean[at], ours.variance[at], ours.df[at])
        assert np.isclose(high - low, 2 * one.half, rtol=1e-6) and np.isclose(found.mean, one.mean)
        assert np.isclose(found.p_value, one.p_values(), rtol=1e-6)
    return found


def _check_examples(task: SimulatedTask, n: int) -> None:
    table = task.table[n]
    numbers, languages = tuple(range(table.shape[-1])), len(table)
    influence = (table - table.mean(axis=-1, keepdims=True)) / len(numbers)
    of_mean = variance_of_examples((1 / languages, numbers, each) for each in influence)
    assert np.allclose([of_mean.own.value, of_mean.own.df], [task.mean.value[n], task.mean.df])
    assert np.isclose(of_mean.interaction, task.mean_interaction[n])
    first = variance_of_examples([(1.0, numbers, influence[0])])
    assert np.allclose(
        [first.own.value, first.interaction], [task.languages.value[n, 0], task.language_interaction[n, 0]]
    )


# ---- simulate ---------------------------------------------------------------------------------------------------


def simulate(given: argparse.Namespace) -> None:
    """Print tables of coverage, width, false verdicts and power, and of the coverage of ranks."""
    settings = read_settings(given.results, given.scores)
    if given.only:
        settings = [setting for setting in settings if setting.name in given.only]
    for setting in settings:
        print(f"### {setting.name}: {given.studies} studies a row\n")
        for table in simulate_setting(setting, given.prior, given.studies, given.seed):
            print(table + "\n", flush=True)
    for setting in settings:
        if len(setting.checkpoints[0]) == 1:
            print(f"### Ranks of 10 recipes and the baseline, {setting.name}: {given.boards} boards a row\n")
            print(simulate_ranks(setting, given.prior, given.boards, given.seed) + "\n", flush=True)


def simulate_setting(setting: Setting, prior: Prior, studies: int, seed: int) -> list[str]:
    """Return two tables: every scenario, and other methods if the prior is right."""
    rows, others = [], []
    cases = [(scenario, seeds) for scenario in SCENARIOS for seeds in SEEDS]
    for number, (scenario, seeds) in enumerate(tqdm(cases, desc=setting.name, unit="row", disable=None)):
        rng = np.random.default_rng([seed, number])
        tally, plain = Tally(), Tally()
        for part, tasks in enumerate(draw_studies(setting, scenario, seeds, studies, rng)):
            mean, languages = judge(tally, tasks, prior)
            if part == 0:
                check(tasks, prior, mean, languages)
            if len(tasks) == 1 and seeds > 1:
                judge_further(tally, mean, languages, rng)
            if scenario == RIGHT:
                without = judge(plain, tasks, None)
                if part == 0:
                    check(tasks, None, *without)
                judge_bootstrap(plain, tasks, rng)
        power = [tally.percent(f"power{points}") for points in (1, 3)]
        figures = [tally.percent("covered"), tally.points("width"), tally.percent("any_called"), *power]
        further = [tally.percent("further"), tally.points("further_width")]
        rows.append([scenario.name, seeds, *figures, *further])
        if scenario == RIGHT:
            plain_t = [plain.percent("covered"), plain.points("width"), plain.percent("any_called")]
            plain_t += [plain.percent(f"power{points}") for points in (1, 3)]
            others.append([seeds, *figures, *plain_t, plain.percent("boot_covered"), plain.points("boot_width")])
    names = ["coverage", "width", "any false verdict", "found at +1", "found at +3"]
    head = ["scenario", "seeds", *names, "further language: coverage", "width"]
    compared = ["seeds", *names, *(f"plain t: {name}" for name in names), "bootstrap: coverage", "bootstrap: width"]
    return [_markdown(rows, head), _markdown(others, compared)]


BOARDS: Mapping[str, Sequence[float]] = {
    "all 0": [0] * 10,
    "0, 1 and 2 points": [0] * 4 + [1] * 3 + [2] * 3,
    "0.5 points apart": [0.5 * n for n in range(10)],
}


def simulate_ranks(setting: Setting, prior: Prior, boards: int, seed: int) -> str:
    """Return a table of how often the sets of ranks contain all true ranks simultaneously."""
    rows = []
    cases = [(name, seeds) for name in BOARDS for seeds in SEEDS]
    for number, (name, seeds) in enumerate(tqdm(cases, desc=f"ranks, {setting.name}", unit="row", disable=None)):
        rng, tally = np.random.default_rng([seed, 1000 + number]), Tally()
        true = np.array([*BOARDS[name], 0.0])
        rank = 1 + (true[None] > true[:, None]).sum(axis=1)
        for truth, size in split(setting, boards, rng):
            by_seed, examples, interaction = draw_boards(setting, truth, len(true) - 1, seeds, size, rng)
            expected = truth.expect_mean(prior).plus(interaction)
            for board in range(size):
                found = by_seed[board] + POINT * true[:, None]
                sets = rank_sets(len(true), tell_apart(gains_of(found, expected, examples, board)))
                low, high = np.array(sets).T
                tally.add(held=((low <= rank) & (rank <= high)).all(), size=(high - low + 1).mean())
        rows.append([name, seeds, tally.percent("held"), f"{tally.mean('size'):.1f}"])
    return _markdown(rows, ["true gains", "seeds", "all true ranks held", "ranks in a set"])


def split(setting: Setting, boards: int, rng: np.random.Generator) -> Iterator[tuple[Truth, int]]:
    """Draw a checkpoint for each board. Yields the first task of each checkpoint, and its number of boards."""
    numbers = np.bincount(rng.integers(len(setting.checkpoints), size=boards), minlength=len(setting.checkpoints))
    yield from ((tasks[0], int(n)) for tasks, n in zip(setting.checkpoints, numbers, strict=True) if n)


def draw_boards(
    setting: Setting, truth: Truth, recipes: int, seeds: int, boards: int, rng: np.random.Generator
) -> tuple[Floats, Variances, Floats]:
    """Draw mean gains without any effect. Every run, including the baseline's, has half the variance of a gain.

    Returns:
        Gains (boards, recipes and the baseline, seeds), their variance of examples, and the seed-by-example
        interaction.
    """
    languages = len(truth.own)
    runs = np.sqrt(truth.of_mean / 2) * rng.normal(size=(boards, recipes + 1, seeds))
    if setting.examples:
        shape = boards, recipes + 1, seeds, setting.examples
        std = setting.std * np.sqrt(setting.share + (1 - setting.share) / languages)
        table = std * rng.normal(size=(*shape[:2], 1, shape[3]))
        table = (table + setting.interaction / np.sqrt(languages) * rng.normal(size=shape)) / np.sqrt(2)
        return _over_baseline(runs + table.mean(axis=-1)), *examples_of(_over_baseline(table))
    runs += setting.error * rng.normal(size=(boards, recipes + 1, 1)) / np.sqrt(2 * languages)
    shape = boards, recipes + 1
    examples = Variances(np.full(shape, setting.error**2 / languages), 999 * languages)
    return _over_baseline(runs), examples, np.zeros(shape)


def _over_baseline(runs: Floats) -> Floats:
    return np.asarray(runs - runs[:, -1:])


def gains_of(by_seed: Floats, expected: Variances, examples: Variances, board: int) -> list[Gain]:
    """Return the gains of a board's recipes and of its baseline, the last row."""
    unknown = Gain(mean=None, low=None, high=None, languages=1)
    gains = [
        unknown.model_copy(
            update={"by_seed": row.tolist(), "examples": examples.at(board, n), "prior": expected.at(board, n)}
        )
        for n, row in enumerate(by_seed[:-1])
    ]
    return [*gains, baseline_gain(by_seed.shape[1])]


def _markdown(rows: Sequence[Sequence[object]], head: Sequence[str]) -> str:
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=["right"] * len(head))


# ---- best-of-many -----------------------------------------------------------------------------------------------


RANKED = 200
"""Number of boards per checkpoint whose sets of ranks are computed."""


def best_of_many(given: argparse.Namespace) -> None:
    """Print the apparent gain of the best of many recipes without any effect."""
    setting = read_settings(given.results, None)[0]
    rows = []
    cases = [(recipes, seeds) for recipes in (5, 10, 20, 50) for seeds in (3, 5)]
    for number, (recipes, seeds) in enumerate(tqdm(cases, unit="row", disable=None)):
        rng, tally = np.random.default_rng([given.seed, 2000 + number]), Tally()
        for truth, size in split(setting, given.studies, rng):
            by_seed, examples, interaction = draw_boards(setting, truth, recipes, seeds, size, rng)
            expected = truth.expect_mean(given.prior).plus(interaction)
            found = estimate_all(by_seed, expected, examples)
            board, best = np.arange(size), found.mean[:, :-1].argmax(axis=1)
            tally.add(best=found.mean[board, best], above=(found.mean - found.half)[board, best] > 0)
            for n in range(min(size, RANKED)):
                sets = rank_sets(recipes + 1, tell_apart(gains_of(by_seed[n], expected, examples, n)))
                tally.add(ranked=sets[-1][0] > 1)
            for fresh in (3, 5):
                again, of_examples, shared = draw_boards(setting, truth, 1, fresh, size, rng)
                confirmed = estimate_all(again, truth.expect_mean(given.prior).plus(shared), of_examples)
                tally.add(**{f"fresh{fresh}": (confirmed.mean - confirmed.half)[:, 0] > 0})
        shown = [tally.percent(name) for name in ("above", "ranked", "fresh3", "fresh5")]
        rows.append([recipes, seeds, tally.points("best"), *shown])
    print(f"### The best of many recipes without any effect, {setting.name}: {given.studies} boards a row\n")
    head = ["recipes", "seeds", "gain of the best", "its interval is above 0", "ranks put it above the baseline"]
    print(_markdown(rows, [*head, "confirmed by 3 fresh seeds", "by 5"]))


# ---- held-out ---------------------------------------------------------------------------------------------------

METRICS = {"PoS": "accuracy", "NER": "entity_f1", "NLI": "accuracy", "QA": "f1"}
HELD_SEEDS = 4
SUBSETS = 20


def held_out(given: argparse.Namespace) -> None:
    """Print how often an interval from some seeds covers the mean gain of the other seeds of the same comparison."""
    comparisons = read_held_out(given.scores)
    rng = np.random.default_rng(given.seed)
    tallies: dict[tuple[str, str, int], Tally] = defaultdict(Tally)
    of_baseline: dict[tuple[str, str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for comparison in tqdm(comparisons, unit="comparison", disable=None):
        task = comparison.study.split()[1]
        for size, n in ((size, n) for size in ("1", "5", "10", "all") for n in range(1, HELD_SEEDS)):
            if size.isdigit() and int(size) >= comparison.gains.shape[1]:
                continue
            held, width = predict_seeds(comparison, size, n, given.prior, rng)
            for name in (task, "all tasks"):
                tallies[name, size, n].add(held=held.mean(), width=width.mean())
                of_baseline[name, size, n][comparison.study].append(float(held.mean()))
    rows = []
    for (task, size, n), tally in sorted(tallies.items(), key=lambda item: (item[0][0] == "all tasks", item[0])):
        studies = of_baseline[task, size, n]
        low, high = binomial(float(np.mean([np.mean(each) for each in studies.values()])), len(studies))
        number = sum(len(each) for each in studies.values())
        clusters = f"{len(studies)} [{low:.0%}, {high:.0%}]"
        rows.append(
            [task, size, f"{n} for {HELD_SEEDS - n}", number, tally.percent("held"), tally.points("width"), clusters]
        )
    print("### Mean gains of seeds, predicted from other seeds of the same comparison\n")
    head = ["task", "languages", "seeds", "comparisons", "coverage", "width", "baselines [95 % interval of coverage]"]
    print(_markdown(rows, head))
    print(
        "\nComparisons with one baseline share its seeds, and the splits of a comparison share theirs: they are not "
        "independent. The last column's interval counts each baseline (a checkpoint and a task) as one observation."
    )


def read_held_out(path: Path) -> list[Gains]:
    """Read the low-resource study's gains; of a language with two test sets, the Masakha or AfriXNLI one counts."""
    cells: dict[str, dict[str, dict[tuple[str, str], float]]] = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["dataset"], reverse=True)  # later rows win
    for row in rows:
        is_target = row["language_iso639_3"] not in ("", "eng")
        is_faulty = row["task"] == "PoS" and row["model"].startswith("bert")  # the baseline's labels, see its README.md
        if is_target and not is_faulty and not row["metric"].endswith("em"):
            recipe = f"{row['method']} {row['realignment_set']}"
            cells[f"{row['model']} {row['task']}"][recipe][row["seed"], row["language_iso639_3"]] = float(row["value"])
    found = []
    for study, by_recipe in cells.items():
        baseline = by_recipe.pop("baseline none", {})
        for scores in by_recipe.values():
            both = scores.keys() & baseline.keys()
            seeds, codes = (sorted({key[n] for key in both}) for n in (0, 1))
            codes = [code for code in codes if all((seed, code) in both for seed in seeds)]
            if len(seeds) == HELD_SEEDS and codes:
                gains = [[scores[s, c] - baseline[s, c] for c in codes] for s in seeds]
                found.append(Gains(METRICS[study.split()[1]], study, np.array(gains)))
    return found


def predict_seeds(comparison: Gains, size: str, n: int, prior: Prior, rng: np.random.Generator) -> tuple[Bools, Floats]:
    """Predict the mean gain of the other seeds from every `n` seeds, for sets of languages.

    Returns:
        Whether each interval covers the mean, and its width.
    """
    seeds, languages = comparison.gains.shape
    if size == "1":
        sets = [[code] for code in range(languages)]
    elif size == "all":
        sets = [list(range(languages))]
    else:
        sets = [rng.choice(languages, int(size), replace=False).tolist() for _ in range(SUBSETS)]
    by_seed = np.array([comparison.gains[:, chosen].mean(axis=1) for chosen in sets])
    truth = Truth(comparison.study, comparison.metric, 0.0, np.ones(len(sets[0])))  # its variances are not known
    held, widths = [], []
    for known in combinations(range(seeds), n):
        others = [seed for seed in range(seeds) if seed not in known]
        gains = by_seed[:, known]
        expected = truth.expect_language(prior, gains[None]) if size == "1" else truth.expect_mean(prior)
        expected = Variances(expected.value.reshape(()), expected.df)
        found = estimate_all(gains, expected, None)
        _check_one(gains[0], expected.at(), None, found, (0,))
        half = found.half * np.sqrt(1 + n / len(others))  # the variance of one seed times (1/n + 1/others)
        held.append(np.abs(by_seed[:, others].mean(axis=1) - found.mean) <= half)
        widths.append(2 * half)
    return np.array(held), np.array(widths)


def binomial(rate: float, number: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a rate in a number of independent observations."""
    interval = stats.binomtest(round(rate * number), number).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


# ---- nulls and same-recipe --------------------------------------------------------------------------------------


Scored = Mapping[str, tuple[Task, Mapping[str, PairedCounts]]]
"""Task -> its spec, and for each target language the counts of every seed of a recipe, paired with itself."""


def read_scored(folder: Path) -> tuple[System, Scored]:
    """Read the fine-tuned tasks of a result."""
    system, scored = System.read(folder), {}
    for task in (task for task in system.result.tasks if task.finetunes):
        counts, _ = pair_counts(task, system, system)
        targets = {code: each for code, each in counts.items() if code != system.result.suite.source_language}
        scored[task.name] = task, targets
    return system, scored


def pair_seeds(counts: PairedCounts, ours: Sequence[int], theirs: Sequence[int]) -> PairedCounts:
    """Pair some seeds of a recipe with others."""
    earned, possible = (np.stack([of[0, list(ours)], of[0, list(theirs)]]) for of in (counts.earned, counts.possible))
    return PairedCounts(counts.examples, earned, possible)


@dataclass(frozen=True)
class Null:
    """A comparison of a recipe with itself."""

    holds_zero: bool | None
    """Whether the interval of the mean gain (over tasks and target languages) contains 0; None: no interval."""
    width: float
    called: int | None
    """Number of languages with a verdict helped or harmed; None: no verdicts with one seed."""


def compare_moderated(scored: Scored, ours: Sequence[int], theirs: Sequence[int], reported: bool, prior: Prior) -> Null:
    """Compare two groups of seeds as the package does."""
    means, singles = {}, []
    for name, (task, targets) in scored.items():
        counts = {code: pair_seeds(each, ours, theirs) for code, each in targets.items()}
        measured = TaskGains(task, counts, {}, reported, prior.of(name, task.metric), True, list(counts))
        means[name] = measured.mean(dict.fromkeys(counts, 1 / len(counts)))
        singles += [measured.estimate_language(code) for code in counts]
    mean = average_tasks(means, []).estimate
    low, high = mean.interval() if mean else (np.nan, np.nan)
    corrected = holm([each.p_value for each in singles if each is not None])
    number = sum(p < LEVEL for p in corrected) if len(ours) > 1 else None
    return Null(low <= 0 <= high if mean else None, high - low, number)


def compare_bootstrapped(
    scored: Scored, ours: Sequence[int], theirs: Sequence[int], reported: bool, rng: np.random.Generator
) -> Null:
    """Compare as scoring version 1 did: percentile bootstrap over seeds and examples, Holm's correction per task."""
    seeds, resamples = len(ours), 2 * RESAMPLES
    if reported and seeds == 1:
        return Null(None, np.nan, None)
    shares = rng.multinomial(seeds, [1 / seeds] * seeds, size=resamples) / seeds
    means, number = [], 0
    for _, targets in scored.values():
        draws: dict[tuple[int, ...], Floats] = {}
        gains = []
        for counts in (pair_seeds(each, ours, theirs) for each in targets.values()):
            examples = len(counts.examples)
            if counts.examples not in draws:
                draws[counts.examples] = rng.multinomial(examples, [1 / examples] * examples, size=resamples) * 1.0
            drawn = draws[counts.examples]
            with np.errstate(invalid="ignore"):
                mine, other = (drawn @ counts.earned.swapaxes(1, 2)) / (drawn @ counts.possible.swapaxes(1, 2))
            gains.append(((mine - other) * shares).sum(axis=1))
        side = [min((each <= 0).sum(), (each >= 0).sum()) for each in gains if not np.isnan(each).any()]
        number += sum(p < LEVEL for p in holm([min(1.0, 2 * (n + 1) / (resamples + 1)) for n in side]))
        means.append(np.mean(gains, axis=0))
    low, high = np.nanquantile(np.mean(means, axis=0), [LEVEL / 2, 1 - LEVEL / 2])
    return Null(bool(low <= 0 <= high), high - low, number)


def nulls(given: argparse.Namespace) -> None:
    """Print comparisons of disjoint groups of seeds of one recipe."""
    system, scored = read_scored(given.folder)
    number, reported = len(system.result.seeds), bool(system.result.reported)
    rng = np.random.default_rng(given.seed)
    half, rows = number // 2, []
    for seeds in tqdm([k for k in SEEDS if 2 * k <= half], unit="row", disable=None):
        pairs = half // seeds // 2
        found: dict[str, list[Null]] = defaultdict(list)
        for split in range(given.splits):
            order = rng.permutation(number)
            groups = order[half : half + 2 * seeds * pairs].reshape(pairs, 2, seeds).tolist()
            unpaired = fit_unpaired(scored, order[:half])
            found["new, prior of the other half"] += [
                compare_moderated(scored, *pair, reported, unpaired) for pair in groups
            ]
            found["new, shipped prior"] += [compare_moderated(scored, *pair, reported, given.prior) for pair in groups]
            if split < OLD_SPLITS:
                found["version 1"] += [compare_bootstrapped(scored, *pair, reported, rng) for pair in groups]
        rows += [[seeds, name, len(each), *_rates(each, 2 * pairs)] for name, each in found.items()]
    print(f"### {number} seeds of {given.folder.name}: groups against one another, {size_of(scored)} languages\n")
    head = ["seeds in a group", "method", "comparisons", "interval holds 0", "width", "any language called", "called"]
    print(_markdown(rows, head))
    print(
        f"\n{given.splits} random splits. In brackets: 95 % binomial intervals, by the number of disjoint pairs of "
        "groups that all seeds together give. Groups are paired at random, so their differences vary more than those "
        "of two recipes with the same seed, which the shipped prior is about. The prior of the other half is fitted to "
        "differences of that kind, of seeds that are not compared."
    )


OLD_SPLITS = 2
"""Version 1 is slow."""


def fit_unpaired(scored: Scored, seeds: NDArray[np.intp]) -> Prior:
    """Fit a prior for each task to the differences between some seeds of a recipe and others."""
    ours, theirs = seeds[: len(seeds) // 2].tolist(), seeds[len(seeds) // 2 : len(seeds) // 2 * 2].tolist()
    tasks = {}
    for name, (task, targets) in scored.items():
        gains = np.array([pair_seeds(counts, ours, theirs).gains for counts in targets.values()]).T
        tasks[name] = fit([Gains(task.metric, name, gains)], UNPAIRED_DF)
    return Prior(version="unpaired", created=date.today(), sources=[], metrics={}, tasks=tasks)


UNPAIRED_DF = 6.0
"""As many degrees of freedom as the shipped prior of the embedded suite has."""


def size_of(scored: Scored) -> int:
    return sum(len(targets) for _, targets in scored.values())


def _rates(found: Sequence[Null], independent: int) -> list[str]:
    """Format the share of intervals that hold 0, their width, the share with any language called, the mean number."""

    def rate(values: list[bool]) -> str:
        low, high = binomial(float(np.mean(values)), independent)
        return f"{np.mean(values):.1%} [{low:.0%}, {high:.0%}]"

    numbers = [each.called for each in found if each.called is not None]
    verdicts = [rate([n > 0 for n in numbers]), f"{np.mean(numbers):.2f}"] if numbers else ["no verdicts", "–"]
    width = np.mean([each.width for each in found]) / POINT
    return [rate([bool(each.holds_zero) for each in found]), f"{width:.2f}", *verdicts]


def same_recipe(given: argparse.Namespace) -> None:
    """Print comparisons of the seeds of every stored result with each other."""
    found: dict[tuple[str, int, str], list[Null]] = defaultdict(list)
    sizes: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    rng = np.random.default_rng(given.seed)
    for folder in tqdm([f for root in given.results for f in find_results(root)], unit="result", disable=None):
        system, scored = read_scored(folder)
        suite, number = system.result.suite.name, len(system.result.seeds)
        reported = bool(system.result.reported)
        for seeds in range(1, number // 2 + 1):
            pairs = combinations(combinations(range(number), seeds), 2)
            disjoint = [(ours, theirs) for ours, theirs in pairs if not set(ours) & set(theirs)]
            new = [compare_moderated(scored, *groups, reported, given.prior) for groups in disjoint]
            old = [compare_bootstrapped(scored, *groups, reported, rng) for groups in disjoint]
            for name, nulls_of in (("new", new), ("version 1", old)):
                found[suite, seeds, name] += nulls_of
                sizes[suite, seeds, name].append(size_of(scored))
    rows = []
    for key, each in found.items():
        numbers = [null.called for null in each if null.called is not None]
        zero = [null.holds_zero for null in each if null.holds_zero is not None]
        some = f"{sum(n > 0 for n in numbers)} of {len(numbers)}" if numbers else "no verdicts"
        excludes = f"{zero.count(False)} of {len(zero)}" if zero else "no interval"
        rows.append([*key, len(sizes[key]), _span(sizes[key]), excludes, some, _span(numbers)])
    print("### Seeds of the same recipe, one set against another\n")
    head = ["suite", "seeds in a set", "method", "results", "languages", "interval excludes 0", "any language called"]
    print(_markdown(rows, [*head, "called"]))


def _span(numbers: Sequence[int]) -> str:
    return "–".join(map(str, sorted({min(numbers), max(numbers)}))) if numbers else ""


def read_prior(path: str) -> Prior:
    return Prior.model_validate_json(Path(path).read_text("utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--studies", type=int, default=2000, help="simulated ones in each row of a table")
    shared.add_argument("--prior", type=read_prior, help="JSON file; default: the shipped one")
    shared.add_argument("--seed", type=int, default=0, help="of the random generator")
    commands = parser.add_subparsers(required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__, parents=[shared])
        command.set_defaults(run=run)
        return command

    command = add("simulate", simulate)
    command.add_argument("results", type=Path, help="AlignFreeze's published results")
    command.add_argument("--scores", type=Path, help="CSV file of scores with many seeds, for the demo-like setting")
    command.add_argument("--only", action="append", help="name of a setting; can be repeated")
    command.add_argument("--boards", type=int, default=500, help="simulated ones in each row of the tables of ranks")
    add("best-of-many", best_of_many).add_argument("results", type=Path, help="AlignFreeze's published results")
    add("held-out", held_out).add_argument("scores", type=Path, help="the low-resource study's scores.csv")
    command = add("nulls", nulls)
    command.add_argument("folder", type=Path, help="result of one recipe with many seeds")
    command.add_argument("--splits", type=int, default=20, help="random divisions of the seeds into groups")
    add("same-recipe", same_recipe).add_argument("results", type=Path, nargs="+", help="folders of results")
    given = parser.parse_args()
    given.prior = given.prior or load_prior()
    given.run(given)


if __name__ == "__main__":
    main()
