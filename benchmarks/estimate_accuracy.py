"""Compare the costs that `evaluate --dry-run` predicts with those of the run.

Each argument holds the options of one evaluation. It is predicted and then run with a new store. Time, peak memory and
disk space are compared in total and by stage type. The processors' share shows whether the machine was idle during the
run: with one thread it is then near 1. If it was not, --processor-time compares processor time instead of wall-clock
time, in prediction and run alike.

    OMP_NUM_THREADS=1 python benchmarks/estimate_accuracy.py "--seed 31" \
        "--suite pos-lite --seed 31 --checkpoint ./encoder --data-root ./hub --language sw --language th"
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tabulate import tabulate

from xrealign_bench.pipeline.store import Store

PROCESSOR_CLOCK = """
import time
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage


def computed():
    spent = [getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


time.perf_counter = computed
"""
"""Imported by Python at start-up as `sitecustomize`."""


class Costs(NamedTuple):
    seconds: float
    memory_bytes: int
    disk_bytes: int


class FinishedProcess(NamedTuple):
    """Output and cost of a process."""

    out: str
    seconds: float
    processors: float
    """Average number of processors in use."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", nargs="+", help="options of `evaluate`, in one argument each")
    parser.add_argument("--folder", type=Path, default=Path(), help="folder for temporary stores")
    parser.add_argument(
        "--processor-time", action="store_true", help="compare processor time instead of wall-clock time"
    )
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    rows = []
    for evaluation in options.evaluations:
        with TemporaryDirectory(dir=options.folder, prefix="estimate-") as folder:
            rows.append(compare(shlex.split(evaluation), Path(folder), options.processor_time))
            print(f"{evaluation}\n{rows[-1].pop()}\n", flush=True)
            rows[-1].insert(0, evaluation)
    headers = ["evaluate", "calibration", "time", "took", "ratio", "memory", "took", "ratio", "disk", "took", "ratio"]
    print(tabulate([row[:-1] for row in rows], headers, tablefmt="github", disable_numparse=True))
    print("processors' share: " + ", ".join(row[-1] for row in rows))


def compare(arguments: list[str], folder: Path, processor_time: bool) -> list[str]:
    """Return one row of the table, the run's processors, and the table by stage type."""
    where = ["--store", str(folder / "store"), "--output", str(folder / "output")]
    environment = dict(os.environ)
    if processor_time:
        (folder / "sitecustomize.py").write_text(PROCESSOR_CLOCK)
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    told = run([*arguments, *where, "--dry-run", "--json"], environment)
    ran = run([*arguments, *where], environment)
    content = json.loads(told.out)
    measured = stored_costs(folder / "store")
    by_stage_type = [
        [row["stage_type"], *format_costs(row_costs(row), measured[row["stage_type"]])]
        for row in content["estimate"]
        if row["stage_type"] in measured
    ]
    whole = Costs(
        sum(cost.seconds for cost in measured.values()) if processor_time else ran.seconds,
        max(cost.memory_bytes for cost in measured.values()),
        sum(cost.disk_bytes for cost in measured.values()),
    )
    table = tabulate(
        by_stage_type,
        ["stage", "time", "took", "ratio", "memory", "took", "ratio", "disk", "took", "ratio"],
        tablefmt="github",
        disable_numparse=True,
    )
    row = [f"{told.seconds:.0f} s", *format_costs(row_costs(content["total"]), whole)]
    return [*row, f"{ran.processors:.2f}", table]


def run(arguments: list[str], environment: dict[str, str]) -> FinishedProcess:
    before, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "xrealign_bench", "evaluate", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with status {done.returncode}")
    seconds, after = time.perf_counter() - began, getrusage(RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return FinishedProcess(done.stdout, seconds, computed / seconds)


def stored_costs(root: Path) -> dict[str, Costs]:
    """Return stage type -> costs of its stages."""
    costs: dict[str, Costs] = {}
    for entry in Store(root).entries():
        manifest, so_far = entry.manifest, costs.get(entry.manifest.kind, Costs(0.0, 0, 0))
        costs[manifest.kind] = Costs(
            so_far.seconds + manifest.seconds,
            max(so_far.memory_bytes, manifest.peak_memory_bytes or 0),
            so_far.disk_bytes + entry.size,
        )
    return costs


def row_costs(row: dict[str, Any]) -> Costs:
    return Costs(row["seconds"] or 0.0, row["memory_bytes"] or 0, row["disk_bytes"] or 0)


def format_costs(predicted: Costs, measured: Costs) -> list[str]:
    """Return predicted, measured and their ratio for time, memory and disk."""
    cells = []
    for one, other, scale, unit in zip(predicted, measured, (1, 1e6, 1e6), ("s", "MB", "MB"), strict=True):
        cells += [f"{one / scale:.1f} {unit}", f"{other / scale:.1f} {unit}", f"{one / other:.2f}" if other else ""]
    return cells


if __name__ == "__main__":
    main()
