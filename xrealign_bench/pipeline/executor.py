"""Run the stages of a plan, one after the other: the reference for every other executor.

Several ranks train together and share out the other stages; they meet after each group of stages of one type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from xrealign_bench import distributed
from xrealign_bench.errors import TrainingError, convert_os_errors
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.runner import run_stage
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef
from xrealign_bench.pipeline.store import Store


class StageEvent(NamedTuple):
    """News about a stage that an executor reports."""

    status: Literal["stored", "start", "progress", "again", "done", "failed", "skipped"]
    """`again`: the worker that computed the stage was lost, and the stage will be started once more."""
    stage: Stage
    done: int = 0
    """Steps done out of `total`, in a `progress` event."""
    total: int = 0
    note: str = ""


@dataclass
class Outcome:
    """Disjoint sets that add up to the plan."""

    stored: set[StageRef] = field(default_factory=set)
    """Found in the store, not run."""
    done: set[StageRef] = field(default_factory=set)
    failed: dict[StageRef, str] = field(default_factory=dict)
    """Stage -> reason."""
    skipped: set[StageRef] = field(default_factory=set)
    """Not run because a stage that they need failed."""

    def lacks_inputs(self, stage: Stage) -> bool:
        """Return whether a stage can't be run because an input failed or was skipped."""
        return any(need in self.failed or need in self.skipped for need in stage.inputs.by_role().values())


OnEvent = Callable[[StageEvent], None]
Executor = Callable[[Plan, Store, RunContext, OnEvent], Outcome]
"""Function that runs a plan, such as `run_serially`."""


def run_serially(plan: Plan, store: Store, context: RunContext, on_event: OnEvent) -> Outcome:
    """Run the stages that the store doesn't hold yet. A failed training costs its descendants and nothing else.

    Raises:
        UserError: the data or the checkpoint are bad, or a disk is full or gone; finished stages stay stored.
    """
    return _SerialRun(plan, store, context, on_event).run()


class _SerialRun:
    def __init__(self, plan: Plan, store: Store, context: RunContext, on_event: OnEvent) -> None:
        self._plan, self._store, self._context, self._on_event = plan, store, context, on_event
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for _, group in groupby(self._plan.stages.values(), key=lambda stage: stage.stage_type):
            stages = list(group)  # none needs another one of its type
            with distributed.raise_on_every_rank():
                for stage in stages if stages[0].is_training else distributed.shard(stages):
                    remedy = "when that is mended, the same command goes on from what is stored"
                    with convert_os_errors(stage.label, remedy):
                        self._run_if_needed(stage)
                for other in distributed.all_gather(self._outcome):
                    self._add_other_rank(other)
        return self._outcome

    def _run_if_needed(self, stage: Stage) -> None:
        outcome, ref = self._outcome, stage.ref
        if outcome.lacks_inputs(stage):
            outcome.skipped.add(ref)
            self._on_event(StageEvent("skipped", stage))
        elif self._is_stored(stage):
            outcome.stored.add(ref)
            self._on_event(StageEvent("stored", stage))
        else:
            self._on_event(StageEvent("start", stage))
            try:
                run_stage(stage, self._store, self._context, partial(self._report_step, stage))
            except TrainingError as error:
                outcome.failed[ref] = str(error)
                self._on_event(StageEvent("failed", stage, note=str(error)))
            else:
                outcome.done.add(ref)
                self._on_event(StageEvent("done", stage))

    def _is_stored(self, stage: Stage) -> bool:
        def look() -> bool:
            return self._store.open(stage.stage_type, stage.key) is not None

        return distributed.broadcast(look) if stage.is_training else look()

    def _report_step(self, stage: Stage, done: int, total: int, note: str) -> None:
        self._on_event(StageEvent("progress", stage, done, total, note))

    def _add_other_rank(self, other: Outcome) -> None:
        """Add the stages that another rank ran; none of them is a training, and so none fails."""
        own = self._outcome
        statuses: tuple[tuple[Literal["stored", "done", "skipped"], set[StageRef], set[StageRef]], ...] = (
            ("stored", own.stored, other.stored),
            ("done", own.done, other.done),
            ("skipped", own.skipped, other.skipped),
        )
        for status, known, reported in statuses:
            for ref in reported - known:
                known.add(ref)
                self._on_event(StageEvent(status, self._plan.stages[ref]))
