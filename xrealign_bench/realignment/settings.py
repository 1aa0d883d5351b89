"""The settings of a realignment."""

from __future__ import annotations

from dataclasses import dataclass, field

from xrealign_bench.realignment.continued_pretraining import LanguageModelLoss
from xrealign_bench.specs import Adapter, Freeze, Objective, Schedule
from xrealign_bench.specs.recipe import Mixing


@dataclass(frozen=True)
class Realignment:
    """A recipe's settings of realignment."""

    method: str
    """A name in `specs.methods.METHODS`."""
    objective: Objective = field(default_factory=Objective)
    freeze: Freeze = field(default_factory=Freeze)
    schedule: Schedule = field(default_factory=Schedule)
    """`realign` needs its steps and learning rate as numbers; joint realignment takes them from fine-tuning."""
    mixing: Mixing = "round_robin"
    adapter: Adapter | None = None
    """Trained instead of the encoder's weights."""
    language_model: LanguageModelLoss | None = None
    """The loss of `continued_pretraining`, which needs the checkpoint's output layer."""
