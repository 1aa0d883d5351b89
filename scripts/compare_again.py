"""Compare results with their baselines again, as after a change of what a comparison holds.

    python scripts/compare_again.py leaderboard/results
    xrealign-bench leaderboard build leaderboard/results

Of each result below the folder that has a comparison: with the same baseline, resamples and seed as before, from stored
predictions, or from the scores of a reported result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from xrealign_bench.results.files import COMPARISON, write_comparison
from xrealign_bench.scoring.compare import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    paths = sorted(given.results.rglob(COMPARISON))
    for path in paths:
        old = json.loads(path.read_text(encoding="utf-8"))  # of whatever version
        again = compare(path.parent, path.parent / old["baseline"], old["resamples"], old["seed"])
        write_comparison(path.parent, again)
    print(f"{len(paths)} comparisons in {given.results}")


if __name__ == "__main__":
    main()
