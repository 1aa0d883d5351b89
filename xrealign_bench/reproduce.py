"""A result once more: one of its seeds computed again and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from xrealign_bench import distributed
from xrealign_bench.errors import UserError
from xrealign_bench.evaluate import Options, sources_of
from xrealign_bench.evaluate import prepare as prepare_evaluation
from xrealign_bench.models.checkpoint import EMBEDDED
from xrealign_bench.pipeline.executor import Event, Execute, Outcome, run_serially
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.files import read_result
from xrealign_bench.results.history import add_event
from xrealign_bench.results.rescore import check_computed
from xrealign_bench.results.schema import (
    BASELINE,
    ComputeSettings,
    HistoryEvent,
    Result,
    digest_evidence,
    digest_suite,
)


@dataclass(frozen=True)
class Task:
    """One task's scores with one seed, stored and again: means over its target languages, 0..1."""

    name: str
    metric: str
    languages: int
    stored: float
    again: float
    worst_language: str
    worst_difference: float
    """The largest of a language, again minus stored."""

    @property
    def difference(self) -> float:
        return self.again - self.stored


@dataclass(frozen=True)
class Verification:
    tasks: list[Task]
    same_compute_settings: bool
    """Device, threads, precision and library versions are the result's: scores must then be equal."""
    differing: dict[str, tuple[object, object]]
    """Numeric setting -> (the result's, here)."""
    tolerance: float
    """Percentage points that were allowed."""

    @property
    def holds(self) -> bool:
        return all(100 * abs(task.difference) <= self.tolerance for task in self.tasks) and (
            not self.same_compute_settings or all(task.worst_difference == 0 for task in self.tasks)
        )


def record(folder: Path, result: Result, seed: int, verification: Verification) -> None:
    """Note beside a result that a seed was computed again and held, so that boards show it as rerun."""
    if not distributed.is_main_process():
        return
    event = HistoryEvent(
        what="rerun",
        on=date.today(),
        evidence=digest_evidence(result),
        seed=seed,
        largest_difference=max(100 * abs(task.difference) for task in verification.tasks),
        same_compute_settings=verification.same_compute_settings,
    )
    add_event(folder, event)


def read_computed(folder: Path) -> Result:
    """A result that the harness computed.

    Raises:
        UserError: there is none, or its scores are reported.
    """
    result = read_result(folder)
    check_computed(folder, result)
    return result


def prepare(folder: Path, options: Options, seed: int | None) -> tuple[Result, Plan]:
    """Lay out the stages of one seed of a result, without its baseline's; nothing is computed.

    Args:
        folder: the result's.
        options: where checkpoint, suite and data are; what is evaluated is the result's.
        seed: one of the result's; None: the first.

    Raises:
        UserError: there is no such result or seed, or checkpoint or suite are not those of the result.
    """
    result = read_computed(folder)
    if seed is not None and seed not in result.seeds:
        raise UserError(f"{folder}: has no seed {seed}; its seeds are {', '.join(map(str, result.seeds))}")
    then = result.checkpoint
    if options.checkpoint is None and then.revision is None and then.id != EMBEDDED:
        raise UserError(f"{folder}: its checkpoint was a folder called '{then.id}'; name it with --checkpoint")
    tested, settings = {score.task for score in result.scores}, result.computed_with
    plan = prepare_evaluation(
        replace(
            options,
            checkpoint=options.checkpoint or result.checkpoint.id,
            revision=options.revision or (None if options.checkpoint else result.checkpoint.revision),
            recipes=[BASELINE if result.is_baseline else result.recipe],  # it is planned beside every other
            suite=options.suite or result.suite.name,
            tasks=[task.name for task in result.tasks if task.name in tested],
            languages=[language.code for language in result.languages],
            seeds=[result.seeds[0] if seed is None else seed],
            limit=result.limit,
            precision=settings.dtype,
            gradient_checkpointing=settings.gradient_checkpointing,
            quantised=settings.quantised,
        )
    )
    _check_same(folder, result, plan)
    run = next(run for run in plan.runs if run.recipe.name == result.recipe.name)
    needed = plan.ancestors(run.predict.values())
    return result, replace(plan, stages={ref: s for ref, s in plan.stages.items() if ref in needed}, runs=[run])


def _check_same(folder: Path, result: Result, plan: Plan) -> None:
    request, then = plan.request, result.checkpoint
    now = request.checkpoint
    for name, stored, found in (
        ("weights", then.weights_sha256, now.weights_sha256),
        ("config.json", then.config_sha256, now.config_sha256),
        ("tokenizer", then.tokenizer_sha256, now.tokenizer_sha256),
    ):
        if stored != found:
            raise UserError(
                f"checkpoint {now.id}: its {name} ({found[:12]}) is not that of {folder} ({stored[:12]}); name the "
                "right one with --checkpoint"
            )
    if (found := digest_suite(request.suite, request.suite_tasks, request.corpora)) != result.suite_digest:
        raise UserError(
            f"the suite {request.suite.id} here ({found[:12]}) is not that of {folder} ({result.suite_digest[:12]}); "
            f"install xrealign-bench {result.harness_version}, or name the suite's file with --suite"
        )


def verify(
    result: Result,
    plan: Plan,
    store: Store,
    device: str | None,
    tolerance: float,
    on_event: Callable[[Event], None],
    execute: Execute = run_serially,
) -> tuple[Outcome, Verification | None]:
    """Run a plan of `prepare` and compare its scores with the result's; no verification where a stage failed.

    Args:
        tolerance: percentage points that a task's mean may differ by; where the numeric settings are the result's
            nothing may differ.

    Raises:
        UserError: bad data, or a disk that is full or gone.
    """
    outcome = execute(plan, store, sources_of(plan.request, device), on_event)
    if outcome.failed:
        return outcome, None
    then, here = (vars(each) for each in (result.computed_with, ComputeSettings(**plan.request.compute_settings)))
    differing = {name: (then[name], here[name]) for name in sorted(here) if then[name] != here[name]}
    (seed,) = plan.request.seeds
    stored = {(s.task, s.language): s.metrics for s in result.scores if s.seed == seed}
    again = {
        (task, language): json.loads((store.read(ref.kind, ref.key).folder / "score.json").read_text())["metrics"]
        for (task, language, _), ref in plan.runs[0].predict.items()
    }
    tasks = [
        _compared(task.name, task.metric, plan.request.suite.source_language, stored, again)
        for task in plan.request.tasks
    ]
    return outcome, Verification(tasks, not differing, differing, tolerance)


def _compared(
    task: str,
    metric: str,
    source: str,
    stored: dict[tuple[str, str], dict[str, float | None]],
    again: dict[tuple[str, str], dict[str, float | None]],
) -> Task:
    pairs = {
        language: (stored[name, language][metric], scores[metric])
        for (name, language), scores in again.items()
        if name == task and language != source and (name, language) in stored
    }
    known = {language: (a, b) for language, (a, b) in pairs.items() if a is not None and b is not None}
    before, after = (_mean([pair[side] for pair in known.values()]) for side in (0, 1))
    worst = max(known, key=lambda language: abs(known[language][1] - known[language][0]))
    return Task(task, metric, len(known), before, after, worst, known[worst][1] - known[worst][0])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
