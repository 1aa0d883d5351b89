"""Change a published result openly: withdraw it, correct it, or add another event to its history."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from xrealign_bench.errors import UserError
from xrealign_bench.results.history import History, HistoryEvent
from xrealign_bench.results.manifest import check_folder
from xrealign_bench.results.rescoring import rescore
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.results.storage import HISTORY, read_history, read_result, write_history


def withdraw(folder: Path, reason: str) -> None:
    """Withdraw a result. Its files stay, and boards show it without a rank.

    Raises:
        UserError: the folder has no result, or it is withdrawn already.
    """
    result = read_result(folder)
    if read_history(folder).withdrawn is not None:
        raise UserError(f"{folder}: is withdrawn already. Its {HISTORY} gives the reason")
    add_event(folder, _make_event("withdrawn", result, reason))


def correct(folder: Path, by: Path, reason: str) -> None:
    """Replace a result by another one of the same recipe, checkpoint, suite and seeds, and record it in the history.

    Args:
        folder: the wrong result; it is replaced as a whole.
        by: the right result; it is copied.
        reason: what was wrong.

    Raises:
        UserError: the two results have different inputs or the same predictions, or the new scores do not follow from
            their predictions.
    """
    old, new = read_result(folder), read_result(by)
    _check_same_inputs(folder, old, by, new)
    if digest_evidence(old) == digest_evidence(new):
        raise UserError(f"{by}: has the same predictions as {folder}, so there is nothing to correct")
    rescore(by)
    history = History(events=[*read_history(folder).events, _make_event("corrected", old, reason)])
    beside, before = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(by, beside, ignore=shutil.ignore_patterns(HISTORY))
    write_history(beside, history)
    folder.rename(before)
    beside.rename(folder)
    shutil.rmtree(before)


def add_event(folder: Path, event: HistoryEvent) -> None:
    """Append an event to the history of a result.

    Raises:
        UserError: the folder is damaged (a new manifest would hide it).
    """
    check_folder(folder)
    write_history(folder, History(events=[*read_history(folder).events, event]))


def _check_same_inputs(folder: Path, old: Result, by: Path, new: Result) -> None:
    for name in ("recipe_digest", "suite_digest", "seeds", "limit"):
        if getattr(old, name) != getattr(new, name):
            raise UserError(_not_a_correction(by, f"{name.replace('_', ' ')} differs", folder))
    if old.checkpoint.weights_sha256 != new.checkpoint.weights_sha256:
        raise UserError(_not_a_correction(by, "checkpoint has other weights", folder))


def _not_a_correction(by: Path, difference: str, folder: Path) -> str:
    return f"{by}: is not a correction of {folder}, because its {difference}. Name a result with the same inputs"


def _make_event(what: Literal["corrected", "withdrawn"], result: Result, reason: str) -> HistoryEvent:
    if not reason.strip():
        raise UserError("the reason is empty. Boards show it, so write what is or was wrong")
    try:
        return HistoryEvent(what=what, on=date.today(), evidence=digest_evidence(result), reason=reason)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"the reason '{reason[:80]}' can't be shown on a board: {problem}") from None
