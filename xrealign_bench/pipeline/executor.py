"""Run the stages of a plan, one after the other. The reference for every other way to run them.

Several processes train together and share out the other stages; they meet after each run of stages of a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from xrealign_bench import distributed
from xrealign_bench.errors import TrainingError, convert_os_errors
from xrealign_bench.pipeline.plan import TRAINING, Plan, Sources, Stage, StageRef
from xrealign_bench.pipeline.store import Store


class Event(NamedTuple):
    """What an executor tells while it works."""

    what: Literal["stored", "start", "progress", "again", "done", "failed", "skipped"]
    """`again`: what computed the stage was lost, and it will be started once more."""
    stage: Stage
    done: int = 0
    """Of `total` steps, in a `progress` event."""
    total: int = 0
    note: str = ""


@dataclass
class Outcome:
    """Disjoint sets that add up to the plan."""

    stored: set[StageRef] = field(default_factory=set)
    """Found in the store, not run."""
    done: set[StageRef] = field(default_factory=set)
    failed: dict[StageRef, str] = field(default_factory=dict)
    """Stage -> why."""
    skipped: set[StageRef] = field(default_factory=set)
    """Not run because something that they need failed."""


Execute = Callable[[Plan, Store, Sources, Callable[[Event], None]], Outcome]
"""A way to run a plan, such as `run_serially`."""


def run_serially(plan: Plan, store: Store, sources: Sources, on_event: Callable[[Event], None]) -> Outcome:
    """Run what the store does not hold yet. A failed training costs its descendants and nothing else.

    Raises:
        UserError: the data or the checkpoint turned out to be bad, or a disk is full or gone; what was finished before
            stays stored.
    """
    outcome = Outcome()
    for kind, alike in groupby(plan.stages, key=lambda ref: ref.kind):
        refs = list(alike)  # none needs another one of its kind
        with distributed.raise_on_every_rank():
            for ref in refs if kind in TRAINING else distributed.shard(refs):
                stage = plan.stages[ref]
                if any(need in outcome.failed or need in outcome.skipped for need in stage.inputs.values()):
                    outcome.skipped.add(ref)
                    on_event(Event("skipped", stage))
                    continue
                with convert_os_errors(
                    stage.label, "when that is mended, the same command goes on from what is stored"
                ):
                    _run_unless_stored(ref, stage, store, sources, on_event, outcome)
            for there in distributed.all_gather(outcome):
                _add_what_others_ran(there, plan, on_event, outcome)
    return outcome


def _add_what_others_ran(there: Outcome, plan: Plan, on_event: Callable[[Event], None], outcome: Outcome) -> None:
    """Of the stages that are shared out; none of them is a training, and so none fails."""
    for what in ("stored", "done", "skipped"):
        known = getattr(outcome, what)
        for ref in getattr(there, what) - known:
            known.add(ref)
            on_event(Event(what, plan.stages[ref]))


def _run_unless_stored(
    ref: StageRef, stage: Stage, store: Store, sources: Sources, on_event: Callable[[Event], None], outcome: Outcome
) -> None:
    if _is_stored(ref, store):
        outcome.stored.add(ref)
        on_event(Event("stored", stage))
        return
    from xrealign_bench.pipeline.stages import run_stage  # torch and all: not where everything is stored

    on_event(Event("start", stage))
    try:
        run_stage(stage, store, sources, partial(_tell_progress, on_event, stage))
    except TrainingError as error:
        outcome.failed[ref] = str(error)
        on_event(Event("failed", stage, note=str(error)))
    else:
        outcome.done.add(ref)
        on_event(Event("done", stage))


def _is_stored(ref: StageRef, store: Store) -> bool:
    def look() -> bool:
        return store.open(ref.kind, ref.key) is not None

    return distributed.broadcast(look) if ref.kind in TRAINING else look()


def _tell_progress(on_event: Callable[[Event], None], stage: Stage, done: int, total: int, note: str) -> None:
    on_event(Event("progress", stage, done, total, note))
