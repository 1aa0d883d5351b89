"""Progress bars on stderr: one for the plan, one for the stage at work."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from xrealign_bench.pipeline.executor import Event


class Progress:
    """Draws the events of an executor; without a terminal it prints a line for each long stage, and one a minute."""

    LONG = ("realign", "finetune")
    SECONDS_BETWEEN_LINES = 60.0

    def __init__(self, stages: int) -> None:
        self._plan = self._bar(stages, "stages", "stage")
        self._stage: tqdm[Any] | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_stage()
        self._plan.close()

    def __call__(self, event: Event) -> None:
        if event.what == "start":
            self._plan.set_postfix_str(event.stage.label)
        elif event.what == "progress":
            self._step(event)
        else:
            self._close_stage()
            self._plan.update()
            if event.what == "failed":
                self._plan.write(f"failed: {event.stage.label}: {event.note}", file=sys.stderr)
            elif event.what == "done" and event.stage.kind in self.LONG:
                self._plan.write(f"done: {event.stage.label}", file=sys.stderr)

    def _step(self, event: Event) -> None:
        if self._stage is None:
            self._stage = self._bar(event.total, event.stage.label, "step")
        self._stage.set_postfix_str(event.note, refresh=False)
        self._stage.update(event.done - self._stage.n)
        if self._stage.disable and time.monotonic() - self._said >= self.SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            print(f"{event.stage.label}: step {event.done} of {event.total}, {event.note}", file=sys.stderr, flush=True)

    @staticmethod
    def _bar(total: int, name: str, unit: str) -> tqdm[Any]:
        """`disable=None`: not drawn where stderr is no terminal."""
        return tqdm(total=total, desc=name, unit=unit, file=sys.stderr, dynamic_ncols=True, leave=False, disable=None)

    def _close_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
            self._stage = None
