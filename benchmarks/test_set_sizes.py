"""Predict the width of a gain's 95 % interval for other numbers of test examples, from two stored results.

    python benchmarks/test_set_sizes.py leaderboard/results/xrealign-lite-1.0/CHECKPOINT/alignfreeze-full --seeds 3

The model is that of the intervals (docs/statistics.md): the seeds' variance is the prior's, and the variance due to
examples and the seed-by-example interaction fall as 1 / examples. A row per task shows half the interval of the mean
over the targets, and of the median target, in points.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median

from tabulate import tabulate

from xrealign_bench.results.comparison import Variance
from xrealign_bench.scoring.example_variance import PairedCounts, variance_of_examples
from xrealign_bench.scoring.inference import Estimate, add
from xrealign_bench.scoring.pairing import System, pair_counts
from xrealign_bench.scoring.prior import SeedPrior, load_prior

SIZES = (25, 50, 100, 200, 400, 600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="folder of a result; finetune-only lies beside it")
    parser.add_argument("--seeds", type=int, required=True)
    options = parser.parse_args()
    ours, theirs = System.read(options.result), System.read(options.result.parent / "finetune-only")
    rows = []
    for task in ours.result.tasks:
        prior = load_prior().of(task.name, task.metric)
        if prior is None:
            continue
        counts = pair_counts(task, ours, theirs)[0]
        counts.pop(ours.result.suite.source_language, None)
        stored = round(fmean(len(each.examples) for each in counts.values()))
        for name, of in (("mean", [counts]), ("one language", [{code: each} for code, each in counts.items()])):
            halves = [median(half_width(one, prior, options.seeds, size) for one in of) for size in SIZES]
            rows.append([task.name, len(counts), stored, name, *(f"{100 * half:.1f}" for half in halves)])
    headers = ["task", "targets", "examples stored", "gain of", *(f"with {size}" for size in SIZES)]
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


def half_width(counts: Mapping[str, PairedCounts], prior: SeedPrior, seeds: int, size: int) -> float:
    """Return half the interval of the mean gain over some languages, with `size` examples a language."""
    share = 1 / len(counts)
    stored = fmean(len(each.examples) for each in counts.values())
    found = variance_of_examples((share, each.examples, each.influence) for each in counts.values())
    expected = prior.expect([share] * len(counts))
    one_seed = expected.value + found.interaction * stored / size
    parts = [
        Variance(value=one_seed / seeds, df=expected.df + seeds - 1),
        Variance(value=found.own.value * stored / size, df=found.own.df),
    ]
    total = add(parts)
    low, high = Estimate(0.0, total.value, total.df).interval()
    return (high - low) / 2


if __name__ == "__main__":
    main()
