"""Measure what the stages of a plan cost on this machine, by running small versions of them.

A miniature is a stage of the plan with few examples, or with few training steps. A child process runs it in a store
of its own, so that peak memory is that of a real run and no files are left behind. Among stages that differ only in
language, a few are measured, with a growing number of examples while that is quick; a line fitted to their costs
predicts the cost of any number of examples. A training's cost is split into the time of a step and a fixed part.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.errors import UserError, describe_os_error
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef, StageType
from xrealign_bench.pipeline.stages import (
    Align,
    Analyse,
    AnalyseInputs,
    Encode,
    EncodeInputs,
    Finetune,
    FinetuneInputs,
    Predict,
    PredictInputs,
    Realign,
    RealignInputs,
    Tokenise,
)
from xrealign_bench.pipeline.store import Store, resident_memory
from xrealign_bench.plugins import plugins_to_load, restore_plugins

Item = TypeVar("Item")

LANGUAGES = 3
"""Number of languages that are measured among stages that differ only in language, evenly spread over the plan."""
FIRST_SIZE: Mapping[StageType, int] = {"tokenise": 32, "align": 32, "encode": 32, "predict": 8, "analyse": 100}
"""Number of examples in the first miniature of a language."""
TRAINED = (Realign.stage_type, Finetune.stage_type)
"""Stage types whose output is a model."""
LOADING: Collection[StageType] = ("tokenise", "predict")
"""Stage types whose first stage takes longer, because it loads the tokenizer or the model."""
GROWTH = 4
"""Factor by which the number of examples grows from one miniature to the next ..."""
QUICK = 0.5
"""... while the last miniature took fewer seconds than this."""
TRAINING_EXAMPLES = 512
"""Number of examples that batches are drawn from, enough for typical sequence lengths."""
FIRST_STEPS = 3
"""Training steps of the first miniature; the first step is a warm-up and is not counted."""
LONG_ENOUGH = 2.0
"""Seconds; if the first steps took less, more steps are measured."""


@dataclass(frozen=True)
class Measurement:
    """Cost of one miniature."""

    seconds: float
    """Wall time, including checksums and writing to disk."""
    step_seconds: list[float]
    """Seconds of each training step but the first; empty for other stages."""
    memory_bytes: int | None
    gpu_memory_bytes: int | None
    disk_bytes: int


@dataclass(frozen=True)
class RegressionLine:
    """Cost as a linear function of the amount of work."""

    fixed: float
    each: float

    def at(self, work: float) -> float:
        """Return the cost of this amount of work."""
        return self.fixed + self.each * work


@dataclass(frozen=True)
class Cost:
    """Cost of one stage among stages that differ only in language or seed, by its number of examples or steps."""

    seconds: RegressionLine
    """Seconds by work."""
    work: Callable[[int], float]
    """Number of examples or steps -> work."""
    disk_bytes: RegressionLine
    memory_bytes: int | None
    gpu_memory_bytes: int | None
    once: float
    """Additional seconds for the first stage, and for the first stage of each model."""


def line(points: Sequence[tuple[float, float]]) -> RegressionLine:
    """Fit a least-squares line with non-negative slope and intercept.

    If all points have the same x, the line goes through the origin.

    >>> line([(10, 3.0), (30, 7.0)]), line([(5, 2.0), (5, 4.0)])
    (RegressionLine(fixed=1.0, each=0.2), RegressionLine(fixed=0.0, each=0.6))
    """
    places, values = np.array(points, dtype=np.float64).T
    proportional = RegressionLine(0.0, float(values @ places / (places @ places)))
    if len(set(places)) == 1:
        return proportional
    each, fixed = (round(float(number), 12) for number in np.polyfit(places, values, 1))
    if each < 0:
        return RegressionLine(float(values.mean()), 0.0)
    return RegressionLine(fixed, each) if fixed >= 0 else proportional


def spread(items: Sequence[Item], wanted: int) -> list[Item]:
    """Return `wanted` evenly spaced items, excluding both ends; all items if there are no more than that.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (['b', 'e', 'h'], ['a', 'b'])
    """
    if wanted >= len(items):
        return list(items)
    return [items[(2 * place + 1) * len(items) // (2 * wanted)] for place in range(wanted)]


class Calibration:
    """Context manager that measures stages of a plan in miniature, in a child process.

    Args:
        plan: the plan whose stages are measured.
        context: context of its stages. Nothing is fetched from the Hub.
        folder: an empty folder on the disk of the store that the plan will run on.
        tell: called with the label of each measurement before it starts.
    """

    def __init__(self, plan: Plan, context: RunContext, folder: Path, tell: Callable[[str], None]) -> None:
        self._plan, self._tell = plan, tell
        self._stages: dict[StageRef, Stage] = {}
        self._done: dict[StageRef, Measurement] = {}
        self._largest: dict[StageRef, int] = {}
        """Number of examples in the largest miniature of each stage."""
        self._more_memory = 0
        """Memory of this process, which has loaded more modules, in excess of the child's; in bytes."""
        spawning = multiprocessing.get_context("spawn")
        self._child, self._theirs = spawning.Pipe()
        serving = self._theirs, folder, replace(context, location=replace(context.location, offline=True))
        self._process = spawning.Process(target=_serve, args=serving, daemon=True)

    def __enter__(self) -> Calibration:
        return self

    def __exit__(
        self, exception_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()
        if self._process.pid is None:
            return
        if error is not None:
            self._process.terminate()
        self._process.join()

    def start(self) -> float:
        """Start the child process and return the seconds until it has imported the modules that a run needs."""
        self._tell("imports of a process")
        began = time.perf_counter()
        self._process.start()
        self._theirs.close()  # so that the end of the child closes the pipe
        self._ask(restore_plugins, plugins_to_load())
        there = self._ask(_resident_when_loaded)
        seconds = time.perf_counter() - began
        here = _resident_when_loaded()
        if there is not None and here is not None:
            self._more_memory = here - there
        return seconds

    def measure(self, alike: Sequence[Stage], sizes: Sequence[int]) -> Cost:
        """Measure the cost of stages that differ only in language and seed.

        Args:
            alike: the stages.
            sizes: number of examples of each stage, or of training steps.

        Raises:
            UserError: a stage can't be run here, for instance because its data are missing.
            TrainingError: a training fails.
        """
        self._tell(alike[0].label)
        if isinstance(alike[0], Realign | Finetune):
            return self._measure_training(alike[0], max(sizes))
        return self._measure_examples(spread(list(zip(alike, sizes, strict=True)), LANGUAGES))

    def _measure_examples(self, chosen: Sequence[tuple[Stage, int]]) -> Cost:
        first, its_size = chosen[0]
        smallest, work = FIRST_SIZE[first.stage_type], _work_of(first)
        warm_up = min(smallest - 1, its_size)
        cold = self._run(self._in_miniature(first, warm_up)).seconds if first.stage_type in LOADING else None
        found = [measured for stage, size in chosen for measured in self._measure_growing(stage, smallest, size)]
        seconds = line([(work(size), each.seconds) for size, each in found])
        return Cost(
            seconds=seconds,
            work=work,
            disk_bytes=line([(size, each.disk_bytes) for size, each in found]),
            memory_bytes=highest([each.memory_bytes for _, each in found]),
            gpu_memory_bytes=highest([each.gpu_memory_bytes for _, each in found]),
            once=0.0 if cold is None else max(0.0, cold - seconds.at(work(warm_up))),
        )

    def _measure_growing(self, stage: Stage, smallest: int, whole: int) -> Iterator[tuple[int, Measurement]]:
        """Yield measurements of a stage with more and more examples while they are quick, up to all of them."""
        size = min(smallest, whole)
        while True:
            found = self._run(self._in_miniature(stage, size))
            yield size, found
            self._largest[stage.ref] = size
            if found.seconds >= QUICK or size == whole:
                return
            size = min(GROWTH * size, whole)

    def _measure_training(self, stage: Stage, steps: int) -> Cost:
        self._ask(_forget_weights)
        measured = min(FIRST_STEPS, steps)
        found = self._run(self._in_miniature(stage, measured))
        if found.step_seconds and sum(found.step_seconds) < LONG_ENOUGH and measured < steps:
            measured = min(steps, 1 + math.ceil(LONG_ENOUGH / fmean(found.step_seconds)))
            found = self._run(self._in_miniature(stage, measured))
        step = fmean(found.step_seconds) if found.step_seconds else 0.0
        return Cost(
            seconds=RegressionLine(max(0.0, found.seconds - measured * step), step),
            work=float,
            disk_bytes=RegressionLine(found.disk_bytes, 0.0),
            memory_bytes=found.memory_bytes,
            gpu_memory_bytes=found.gpu_memory_bytes,
            once=0.0,
        )

    def _in_miniature(self, stage: Stage, size: int) -> Stage:
        """Return the stage with this number of examples or steps, and with inputs in miniature.

        Stages that differ only in seed have the same miniature.
        """
        made = self._shrunk(stage, size)
        self._stages[made.ref] = made
        return made

    def _shrunk(self, stage: Stage, size: int) -> Stage:
        match stage:
            case Tokenise():
                return replace(stage, settings=stage.settings.model_copy(update={"limit": size}))
            case Align():
                return replace(stage, settings=stage.settings.model_copy(update={"limit": size}))
            case Encode():
                return replace(stage, inputs=EncodeInputs(self._input(stage.inputs.pairs, size)))
            case Realign():
                settings = stage.settings.model_copy(update={"steps": size, "seed": 0, "pairs": None})
                return replace(stage, settings=settings, inputs=RealignInputs(self._pairs(stage.inputs.pairs)))
            case Finetune():
                return self._shrunk_finetuning(stage, size)
            case Predict():
                return self._shrunk_prediction(stage, size)
            case Analyse():
                return self._shrunk_analysis(stage, size)
        raise TypeError(f"no miniature of {stage}")

    def _shrunk_finetuning(self, stage: Finetune, steps: int) -> Finetune:
        asked, inputs = stage.settings, stage.inputs
        changes: dict[str, Any] = {"seed": 0, "finetuning": asked.finetuning.model_copy(update={"steps": steps})}
        if asked.initialisation == "realigned":  # weights from the store are loaded like the checkpoint's
            changes["initialisation"] = "checkpoint"
        if asked.joint is not None:  # there are too few pairs to ask for some
            changes["joint"] = asked.joint.model_copy(update={"pairs": None})
        train = self._input(inputs.train, TRAINING_EXAMPLES)
        settings = asked.model_copy(update=changes)
        return replace(stage, settings=settings, inputs=FinetuneInputs(train, pairs=self._pairs(inputs.pairs)))

    def _shrunk_prediction(self, stage: Predict, size: int) -> Predict:
        asked, inputs = stage.settings, stage.inputs
        changes: dict[str, Any] = {} if asked.seed is None else {"seed": 0}
        if asked.initialisation == "realigned":
            changes["initialisation"] = "checkpoint"
        model = None if inputs.model is None else self._input(inputs.model, FIRST_STEPS)
        made = PredictInputs(self._input(inputs.test, size), model)
        return replace(stage, settings=asked.model_copy(update=changes), inputs=made)

    def _shrunk_analysis(self, stage: Analyse, size: int) -> Analyse:
        """Return the analysis of fewer languages, and of fewer sentences only if there is one language left."""
        asked, inputs = stage.settings, stage.inputs
        languages = spread(asked.languages, max(1, size // FIRST_SIZE["analyse"]))
        sentences = max(FIRST_SIZE["analyse"], size // len(languages))
        settings = asked.model_copy(update={"seed": 0, "sentences": sentences, "languages": languages})
        tested = [code for code in languages if code in inputs.test]
        made = AnalyseInputs(
            pairs={code: self._input(inputs.pairs[code], sentences + sentences // 10) for code in languages},
            encoder=None if inputs.encoder is None else self._input(inputs.encoder, FIRST_STEPS),
            model=None if inputs.model is None else self._input(inputs.model, FIRST_STEPS),
            train=None if inputs.train is None else self._input(inputs.train, TRAINING_EXAMPLES),
            test={code: self._input(inputs.test[code], FIRST_SIZE["tokenise"]) for code in tested},
        )
        return replace(stage, settings=settings, inputs=made)

    def _input(self, ref: StageRef, size: int) -> StageRef:
        """Return the miniature of an input."""
        stage = self._plan.stages[ref]
        return self._in_miniature(stage, min(size, stage.steps) if isinstance(stage, Realign | Finetune) else size).ref

    def _pairs(self, pairs: Mapping[str, StageRef]) -> dict[str, StageRef]:
        """Return the encoded pairs of a few languages, from the largest miniatures that were measured."""
        some = {language: pairs[language] for language in spread(list(pairs), LANGUAGES)}
        return {
            language: self._input(ref, self._largest.get(ref, FIRST_SIZE["encode"])) for language, ref in some.items()
        }

    def _run(self, stage: Stage) -> Measurement:
        """Run a miniature after its inputs. A miniature that was run before is not measured again."""
        for ref in stage.inputs.by_role().values():
            self._run(self._stages[ref])
        measured: Measurement | None = self._ask(_run, stage)
        if measured is not None:
            memory = measured.memory_bytes
            own = None if memory is None else memory + self._more_memory
            self._done.setdefault(stage.ref, replace(measured, memory_bytes=own))
        return self._done[stage.ref]

    def _ask(self, job: Callable[..., Any], *arguments: Any) -> Any:
        try:
            self._child.send((job, arguments))
            result, error = self._child.recv()
        except (EOFError, ConnectionError):
            raise UserError(
                "the system ended the process that measures, probably for lack of memory; the run would end likewise. "
                "Choose a smaller batch or a machine with more memory"
            ) from None
        if isinstance(error, OSError):
            raise UserError(f"{describe_os_error(error)}; run the command again when that is mended")
        if error is not None:
            raise error
        return result


def _work_of(stage: Stage) -> Callable[[int], float]:
    """Return the function from a stage's examples to the work that its time is proportional to."""
    if isinstance(stage, Align) and stage.settings.aligner is not None:
        return ALIGNERS[stage.settings.aligner].work
    return float


def highest(values: Sequence[int | None]) -> int | None:
    """Return the highest known value, or None if none is known."""
    return max((value for value in values if value is not None), default=None)


# In the child process.

_here: tuple[Store, RunContext] | None = None


def _serve(connection: Connection, folder: Path, context: RunContext) -> None:
    """Serve the parent's requests until it closes the connection."""
    global _here
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent reports an interruption
    os.environ["HF_HUB_OFFLINE"] = "1"
    _here = Store(folder), context
    while True:
        try:
            job, arguments = connection.recv()
        except EOFError:
            return
        answer: tuple[Any, Exception | None]
        try:
            answer = job(*arguments), None
        except Exception as error:
            answer = None, error
        connection.send(answer)


def _resident_when_loaded() -> int | None:
    """Return the resident memory of a process that has imported the stages, in bytes, or None if unknown."""
    import xrealign_bench.pipeline.loading  # noqa: F401

    return resident_memory()


def _run(stage: Stage) -> Measurement | None:
    """Run one stage and measure it; returns None if it was stored already."""
    from xrealign_bench.pipeline.runner import run_stage

    assert _here is not None
    store, context = _here
    if store.has(stage.stage_type, stage.key):
        return None
    ticks: list[float] = []
    began = time.perf_counter()
    run_stage(stage, store, context, lambda *_: ticks.append(time.perf_counter()))
    seconds = time.perf_counter() - began
    entry = store.read(stage.stage_type, stage.key)
    on_gpu = entry.manifest.costs.get("gpu_memory_bytes")
    return Measurement(
        seconds=seconds,
        step_seconds=[after - before for before, after in pairwise(ticks)],
        memory_bytes=entry.manifest.peak_memory_bytes,
        gpu_memory_bytes=None if on_gpu is None else int(on_gpu),
        disk_bytes=entry.size,
    )


def _forget_weights() -> None:
    """Remove the models trained so far: a few large ones would fill a disk."""
    assert _here is not None
    entries = _here[0].entries()
    _here[0].prune(keep={(e.manifest.kind, e.manifest.key) for e in entries if e.manifest.kind not in TRAINED})
