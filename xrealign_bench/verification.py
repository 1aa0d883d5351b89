"""Compute one seed of a stored result again and compare the scores (the command `verify`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from xrealign_bench import distributed
from xrealign_bench.errors import Problems, UserError
from xrealign_bench.evaluation import Options
from xrealign_bench.evaluation import prepare as prepare_evaluation
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.store import Store
from xrealign_bench.plugins import TITLES, no_imports, registry
from xrealign_bench.results.corrections import add_event
from xrealign_bench.results.history import HistoryEvent
from xrealign_bench.results.rescoring import check_computed
from xrealign_bench.results.result import BASELINE, Result, digest_evidence, digest_suite
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs import shipped_suite_name

MetricsByLanguage = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class TaskDifference:
    """One task's scores with one seed, stored and computed again: means over its target languages, 0..1."""

    name: str
    metric: str
    languages: int
    stored: float
    again: float
    worst_language: str
    worst_difference: float
    """The largest difference of a single language, again minus stored."""

    @property
    def difference(self) -> float:
        return self.again - self.stored


@dataclass(frozen=True)
class Verification:
    """The outcome of a rerun."""

    tasks: list[TaskDifference]
    differing: dict[str, tuple[object, object]]
    """Compute setting -> (the result's, this machine's)."""
    tolerance: float
    """In percentage points."""

    @property
    def same_compute_settings(self) -> bool:
        """Whether device, threads, precision and library versions are the result's; scores must then be equal."""
        return not self.differing

    @property
    def holds(self) -> bool:
        return all(100 * abs(task.difference) <= self.tolerance for task in self.tasks) and (
            not self.same_compute_settings or all(task.worst_difference == 0 for task in self.tasks)
        )


def record_rerun(folder: Path, result: Result, seed: int, verification: Verification) -> None:
    """Add a rerun to the history of a result, so that boards show it as rerun."""
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
    """Read a result that the harness computed.

    Raises:
        UserError: the folder has no result, or its scores are reported.
    """
    result = read_result(folder)
    check_computed(folder, result)
    return result


def plan_rerun(folder: Path, options: Options, seed: int | None) -> tuple[Result, Plan]:
    """Plan the stages of one seed of a result, without those of its baseline. Computes nothing.

    Args:
        folder: the result's folder.
        options: where to find checkpoint, suite and data; recipe, tasks, languages and limit are the result's.
        seed: one of the result's seeds. None: the first.

    Raises:
        UserError: the result or the seed does not exist, or checkpoint or suite are not the result's.
    """
    result = read_computed(folder)
    check_plugins(folder, result)
    if seed is not None and seed not in result.seeds:
        raise UserError(f"{folder}: has no seed {seed}; its seeds are {', '.join(map(str, result.seeds))}")
    then = result.checkpoint
    if options.checkpoint is None and then.revision is None and then.id != EMBEDDED:
        raise UserError(f"{folder}: its checkpoint was a folder called '{then.id}'; name it with --checkpoint")
    tested, settings = {score.task for score in result.scores}, result.known_compute_settings
    plan = prepare_evaluation(
        replace(
            options,
            checkpoint=options.checkpoint or result.checkpoint.id,
            revision=options.revision or (None if options.checkpoint else result.checkpoint.revision),
            # A plan always includes the baseline.
            recipes=[BASELINE if result.is_baseline else result.recipe],
            suite=options.suite or shipped_suite_name(result.suite) or result.suite.name,
            tasks=[task.name for task in result.tasks if task.name in tested],
            languages=[language.code for language in result.languages],
            seeds=[result.seeds[0] if seed is None else seed],
            limit=result.limit,
            development=result.suite.is_development,
            precision=settings.dtype,
            gradient_checkpointing=settings.gradient_checkpointing,
            quantised=settings.quantised,
        )
    )
    _check_same_inputs(folder, result, plan)
    run = next(run for run in plan.runs if run.recipe.name == result.recipe.name)
    needed = plan.ancestors(run.predict.values())
    return result, replace(plan, stages={ref: s for ref, s in plan.stages.items() if ref in needed}, runs=[run])


def check_plugins(folder: Path, result: Result) -> None:
    """Check that the plugins of a result are registered with the same code. Nothing is installed or imported for it.

    Raises:
        UserError: they are not; a line for each says what to install.
    """
    problems = Problems()
    for record in result.plugins:
        what = f"{folder}: needs the {TITLES[record.group]} '{record.name}' (version {record.version})"
        with no_imports():
            here = registry(record.group).plugin(record.name)
        if here is not None and here.sha256 == record.sha256:
            continue
        if record.package is None:
            remedy = f"get that file from its authors, and add --plugin {record.file}"
        else:
            option = f"--plugin {record.name}" if "/" in record.name else "--plugin FILE with the file that imports it"
            remedy = f"install it with pip install '{record.package}=={record.package_version}', and add {option}"
        found = "is not registered" if here is None else f"here has other code ({here.sha256[:12]}, {here.origin})"
        problems.add([f"{what} of {record.origin} ({record.sha256[:12]}), which {found}; {remedy}"])
    problems.raise_if_any()


def _check_same_inputs(folder: Path, result: Result, plan: Plan) -> None:
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
    if (found := digest_suite(request.suite, request.loaded.tasks, request.loaded.corpora)) != result.suite_digest:
        raise UserError(
            f"the suite {request.suite.id} here ({found[:12]}) is not that of {folder} ({result.suite_digest[:12]}); "
            f"install xrealign-bench {result.harness_version}, or name the suite's file with --suite"
        )


def compare_scores(result: Result, plan: Plan, store: Store, tolerance: float) -> Verification:
    """Compare a result's scores with those that a finished plan of `plan_rerun` left in the store.

    Args:
        tolerance: largest difference of a task's mean, in percentage points. With the result's compute settings every
            score must be equal.
    """
    differing = result.known_compute_settings.differences(plan.request.compute_settings)
    (seed,) = plan.request.seeds
    tasks = []
    for task in plan.request.tasks:
        stored = {s.language: s.metrics for s in result.scores if (s.task, s.seed) == (task.name, seed)}
        again = {
            language: json.loads((store.read(ref.stage_type, ref.key).folder / "score.json").read_text())["metrics"]
            for (name, language, _), ref in plan.runs[0].predict.items()
            if name == task.name and language != plan.request.suite.source_language
        }
        tasks.append(_task_difference(task.name, task.metric, stored, again))
    return Verification(tasks, differing, tolerance)


def _task_difference(task: str, metric: str, stored: MetricsByLanguage, again: MetricsByLanguage) -> TaskDifference:
    pairs = {code: (stored[code][metric], scores[metric]) for code, scores in again.items() if code in stored}
    known = {code: (a, b) for code, (a, b) in pairs.items() if a is not None and b is not None}
    before, after = (_mean([pair[side] for pair in known.values()]) for side in (0, 1))
    worst = max(known, key=lambda code: abs(known[code][1] - known[code][0]))
    return TaskDifference(task, metric, len(known), before, after, worst, known[worst][1] - known[worst][0])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
