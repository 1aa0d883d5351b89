"""A recipe: what is done to a checkpoint before it is fine-tuned. The only thing that a submission varies."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from xrealign_bench.specs.base import Spec

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=80)]
"""Names of recipes, tasks, suites and corpora: lower case, digits, '-' and '.', so that they can be file names."""

BlockSelection = Literal["none", "lower_half", "upper_half"] | list[Annotated[int, Field(ge=0)]] | str


class Freeze(Spec):
    """Which parameters stay as they are during realignment. Fine-tuning always trains everything."""

    blocks: BlockSelection = "none"
    """`none`, `lower_half`, `upper_half`, a list of block numbers from 0 at the bottom, or a slice such as "::2"."""
    embeddings: bool = False

    @field_validator("blocks")
    @classmethod
    def _is_selection(cls, blocks: BlockSelection) -> BlockSelection:
        named = ("none", "lower_half", "upper_half")
        if isinstance(blocks, str) and blocks not in named and not re.fullmatch(r"-?\d*:-?\d*(:[1-9]\d*)?", blocks):
            raise ValueError(
                f"'{blocks}' is no selection of blocks; write {', '.join(named)}, a list, or a slice like '::2'"
            )
        return blocks


class Objective(Spec):
    """The contrastive loss (AlignFreeze, section 3.1; its released code for what the text leaves open)."""

    temperature: float = Field(default=0.1, gt=0)
    layer: Literal["last", "penultimate"] | Annotated[int, Field(ge=0)] = "penultimate"
    """Whose output the loss sits on: a name, or a block's number from 0 at the bottom."""
    pooling: Literal["first_subword", "mean"] = "first_subword"
    """How the sub-words of a word become one vector."""
    projection: Annotated[int, Field(gt=0)] | None = 128
    """Output size of the throw-away head Linear(H,H)-ReLU-Linear(H,size); null: no head."""
    negatives: Literal["both_languages", "other_language"] = "both_languages"
    """Candidates of an anchor: all words of the batch ("strong"), or only those of the other side."""


class PublishedSubset(Spec):
    """The languages that a study realigned, by the name that `xrealign-bench languages subsets` shows."""

    subset: str


class SelectedLanguages(Spec):
    """n of the suite's targets that the corpus has, chosen as by `xrealign-bench languages select`."""

    select: Literal["uriel", "family", "script", "random"]
    n: int = Field(gt=0)
    anchor_source: bool = True
    """The suite's source language is put in the set first: it counts among the distances, not in n."""
    seed: int = Field(default=0, ge=0)
    """Of a random draw; not that of training."""

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SelectedLanguages:
        idle = "anchor_source" if self.select == "random" else "seed"
        if getattr(self, idle) != type(self).model_fields[idle].default:
            raise ValueError(f"{idle} has no effect where the languages are selected by '{self.select}'; remove it")
        return self


def _way_of_naming(languages: Any) -> str:
    if isinstance(languages, PublishedSubset) or (isinstance(languages, dict) and "subset" in languages):
        return "subset"
    if isinstance(languages, SelectedLanguages | dict):
        return "select"
    return "list[str]" if isinstance(languages, list) else "suite_targets"


RealignedLanguages = Annotated[
    Annotated[Literal["suite_targets"], Tag("suite_targets")]
    | Annotated[list[str], Field(min_length=1), Tag("list[str]")]
    | Annotated[PublishedSubset, Tag("subset")]
    | Annotated[SelectedLanguages, Tag("select")],
    Discriminator(_way_of_naming),
]


class Parallel(Spec):
    """The translated text that realignment reads."""

    corpus: Name | None = None
    """Null: the suite's own corpus."""
    languages: RealignedLanguages = "suite_targets"
    """All targets of the suite, codes, `{subset: NAME}`, or `{select: uriel, n: 10}` of the suite's targets."""
    mixing: Literal["round_robin"] = "round_robin"
    """Each pair of a batch is of another language, in turn; a language that is used up starts again."""


class Schedule(Spec):
    """How realignment is trained. `match_finetuning` takes the value that the suite fixes for fine-tuning."""

    when: Literal["before"] = "before"
    steps: Literal["match_finetuning"] | Annotated[int, Field(gt=0)] = "match_finetuning"
    batch_size: int = Field(default=16, gt=0)
    """Translated pairs a step."""
    max_length: Literal["match_finetuning"] | Annotated[int, Field(gt=2)] = "match_finetuning"
    """Sub-words a sentence, special ones included."""
    learning_rate: Literal["match_finetuning"] | Annotated[float, Field(gt=0)] = "match_finetuning"
    lr_schedule: Literal["constant", "linear"] = "constant"


class Recipe(Spec):
    """One row of the leaderboard: a way to realign, for any checkpoint and any suite."""

    name: Name
    title: str
    description: str = ""
    citation: str = ""
    initialisation: Literal["checkpoint", "random"] = "checkpoint"
    """`random` throws the checkpoint's weights away: a control."""
    method: Literal["none", "word_contrastive"] = "none"
    aligner: Name | None = None
    """Which words translate which: lexicon, eflomal, similarity, gold; null: the suite's own aligner."""
    freeze: Freeze = Freeze()
    objective: Objective = Objective()
    parallel: Parallel = Parallel()
    schedule: Schedule = Schedule()

    @property
    def realigns(self) -> bool:
        return self.method != "none"

    @model_validator(mode="after")
    def _nothing_without_method(self) -> Recipe:
        settings = ("aligner", "freeze", "objective", "parallel", "schedule")
        idle = [name for name in settings if getattr(self, name) != type(self).model_fields[name].default]
        if not self.realigns and idle:
            raise ValueError(f"method 'none' realigns nothing, so {', '.join(idle)} would have no effect; remove them")
        return self
