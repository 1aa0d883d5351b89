"""Realign the encoder, or an adapter beside it, on the pairs of all languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from xrealign_bench import distributed
from xrealign_bench.pipeline.files import write_json
from xrealign_bench.pipeline.stage import (
    Costs,
    Inputs,
    KeyedComputeSettings,
    Settings,
    Stage,
    StageRef,
    StageType,
    WeightsKey,
    Workspace,
)
from xrealign_bench.specs import Adapter, Freeze, Objective, Schedule
from xrealign_bench.specs.methods import MethodName
from xrealign_bench.specs.recipe import Attention, Control, Mixing

if TYPE_CHECKING:
    from xrealign_bench.realignment.losses import RealignmentLog
    from xrealign_bench.realignment.pairs import EncodedPairs

WEIGHTS, ADAPTER = "encoder.safetensors", "adapter"
"""Output of a realignment: the whole encoder, or the folder of the adapter that was realigned in its place."""


class RealignSettings(Settings):
    checkpoint: WeightsKey
    initialisation: Literal["checkpoint", "random"]
    method: MethodName
    freeze: Freeze
    objective: Objective
    mixing: Mixing
    batch_size: int
    lr_schedule: Literal["constant", "linear"]
    steps: int
    learning_rate: float
    seed: int
    compute_settings: KeyedComputeSettings = Field(serialization_alias="numerics")
    attention: Attention = "own"
    adapter: Adapter | None = Field(None, serialization_alias="adapter_alone")
    peft: str | None = None
    """Version of PEFT, if an adapter is realigned."""
    pairs: int | None = None
    """Maximum number of pairs of each language, see `Parallel.pairs`."""
    control: Control | None = None
    """See `Parallel.control`."""


@dataclass(frozen=True)
class RealignInputs(Inputs):
    pairs: Mapping[str, StageRef]
    """Language -> an `encode`."""

    def by_role(self) -> dict[str, StageRef]:
        return dict(self.pairs)


@dataclass(frozen=True)
class Realign(Stage):
    settings: RealignSettings
    inputs: RealignInputs

    stage_type: ClassVar[StageType] = "realign"
    code_version: ClassVar[int] = 1
    is_training: ClassVar[bool] = True

    @property
    def steps(self) -> int:
        return self.settings.steps

    def run(self, workspace: Workspace) -> Costs:
        from xrealign_bench.models.adapters import save_adapter
        from xrealign_bench.models.device import pick_device
        from xrealign_bench.models.trained_weights import save_weights
        from xrealign_bench.pipeline.loading import load_encoder, load_language_model, read_pair_corpus, training_costs
        from xrealign_bench.realignment.before import realign
        from xrealign_bench.realignment.controls import apply_control
        from xrealign_bench.realignment.settings import Realignment

        asked, context = self.settings, workspace.context
        encoder = load_encoder(context, asked.attention, initialisation=asked.initialisation, seed=asked.seed)
        folders = {language: workspace.folder_of(ref) for language, ref in self.inputs.pairs.items()}
        corpus = apply_control(read_pair_corpus(folders, context.checkpoint, asked.pairs), asked.control, asked.seed)
        schedule = Schedule(
            steps=asked.steps,
            batch_size=asked.batch_size,
            learning_rate=asked.learning_rate,
            lr_schedule=asked.lr_schedule,
        )
        log = realign(
            encoder,
            corpus,
            Realignment(
                asked.method,
                asked.objective,
                asked.freeze,
                schedule,
                asked.mixing,
                asked.adapter,
                load_language_model(context, encoder, asked.method, asked.initialisation, asked.seed),
            ),
            seed=asked.seed,
            device=pick_device(context.device),
            progress=workspace.progress,
        )
        if log.adapter is not None:
            save_adapter(log.adapter, workspace.output / ADAPTER, context.checkpoint.id)
        elif distributed.is_main_process():
            save_weights(encoder, workspace.output / WEIGHTS)
        record = realignment_record(log, corpus.languages, asked.seed, asked.learning_rate)
        write_json(workspace.output / "log.json", {"record": record, "losses": log.losses})
        return training_costs(log, log.tokens, encoder)


def realignment_record(
    log: RealignmentLog, pairs: Mapping[str, EncodedPairs], seed: int, learning_rate: float
) -> dict[str, Any]:
    """Return what a result says of a realignment."""
    tenth = max(1, len(log.losses) // 10)
    return {
        "seed": seed,
        "steps": len(log.losses),
        "learning_rate": learning_rate,
        "pairs": {language: len(encoded.pairs) for language, encoded in pairs.items()},
        "pairs_seen": log.pairs_seen,
        "links": {language: encoded.links for language, encoded in pairs.items()},
        "dropped": {language: encoded.dropped for language, encoded in pairs.items() if encoded.dropped},
        "frozen_blocks": log.frozen.blocks,
        "frozen_embeddings": log.frozen.embeddings,
        "trained_parameters": log.trained,
        "frozen_parameters": log.frozen.frozen,
        "first_loss": _mean(log.losses[:tenth]),
        "last_loss": _mean(log.losses[-tenth:]),
        **({} if log.output_layer is None else {"output_layer": log.output_layer}),
    }


def _mean(values: list[float]) -> float:
    import numpy as np

    return float(np.mean(values))
