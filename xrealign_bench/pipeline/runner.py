"""Run one stage: inputs from the store, output into the store."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from xrealign_bench import distributed
from xrealign_bench.errors import UserError
from xrealign_bench.models.compute_settings import compute_settings
from xrealign_bench.pipeline.stage import Costs, Progress, RunContext, Stage, StageRef, Workspace
from xrealign_bench.pipeline.store import Store
from xrealign_bench.plugins import blame


def run_stage(stage: Stage, store: Store, context: RunContext, progress: Progress) -> None:
    """Run a stage whose inputs are in the store, and store its output. Rank 0 stores a training of several ranks.

    Raises:
        UserError: the data or the checkpoint are bad.
        TrainingError: a loss is not a finite number.
    """

    def folder_of(ref: StageRef) -> Path:
        return store.read(ref.stage_type, ref.key).folder

    def make(folder: Path) -> Costs:
        _prepare_process()
        _check_compute_settings(stage, context)
        with _gpu_memory(context) as on_gpu:
            costs = _run(stage, Workspace(context, folder_of, folder, progress))
        return {**costs, **on_gpu}

    if not stage.is_training:
        store.produce(stage.stage_type, stage.key, stage.description(), make)
    elif distributed.is_main_process():
        _lead(stage, store, make)
    elif distributed.all_gather(False)[0]:
        with TemporaryDirectory() as folder:
            make(Path(folder))


def _run(stage: Stage, workspace: Workspace) -> Costs:
    """Run a stage; an error in the code of a plugin is told as one of the user's.

    Raises:
        UserError: the data, the checkpoint or a plugin are bad.
    """
    try:
        return stage.run(workspace)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        plugins = [(plugin.group, plugin.name) for plugin in stage.settings.plugins]
        if "out of memory" in str(error) or (blamed := blame(plugins, error)) is None:
            raise
        raise UserError(blamed) from error


def _lead(stage: Stage, store: Store, make: Callable[[Path], Costs]) -> None:
    """Produce a training as rank 0, and tell the other ranks whether there is something to compute.

    There is nothing if a process of another run, for which the store waits, has stored it meanwhile.
    """
    begun = False

    def make_together(folder: Path) -> Costs:
        nonlocal begun
        begun = True
        distributed.all_gather(True)
        return make(folder)

    store.produce(stage.stage_type, stage.key, stage.description(), make_together)
    if not begun:
        distributed.all_gather(False)


@cache
def _prepare_process() -> None:
    """Import what stages need, and exempt it from garbage collection, which would look at it again and again."""
    import xrealign_bench.pipeline.loading  # noqa: F401

    gc.collect()
    gc.freeze()


def _check_compute_settings(stage: Stage, context: RunContext) -> None:
    """Refuse to compute with other settings than the stage's key says, as after a change of the environment.

    Raises:
        UserError: they differ.
    """
    planned = stage.settings.compute_settings
    if planned is None:
        return
    here = compute_settings(context.device, context.precision, context.gradient_checkpointing, context.quantised)
    if differing := planned.differences(here):
        name, (in_plan, now) = next(iter(differing.items()))
        raise UserError(f"{stage.label}: {name} is {now} here and {in_plan} in the plan; start the command again")


@contextmanager
def _gpu_memory(context: RunContext) -> Iterator[dict[str, int]]:
    """Yield costs to which the peak GPU memory is added at the end."""
    costs: dict[str, int] = {}
    if not context.device.startswith("cuda"):
        yield costs
        return
    import torch

    from xrealign_bench.models.device import pick_device

    device = pick_device(context.device)
    torch.cuda.reset_peak_memory_stats(device)
    yield costs
    costs["gpu_memory_bytes"] = torch.cuda.max_memory_reserved(device)
