"""Suite: everything held fixed when recipes are compared. Results of different versions are never mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs.aligner import AlignerChoice
from xrealign_bench.specs.base import PublicSpec, Spec, added_later
from xrealign_bench.specs.fields import (
    BatchSize,
    DataName,
    Examples,
    LanguageCode,
    LearningRate,
    ModelType,
    Name,
    Seed,
    Sentence,
    SequenceLength,
    Share,
    Steps,
    Title,
)
from xrealign_bench.specs.recipe import Adapter
from xrealign_bench.specs.task import Task

Choice = TypeVar("Choice", str, int)
Number = TypeVar("Number", int, float)
StepsByModel = Annotated[dict[ModelType, Steps], Field(min_length=1, max_length=100)]
Warmup = Annotated[float, Field(ge=0, lt=1)]
Languages = Annotated[list[LanguageCode], Field(min_length=1, max_length=1000)]
JoshiClass = Annotated[int, Field(ge=0, le=5)]
LongSentences = Literal["windows", "truncate"]
LoneWordMarkers = Literal["keep", "delete"]
Head = Literal["linear", "transformers"]
DistanceType = Literal["syntactic", "phonological", "inventory", "featural", "genetic", "geographic"]


class Finetuning(Spec):
    """Fine-tuning in the source language (AlignFreeze, appendix: Adam without decay or clipping)."""

    steps: Steps | StepsByModel
    """Or a mapping from model type in the checkpoint's config.json to steps, with an entry `default`."""
    batch_size: BatchSize = 32
    max_length: SequenceLength = 96
    """Sub-words per window, including special tokens; longer sentences are split into several windows."""
    learning_rate: Annotated[dict[ModelType, LearningRate], Field(min_length=1, max_length=100)]
    """Model type in the checkpoint's config.json -> learning rate; `default` is required."""
    lr_schedule: Literal["constant", "linear"] = "linear"
    warmup: Warmup = 0.1
    """Share of the steps used for learning-rate warm-up."""
    test_max_length: SequenceLength | None = added_later(None)
    """Sub-words per window of test data; null: as in training."""
    adapter: Adapter | None = added_later(None)
    """Train this adapter on the encoder, and the head, such as for large decoders; null: train all parameters."""

    def for_model_type(self, model_type: str) -> Finetuning:
        """Return the settings with the steps and the learning rate of one model type."""
        steps = self.steps if isinstance(self.steps, int) else _entry(self.steps, model_type)
        rate = {"default": _entry(self.learning_rate, model_type)}
        return self.model_copy(update={"steps": steps, "learning_rate": rate})

    @property
    def known_steps(self) -> int:
        """The steps of settings that have been made for one model type.

        Raises:
            ValueError: they are given by model type.
        """
        if not isinstance(self.steps, int):
            raise ValueError("the steps are given by model type")
        return self.steps

    @property
    def warmup_steps(self) -> int:
        """The number of warm-up steps, rounded down as in AlignFreeze's code."""
        return int(self.warmup * self.known_steps)

    def length(self, split: Literal["train", "test"]) -> int:
        """Return the sub-words per window of training or test data."""
        return self.max_length if split == "train" or self.test_max_length is None else self.test_max_length

    @model_validator(mode="after")
    def _has_default(self) -> Finetuning:
        if "default" not in self.learning_rate:
            raise ValueError("learning_rate needs an entry 'default'")
        if not isinstance(self.steps, int) and "default" not in self.steps:
            raise ValueError("steps needs an entry 'default'")
        return self


def _entry(by_model_type: Mapping[str, Number], model_type: str) -> Number:
    return by_model_type.get(model_type, by_model_type["default"])


class FinetuningChange(Spec):
    """Settings of one task that differ from the suite's `finetuning`; null: the same."""

    steps: Steps | StepsByModel | None = None
    batch_size: BatchSize | None = None
    max_length: SequenceLength | None = None
    learning_rate: Annotated[dict[ModelType, LearningRate], Field(max_length=100)] | None = None
    lr_schedule: Literal["constant", "linear"] | None = None
    warmup: Warmup | None = None
    test_max_length: SequenceLength | None = added_later(None)
    adapter: Adapter | None = added_later(None)


class Bands(Spec):
    """Bands of typological distance to the source language, cut at terciles of the suite's targets."""

    distance: DistanceType = "featural"
    cuts: Annotated[tuple[Share, Share], Field(strict=False)] | None = None
    """close <= first < middle <= second < distant. Null: the terciles of the targets' distances, computed when the
    suite is loaded and recorded in its results."""

    @property
    def known_cuts(self) -> tuple[float, float]:
        """The cuts of a suite that was loaded with `data.loaded_suite`, or of a result's suite.

        Raises:
            ValueError: they have not been computed.
        """
        if self.cuts is None:
            raise ValueError("the cuts of the distance bands have not been computed")
        return self.cuts

    @model_validator(mode="after")
    def _cuts_ascend(self) -> Bands:
        if self.cuts is not None and self.cuts[0] > self.cuts[1]:
            raise ValueError(f"cuts are {self.cuts[0]} and {self.cuts[1]}; write the smaller one first")
        return self


class SuiteParallel(Spec):
    """Corpus and aligner for recipes that name none."""

    corpus: Name
    aligner: AlignerChoice
    """Name of an aligner, or a mapping with its `kind` and settings."""
    other_corpora: Annotated[dict[Name, Languages], Field(max_length=100)] = {}
    """Corpus -> languages read from it instead."""
    additional_corpora: Annotated[list[Name], Field(max_length=100)] = added_later([])
    """Corpora whose pairs are added to those of `corpus`, in the languages that they have."""

    @property
    def corpora(self) -> list[str]:
        """Names of all corpora."""
        return [self.corpus, *self.additional_corpora, *self.other_corpora]

    @model_validator(mode="after")
    def _reads_each_corpus_once(self) -> SuiteParallel:
        together = [self.corpus, *self.additional_corpora]
        if twice := sorted({name for name in together if together.count(name) > 1}):
            raise ValueError(f"corpus and additional_corpora name {', '.join(twice)} more than once")
        return self


class Suite(PublicSpec):
    """Tasks, languages, seeds and training settings under which recipes are compared."""

    name: Name
    version: str = Field(description='two numbers in quotes, "1.0"', pattern=r"^[0-9]{1,4}\.[0-9]{1,4}$")
    title: Title
    description: Sentence = ""
    source_language: LanguageCode
    target_languages: Languages
    tasks: Annotated[list[Name], Field(min_length=1, max_length=100)]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1000)]
    finetuning: Finetuning
    finetuning_by_task: Annotated[dict[Name, FinetuningChange], Field(max_length=100)] = {}
    long_sentences: LongSentences = added_later("windows")
    """Token classification: split long sentences into windows, or `truncate` them to one: words past `max_length` are
    neither trained on nor scored, and counted."""
    lone_word_markers: LoneWordMarkers = added_later("keep")
    """`delete`: delete sub-words that are only a bare `▁`, as in XLM-R's vocabulary, in realignment and in the training
    and test data of token classification. Texts that are not split into words keep them."""
    head: Head = added_later("linear")
    """Head of fine-tuned models. `linear`: dropout and a linear layer for every checkpoint, so that recipes differ in
    the encoder alone. `transformers`: the head of transformers' own class for checkpoint and task, such as
    `BertForSequenceClassification`, with the checkpoint's pooler if it has one."""
    realignment_matches: Literal["task", "suite"] = "task"
    """Meaning of `match_finetuning` in recipes: steps and learning rate of each task (AlignFreeze), or of the suite's
    `finetuning`, so that one realignment serves all tasks."""
    out_of_distribution: Annotated[dict[Name, Languages], Field(max_length=100)] = added_later({})
    """Task -> target languages that are scored and tested, but in no average: boards show them as a group of their
    own."""
    realignment_steps: Steps | None = added_later(None)
    """Steps of realignment for every task, in recipes with `match_finetuning`; null: those of fine-tuning. Realignment
    during fine-tuning keeps the steps of fine-tuning."""
    test_examples: Examples | None = None
    """Maximum number of test examples per task and language, evenly spaced; null: as each task says."""
    test_examples_by_task: Annotated[dict[Name, Examples], Field(max_length=100)] = added_later({})
    """Task -> its maximum instead of `test_examples`."""
    parallel: SuiteParallel
    tiers: dict[Literal["high", "medium", "low"], Annotated[list[JoshiClass], Field(max_length=6)]] = {
        "high": [4, 5],
        "medium": [3],
        "low": [0, 1, 2],
    }
    """Resource tier -> Joshi et al. (2020) classes."""
    bands: Bands = Bands()
    checkpoint: DataName | None = None
    """Default checkpoint of `evaluate`."""
    controls: Annotated[list[Name], Field(max_length=100)] = []
    """Recipes that the suite's board always shows."""
    development_languages: Annotated[list[LanguageCode], Field(max_length=1000)] = added_later([])
    """Languages that `evaluate --development` scores on their test sets; they are no target languages, so that no
    board shows them."""
    is_development: bool = added_later(False)
    """Set by `evaluate --development` in its results: see `data.loaded_suite.development_part`."""

    @property
    def id(self) -> str:
        """Name and version, such as `demo-1.1`; with `-development` for results on development data."""
        return f"{self.name}-{self.version}" + "-development" * self.is_development

    def finetuning_for(self, task: str) -> Finetuning:
        """Return the fine-tuning settings of one task."""
        change = self.finetuning_by_task.get(task)
        changed = {} if change is None else change.model_dump(exclude_none=True)
        return Finetuning.model_validate(self.finetuning.model_dump() | changed)

    def limit_test_examples(self, task: Task) -> Task:
        """Return the task with the suite's limit on test examples applied."""
        allowed = self.test_examples_by_task.get(task.name, self.test_examples)
        sizes = [size for size in (task.test_examples, allowed) if size is not None]
        return task.model_copy(update={"test_examples": min(sizes, default=None)})

    @model_validator(mode="after")
    def _lists_are_sets(self) -> Suite:
        for field in ("target_languages", "tasks", "seeds"):
            values = getattr(self, field)
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"{field} names {', '.join(twice)} more than once")
        shown = {self.source_language, *self.target_languages}
        if (both := [code for code in self.development_languages if code in shown]) and not self.is_development:
            raise ValueError(f"development_languages names {', '.join(both)}, which its boards show; remove it")
        for task, codes in self.out_of_distribution.items():
            if foreign := [code for code in codes if code not in self.target_languages]:
                raise ValueError(
                    f"out_of_distribution.{task} names {', '.join(foreign)}, which is not in target_languages; add it"
                )
        for field in ("finetuning_by_task", "test_examples_by_task", "out_of_distribution"):
            foreign = [name for name in getattr(self, field) if name not in self.tasks]
            if foreign:
                raise ValueError(f"{field} names {', '.join(foreign)}, which is not a task of the suite")
        if self.source_language in self.target_languages:
            raise ValueError(
                f"the source language '{self.source_language}' is also a target; its score is never averaged, remove it"
            )
        return self


def select_seeds(asked: Sequence[int], known: Sequence[int]) -> list[int]:
    """Return the requested seeds: some of the suite's, in its order, or new ones, sorted. Without a request, all seeds.

    Raises:
        UserError: suite seeds and new seeds are mixed, a seed is repeated, or a seed is out of range.
    """
    fresh = [seed for seed in asked if seed not in known]
    if not fresh:
        return select_items("seed", asked, known)
    if outside := [seed for seed in fresh if not 0 <= seed < 2**32]:
        limits = f"Give a number from 0 to {2**32 - 1}"
        raise UserError("\n".join(f"--seed {seed}: is out of range. {limits}" for seed in dict.fromkeys(outside)))
    if len(fresh) < len(asked):
        theirs = ", ".join(str(seed) for seed in asked if seed in known)
        raise UserError(
            f"--seed {fresh[0]}: is none of the suite's seeds ({', '.join(map(str, known))}), but {theirs} is. "
            "Fresh seeds confirm what the suite's seeds have chosen: evaluate them in a run of their own"
        )
    if twice := [seed for seed in fresh if fresh.count(seed) > 1]:
        raise UserError(f"--seed {twice[0]}: is given twice; give each seed once")
    return sorted(fresh)


def select_items(what: str, asked: Sequence[Choice], known: Sequence[Choice]) -> list[Choice]:
    """Return the requested tasks, languages or seeds in the suite's order. Without a request, all of them.

    Raises:
        UserError: the suite does not have some of them, a line each.
    """
    absent = dict.fromkeys(name for name in asked if name not in known)
    if absent:
        raise UserError("\n".join(str(unknown(f"{what} in this suite:", str(n), map(str, known))) for n in absent))
    return [name for name in known if not asked or name in asked]
