"""Fit the prior of the variance between seeds and write `xrealign_bench/scoring/prior.json`.

    python scripts/fit_prior.py --alignfreeze leaderboard/results/alignfreeze-1.0 \
        --scores benchmarks/demo-seeds.csv --out xrealign_bench/scoring/prior.json

Metrics are fitted on AlignFreeze's 435 published rows, where a study is a checkpoint and a task. A table of scores with
many seeds (scripts/scores_by_seed.py) gives a task-specific prior. The comparisons of a study share a baseline, so
together they have the weight of one.

The variance of a gain over k seeds is modelled as s^2 ~ v F(k - 1, d) (Smyth, 2004). v and d maximise the weighted
likelihood: once for single languages, and once, with v = common + own / L, for means over 5, 10 and all languages. d is
bounded: for a metric by `METRIC_DF`, for a task-specific prior by the number of comparisons.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from xrealign_bench.results.result import BASELINE, Result
from xrealign_bench.results.storage import find_results, read_result, write_text
from xrealign_bench.scoring.prior import Prior, SeedPrior

SIZES = (5, 10)
"""Numbers of languages in a mean, besides all of them."""
DRAWS = 20
"""Random sets of languages per size and comparison."""
LARGEST_DF = 50.0
METRIC_DF = 3.0
"""Upper bound for a metric's degrees of freedom. All its runs come from one laboratory, whose studies are similar.
Those of others vary more (docs/statistics.md, "Studies that the prior has not seen")."""
VERSION = "1"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gains:
    """The gains of one recipe over its baseline."""

    metric: str
    study: str
    gains: Floats
    """(seeds, languages)."""


@dataclass(frozen=True)
class Unit:
    """One observed variance of a gain between seeds."""

    study: str
    """All units of a study together have the weight of one."""
    languages: int
    variance: float
    df: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alignfreeze", type=Path, required=True)
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    comparisons, own = read_reported(given.alignfreeze), []
    sources = ["AlignFreeze (Bakos et al., NAACL 2025), 435 published rows, five seeds, on the alignfreeze-1.0 board"]
    for path in given.scores:
        table = read_scores(path)
        own += table
        seeds = sorted({len(each.gains) for each in table})
        sources.append(f"{path.name}: {len(table)} comparisons with {', '.join(map(str, seeds))} seeds")
    prior = Prior(
        version=VERSION,
        created=date.today(),
        sources=sources,
        metrics={name: fit(table, METRIC_DF) for name, table in group_by(comparisons, "metric").items()},
        tasks={
            name: fit(as_separate_studies(table), float(len(table))) for name, table in group_by(own, "study").items()
        },
    )
    write_text(given.out, prior.model_dump_json(indent=1) + "\n")
    for name, fitted in (prior.metrics | prior.tasks).items():
        print(name, fitted)


def as_separate_studies(comparisons: Sequence[Gains]) -> list[Gains]:
    """Give every comparison the weight of one, as if it were a separate study."""
    return [replace(each, study=str(number)) for number, each in enumerate(comparisons)]


def group_by(comparisons: Sequence[Gains], by: str) -> dict[str, list[Gains]]:
    groups: dict[str, list[Gains]] = defaultdict(list)
    for each in comparisons:
        groups[getattr(each, by)].append(each)
    return dict(sorted(groups.items()))


def fit(comparisons: Sequence[Gains], largest_df: float) -> SeedPrior:
    """Fit one metric or task, with at most `largest_df` degrees of freedom."""
    studies = len({each.study for each in comparisons})
    rng = np.random.default_rng(0)
    single = [
        Unit(each.study, 1, float(variance), len(each.gains) - 1)
        for each in comparisons
        for variance in each.gains.var(axis=0, ddof=1)
    ]
    language, language_df = maximise_likelihood(single, 2, lambda v, _n: v[0])
    means = [unit for each in comparisons for unit in vary_means(each, rng)]
    common, own, df = maximise_likelihood(means, 3, lambda v, n: v[0] + v[1] / n)
    return SeedPrior(
        common=round(common, 9),
        own=round(own, 9),
        df=round(min(df, largest_df), 2),
        language=round(language, 9),
        language_df=round(min(language_df, largest_df), 2),
        studies=studies,
        comparisons=len(comparisons),
    )


def vary_means(comparison: Gains, rng: np.random.Generator) -> list[Unit]:
    """Return the variances of means over random sets of languages."""
    seeds, languages = comparison.gains.shape
    sets = [rng.choice(languages, size, replace=False) for size in SIZES if size < languages for _ in range(DRAWS)]
    sets += [np.arange(languages)] * DRAWS
    return [
        Unit(comparison.study, len(chosen), float(comparison.gains[:, chosen].mean(axis=1).var(ddof=1)), seeds - 1)
        for chosen in sets
    ]


def maximise_likelihood(units: Sequence[Unit], parameters: int, scale) -> list[float]:  # type: ignore[no-untyped-def]
    """Return the scales and degrees of freedom that maximise the likelihood. Every study has the same weight."""
    of_study = Counter(unit.study for unit in units)
    weight = np.array([1 / of_study[unit.study] for unit in units])
    variance, df, size = (np.array([getattr(u, name) for u in units]) for name in ("variance", "df", "languages"))
    start = float(np.median(variance))

    def loss(logs: Floats) -> float:
        values = np.exp(logs)
        if values[-1] > LARGEST_DF or values[-1] < 0.5 or values[:-1].min() < start * 1e-6:
            return 1e9
        at = scale(values, size) * np.ones(len(units))
        return -float((weight * (stats.f.logpdf(variance / at, df, values[-1]) - np.log(at))).sum())

    begin = np.log([*([start] * (parameters - 1)), 4.0])
    found = optimize.minimize(
        loss, begin, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-7}
    )
    return [float(value) for value in np.exp(found.x)]


def read_reported(root: Path) -> list[Gains]:
    """Read the gains of every reported recipe over the baseline with the same tasks and seeds."""
    results = [read_result(folder) for folder in find_results(root)]
    tables = {(r.checkpoint.id, task.name, r.recipe.name): scores_of(r, task.name) for r in results for task in r.tasks}
    metrics = {task.name: task.metric for r in results for task in r.tasks}
    return [
        Gains(metrics[task], f"{checkpoint} {task}", scores - tables[checkpoint, task, BASELINE])
        for (checkpoint, task, recipe), scores in tables.items()
        if recipe != BASELINE
    ]


def scores_of(result: Result, task: str) -> Floats:
    """Return a task's scores, (seeds, target languages)."""
    metric = next(each.metric for each in result.tasks if each.name == task)
    by_cell = {(s.seed, s.language): s.metrics[metric] for s in result.scores if s.task == task}
    codes = sorted({language for _, language in by_cell} - {result.suite.source_language})
    return np.array([[by_cell[seed, code] for code in codes] for seed in result.seeds], dtype=np.float64)


def read_scores(path: Path) -> list[Gains]:
    """Read the gains in a table with columns study (a task), metric, recipe, seed, language, value.

    One recipe is the baseline.
    """
    cells: dict[tuple[str, str], dict[str, dict[tuple[int, str], float]]] = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            place = int(row["seed"]), row["language"]
            cells[row["study"], row["metric"]][row["recipe"]][place] = float(row["value"])
    found = []
    for (study, metric), by_recipe in cells.items():
        for recipe, scores in by_recipe.items():
            if recipe == BASELINE:
                continue
            seeds = sorted({seed for seed, _ in scores})
            codes = sorted({code for _, code in scores})
            gains = [[scores[s, c] - by_recipe[BASELINE][s, c] for c in codes] for s in seeds]
            found.append(Gains(metric, study, np.array(gains)))
    return found


if __name__ == "__main__":
    main()
