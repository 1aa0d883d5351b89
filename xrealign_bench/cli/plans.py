"""Messages about a plan before it is run, and about its results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from tabulate import tabulate

from xrealign_bench.cli.printing import print_json, say
from xrealign_bench.leaderboard.formatting import pluralise

if TYPE_CHECKING:
    from xrealign_bench.pipeline.estimate import StageTypeCost, Total
    from xrealign_bench.pipeline.plan import Plan, Run
    from xrealign_bench.pipeline.stage import RunContext
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.results.records import DataRecord
    from xrealign_bench.results.result import Result


def print_plan(plan: Plan, store: Store, context: RunContext, as_json: bool) -> None:
    from xrealign_bench.pipeline.estimate import estimate, free_bytes
    from xrealign_bench.progress import measuring

    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    with measuring() as tell:
        found = estimate(plan, store, context, tell)
    whole, free = found.total, free_bytes(store)
    if as_json:
        stages = [
            {
                "stage_type": ref.stage_type,
                "key": ref.key,
                "label": stage.label,
                "stored": store.has(ref.stage_type, ref.key),
            }
            for ref, stage in plan.stages.items()
        ]
        rows = [asdict(row) for row in found.rows]
        estimated = {"estimate": rows, "total": asdict(whole), "unmeasured": found.unmeasured, "free_disk_bytes": free}
        print_json({"stages": stages, **estimated})
        return
    request = plan.request
    recipes = ", ".join(recipe.name for recipe in request.recipes)
    click.echo(f"{request.suite.id} with {request.checkpoint.id}: {recipes}")
    tasks, seeds = ", ".join(task.name for task in request.tasks), ", ".join(map(str, request.seeds))
    tested = {code for task in request.tasks for code in task.languages} & set(request.languages)
    click.echo(f"tasks {tasks}; {pluralise(len(tested), 'target language')}; seeds {seeds}\n")
    table = [[row.stage_type, row.stages, row.stored, _about(row.seconds), *_room(row)] for row in found.rows]
    seconds = f"{_about(whole.seconds)} and more" if whole.without_timing else _about(whole.seconds)
    table.append(["total", whole.stages, whole.stored, seconds, *_room(whole)])
    headers = ["stage", "in the plan", "stored", "roughly takes", "memory", "disk", "GPU memory"]
    if whole.gpu_memory_bytes is None:
        headers, table = headers[:-1], [row[:-1] for row in table]
    click.echo(tabulate(table, headers=headers, colalign=("left", *["right"] * (len(headers) - 1))))
    for line in (*(f"no timing: {why}" for why in found.unmeasured), *plan_notes(plan)):
        click.echo(f"\n{line}")
    for line in _how_measured(load, cores) if any(row.stage_type == "start" for row in found.rows) else []:
        click.echo(f"\n{line}")
    click.echo(f"\nstore {store.root}, {_bytes(free)} free; nothing was run")
    if whole.disk_bytes > free:
        say(f"warning: this does not fit; choose a --store on a disk with {_bytes(whole.disk_bytes)} free")


def _how_measured(load: float, cores: int) -> list[str]:
    """Explain figures that were measured in miniature, and warn if the machine was busy before."""
    notes = ["measured in miniature; start: imports of a process; memory: allow a third more for long runs"]
    if load > cores / 2:
        busy = f"the machine was busy (load {load:.1f} on {pluralise(cores, 'core')})"
        notes.append(f"warning: {busy}, so times are too long: by far, where threads wait for each other")
    return notes


def announcement(plan: Plan, store: Store) -> str:
    """Summarise in one line the run that is about to start."""
    from xrealign_bench.pipeline.estimate import estimate

    seeds, whole = plan.request.seeds, estimate(plan, store).total
    parts = [
        f"{pluralise(whole.stages, 'stage')} over {pluralise(len(seeds), 'seed')} ({', '.join(map(str, seeds))})",
        f"{whole.stored} stored",
    ]
    if whole.seconds:
        parts.append(f"the rest takes roughly {_about(whole.seconds)}")
    if whole.without_timing:
        parts.append(f"no timing yet for {', '.join(whole.without_timing)} (--dry-run measures)")
    if len(seeds) > 1 and whole.stored < whole.stages:
        parts.append(f"less with --seed {seeds[0]}")
    return "; ".join(parts)


def disk_warnings(plan: Plan, store: Store) -> list[str]:
    """Warn if the weights that are still to be trained don't fit on the store's disk."""
    from xrealign_bench.pipeline.estimate import free_bytes, weights_bytes

    needed, free = weights_bytes(plan, store), free_bytes(store)
    if needed <= free:
        return []
    return [
        f"warning: the weights alone will take {_bytes(needed)} in the store {store.root}, where {_bytes(free)} are "
        "free; what is finished till the disk is full stays stored"
    ]


def rules_applied(results: Sequence[Result]) -> list[str]:
    """Return a line for examples dropped by data rules, and one for labels repaired; results list them by split."""
    records = [record for result in results for record in result.data]
    return [
        *_by_rule("dropped", ((record, record.dropped) for record in records)),
        *_by_rule("labels repaired", ((record, record.repaired) for record in records)),
    ]


def _by_rule(what: str, counted: Iterable[tuple[DataRecord, Mapping[str, int]]]) -> list[str]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for record, rules in counted:
        for rule, count in rules.items():
            if not rule.startswith("link "):
                counts.setdefault((record.name, rule), {})[f"{record.language} {record.split}"] = count
    parts = [f"{sum(splits.values())} of {name} ({rule})" for (name, rule), splits in counts.items()]
    return [f"{what} by rule, see 'data' in the results: {', '.join(parts)}"] if parts else []


def plan_notes(plan: Plan) -> list[str]:
    """Return lines about tasks left out, languages chosen for realignment, and languages without parallel data."""
    request = plan.request
    tested = {task.name for task in request.tasks}
    idle = [
        task.name
        for task in request.loaded.tasks
        if task.name not in tested and not set(task.languages) & set(request.languages)
    ]
    notes = [f"tasks without these languages are left out: {', '.join(idle)}"] if idle else []
    notes += [
        f"{run.recipe.name} realigns {', '.join(codes)}{seeds}"
        for run in plan.runs
        if run.recipe.realigns and run.recipe.parallel.languages != "suite_targets"
        for codes, seeds in _languages_by_seed(run)
    ]
    recipes: dict[tuple[str, ...], list[str]] = {}
    for run in plan.runs:
        if run.without_data:
            recipes.setdefault(tuple(run.without_data), []).append(run.recipe.name)
    return notes + [
        f"{', '.join(names)}: no parallel data for {', '.join(codes)}: left out of realignment, evaluated all the same"
        if set(codes) <= set(plan.request.languages)
        else f"{', '.join(names)}: no parallel data for {', '.join(codes)}: left out of realignment"
        for codes, names in recipes.items()
    ]


def _languages_by_seed(run: Run) -> list[tuple[list[str], str]]:
    """Return the languages that a recipe realigns and, if they differ by seed, each seed in words."""
    if len(set(map(tuple, run.languages.values()))) == 1:
        return [(list(run.align), "")]
    return [(codes, f" with seed {seed}") for seed, codes in run.languages.items()]


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "no timing yet"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _room(cost: StageTypeCost | Total) -> list[str]:
    """Format memory, disk space and GPU memory."""
    return [
        "" if size is None else _bytes(size) for size in (cost.memory_bytes, cost.disk_bytes, cost.gpu_memory_bytes)
    ]


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
