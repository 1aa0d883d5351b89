"""Write the scores of stored results as a table for `fit_prior.py`: one line per task, recipe, seed and language.

    python scripts/scores_by_seed.py OUTPUT/results/demo-1.1 OUTPUT/results/demo-seeds-1.0 > benchmarks/demo-seeds.csv

If several results of a recipe have the same seed, it is written once. Values are in 0..1, with six decimals.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from xrealign_bench.results.storage import find_results, read_result

COLUMNS = ("study", "metric", "recipe", "seed", "language", "value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--recipe", action="append", help="Only this recipe. Can be repeated.")
    given = parser.parse_args()
    rows: dict[tuple[str, str, str, int, str], str] = {}
    for folder in (folder for root in given.results for folder in find_results(root)):
        result = read_result(folder)
        if given.recipe and result.recipe.name not in given.recipe:
            continue
        metrics = {task.name: task.metric for task in result.tasks}
        for score in result.scores:
            value = score.metrics[metrics[score.task]]
            if score.language != result.suite.source_language and value is not None:
                key = score.task, metrics[score.task], result.recipe.name, score.seed, score.language
                rows[key] = f"{value:.6f}"
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*key, value) for key, value in sorted(rows.items()))


if __name__ == "__main__":
    main()
