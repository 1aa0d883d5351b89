"""Estimate the time, memory and disk space of the stages of a plan that are not stored yet."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import fmean
from typing import Any, Literal

from xrealign_bench import distributed
from xrealign_bench.data import count_examples, count_pairs
from xrealign_bench.errors import TrainingError, UserError
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.calibrate import Calibration, Cost, highest
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef, StageType
from xrealign_bench.pipeline.stages import Align, Analyse, Encode, Finetune, Predict, Realign, Tokenise
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs.base import canonical_json

OF_ONE_STAGE = {"language", "target", "data", "lexicon", "seed"}
"""Settings that may differ between stages of about equal cost."""
NOT_READ_THROUGH = ("encoder", "model")
"""Inputs that are weights. The size of all other inputs determines the cost."""


@dataclass(frozen=True)
class StageTypeCost:
    """Cost of all stages of one type; `start` is the imports of a process."""

    stage_type: StageType | Literal["start"]
    stages: int
    stored: int
    seconds: float | None
    """For stages that are not stored, or None without a timing for one of them."""
    memory_bytes: int | None = None
    """Peak resident memory, or None if it is unknown or all stages are stored."""
    gpu_memory_bytes: int | None = None
    disk_bytes: int | None = None
    """Added to the store, or None if it is unknown for one of the stages."""


@dataclass(frozen=True)
class Total:
    """Cost of all stages of a plan."""

    stages: int
    stored: int
    seconds: float
    """Sum over the stage types that have timings."""
    memory_bytes: int | None
    gpu_memory_bytes: int | None
    disk_bytes: int
    """Sum over the stage types for which it is known."""
    without_timing: list[str]


@dataclass(frozen=True)
class Estimate:
    rows: list[StageTypeCost]
    unmeasured: list[str] = field(default_factory=list)
    """Why there is no timing for some stages."""

    @property
    def total(self) -> Total:
        rows = self.rows
        return Total(
            stages=sum(row.stages for row in rows),
            stored=sum(row.stored for row in rows),
            seconds=sum(row.seconds for row in rows if row.seconds is not None),
            memory_bytes=highest([row.memory_bytes for row in rows]),
            gpu_memory_bytes=highest([row.gpu_memory_bytes for row in rows]),
            disk_bytes=sum(row.disk_bytes for row in rows if row.disk_bytes is not None),
            without_timing=[row.stage_type for row in rows if row.seconds is None],
        )


@dataclass(frozen=True)
class _StageCost:
    """Cost of one stage."""

    seconds: float | None
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    disk_bytes: int | None = None


_STORED = _StageCost(0.0, disk_bytes=0)


@dataclass
class _Measured:
    """Costs measured on miniatures of stages."""

    costs: dict[StageRef, _StageCost] = field(default_factory=dict)
    start: float | None = None
    failures: list[str] = field(default_factory=list)


def estimate(
    plan: Plan, store: Store, context: RunContext | None = None, tell: Callable[[str], None] = lambda _: None
) -> Estimate:
    """Estimate the cost of each type of stage, in the order of the plan.

    A stage costs the mean of similar stages in the store: those with the same task or corpus, aligner, limit, model,
    training and device, in any language and with any seed. Stages without similar ones are measured in miniature, which
    takes a few seconds for each group of them and leaves nothing in the store.

    Args:
        plan: the plan to estimate.
        store: the store that the plan would be run on.
        context: context of the plan's stages. Without it nothing is measured.
        tell: called with the label of the stage to be measured next.
    """
    similar = _SimilarStages({ref.key: stage.description() for ref, stage in plan.stages.items()})
    costs: dict[StageRef, _StageCost] = {}
    known = cache(lambda: _costs_in(store))
    unknown: dict[str, list[StageRef]] = defaultdict(list)
    for ref in plan.stages:
        if store.has(ref.stage_type, ref.key):
            costs[ref] = _STORED
        elif stored := known().get(similar.name(ref.key)):
            costs[ref] = _mean(stored)
        else:
            unknown[similar.name(ref.key)].append(ref)
    measured = _measure(unknown.values(), plan, store, context, tell) if unknown and context else _Measured()
    rows = _rows(plan, costs | measured.costs)
    if measured.start is not None:
        rows.insert(0, StageTypeCost("start", 0, 0, measured.start, disk_bytes=0))
    return Estimate(rows, measured.failures)


def free_bytes(store: Store) -> int:
    """Return the free space on the store's disk, in bytes."""
    return shutil.disk_usage(store.root).free


def weights_bytes(plan: Plan, store: Store) -> int:
    """Return the bytes of weights that a run will add to the store, from the checkpoint's size without measuring."""
    trained = [
        stage
        for ref, stage in plan.stages.items()
        if (isinstance(stage, Finetune) or (isinstance(stage, Realign) and stage.settings.adapter is None))
        and not store.has(ref.stage_type, ref.key)
    ]
    return len(trained) * 4 * _parameters(plan.request.checkpoint) if trained else 0


def _rows(plan: Plan, costs: Mapping[StageRef, _StageCost]) -> list[StageTypeCost]:
    by_type: dict[StageType, list[_StageCost]] = defaultdict(list)
    for ref in plan.stages:
        by_type[ref.stage_type].append(costs.get(ref, _StageCost(None)))
    return [
        StageTypeCost(
            stage_type=stage_type,
            stages=len(each),
            stored=sum(one is _STORED for one in each),
            seconds=_sum([one.seconds for one in each]),
            memory_bytes=highest([one.memory_bytes for one in each]),
            gpu_memory_bytes=highest([one.gpu_memory_bytes for one in each]),
            disk_bytes=None if (room := _sum([one.disk_bytes for one in each])) is None else math.ceil(room),
        )
        for stage_type, each in by_type.items()
    ]


def _measure(
    unknown: Iterable[Sequence[StageRef]], plan: Plan, store: Store, context: RunContext, tell: Callable[[str], None]
) -> _Measured:
    """Measure groups of similar stages."""
    measured = _Measured()
    if distributed.world_size() > 1:
        measured.failures.append("training on several processes can't be measured in one")
        return measured
    with store.scratch() as folder, Calibration(plan, context, folder, tell) as calibration:
        measured.start = calibration.start()
        for refs in unknown:
            stages = [plan.stages[ref] for ref in refs]
            try:
                sizes = [_size(stage, plan, context) for stage in stages]
                cost = calibration.measure(stages, sizes)
            except (UserError, TrainingError) as error:
                if str(error) not in measured.failures:
                    measured.failures.append(str(error))
                continue
            models = set()
            for ref, stage, size in zip(refs, stages, sizes, strict=True):
                model = _model(stage)
                measured.costs[ref] = _cost_of(cost, size, first=model not in models)
                models.add(model)
    return measured


def _cost_of(cost: Cost, size: int, *, first: bool) -> _StageCost:
    return _StageCost(
        seconds=cost.seconds.at(cost.work(size)) + cost.once * first,
        memory_bytes=cost.memory_bytes,
        gpu_memory_bytes=cost.gpu_memory_bytes,
        disk_bytes=math.ceil(cost.disk_bytes.at(size)),
    )


def _size(stage: Stage, plan: Plan, context: RunContext) -> int:
    """Count the examples that a stage reads, or the steps of a training."""
    location = replace(context.location, offline=True)
    match stage:
        case Realign() | Finetune():
            return stage.steps
        case Tokenise(settings=asked):
            return count_examples(asked.task, asked.language, asked.split, asked.limit, location)
        case Align(settings=asked):
            return sum(
                count_pairs(corpus, asked.source, asked.target, asked.limit, location)
                for corpus in asked.aligned_corpora
            )
        case Encode(inputs=inputs):
            return _size(plan.stages[inputs.pairs], plan, context)
        case Predict(inputs=inputs):
            return _size(plan.stages[inputs.test], plan, context)
        case Analyse(settings=asked):
            return asked.sentences * len(asked.languages)
    raise TypeError(f"no size of {stage}")


def _model(stage: Stage) -> Hashable:
    """Identify what is loaded once for the stages that share it: a model, or the tokenizer."""
    return stage.model_id if isinstance(stage, Predict) else None


class _SimilarStages:
    """Groups of stages that cost about the same.

    Args:
        descriptions: key -> `Stage.description`.
    """

    def __init__(self, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
        self._descriptions = descriptions
        self._names: dict[str, str] = {}

    def name(self, key: str) -> str:
        """Return the name of a stage's group, made of everything that determines the cost.

        Raises:
            KeyError: the stage or one of its inputs is unknown.
        """
        if key not in self._names:
            self._names[key] = self._name(self._descriptions[key])
        return self._names[key]

    def _name(self, stage: Mapping[str, Any]) -> str:
        settings = {name: _essence(name, value) for name, value in stage["settings"].items()}
        reads = {self.name(ref["key"]) for role, ref in stage["inputs"].items() if role not in NOT_READ_THROUGH}
        kept = {name: value for name, value in settings.items() if name not in OF_ONE_STAGE}
        return canonical_json([stage["kind"], kept, sorted(reads)])


def _essence(name: str, value: Any) -> Any:
    """Return the part of a setting that determines the cost."""
    if name == "task":
        return [value["name"], value["train_examples"], value["test_examples"]]
    if name == "corpus":
        return [value["name"], value["pairs"]]
    # Weights from the store are loaded like the checkpoint's.
    return "checkpoint" if (name, value) == ("initialisation", "realigned") else value


def _costs_in(store: Store) -> dict[str, list[_StageCost]]:
    """Return the costs of stored stages by the name of their group."""
    entries = store.entries()
    similar = _SimilarStages({entry.manifest.key: entry.manifest.description for entry in entries})
    costs: dict[str, list[_StageCost]] = defaultdict(list)
    for entry in entries:
        manifest = entry.manifest
        on_gpu = manifest.costs.get("gpu_memory_bytes")
        try:
            name = similar.name(manifest.key)
        except KeyError:  # pruned
            continue
        costs[name].append(
            _StageCost(
                manifest.seconds,
                manifest.peak_memory_bytes,
                None if on_gpu is None else int(on_gpu),
                entry.size,
            )
        )
    return costs


def _mean(costs: Sequence[_StageCost]) -> _StageCost:
    """Return the mean time and disk space and the peak memory."""
    return _StageCost(
        seconds=fmean(cost.seconds for cost in costs if cost.seconds is not None),
        memory_bytes=highest([cost.memory_bytes for cost in costs]),
        gpu_memory_bytes=highest([cost.gpu_memory_bytes for cost in costs]),
        disk_bytes=math.ceil(fmean(cost.disk_bytes for cost in costs if cost.disk_bytes is not None)),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _parameters(checkpoint: Checkpoint) -> int:
    """Count the parameters of a checkpoint from the headers of its files."""
    from safetensors import safe_open

    total = 0
    for path in checkpoint.folder.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  (no dict)
    return total
