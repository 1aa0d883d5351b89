"""What is told of an executor's events where stderr is no terminal. Truth: the lines, word by word."""

from __future__ import annotations

import pytest

from xrealign_bench.pipeline.executor import Event
from xrealign_bench.pipeline.plan import Stage
from xrealign_bench.progress import Progress

FIRST, SECOND = (Stage(kind="realign", label=f"realign {name}", settings={"name": name}) for name in "ab")


def test_several_stages_at_once_are_told_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Progress(2) as progress:
        progress(Event("start", FIRST))
        progress(Event("progress", FIRST, 1, 9, "loss 2"))
        progress(Event("start", SECOND))
        progress(Event("progress", SECOND, 3, 9, "loss 1"))
        progress(Event("again", FIRST, note="its node was lost"))
        progress(Event("progress", SECOND, 4, 9, "loss 1"))
        progress(Event("start", FIRST))
        progress(Event("done", FIRST))
        progress(Event("failed", SECOND, note="the loss is nan"))
    assert capsys.readouterr().err.splitlines() == [
        "realign a: step 1 of 9, loss 2",
        "realign b: step 3 of 9, loss 1 (1 more at work)",
        "its node was lost; to be run again: realign a",
        "realign b: step 4 of 9, loss 1",
        "done: realign a",
        "failed: realign b: the loss is nan",
    ]
