"""What a node of a Ray cluster does: look whether it may, run stages, and tell the driver how far they are."""

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

_SECONDS_TO_APPEAR = 90.0
"""How long a network file system may hide from a node what another one has made (NFS caches for up to a minute)."""
_PACKAGES = ("tokenizers", "transformers", "torch", "peft", "eflomal", "icu4py")
"""What moves a key or a number, and must be the same on all nodes."""


class Said(NamedTuple):
    """What a worker tells the driver of a stage."""

    what: Literal["start", "progress", "done", "failed", "refused", "warning"]
    ref: StageRef
    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True)
class Place:
    """What a worker must find on its node."""

    store: Path
    mark: Path
    """A file of the store that the driver keeps locked."""
    context: RunContext
    software: tuple[tuple[str, str], ...]
    """Package and version."""


def software() -> tuple[tuple[str, str], ...]:
    return (("xrealign-bench", __version__), *((package, version(package)) for package in _PACKAGES))


class Ear:
    """An actor beside the driver that keeps what workers tell until it asks."""

    def __init__(self) -> None:
        self._told: list[Said] = []

    def tell(self, said: Said) -> None:
        self._told.append(said)

    def take(self) -> list[Said]:
        told, self._told = self._told, []
        return told


class _Voice(logging.Handler):
    """Tells the driver what stages and store say, and that at most every half second of a stage's steps."""

    SECONDS_BETWEEN_STEPS = 0.5

    def __init__(self, ear: Any) -> None:
        super().__init__(logging.WARNING)
        self._ear = ear
        self._stepped = 0.0
        self.ref: StageRef | None = None

    def begin(self, stage: Stage) -> None:
        self.ref, self._stepped = stage.ref, 0.0
        self.tell(Said("start", self.ref))

    def tell(self, said: Said) -> None:
        self._ear.tell.remote(said)

    def step(self, ref: StageRef, done: int, total: int, note: str) -> None:
        if time.monotonic() - self._stepped >= self.SECONDS_BETWEEN_STEPS:
            self._stepped = time.monotonic()
            self.tell(Said("progress", ref, done, total, note))

    def emit(self, record: logging.LogRecord) -> None:
        if self.ref is not None:
            self.tell(Said("warning", self.ref, note=f"{_node()}: {record.getMessage()}"))


def work(stages: Sequence[Stage], place: Place, ear: Any) -> list[Said]:
    """Run stages in a worker; what came of each is told at once, and returned for where that was not heard."""
    voice = _Voice(ear)
    log = logging.getLogger("xrealign_bench")
    log.addHandler(voice)
    came: list[Said] = []
    try:
        for stage in stages:
            voice.begin(stage)
            came.append(run_one(stage, place, partial(voice.step, stage.ref)))
            voice.tell(came[-1])
            if came[-1].what == "refused":
                break
    finally:
        log.removeHandler(voice)
        _forget_models()
    return came


def run_one(stage: Stage, place: Place, progress: Callable[[int, int, str], None]) -> Said:
    from xrealign_bench.pipeline.runner import run_stage

    ref = stage.ref
    # What runs no model is given no GPU and sees none.
    context = place.context if stage.runs_model else replace(place.context, device="cpu")
    try:
        check_place(place)
        check_compute_settings(stage, context)
        remedy = "when that is mended, the same command goes on from what is stored"
        with convert_os_errors(f"{stage.label} on {_node()}", remedy):
            store = _store(place.store)
            for need in stage.inputs.by_role().values():
                wait_until_seen(store, need)
            run_stage(stage, store, context, progress)
    except TrainingError as error:
        return Said("failed", ref, note=str(error))
    except UserError as error:
        return Said("refused", ref, note=str(error))
    return Said("done", ref)


def _forget_models() -> None:
    """A worker that waits for its next stage holds no model."""
    from xrealign_bench.pipeline.loading import forget_models

    forget_models()


@cache
def _store(root: Path) -> Store:
    """Kept by a worker, with what it has verified."""
    return Store(root)


@cache
def check_place(place: Place) -> None:
    """Refuse a node that does not share the store, its locks or the versions; once a worker."""
    if not place.mark.exists():
        raise UserError(
            f"{_node()} does not see the store {place.store}; put it on a file system that all nodes have under this "
            "path"
        )
    try:
        with suppress(NotImplementedError), FileLock(place.mark, timeout=0, fallback_to_soft=False):
            pass
        raise UserError(
            f"{_node()} does not see the locks of the store {place.store}; mount its file system with locks that hold "
            "for all nodes, or choose another one"
        )
    except Timeout:
        pass  # as it should be
    for (name, here), (_, there) in zip(software(), place.software, strict=True):
        if here != there:
            raise UserError(f"{_node()} has {name} {here} and the driver {there}; install the same everywhere")


def check_compute_settings(stage: Stage, context: RunContext) -> None:
    """Set the threads that the stage's key names; refuse where other numbers would come out than the key says."""
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


def wait_until_seen(store: Store, ref: StageRef) -> None:
    """Wait for what another node has stored to be seen on this one; whoever reads it says if it never is."""
    end = time.monotonic() + _SECONDS_TO_APPEAR
    while not store.has(ref.stage_type, ref.key) and time.monotonic() < end:
        time.sleep(1.0)


def _node() -> str:
    return f"node {os.uname().nodename}"
