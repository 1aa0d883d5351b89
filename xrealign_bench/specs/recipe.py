"""A recipe: what is done to a checkpoint before it is fine-tuned. The only thing that a submission varies."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from xrealign_bench.errors import shown
from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import (
    BatchSize,
    BlockNumber,
    DataName,
    LanguageCode,
    LearningRate,
    Name,
    Seed,
    Sentence,
    SequenceLength,
    Steps,
    Title,
    Weight,
)

NamedBlocks = Literal["none", "lower_half", "upper_half", "lower_third", "middle_third", "upper_third"]
BlockSelection = NamedBlocks | Annotated[list[BlockNumber], Field(max_length=1000)] | str


_SLICE = r"-?[0-9]{0,4}:-?[0-9]{0,4}(:[1-9][0-9]{0,3})?"


def _set(spec: Spec, *fields: str) -> list[str]:
    """Those of the fields that are not at their default."""
    return [name for name in fields if getattr(spec, name) != type(spec).model_fields[name].default]


class Freeze(Spec):
    """Which parameters stay as they are during realignment. Fine-tuning always trains everything."""

    blocks: BlockSelection = "none"
    """A name of `NamedBlocks`, a list of block numbers from 0 at the bottom, or a slice such as "::2"."""
    embeddings: bool = False
    train_only: Literal["layer_norms", "biases"] | None = None
    """Of what is left, train no more than the norms' weights and biases, or than all biases (BitFit, Ben Zaken et al.,
    ACL 2022); null: everything."""

    @field_validator("blocks")
    @classmethod
    def _is_selection(cls, blocks: BlockSelection) -> BlockSelection:
        named = get_args(NamedBlocks)
        if isinstance(blocks, str) and blocks not in named and not re.fullmatch(_SLICE, blocks):
            raise ValueError(
                f"'{shown(blocks)}' is no selection of blocks; write {', '.join(named)}, a list, or a slice like '::2'"
            )
        return blocks


class Regularisation(Spec):
    """A pull of what the model makes of source sentences towards what the initial model makes of them.

    Cao et al. (2020, section 3) add the squared L2 distance between the hidden states of the source language and those
    of the initial model, so that the target languages move and the source stays. As in the code of Gaschi et al.
    (2023) it is the mean over sub-words and dimensions of the layer that the loss sits on; padding is left out here.
    """

    weight: Weight
    """1 in that code, where it went with a squared loss on words rather than a contrastive one."""


class Objective(Spec):
    """The contrastive loss (AlignFreeze, section 3.1; its released code for what the text leaves open)."""

    temperature: Annotated[float, Field(gt=0, le=1000)] = 0.1
    layer: Literal["last", "penultimate"] | BlockNumber = "penultimate"
    """Whose output the loss sits on: a name, or a block's number from 0 at the bottom."""
    pooling: Literal["first_subword", "mean"] = "first_subword"
    """How the sub-words of a word become one vector (`word_contrastive`)."""
    projection: Annotated[int, Field(gt=0, le=10**5)] | None = 128
    """Output size of the throw-away head Linear(H,H)-ReLU-Linear(H,size); null: no head."""
    negatives: Literal["both_languages", "other_language"] = "both_languages"
    """Candidates of an anchor: all words (sentences) of the batch ("strong"), or only those of the other side."""
    sentence_pooling: Literal["mean", "as_run"] = "mean"
    """How the sub-words of a sentence become one vector (`sentence_contrastive`): the mean of all, or, as the released
    code ran, of as many as the sentence has words, from the first position."""
    regularisation: Regularisation | None = None


class PublishedSubset(Spec):
    """The languages that a study realigned, by the name that `xrealign-bench languages subsets` shows."""

    subset: DataName


class SelectedLanguages(Spec):
    """n of the suite's targets that the corpus has, chosen as by `xrealign-bench languages select`."""

    select: Literal["uriel", "family", "script", "random"]
    n: Annotated[int, Field(gt=0, le=1000)]
    anchor_source: bool = True
    """The suite's source language is put in the set first: it counts among the distances, not in n."""
    seed: Seed = 0
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
    | Annotated[list[LanguageCode], Field(min_length=1, max_length=1000), Tag("list[str]")]
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
    mixing: Literal["round_robin", "round_robin_first_exhausted", "uniform"] = "round_robin"
    """`round_robin`: each pair of a batch is of another language, in turn; a language that is used up starts again.
    `round_robin_first_exhausted`: all languages start again as soon as one is used up, with the same pairs, as the
    released code ran. `uniform`: each pair is of a language drawn anew."""


class Schedule(Spec):
    """How realignment is trained. `match_finetuning` takes the value that the suite fixes for fine-tuning."""

    when: Literal["before", "during"] = "before"
    """`during`: jointly, one batch of pairs beside each batch of fine-tuning, the losses added; steps, learning rate
    and its schedule are then those of fine-tuning."""
    steps: Literal["match_finetuning"] | Steps = "match_finetuning"
    batch_size: BatchSize = 16
    """Translated pairs a step."""
    max_length: Literal["match_finetuning"] | SequenceLength = "match_finetuning"
    """Sub-words a sentence, special ones included; matched to the suite, whatever windows one of its tasks needs."""
    learning_rate: Literal["match_finetuning"] | LearningRate = "match_finetuning"
    lr_schedule: Literal["constant", "linear"] = "constant"
    weight: Weight = 1.0
    """Of the realignment loss where it is added to that of fine-tuning (`during`)."""

    @model_validator(mode="after")
    def _nothing_idle(self) -> Schedule:
        if self.when == "during":
            if idle := _set(self, "steps", "learning_rate", "lr_schedule"):
                raise ValueError(f"when 'during' takes {', '.join(idle)} from fine-tuning; remove what is set here")
        elif _set(self, "weight"):
            raise ValueError("weight has an effect with when 'during' only, where two losses are added; remove it")
        return self


class Adapter(Spec):
    """A low-rank addition to every linear layer (LoRA, Hu et al., ICLR 2022), which is realigned in place of the
    weights and then added to them. Fine-tuning trains everything, as it always does."""

    kind: Literal["lora"] = "lora"
    r: Annotated[int, Field(gt=0, le=10**4)] = 16
    """Its rank."""
    alpha: Annotated[int, Field(gt=0, le=10**5)] = 32
    """What is added is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Recipe(Spec):
    """One row of the leaderboard: a way to realign, for any checkpoint and any suite."""

    name: Name
    title: Title
    description: Sentence = ""
    citation: Sentence = ""
    initialisation: Literal["checkpoint", "random"] = "checkpoint"
    """`random` throws the checkpoint's weights away: a control."""
    attention: Literal["own", "bidirectional"] = "own"
    """Of a decoder, in realignment and fine-tuning: each token sees those to its left, or all."""
    method: Literal["none", "word_contrastive", "sentence_contrastive"] = "none"
    """What is brought together: nothing, words that translate one another, or sentences and their translations."""
    aligner: Name | None = None
    """Which words translate which: lexicon, eflomal, similarity, gold; null: the suite's own aligner, and none where
    sentences are contrasted."""
    freeze: Freeze = Freeze()
    adapter: Adapter | None = None
    """What is realigned in place of the encoder's own weights; in frozen blocks it is not. Null: the weights."""
    objective: Objective = Objective()
    parallel: Parallel = Parallel()
    schedule: Schedule = Schedule()

    @property
    def realigns(self) -> bool:
        return self.method != "none"

    @model_validator(mode="after")
    def _nothing_without_method(self) -> Recipe:
        idle = _set(self, "aligner", "freeze", "adapter", "objective", "parallel", "schedule")
        if not self.realigns and idle:
            raise ValueError(f"method 'none' realigns nothing, so {', '.join(idle)} would have no effect; remove them")
        return self

    @model_validator(mode="after")
    def _adapter_fits(self) -> Recipe:
        if self.adapter is not None and self.schedule.when == "during":
            raise ValueError(
                "an adapter is realigned before fine-tuning, which trains everything; remove adapter or schedule.when"
            )
        if self.adapter is not None and self.initialisation == "random":
            raise ValueError("an adapter stands beside the checkpoint's weights; remove adapter or initialisation")
        if self.adapter is not None and self.freeze.train_only is not None:
            raise ValueError("an adapter has neither norms nor biases, so freeze.train_only leaves nothing; remove one")
        return self

    @model_validator(mode="after")
    def _nothing_of_another_method(self) -> Recipe:
        if self.method == "sentence_contrastive":
            if self.aligner is not None:
                raise ValueError(
                    f"method 'sentence_contrastive' contrasts whole sentences, so aligner '{self.aligner}' would have "
                    "no effect; remove it"
                )
            if _set(self.objective, "pooling"):
                raise ValueError(
                    "method 'sentence_contrastive' has no words, so objective.pooling would have no effect; remove it "
                    "(objective.sentence_pooling is for sentences)"
                )
        elif _set(self.objective, "sentence_pooling"):
            raise ValueError(
                f"method '{self.method}' has no sentence vectors, so objective.sentence_pooling would have no effect; "
                "remove it (objective.pooling is for words)"
            )
        return self
