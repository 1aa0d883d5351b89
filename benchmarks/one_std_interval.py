"""Evaluate the interval of AlignFreeze's one-std counts on its published example and in simulated studies.

    python benchmarks/one_std_interval.py leaderboard/results

Each simulated study draws its seeds from normal distributions that have the published means and deviations of XLM-R's
part-of-speech tagging (fine-tuning only, and front-freezing with a share of its gains). Either half or none of the
seeds' variance is common to all languages. Printed is how often an interval contains the mean count of fresh seeds, for
three methods: bootstrap of seeds, bootstrap with scaled deviations (as in comparisons), leave-one-seed-out range.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from xrealign_bench.results.storage import read_result
from xrealign_bench.scoring.bootstrap import count_interval
from xrealign_bench.scoring.compare import compare
from xrealign_bench.scoring.example_variance import Floats
from xrealign_bench.scoring.one_std import improved_by_one_std

TASK = "udpos-alignfreeze"
PLACE = Path("alignfreeze-1.0", "FacebookAI--xlm-roberta-base--published")
STUDIES, FRESH, RESAMPLES = 500, 2000, 500


def scores(folder: Path) -> Floats:
    """Return scores (languages, seeds), without the source language."""
    result = read_result(folder)
    cells = {(s.language, s.seed): s.metrics["accuracy"] for s in result.scores if s.task == TASK}
    codes = sorted({code for code, _ in cells} - {result.suite.source_language})
    return np.array([[cells[code, seed] for seed in result.seeds] for code in codes], dtype=np.float64)


def helped(ours: Floats, theirs: Floats, std: Floats) -> Floats:
    """Count helped languages over the first axis."""
    return np.asarray((improved_by_one_std(ours, theirs, std) == 1).sum(axis=0))


def measured(ours: Floats, theirs: Floats) -> Floats:
    return helped(ours.mean(axis=-1), theirs.mean(axis=-1), theirs.std(axis=-1))


def drawn(ours: Floats, theirs: Floats, draws: Floats, apart: float) -> Floats:
    """The count, and then those of all draws (draws, seeds)."""

    def moved(of: Floats) -> Floats:
        centre = of.mean(axis=1, keepdims=True)
        return np.asarray((centre + apart * (of - centre))[:, draws])

    return np.append(measured(ours, theirs), measured(moved(ours), moved(theirs)))


def intervals(ours: Floats, theirs: Floats, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    seeds = ours.shape[1]
    draws = rng.integers(seeds, size=(RESAMPLES, seeds))
    without = [measured(np.delete(ours, seed, axis=1), np.delete(theirs, seed, axis=1)) for seed in range(seeds)]
    found = {
        "as drawn": count_interval(drawn(ours, theirs, draws, 1.0)),
        "moved apart": count_interval(drawn(ours, theirs, draws, np.sqrt(seeds / (seeds - 1)))),
        "without a seed": (min(without), max(without)),
    }
    return {name: (float(low or 0), float(high or 0)) for name, (low, high) in found.items()}


def study(
    ours: Floats, theirs: Floats, share: float, common: float, seeds: int, rng: np.random.Generator
) -> list[Floats]:
    """Scores of a simulated study: ours and the baseline's."""
    gain = (ours - theirs).mean(axis=1)
    means = theirs.mean(axis=1) + share * gain, theirs.mean(axis=1)
    of = []
    for mean, std in zip(means, (ours.std(axis=1, ddof=1), theirs.std(axis=1, ddof=1)), strict=True):
        luck = np.sqrt(common) * rng.normal(size=(1, seeds)) + np.sqrt(1 - common) * rng.normal(size=(len(mean), seeds))
        of.append(mean[:, None] + std[:, None] * luck)
    return of


def published(place: Path) -> None:
    of = {name: place / f"alignfreeze-{name}-lexicon-published" for name in ("full", "front", "back")}
    for name, folder in of.items():
        task = next(task for task in compare(folder, place / "finetune-only").tasks if task.task == TASK)
        print(name, task.one_std)
    baseline, full, front = (scores(folder) for folder in (place / "finetune-only", of["full"], of["front"]))
    seeds = baseline.shape[1]
    draws = np.random.default_rng(0).integers(seeds, size=(10_000, seeds))
    both = [drawn(each, baseline, draws, np.sqrt(seeds / (seeds - 1))) for each in (front, full)]
    more = both[0] - both[1]
    print("helped by front-freezing more than by full realignment:", more[0], count_interval(more))
    alone = [
        measured(*(np.delete(each, seed, axis=1) for each in pair))
        for pair in ((front, baseline), (full, baseline))
        for seed in range(seeds)
    ]
    print("the same without one of the seeds:", [int(a - b) for a, b in zip(alone[:seeds], alone[seeds:], strict=True)])


def main(results: str) -> None:
    place = Path(results) / PLACE
    published(place)
    rng = np.random.default_rng(0)
    theirs, ours = scores(place / "finetune-only"), scores(place / "alignfreeze-front-lexicon-published")
    rows = []
    for seeds, share, common in itertools.product((2, 3, 5), (1.0, 0.5, 0.0), (0.0, 0.5)):
        truth = np.mean([measured(*study(ours, theirs, share, common, seeds, rng)) for _ in range(FRESH)])
        found = [intervals(*study(ours, theirs, share, common, seeds, rng), rng) for _ in range(STUDIES)]
        # A mean of 16.2 languages is in an interval that begins or ends at 16.
        held = [
            np.mean([each[name][0] <= np.ceil(truth) and np.floor(truth) <= each[name][1] for each in found])
            for name in found[0]
        ]
        wide = [np.mean([each[name][1] - each[name][0] for each in found]) for name in found[0]]
        rows.append(
            [
                seeds,
                f"{share:.0%}",
                f"{common:.0%}",
                truth,
                *(f"{h:.0%} ({w:.0f})" for h, w in zip(held, wide, strict=True)),
            ]
        )
    print("\nhow often an interval holds the mean count of fresh seeds (its width, languages of", len(theirs), ")")
    print(tabulate(rows, ["seeds", "gains", "common", "mean count", *found[0]], floatfmt=".1f"))


if __name__ == "__main__":
    main(*sys.argv[1:])
