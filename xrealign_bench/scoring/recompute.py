"""Recompute a stored result's scores and comparison from its predictions, and seal results of earlier versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.results.manifest import MANIFEST, seal
from xrealign_bench.results.rescoring import nearly_equal, rescore, unscorable_tasks
from xrealign_bench.results.storage import COMPARISON, read_checked, read_comparison, read_result
from xrealign_bench.scoring.aggregate import SCORING_VERSION
from xrealign_bench.scoring.compare import compare
from xrealign_bench.specs import digest


@dataclass(frozen=True)
class Recomputed:
    """What was recomputed and found equal."""

    scores: int
    """Number of scores; 0 for a reported result, which has no predictions."""
    comparison: bool
    is_reported: bool


def recompute(folder: Path) -> Recomputed:
    """Check a result's files against the manifest, and its scores and comparison against the predictions.

    Raises:
        UserError: something differs, is missing, or has an earlier version.
    """
    result = read_result(folder)
    if digest(result.recipe) != result.recipe_digest:
        raise UserError(f"{folder}: its recipe is not that of its recipe_digest; restore it or evaluate again")
    if result.reported is None:
        scores = rescore(folder)
    else:
        read_checked(folder)
        scores = 0
    can_compare = result.reported is not None or not unscorable_tasks(result)
    return Recomputed(scores, can_compare and _recompute_comparison(folder), result.reported is not None)


def _recompute_comparison(folder: Path) -> bool:
    stored = read_comparison(folder)
    if stored is None:
        return False
    path = folder / COMPARISON
    if stored.scoring != SCORING_VERSION:
        raise UserError(
            f"{path}: has scoring version {stored.scoring}, not {SCORING_VERSION}; update it with 'xrealign-bench "
            "leaderboard recompare'"
        )
    again = compare(folder, folder / stored.baseline, stored.resamples, stored.seed)
    if not nearly_equal(stored, again):
        differing = ", ".join(
            name for name in type(again).model_fields if not nearly_equal(getattr(stored, name), getattr(again, name))
        )
        raise UserError(f"{path}: is not what the predictions give, in {differing}; evaluate again")
    return True


def seal_unsealed(folder: Path) -> None:
    """Write the missing manifest of an earlier version's result, if its scores follow from its predictions.

    Raises:
        UserError: they do not, or a file can't be read. No manifest is written.
    """
    if (folder / MANIFEST).exists():
        return
    try:
        seal(folder)
        if read_result(folder).reported is None:
            rescore(folder)
    except BaseException:
        (folder / MANIFEST).unlink(missing_ok=True)
        raise
