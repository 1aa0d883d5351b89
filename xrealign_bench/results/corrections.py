"""What happens to a result once it is on a board: it is computed again, corrected or withdrawn, always in the open."""

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

_NO_CORRECTION = "it is another result and no correction"


def withdraw(folder: Path, reason: str) -> None:
    """Note that a result stands for nothing any more; it stays where it is, and boards show it without a rank.

    Raises:
        UserError: there is no result, or it is withdrawn already.
    """
    result = read_result(folder)
    if read_history(folder).withdrawn is not None:
        raise UserError(f"{folder}: is withdrawn already; its {HISTORY} says why")
    add_event(folder, _event("withdrawn", result, reason))


def correct(folder: Path, by: Path, reason: str) -> None:
    """Put another result of the same recipe, checkpoint, suite and seeds in the place of one, and note it.

    Args:
        folder: of the result that is wrong; it is replaced as a whole.
        by: of the right one; it stays as it is.
        reason: what was wrong.

    Raises:
        UserError: the two are not of the same, say the same, or the new one's scores are not those of its predictions.
    """
    old, new = read_result(folder), read_result(by)
    for what in ("recipe_digest", "suite_digest", "seeds", "limit"):
        if getattr(old, what) != getattr(new, what):
            raise UserError(
                f"{by}: its {what.replace('_', ' ')} is not that of {folder}; it is another result and no correction"
            )
    if old.checkpoint.weights_sha256 != new.checkpoint.weights_sha256:
        raise UserError(
            f"{by}: its checkpoint's weights are not those of {folder}; it is another result and no correction"
        )
    if digest_evidence(old) == digest_evidence(new):
        raise UserError(f"{by}: has the predictions of {folder}; there is nothing to correct")
    rescore(by)
    history = History(events=[*read_history(folder).events, _event("corrected", old, reason)])
    beside, before = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(by, beside, ignore=shutil.ignore_patterns(HISTORY))
    write_history(beside, history)
    folder.rename(before)
    beside.rename(folder)
    shutil.rmtree(before)


def _event(what: Literal["corrected", "withdrawn"], result: Result, reason: str) -> HistoryEvent:
    if not reason.strip():
        raise UserError("the reason is empty; it stands on the board, so write what is or was wrong")
    try:
        return HistoryEvent(what=what, on=date.today(), evidence=digest_evidence(result), reason=reason)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"the reason '{reason[:80]}' can't stand on a board: {said}") from None


def add_event(folder: Path, event: HistoryEvent) -> None:
    """Note something that happened to the result in a folder, after all that is noted there.

    Raises:
        UserError: the folder is damaged, which the new manifest would hide.
    """
    check_folder(folder)
    write_history(folder, History(events=[*read_history(folder).events, event]))
