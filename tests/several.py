"""Run a function in several ranks on the CPU, as a launcher would."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.small import Ran

TIMEOUT = 100
"""Seconds until a test reports that processes hang."""

_CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, for all of the tests' processes.
_CONTEXT.set_forkserver_preload(["xrealign_bench.pipeline.loading", "xrealign_bench.evaluation", "accelerate"])


def start(work: Callable[..., None], folder: Path, *arguments: Any, processes: int = 2) -> list[Ran]:
    """Call `work(*arguments)` in each process and wait. Output is written to files in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    began = [
        _CONTEXT.Process(target=_run_rank, args=(work, arguments, index, processes, port, folder))
        for index in range(processes)
    ]
    for process in began:
        process.start()
    end = time.monotonic() + TIMEOUT
    for process in began:
        process.join(max(0.0, end - time.monotonic()))
    hanging = [process for process in began if process.is_alive()]
    for process in hanging:
        process.kill()
    said = [[(folder / f"{index}.{stream}").read_text() for stream in ("out", "err")] for index in range(processes)]
    assert not hanging, f"{len(hanging)} of the processes hang: {said}"
    return [Ran(process.exitcode or 0, *streams) for process, streams in zip(began, said, strict=True)]


def command_line(*arguments: str) -> None:
    """Run the command line's `main`, as the work of a process."""
    from xrealign_bench import cli

    sys.argv = ["xrealign-bench", *arguments]
    cli.main()


def _run_rank(
    work: Callable[..., None], arguments: tuple[Any, ...], index: int, processes: int, port: int, folder: Path
) -> None:
    import torch

    place = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    more = {"OMP_NUM_THREADS": 1, "HF_HUB_OFFLINE": 1}
    os.environ.update({name: str(value) for name, value in {**place, **meeting, **more}.items()})
    torch.set_num_threads(1)
    sys.stdout, sys.stderr = (open(folder / f"{index}.{name}", "w", buffering=1) for name in ("out", "err"))  # noqa: SIM115
    work(*arguments)
