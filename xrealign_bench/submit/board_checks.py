"""Check submitted results against the published ones: names, checkpoints, baselines and histories must agree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from filecmp import cmp
from functools import partial
from pathlib import Path

from xrealign_bench.errors import Problems
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.results.storage import HISTORY, find_results, read_result


def place_on_board(folder: Path) -> str:
    """Return the last three parts of a folder's path: suite, checkpoint and recipe."""
    return "/".join(Path(os.path.abspath(folder)).parts[-3:])


def history_problems(folders: Sequence[Path], board: Path | None) -> Iterator[str]:
    """Yield histories that are not the published ones: submitters do not write the history of a result."""
    for path in (folder / HISTORY for folder in dict.fromkeys(folders)):
        published = None if board is None else board / place_on_board(path.parent) / HISTORY
        if path.exists() and (published is None or not published.is_file() or not cmp(path, published, shallow=False)):
            yield f"{path}: is written by those who keep the board and not part of a submission; evaluate again"


def board_problems(folders: Sequence[Path], board: Path, problems: Problems) -> Iterator[str]:
    """Yield results that clash with published ones: another baseline, recipe or checkpoint of the same name."""
    read = {folder: problems.attempt(partial(read_result, folder)) for folder in folders}
    submitted = {folder: result for folder, result in read.items() if result is not None}
    for suite in sorted({result.suite.id for result in submitted.values()}):
        for place in find_results(board / suite) if (board / suite).is_dir() else []:
            published = problems.attempt(partial(read_result, place))
            if published is not None and published.reported is None:
                for folder, result in submitted.items():
                    if result.suite.id == suite:
                        yield from (f"{folder}: {problem}" for problem in _clashes(result, published, place))


def _clashes(result: Result, published: Result, place: Path) -> Iterator[str]:
    ours, theirs = result.checkpoint, published.checkpoint
    if result.recipe.name == published.recipe.name and result.recipe_digest != published.recipe_digest:
        yield f"the board has another recipe '{result.recipe.name}'; choose another name"
    if (ours.id, ours.revision) != (theirs.id, theirs.revision):
        return
    if ours.revision is not None and ours != theirs:
        yield (
            f"checkpoint {ours.id} at {ours.revision} has other weights, configuration or tokenizer on the board; "
            "evaluate the published one"
        )
    is_same_row = result.recipe_digest == published.recipe_digest and result.seeds == published.seeds and ours == theirs
    if not is_same_row or result.suffix != published.suffix or digest_evidence(result) == digest_evidence(published):
        return
    if result.is_baseline:
        yield (
            f"its predictions are not those of the baseline on the board; replace it by a copy of {place}, then run "
            "'xrealign-bench leaderboard recompare' on your results"
        )
    else:
        yield (
            f"is published with other predictions ({place}), and a published row is not rewritten; to correct it, open "
            "an issue: those who keep the board use 'xrealign-bench leaderboard correct'"
        )
