"""A stage: one step of work, keyed by everything that determines its output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PlainSerializer

from xrealign_bench.data import DataLocation
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.compute_settings import ComputeSettings
from xrealign_bench.models.dtypes import Precision, Quantised
from xrealign_bench.specs import Spec
from xrealign_bench.specs.base import digest
from xrealign_bench.specs.plugin import PluginKey

StageType = Literal["tokenise", "align", "encode", "realign", "finetune", "predict", "analyse"]
Costs = Mapping[str, float]
"""Costs that a stage counted besides time and memory, such as `flops`."""
Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and a short note."""

KeyedComputeSettings = Annotated[ComputeSettings, PlainSerializer(ComputeSettings.key_content)]


class StageRef(NamedTuple):
    """Name of a stage in a plan and in the store."""

    stage_type: StageType
    key: str


@dataclass(frozen=True)
class RunContext:
    """What a stage needs from this machine; its key doesn't depend on it."""

    checkpoint: Checkpoint
    location: DataLocation
    device: str
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    quantised: Quantised | None = None


@dataclass(frozen=True)
class Workspace:
    """What a running stage reads from and writes to."""

    context: RunContext
    folder_of: Callable[[StageRef], Path]
    """Returns the folder of a stored input."""
    output: Path
    """Empty folder for the stage's files."""
    progress: Progress


class Settings(Spec):
    """Specs and plain values that determine a stage's output besides its inputs.

    The canonical JSON is part of the key: a field that is added later needs a default that means what was meant before.
    """

    compute_settings: KeyedComputeSettings | None = Field(default=None, serialization_alias="numerics")
    """None if the stage runs no model. Keys keep the field's first name."""
    plugins: list[PluginKey] = []
    """Plugins that the stage runs."""


@dataclass(frozen=True)
class Inputs:
    """Stages whose outputs a stage reads; this class itself: none."""

    def by_role(self) -> dict[str, StageRef]:
        """Return the inputs by role, as they enter the key."""
        return {}


NO_INPUTS = Inputs()


@dataclass(frozen=True)
class Stage(ABC):
    """One step of work. Its key covers its type, code version, settings and inputs, and so everything upstream."""

    label: str
    """Name for people; not part of the key."""
    settings: Settings
    inputs: Inputs

    stage_type: ClassVar[StageType]
    code_version: ClassVar[int]
    """Raised whenever a change of code changes the output of this type of stage: old outputs are then never reused."""
    is_training: ClassVar[bool] = False
    """Whether several ranks compute it together; they share out the other stages."""

    @abstractmethod
    def run(self, workspace: Workspace) -> Costs:
        """Compute, and leave the output in the workspace.

        Raises:
            UserError: the data or the checkpoint are bad.
            TrainingError: a loss is not a finite number.
        """

    @cached_property
    def key(self) -> str:
        covered = {"kind": self.stage_type, "version": self.code_version, "settings": self.settings}
        return digest(covered | {"inputs": {role: ref.key for role, ref in self.inputs.by_role().items()}})

    @property
    def ref(self) -> StageRef:
        return StageRef(self.stage_type, self.key)

    @property
    def runs_model(self) -> bool:
        return self.settings.compute_settings is not None

    def description(self) -> dict[str, Any]:
        """Return the stage as plain JSON, stored with its output: the settings that are part of the key, in full."""
        settings = self.settings.model_dump(mode="json", by_alias=True)
        given = self.settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {
            "kind": self.stage_type,
            "label": self.label,
            "settings": {name: settings[name] for name in given},
            "inputs": {role: {"kind": ref.stage_type, "key": ref.key} for role, ref in self.inputs.by_role().items()},
        }


class TokenizerKey(Spec):
    """What determines how words become sub-words."""

    files: str
    tokenizers: str
    transformers: str


class WeightsKey(Spec):
    """The parts of a checkpoint that determine what it computes; not its name or place."""

    config: str
    weights: str
    peft: str | None = None
    """Version of PEFT, if the checkpoint is an adapter."""
    tokenizer: str | None = None
