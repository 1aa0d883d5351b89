"""Comparisons that are stored already."""

from __future__ import annotations

import os
from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.results.storage import read_comparison
from xrealign_bench.scoring.aggregate import SCORING_VERSION
from xrealign_bench.scoring.prior import load_prior

RESAMPLES = 10_000
"""Of the bootstrap behind the one-std rule's interval."""


def stored_comparison(folders: tuple[Path, Path], results: tuple[Result, Result]) -> Comparison | None:
    """Return the comparison beside a result if comparing again would give the same; None if it has to be compared.

    Args:
        folders: the result's and its baseline's.
        results: the results in them.
    """
    folder, baseline = folders
    try:
        stored = read_comparison(folder)
    except UserError:  # damaged: it is replaced
        return None
    if stored is None:
        return None
    same = {
        "scoring": SCORING_VERSION,
        "prior": load_prior().version,
        "ddof": results[0].ddof,
        "result_digest": digest_evidence(results[0]),
        "baseline_digest": digest_evidence(results[1]),
        "baseline": Path(os.path.relpath(baseline.resolve(), folder.resolve())).as_posix(),
        "resamples": RESAMPLES,
        "seed": 0,
    }
    return stored if all(getattr(stored, name) == value for name, value in same.items()) else None
