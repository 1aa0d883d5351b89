"""What is told of an executor's events where stderr is no terminal. Truth: the lines, word by word."""

from __future__ import annotations

import pytest
from tqdm import autonotebook, tqdm

from xrealign_bench.pipeline.executor import StageEvent
from xrealign_bench.pipeline.stage import NO_INPUTS, Costs, Settings, Stage, Workspace
from xrealign_bench.progress import ProgressBars


class NamedSettings(Settings):
    name: str


class Training(Stage):
    stage_type = "realign"
    code_version = 1
    is_training = True

    def run(self, workspace: Workspace) -> Costs:
        return {}


FIRST, SECOND = (Training(f"realign {name}", NamedSettings(name=name), NO_INPUTS) for name in "ab")


def test_several_stages_at_once_are_told_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProgressBars, "SECONDS_BETWEEN_LINES", 0.0)
    with ProgressBars(2) as progress:
        progress(StageEvent("start", FIRST))
        progress(StageEvent("progress", FIRST, 1, 9, "loss 2"))
        progress(StageEvent("start", SECOND))
        progress(StageEvent("progress", SECOND, 3, 9, "loss 1"))
        progress(StageEvent("again", FIRST, note="its node was lost"))
        progress(StageEvent("progress", SECOND, 4, 9, "loss 1"))
        progress(StageEvent("start", FIRST))
        progress(StageEvent("done", FIRST))
        progress(StageEvent("failed", SECOND, note="the loss is nan"))
    assert capsys.readouterr().err.splitlines() == [
        "realign a: step 1 of 9, loss 2",
        "realign b: step 3 of 9, loss 1 (1 more at work)",
        "its node was lost; to be run again: realign a",
        "realign b: step 4 of 9, loss 1",
        "done: realign a",
        "failed: realign b: the loss is nan",
    ]


def test_a_notebook_has_bars_although_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a kernel with ipywidgets, this name of tqdm is its widget."""
    made = []

    class Widget(tqdm):  # type: ignore[type-arg]
        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(autonotebook, "tqdm", Widget)
    with ProgressBars(1) as progress:
        progress(StageEvent("start", FIRST))
        progress(StageEvent("progress", FIRST, 3, 9, "loss 2"))
        assert [(bar.desc, bar.n, bar.total, bar.disable) for bar in made] == [
            ("stages", 0, 1, False), ("realign a", 3, 9, False),
        ]  # fmt: skip
    assert "realign a:   0%|" in capsys.readouterr().err
