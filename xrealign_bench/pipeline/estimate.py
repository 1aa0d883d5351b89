"""What the stages of a plan that are not stored yet will roughly cost."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.plan import Plan, Stage, StageKind
from xrealign_bench.pipeline.store import Store

TOKENS_A_SENTENCE = 25
"""Sub-words of a sentence while nothing is known: about the mean of Universal Dependencies in XLM-R's vocabulary."""
SENTENCES = 600
"""Test sentences of a language where the task does not say."""
EFFICIENCY = 0.3
"""Share of a large matrix product's speed that short batches reach on a CPU."""


@dataclass(frozen=True)
class Row:
    """The stages of one kind."""

    kind: StageKind
    stages: int
    stored: int
    seconds: float | None
    """For those that are not stored; None: not known before one of them has run."""


def estimate(plan: Plan, store: Store) -> list[Row]:
    """One row a kind of stage, in the order of the plan.

    Computing stages are estimated by their floating-point operations and the speed of a matrix product on the CPU,
    measured now; the others by what stages of their kind in the store took. Within a factor of two or three.
    """
    missing: dict[StageKind, list[Stage]] = defaultdict(list)
    counts: dict[StageKind, int] = defaultdict(int)
    for ref, stage in plan.stages.items():
        counts[ref.kind] += 1
        if not store.has(ref.kind, ref.key):
            missing[ref.kind].append(stage)
    known = {kind: [e.manifest.seconds for e in store.entries() if e.manifest.kind == kind] for kind in missing}
    speed = _flops_a_second() * EFFICIENCY
    parameters = _block_parameters(plan.request.checkpoint)
    return [
        Row(
            kind,
            count,
            count - len(missing[kind]),
            _seconds(plan, missing[kind], known.get(kind, []), parameters / speed),
        )
        for kind, count in counts.items()
    ]


def _seconds(plan: Plan, stages: list[Stage], known: list[float], seconds_a_product: float) -> float | None:
    products = [_products(plan, stage) for stage in stages]
    if all(products):
        return sum(products) * seconds_a_product
    return len(stages) * fmean(known) if known else None


def _products(plan: Plan, stage: Stage) -> float:
    """Sub-words times the operations that each costs a parameter; 0 for stages that don't run a model."""
    settings = stage.settings
    sentences, products = 0, 0.0
    if stage.kind == "realign":
        sentences, products = 2 * settings["steps"] * settings["batch_size"], 6.0
    elif stage.kind == "finetune":
        sentences, products = settings["finetuning"].steps * settings["finetuning"].batch_size, 6.0
    elif stage.kind == "predict":
        test = plan.stages[stage.inputs["test"]].settings
        sentences, products = test["limit"] or test["task"].test_examples or SENTENCES, 2.0
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
