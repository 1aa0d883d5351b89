"""Worker of a Ray cluster: checks its node, runs stages, and reports their progress to the driver."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout

from xrealign_bench import __version__
from xrealign_bench.errors import TrainingError, UserError, convert_os_errors
from xrealign_bench.models.compute_settings import compute_settings
from xrealign_bench.models.device import find_device
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef
from xrealign_bench.pipeline.store import Store
from xrealign_bench.plugins import TITLES, registry, restore_plugins

_SECONDS_TO_APPEAR = 90.0
"""Time until a network file system shows a file that another node wrote. NFS caches for up to a minute."""
_PACKAGES = ("tokenizers", "transformers", "torch", "peft", "eflomal", "icu4py")
"""Packages that change keys or results, so their versions must be the same on all nodes."""


class WorkerEvent(NamedTuple):
    """News about a stage that a worker sends to the driver."""

    status: Literal["start", "progress", "done", "failed", "refused", "warning"]
    ref: StageRef
    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True)
class WorkerSetup:
    """Requirements that a worker checks on its node."""

    store: Path
    mark: Path
    """A file of the store that the driver keeps locked."""
    context: RunContext
    software: tuple[tuple[str, str], ...]
    """Package and version."""
    plugins: tuple[str, ...] = ()
    """See `plugins.plugins_to_load`."""


def software() -> tuple[tuple[str, str], ...]:
    return (("xrealign-bench", __version__), *((package, version(package)) for package in _PACKAGES))


class EventQueue:
    """Actor on the driver's node that queues the events of workers."""

    def __init__(self) -> None:
        self._events: list[WorkerEvent] = []

    def tell(self, event: WorkerEvent) -> None:
        self._events.append(event)

    def take(self) -> list[WorkerEvent]:
        events, self._events = self._events, []
        return events


class _EventSender(logging.Handler):
    """Sends events and log warnings to the driver, and the steps of a stage at most every half second."""

    SECONDS_BETWEEN_STEPS = 0.5

    def __init__(self, queue: Any) -> None:
        super().__init__(logging.WARNING)
        self._queue = queue
        self._stepped = 0.0
        self.ref: StageRef | None = None

    def begin(self, stage: Stage) -> None:
        self.ref, self._stepped = stage.ref, 0.0
        self.tell(WorkerEvent("start", self.ref))

    def tell(self, event: WorkerEvent) -> None:
        self._queue.tell.remote(event)

    def step(self, ref: StageRef, done: int, total: int, note: str) -> None:
        if time.monotonic() - self._stepped >= self.SECONDS_BETWEEN_STEPS:
            self._stepped = time.monotonic()
            self.tell(WorkerEvent("progress", ref, done, total, note))

    def emit(self, record: logging.LogRecord) -> None:
        if self.ref is not None:
            self.tell(WorkerEvent("warning", self.ref, note=f"{_node()}: {record.getMessage()}"))


def work(stages: Sequence[Stage], setup: WorkerSetup, queue: Any) -> list[WorkerEvent]:
    """Run stages in a worker.

    The outcome of each stage is sent at once, and also returned in case the queue is lost.
    """
    sender = _EventSender(queue)
    log = logging.getLogger("xrealign_bench")
    log.addHandler(sender)
    outcomes: list[WorkerEvent] = []
    try:
        for stage in stages:
            sender.begin(stage)
            outcomes.append(run_one(stage, setup, partial(sender.step, stage.ref)))
            sender.tell(outcomes[-1])
            if outcomes[-1].status == "refused":
                break
    finally:
        log.removeHandler(sender)
        _forget_models()
    return outcomes


def run_one(stage: Stage, setup: WorkerSetup, progress: Callable[[int, int, str], None]) -> WorkerEvent:
    from xrealign_bench.pipeline.runner import run_stage

    ref = stage.ref
    # A stage without a model gets no GPU.
    context = setup.context if stage.runs_model else replace(setup.context, device="cpu")
    try:
        check_setup(setup)
        check_compute_settings(stage, context)
        check_plugins(stage)
        remedy = "when that is mended, the same command goes on from what is stored"
        with convert_os_errors(f"{stage.label} on {_node()}", remedy):
            store = _store(setup.store)
            for need in stage.inputs.by_role().values():
                wait_until_seen(store, need)
            run_stage(stage, store, context, progress)
    except TrainingError as error:
        return WorkerEvent("failed", ref, note=str(error))
    except UserError as error:
        return WorkerEvent("refused", ref, note=str(error))
    return WorkerEvent("done", ref)


def _forget_models() -> None:
    """Release models while a worker waits for its next stage."""
    from xrealign_bench.pipeline.loading import forget_models

    forget_models()


@cache
def _store(root: Path) -> Store:
    """Return the store, cached in a worker together with the entries that it has verified."""
    return Store(root)


@cache
def check_setup(setup: WorkerSetup) -> None:
    """Refuse a node that does not share the store, its locks, the package versions or the plugins. Checked once per
    worker.

    Raises:
        UserError: the node differs.
    """
    if not setup.mark.exists():
        raise UserError(
            f"{_node()} does not see the store {setup.store}; put it on a file system that all nodes have under this "
            "path"
        )
    try:
        with suppress(NotImplementedError), FileLock(setup.mark, timeout=0, fallback_to_soft=False):
            pass
        raise UserError(
            f"{_node()} does not see the locks of the store {setup.store}; mount its file system with locks that hold "
            "for all nodes, or choose another one"
        )
    except Timeout:
        pass  # as it should be
    for (name, here), (_, there) in zip(software(), setup.software, strict=True):
        if here != there:
            raise UserError(f"{_node()} has {name} {here} and the driver {there}; install the same everywhere")
    restore_plugins(setup.plugins)


def check_compute_settings(stage: Stage, context: RunContext) -> None:
    """Set the number of threads in the stage's key, and refuse a node whose other settings differ from the key.

    Raises:
        UserError: they differ.
    """
    planned = stage.settings.compute_settings
    if planned is None:
        return
    import torch

    torch.set_num_threads(planned.threads)
    here = compute_settings(
        find_device(context.device), context.precision, context.gradient_checkpointing, context.quantised
    )
    if differing := planned.differences(here):
        name, (in_plan, on_node) = next(iter(differing.items()))
        raise UserError(
            f"{_node()} would compute other numbers than the plan says: {name} is {on_node} there and "
            f"{in_plan} in the plan; run on nodes of one kind, with the driver on one of them"
        )


def check_plugins(stage: Stage) -> None:
    """Refuse a node whose plugins have other code than the stage's key says.

    Raises:
        UserError: they have.
    """
    for planned in stage.settings.plugins:
        here = registry(planned.group).plugin(planned.name)
        if here is None or here.sha256 != planned.sha256:
            code = "lacks it" if here is None else f"has code {here.sha256[:12]} ({here.origin})"
            raise UserError(
                f"{_node()} {code}, and the plan has the {TITLES[planned.group]} '{planned.name}' with code "
                f"{planned.sha256[:12]}; install the same plugin everywhere"
            )


def wait_until_seen(store: Store, ref: StageRef) -> None:
    """Wait until an entry stored by another node is visible here. Returns after a timeout: reading it then fails."""
    end = time.monotonic() + _SECONDS_TO_APPEAR
    while not store.has(ref.stage_type, ref.key) and time.monotonic() < end:
        time.sleep(1.0)


def _node() -> str:
    return f"node {os.uname().nodename}"
