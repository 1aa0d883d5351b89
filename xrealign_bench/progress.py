"""Progress bars on stderr: one for the plan, and one for each running stage."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from tqdm import tqdm

from xrealign_bench.pipeline.executor import StageEvent
from xrealign_bench.pipeline.stage import StageRef


class ProgressBars:
    """Progress bars for the events of an executor. Without a terminal, prints a line per training and one a minute."""

    SECONDS_BETWEEN_LINES = 60.0
    BARS = 4
    """Maximum number of stages with a bar. Other running stages are only counted."""

    def __init__(self, stages: int) -> None:
        self._plan = self._bar(stages, "stages", "stage")
        self._at_work: dict[StageRef, str] = {}
        self._stages: dict[StageRef, tqdm[Any]] = {}
        self._printed = time.monotonic()

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(
        self, exception_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._stages.values():
            bar.close()
        self._plan.close()

    def __call__(self, event: StageEvent) -> None:
        if event.status in ("stored", "skipped"):
            self._plan.update()
            return
        ref = event.stage.ref
        if event.status == "start":
            self._at_work[ref] = event.stage.label
            self._show_running()
        elif event.status == "progress":
            self._step(event, ref)
        else:
            self._end(event, ref)

    def _end(self, event: StageEvent, ref: StageRef) -> None:
        self._at_work.pop(ref, None)
        if (bar := self._stages.pop(ref, None)) is not None:
            bar.close()
        if event.status == "again":
            self._plan.write(f"{event.note}; to be run again: {event.stage.label}", file=sys.stderr)
            return
        if len(self._at_work) > 0:
            self._show_running()
        self._plan.update()
        if event.status == "failed":
            self._plan.write(f"failed: {event.stage.label}: {event.note}", file=sys.stderr)
        elif event.status == "done" and event.stage.is_training:
            self._plan.write(f"done: {event.stage.label}", file=sys.stderr)

    def _show_running(self) -> None:
        labels = list(self._at_work.values())
        others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        self._plan.set_postfix_str(labels[0] + others)

    def _step(self, event: StageEvent, ref: StageRef) -> None:
        if ref not in self._stages and len(self._stages) < self.BARS:
            self._stages[ref] = self._bar(event.total, event.stage.label, "step")
        if (bar := self._stages.get(ref)) is not None:
            bar.set_postfix_str(event.note, refresh=False)
            bar.update(event.done - bar.n)
        if self._plan.disable and time.monotonic() - self._printed >= self.SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            others = f" ({len(self._at_work) - 1} more at work)" if len(self._at_work) > 1 else ""
            line = f"{event.stage.label}: step {event.done} of {event.total}, {event.note}{others}"
            print(line, file=sys.stderr, flush=True)

    @staticmethod
    def _bar(total: int, name: str, unit: str) -> tqdm[Any]:
        """Return a widget in a notebook, else a bar, which `disable=None` hides if stderr is not a terminal."""
        kind = _bar_class()
        hidden = None if kind is tqdm else False
        return kind(total=total, desc=name, unit=unit, file=sys.stderr, dynamic_ncols=True, leave=False, disable=hidden)


def _bar_class() -> type[tqdm[Any]]:
    """Return tqdm's widget in a notebook with ipywidgets, else its bar for terminals."""
    with warnings.catch_warnings(action="ignore"):  # tqdm's, that autonotebook is new, or that ipywidgets is missing
        from tqdm import autonotebook

    return autonotebook.tqdm


@contextmanager
def measuring() -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the label of each measurement. Without a terminal, each label is printed."""
    with tqdm(bar_format="measuring: {desc} [{elapsed}]", file=sys.stderr, leave=False, disable=None) as bar:

        def tell(what: str) -> None:
            if bar.disable:
                print(f"measuring: {what}", file=sys.stderr, flush=True)
            bar.set_description_str(what)

        yield tell
