"""Fine-tune on a task's training data in the source language, with realignment beside it in joint training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from xrealign_bench import distributed
from xrealign_bench.pipeline.files import read_tables, write_json
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
from xrealign_bench.pipeline.stages.realign import ADAPTER, realignment_record
from xrealign_bench.specs import Finetuning, Freeze, Objective, Schedule, Spec, Task
from xrealign_bench.specs.methods import MethodName
from xrealign_bench.specs.recipe import Attention, Control, Mixing
from xrealign_bench.specs.suite import Head

if TYPE_CHECKING:
    from xrealign_bench.realignment.joint import JointRealignment

FINETUNED = "model.safetensors"
"""Output of a fine-tuning: the whole model, or its head beside the folder of the adapter."""
_PAIRS = "pairs-"
"""Before a language: the role of its encoded pairs in joint training."""


class JointSettings(Spec):
    """Realignment beside fine-tuning, which takes steps and learning rate from there."""

    method: MethodName
    freeze: Freeze
    objective: Objective
    mixing: Mixing
    batch_size: int
    weight: float
    pairs: int | None = None
    """Maximum number of pairs of each language, see `Parallel.pairs`."""
    when: Literal["during", "alternate"] = "during"
    control: Control | None = None
    """See `Parallel.control`."""


class FinetuneSettings(Settings):
    checkpoint: WeightsKey
    initialisation: Literal["checkpoint", "random", "realigned"]
    finetuning: Finetuning
    """With the steps and the one learning rate of the checkpoint's model type."""
    task: Task
    seed: int
    compute_settings: KeyedComputeSettings = Field(serialization_alias="numerics")
    joint: JointSettings | None = None
    attention: Attention = "own"
    head: Head = "linear"
    random_head: bool = False
    """With transformers' head: its weights are random even where the checkpoint has some."""
    warmup_steps: int | None = None
    """The number of warm-up steps, if rounding them to the nearest number, as was done until version 0.3, differs."""
    peft: str | None = None
    """Version of PEFT, if an adapter is fine-tuned."""


@dataclass(frozen=True)
class FinetuneInputs(Inputs):
    train: StageRef
    """A `tokenise`."""
    encoder: StageRef | None = None
    """A `realign`; None: the checkpoint's weights, or random ones."""
    pairs: Mapping[str, StageRef] = field(default_factory=dict)
    """Language -> an `encode`, in joint training."""

    def by_role(self) -> dict[str, StageRef]:
        pairs = {f"{_PAIRS}{language}": ref for language, ref in self.pairs.items()}
        return {"train": self.train, **({} if self.encoder is None else {"encoder": self.encoder}), **pairs}


@dataclass(frozen=True)
class Finetune(Stage):
    settings: FinetuneSettings
    inputs: FinetuneInputs

    stage_type: ClassVar[StageType] = "finetune"
    code_version: ClassVar[int] = 1
    is_training: ClassVar[bool] = True

    @property
    def steps(self) -> int:
        return self.settings.finetuning.known_steps

    def run(self, workspace: Workspace) -> Costs:
        from xrealign_bench.models.adapters import add_adapter
        from xrealign_bench.models.device import pick_device, seed_everything
        from xrealign_bench.pipeline.loading import new_model, tokenizer_of, training_costs
        from xrealign_bench.tasks.finetuning import FinetuningRun
        from xrealign_bench.tasks.registry import TASK_TYPES

        asked, context = self.settings, workspace.context
        task_type = TASK_TYPES[asked.task.task_type]
        assert task_type.train is not None  # else the plan has no such stage
        encoder = self._encoder(workspace)
        encoder_parameters = encoder.num_parameters()  # before it gets a pooler
        seed_everything(asked.seed)  # for the adapter and the head
        adapter = asked.finetuning.adapter
        adapted = None if adapter is None else add_adapter(encoder, adapter)
        model = new_model(context, encoder, asked.task, asked.head, random=asked.random_head)
        joint = self._joint(encoder, workspace)
        log = task_type.train(
            model,
            tokenizer_of(context.checkpoint).pad_token_id,
            read_tables(workspace.folder_of(self.inputs.train)),
            FinetuningRun(
                asked.finetuning,
                asked.seed,
                pick_device(context.device),
                workspace.progress,
                None if joint is None else joint.loss,
            ),
        )
        if distributed.is_main_process():
            _save(model.stored, adapted, workspace)
        record: dict[str, Any] = {"encoder_parameters": encoder_parameters, "losses": log.losses}
        tokens = log.tokens
        if joint is not None:
            rate = asked.finetuning.learning_rate["default"]
            beside = joint.log(log.batch_parts)
            record["record"] = realignment_record(beside, joint.corpus.languages, asked.seed, rate)
            record["realignment_losses"] = beside.losses
            tokens += beside.tokens
        write_json(workspace.output / "log.json", record)
        return training_costs(log, tokens, encoder)

    def _encoder(self, workspace: Workspace) -> Any:
        from xrealign_bench.pipeline.loading import load_encoder, load_realigned

        asked = self.settings
        if asked.initialisation != "realigned":
            return load_encoder(
                workspace.context, asked.attention, initialisation=asked.initialisation, seed=asked.seed
            )
        assert self.inputs.encoder is not None
        return load_realigned(workspace.folder_of(self.inputs.encoder), asked.attention, workspace.context)

    def _joint(self, encoder: Any, workspace: Workspace) -> JointRealignment | None:
        """Return the realignment beside this fine-tuning, if the recipe has one."""
        from xrealign_bench.models.device import pick_device
        from xrealign_bench.pipeline.loading import load_language_model, read_pair_corpus
        from xrealign_bench.realignment.controls import apply_control
        from xrealign_bench.realignment.joint import JointRealignment
        from xrealign_bench.realignment.settings import Realignment

        asked, context = self.settings, workspace.context
        joint = asked.joint
        if joint is None:
            return None
        folders = {language: workspace.folder_of(ref) for language, ref in self.inputs.pairs.items()}
        schedule = Schedule(when=joint.when, batch_size=joint.batch_size, weight=joint.weight)
        return JointRealignment(
            encoder,
            apply_control(read_pair_corpus(folders, context.checkpoint, joint.pairs), joint.control, asked.seed),
            Realignment(
                joint.method,
                joint.objective,
                joint.freeze,
                schedule,
                joint.mixing,
                language_model=load_language_model(context, encoder, joint.method, asked.initialisation, asked.seed),
            ),
            steps=asked.finetuning.known_steps,
            seed=asked.seed,
            device=pick_device(context.device),
        )


def _save(model: Any, adapted: Any, workspace: Workspace) -> None:
    """Save the whole model, or the adapter in PEFT's format and the weights of the head."""
    from xrealign_bench.models.adapters import save_adapter
    from xrealign_bench.models.trained_weights import save_weights

    only = None
    if adapted is not None:
        only = {name for name, p in model.named_parameters() if p.requires_grad and ".lora_" not in name}
        save_adapter(adapted, workspace.output / ADAPTER, workspace.context.checkpoint.id)
    save_weights(model, workspace.output / FINETUNED, only)
