"""Recipe: how a checkpoint is realigned before fine-tuning. Submissions vary nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator

from xrealign_bench.errors import shorten
from xrealign_bench.specs.aligner import AlignerChoice, aligner_name
from xrealign_bench.specs.base import PublicSpec, Spec, added_later
from xrealign_bench.specs.fields import (
    BatchSize,
    BlockNumber,
    DataName,
    Examples,
    LanguageCode,
    LayerName,
    LearningRate,
    ModelType,
    Name,
    Seed,
    Sentence,
    SequenceLength,
    Steps,
    Title,
    Weight,
)
from xrealign_bench.specs.methods import METHODS, MethodName, Pooling
from xrealign_bench.specs.selections import SelectionName

NamedBlocks = Literal["none", "lower_half", "upper_half", "lower_third", "middle_third", "upper_third"]
_SLICE = r"-?[0-9]{0,4}:-?[0-9]{0,4}(:[1-9][0-9]{0,3})?"
_Slice = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{_SLICE}$"})]
BlockSelection = NamedBlocks | Annotated[list[BlockNumber], Field(max_length=1000)] | _Slice

Mixing = Literal["round_robin", "round_robin_first_exhausted", "uniform"]
Attention = Literal["own", "bidirectional"]
SentencePooling = Literal["mean", "weighted_mean", "last_token", "as_run"]
Control = Literal["shuffled_pairs", "source_with_itself", "target_with_itself", "random_words"]


def _changed(spec: Spec, *fields: str) -> list[str]:
    """Return the fields that differ from their default."""
    return [name for name in fields if getattr(spec, name) != type(spec).model_fields[name].default]


class Freeze(PublicSpec):
    """Parameters frozen during realignment. Fine-tuning always trains all parameters."""

    blocks: BlockSelection = "none"
    """A name, a list of block numbers (0 is the bottom block), or a slice such as "::2"."""
    embeddings: bool = False
    train_only: Literal["layer_norms", "biases"] | None = None
    """Train only layer norms, or only biases (BitFit, Ben Zaken et al., ACL 2022), of what is not frozen; null: train
    all of it."""

    @field_validator("blocks")
    @classmethod
    def _is_selection(cls, blocks: BlockSelection) -> BlockSelection:
        named = get_args(NamedBlocks)
        if isinstance(blocks, str) and blocks not in named and not re.fullmatch(_SLICE, blocks):
            raise ValueError(
                f"'{shorten(blocks)}' is not a selection of blocks; "
                f"write {', '.join(named)}, a list, or a slice like '::2'"
            )
        return blocks


class Regularisation(Spec):
    """Penalty on drift of the source language's hidden states from those of the initial model.

    Cao et al. (2020, section 3) add their squared L2 distance, so that target languages move towards the source. As in
    the code of Gaschi et al. (2023), it is the mean over sub-words (here without padding) and dimensions of the layer
    that the loss is computed on.
    """

    weight: Weight
    """Factor of the penalty. That code uses 1, with a squared loss on words instead of a contrastive one."""


class Objective(PublicSpec):
    """Contrastive loss (AlignFreeze, section 3.1; details not in the text follow its released code)."""

    temperature: Annotated[float, Field(gt=0, le=1000)] = 0.1
    layer: LayerName | BlockNumber = "penultimate"
    """Block whose output the loss is computed on: a name, or a number (0 is the bottom block). `middle` is the last of
    the lower half, as for decoders in Liu and Niehues (ACL 2025)."""
    pooling: Literal["first_subword", "mean"] = "first_subword"
    """Pooling of a word's sub-words (`word_contrastive`)."""
    projection: Annotated[int, Field(gt=0, le=10**5)] | None = 128
    """Output size of the projection head Linear(H,H)-ReLU-Linear(H,size), which is discarded afterwards; null: no
    head."""
    negatives: Literal["both_languages", "other_language"] = "both_languages"
    """Candidates for each anchor: all words (sentences) of the batch, or only those of the other language."""
    sentence_pooling: SentencePooling = "mean"
    """Pooling of a sentence's sub-words (`sentence_contrastive`): the mean of all, or weighted by their position, or
    the last one, for decoders; or, `as_run` in the released code, the mean of the first n, where n is the number of
    words."""
    regularisation: Regularisation | None = None


class PublishedSubset(Spec):
    """Language subset of a published study, by its name in `xrealign-bench languages subsets`.

    The study's random subsets differ by training seed.
    """

    subset: DataName


class SelectedLanguages(Spec):
    """Selection of n target languages that the corpus covers, as by `xrealign-bench languages select`."""

    select: SelectionName
    n: Annotated[int, Field(gt=0, le=1000)]
    anchor_source: bool = True
    """Count distances to the source language too; it is not one of the n."""
    distances: Literal["uriel", "uriel+"] = added_later("uriel")
    """Database of the featural distances: URIEL, or URIEL+, which the low-resource study used."""
    seed: Literal["training"] | Seed = 0
    """Seed of `select: random` or of a plugin: one draw for all trainings, or `training` to draw anew for each training
    seed."""

    @model_validator(mode="after")
    def _settings_have_effect(self) -> SelectedLanguages:
        by_distance = self.select in ("uriel", "family", "script")
        for idle in _changed(self, *(["seed"] if by_distance else ["anchor_source", "distances"])):
            raise ValueError(f"{idle} has no effect if languages are selected by '{self.select}'; remove it")
        return self


def _languages_tag(languages: Any) -> str:
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
    Discriminator(_languages_tag),
]


class PairFilter(Spec):
    """Condition on a column of quality scores: only pairs that meet it are read (AlignFreeze, appendix C.1)."""

    column: DataName
    """Column of the parallel data with a number for each pair, such as a translation-quality estimate."""
    at_least: Annotated[float, Field(ge=-(10**9), le=10**9)]
    """The lowest score that is kept. Pairs without a score are dropped."""


PairsByModelType = Annotated[dict[ModelType, Examples], Field(min_length=1, max_length=100)]


class Parallel(Spec):
    """Parallel text used in realignment."""

    corpus: Name | None = None
    """Null: the suite's corpus."""
    languages: RealignedLanguages = "suite_targets"
    """All targets of the suite, a list of codes, `{subset: NAME}`, or `{select: uriel, n: 10}`."""
    mixing: Mixing = "round_robin"
    """`round_robin`: languages take turns, pair by pair; one that runs out of pairs starts over.
    `round_robin_first_exhausted`: all languages start over as soon as one runs out, with the same pairs, as in the
    released code. `uniform`: each pair's language is drawn at random."""
    pairs: Examples | PairsByModelType | None = added_later(None)
    """Maximum number of pairs of each language that training draws from: the first ones that can be used, after
    alignment. Null: all. A mapping gives one number per model type in the checkpoint's config.json, and `default`."""

    filter: PairFilter | None = added_later(None)
    """Read only pairs with a high score; limits on the number of pairs count what is left."""

    control: Control | None = added_later(None)
    """Placebo: train on as many pairs and links, which align nothing. `shuffled_pairs`: each source sentence with the
    translation of another one. `source_with_itself`, `target_with_itself`: each sentence with itself, so that only
    dropout differs. `random_words`: right sentences, wrong words. Null: the pairs as they are."""

    def pairs_for(self, model_type: str) -> int | None:
        """Return the maximum number of pairs of each language for a model type."""
        return self.pairs.get(model_type, self.pairs["default"]) if isinstance(self.pairs, dict) else self.pairs

    @model_validator(mode="after")
    def _has_default(self) -> Parallel:
        if isinstance(self.pairs, dict) and "default" not in self.pairs:
            raise ValueError("pairs needs an entry 'default'")
        return self


class Schedule(Spec):
    """Training schedule of realignment. `match_finetuning` uses the suite's value for fine-tuning."""

    when: Literal["before", "during", "alternate"] = "before"
    """`before` fine-tuning, or `during` it: jointly, adding the loss of one batch of pairs at each step. `alternate`:
    each step of fine-tuning follows a step on a batch of pairs alone (Liu and Niehues, ACL 2025). Unless it is
    `before`, steps, learning rate and its schedule are those of fine-tuning."""
    steps: Literal["match_finetuning"] | Steps = "match_finetuning"
    batch_size: BatchSize = 16
    """Translation pairs per step."""
    max_length: Literal["match_finetuning"] | SequenceLength = "match_finetuning"
    """Sub-words per sentence, including special tokens. `match_finetuning`: the suite's value, not that of one task."""
    learning_rate: Literal["match_finetuning"] | LearningRate = "match_finetuning"
    lr_schedule: Literal["constant", "linear"] = "constant"
    weight: Weight = 1.0
    """Factor of the realignment loss when it is added to the fine-tuning loss (`during`)."""

    @model_validator(mode="after")
    def _settings_have_effect(self) -> Schedule:
        if self.when != "before" and (idle := _changed(self, "steps", "learning_rate", "lr_schedule")):
            raise ValueError(f"when '{self.when}' takes {', '.join(idle)} from fine-tuning; remove what is set here")
        if self.when != "during" and _changed(self, "weight"):
            raise ValueError("weight has an effect only with when 'during', where two losses are added; remove it")
        return self


class Adapter(Spec):
    """LoRA adapter on every linear layer (Hu et al., ICLR 2022).

    In a recipe, realignment trains the adapter instead of the weights and merges it into them. In a suite's
    `finetuning`, fine-tuning trains it and the head.
    """

    kind: Literal["lora"] = "lora"
    r: Annotated[int, Field(gt=0, le=10**4)] = 16
    """Rank."""
    alpha: Annotated[int, Field(gt=0, le=10**5)] = 32
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


BASELINE = "finetune-only"
"""Recipe that every other one is compared with: the checkpoint fine-tuned as it is."""


class Recipe(PublicSpec):
    """One row of the leaderboard: a realignment method and its settings, for any checkpoint and suite."""

    name: Name
    title: Title
    description: Sentence = ""
    citation: Sentence = ""
    initialisation: Literal["checkpoint", "random"] = "checkpoint"
    """`random` discards the checkpoint's weights, as a control."""
    attention: Attention = "own"
    """Attention of a decoder in realignment and fine-tuning: causal as it was trained, or bidirectional."""
    method: MethodName = "none"
    """Contrast nothing, aligned words, or sentences and their translations; as a control, go on with language modelling
    on the same text; or the name of a plugin."""
    aligner: AlignerChoice | None = None
    """Word aligner: lexicon, eflomal, fast-align, similarity or gold, or a mapping with its `kind` and settings; null:
    the suite's aligner, or none for `sentence_contrastive`."""
    freeze: Freeze = Freeze()
    adapter: Adapter | None = None
    """Train this adapter in the blocks that are not frozen; null: train the weights themselves."""
    objective: Objective = Objective()
    parallel: Parallel = Parallel()
    schedule: Schedule = Schedule()

    @property
    def realigns(self) -> bool:
        """Whether the recipe realigns at all."""
        return self.method != "none"

    @property
    def is_control(self) -> bool:
        """Whether it shows what remains of an effect without pre-training or without alignment."""
        pretrains = self.method == "continued_pretraining"
        return self.initialisation == "random" or self.parallel.control is not None or pretrains

    @property
    def needs_links(self) -> bool:
        """Whether realignment reads a word alignment; of a plugin that is not registered: True."""
        method = METHODS.find(self.method)
        return self.realigns and (method is None or method.needs_links)

    @model_validator(mode="after")
    def _baseline_sets_nothing(self) -> Recipe:
        idle = _changed(self, "aligner", "freeze", "adapter", "objective", "parallel", "schedule")
        if not self.realigns and idle:
            raise ValueError(f"method 'none' realigns nothing, so {', '.join(idle)} would have no effect; remove them")
        return self

    @model_validator(mode="after")
    def _adapter_fits(self) -> Recipe:
        if self.adapter is not None and self.schedule.when != "before":
            raise ValueError(
                "an adapter is realigned before fine-tuning, which trains everything; remove adapter or schedule.when"
            )
        if self.adapter is not None and self.initialisation == "random":
            raise ValueError("an adapter is added to the checkpoint's weights; remove adapter or initialisation")
        if self.adapter is not None and self.freeze.train_only is not None:
            raise ValueError("an adapter has neither norms nor biases, so freeze.train_only leaves nothing; remove one")
        return self

    @model_validator(mode="after")
    def _settings_fit_method(self) -> Recipe:
        method = METHODS.find(self.method)
        if not self.realigns or method is None:  # a plugin of a stored result need not be registered
            return self
        what = f"method '{self.method}' contrasts {method.contrasts}"
        if self.aligner is not None and not method.needs_links:
            raise ValueError(f"{what}, so aligner '{aligner_name(self.aligner)}' would have no effect; remove it")
        unread = get_args(Pooling) if method.is_contrastive else Objective.model_fields
        idle = [name for name in unread if name != method.pooling]
        if unused := _changed(self.objective, *idle):
            instead = f" (objective.{method.pooling} is for {method.contrasts})" if method.pooling else ""
            raise ValueError(f"{what}, so objective.{unused[0]} would have no effect; remove it{instead}")
        control = self.parallel.control
        if control is not None and not (method.is_contrastive and (method.needs_links or control != "random_words")):
            raise ValueError(f"{what}, so parallel.control '{control}' would have no effect; remove it")
        return self

    @model_validator(mode="after")
    def _attention_hides_next_token(self) -> Recipe:
        if self.method == "continued_pretraining" and self.attention == "bidirectional":
            raise ValueError(
                "method 'continued_pretraining' predicts a decoder's next token, and with attention 'bidirectional' "
                "the decoder would see it; remove attention"
            )
        return self
