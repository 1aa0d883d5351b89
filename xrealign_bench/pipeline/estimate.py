"""What the stages of a plan that are not stored yet will roughly cost."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.plan import Plan, StageKind
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs.base import canonical_json

TOKENS_A_SENTENCE = 25
"""Sub-words of a sentence while nothing is known: about the mean of Universal Dependencies in XLM-R's vocabulary."""
SENTENCES = 600
"""Test sentences of a language where the task does not say."""
EFFICIENCY = 0.3
"""Share of a large matrix product's speed that short batches reach on a CPU."""

OF_ONE_STAGE = {"language", "target", "data", "lexicon", "seed"}
"""Settings in which stages of about equal cost differ."""
READ_THROUGH = ("pairs", "test")
"""Inputs whose size makes the cost."""


@dataclass(frozen=True)
class Row:
    """The stages of one kind."""

    kind: StageKind
    stages: int
    stored: int
    seconds: float | None
    """For those that are not stored; None: there is no timing yet for one of them."""


@dataclass(frozen=True)
class Total:
    """All stages of a plan."""

    stages: int
    stored: int
    seconds: float
    """For those kinds that have timings."""
    without_timing: list[StageKind]


def total(rows: Sequence[Row]) -> Total:
    """The rows of `estimate` together."""
    return Total(
        stages=sum(row.stages for row in rows),
        stored=sum(row.stored for row in rows),
        seconds=sum(row.seconds for row in rows if row.seconds is not None),
        without_timing=[row.kind for row in rows if row.seconds is None],
    )


def estimate(plan: Plan, store: Store) -> list[Row]:
    """One row a kind of stage, in the order of the plan.

    A stage takes as long as its like in the store took on average: the same task or corpus, aligner, limit, model,
    training and device, in whatever language and with whatever seed. What trains or runs a model on the CPU and has
    no like there is estimated by its floating-point operations and the speed of a matrix product, measured now:
    within a factor of two or three. Anything else has no timing yet.
    """
    dumps = {ref.key: stage.model_dump(mode="json") for ref, stage in plan.stages.items()}
    timings = cache(lambda: _timings(store))
    seconds_a_product = cache(lambda: _block_parameters(plan.request.checkpoint) / (_flops_a_second() * EFFICIENCY))
    on_cpu = plan.request.numerics["device"] == "cpu"
    seconds: dict[StageKind, list[float | None]] = defaultdict(list)
    stored: dict[StageKind, int] = defaultdict(int)
    for ref in plan.stages:
        if store.has(ref.kind, ref.key):
            stored[ref.kind] += 1
            seconds[ref.kind].append(0.0)
        elif known := timings().get(_like(dumps[ref.key], dumps)):
            seconds[ref.kind].append(fmean(known))
        else:
            products = _products(dumps[ref.key], dumps)
            seconds[ref.kind].append(products * seconds_a_product() if products and on_cpu else None)
    return [Row(kind, len(each), stored[kind], _sum(each)) for kind, each in seconds.items()]


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def _timings(store: Store) -> dict[str, list[float]]:
    """What stages that are alike took, each in seconds."""
    manifests = [entry.manifest for entry in store.entries()]
    dumps = {manifest.key: manifest.description for manifest in manifests}
    timings: dict[str, list[float]] = defaultdict(list)
    for manifest in manifests:
        if all(dumps.get(key) for key in _read(manifest.description).values()):  # else pruned
            timings[_like(manifest.description, dumps)].append(manifest.seconds)
    return timings


def _like(stage: Mapping[str, Any], dumps: Mapping[str, Mapping[str, Any]]) -> str:
    """What a stage has in common with those that cost about the same."""
    settings = {
        name: value["name"] if name in ("task", "corpus") else value
        for name, value in stage["settings"].items()
        if name not in OF_ONE_STAGE
    }
    reads = {role: _like(dumps[key], dumps) for role, key in _read(stage).items()}
    return canonical_json([stage["kind"], settings, reads])


def _read(stage: Mapping[str, Any]) -> dict[str, str]:
    """Role -> key of the inputs that a stage reads from end to end."""
    return {role: ref["key"] for role, ref in stage["inputs"].items() if role in READ_THROUGH}


def _products(stage: Mapping[str, Any], dumps: Mapping[str, Mapping[str, Any]]) -> float:
    """Sub-words times the operations that each costs a parameter; 0 for stages that don't run a model."""
    settings = stage["settings"]
    sentences, products = 0, 0.0
    if stage["kind"] == "realign":
        sentences, products = 2 * settings["steps"] * settings["batch_size"], 6.0
    elif stage["kind"] == "finetune":
        steps = settings["finetuning"]["steps"]
        sentences, products = steps * settings["finetuning"]["batch_size"], 6.0
        if "joint" in settings:
            sentences += 2 * steps * settings["joint"]["batch_size"]
    elif stage["kind"] == "predict":
        test = dumps[stage["inputs"]["test"]["key"]]["settings"]
        sentences, products = test["limit"] or test["task"]["test_examples"] or SENTENCES, 2.0
    return products * sentences * TOKENS_A_SENTENCE


def _block_parameters(checkpoint: Checkpoint) -> int:
    """Parameters outside the embeddings, from the headers of the weights."""
    from safetensors import safe_open

    total = 0
    for path in checkpoint.folder.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118  (no dict)
                if "embedding" not in name:
                    size = 1
                    for length in file.get_slice(name).get_shape():
                        size *= length
                    total += size
    return total


def _flops_a_second(size: int = 1024) -> float:
    import torch

    square = torch.ones(size, size)
    square @ square  # the first one also starts threads
    started = time.perf_counter()
    for _ in range(5):
        square @ square
    return 5 * 2 * size**3 / (time.perf_counter() - started)
