"""A suite: everything that is held fixed, so that recipes can be compared. Results of two versions never meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import (
    BatchSize,
    DataName,
    Examples,
    LanguageCode,
    LearningRate,
    Name,
    Seed,
    Sentence,
    SequenceLength,
    Share,
    Steps,
    Title,
)
from xrealign_bench.specs.task import Task

Choice = TypeVar("Choice", str, int)
ModelType = Annotated[
    str, Field(description="a model type such as bert", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)
]
Warmup = Annotated[float, Field(ge=0, lt=1)]
Languages = Annotated[list[LanguageCode], Field(min_length=1, max_length=1000)]
JoshiClass = Annotated[int, Field(ge=0, le=5)]
DistanceKind = Literal["syntactic", "phonological", "inventory", "featural", "genetic", "geographic"]


class Finetuning(Spec):
    """Fine-tuning in the source language (AlignFreeze, appendix: Adam without decay or clipping)."""

    steps: Steps
    batch_size: BatchSize = 32
    max_length: SequenceLength = 96
    """Sub-words of a window, special ones included; longer sentences are read in several windows."""
    learning_rate: Annotated[dict[ModelType, LearningRate], Field(min_length=1, max_length=100)]
    """Model type (of the checkpoint's config.json) -> learning rate; `default` is required."""
    lr_schedule: Literal["constant", "linear"] = "linear"
    warmup: Warmup = 0.1
    """Share of the steps."""

    @model_validator(mode="after")
    def _has_default(self) -> Finetuning:
        if "default" not in self.learning_rate:
            raise ValueError("learning_rate needs an entry 'default'")
        return self


class FinetuningChange(Spec):
    """What one task of a suite does otherwise than the suite's `finetuning`; null: the same."""

    steps: Steps | None = None
    batch_size: BatchSize | None = None
    max_length: SequenceLength | None = None
    learning_rate: Annotated[dict[ModelType, LearningRate], Field(max_length=100)] | None = None
    lr_schedule: Literal["constant", "linear"] | None = None
    warmup: Warmup | None = None


class Bands(Spec):
    """Typological distance to the source language, cut at frozen terciles of the suite's targets."""

    distance: DistanceKind = "featural"
    cuts: Annotated[tuple[Share, Share], Field(strict=False)]
    """close <= first < middle <= second < distant."""

    @model_validator(mode="after")
    def _cuts_ascend(self) -> Bands:
        if self.cuts[0] > self.cuts[1]:
            raise ValueError(f"cuts are {self.cuts[0]} and {self.cuts[1]}; write the smaller one first")
        return self


class SuiteParallel(Spec):
    """What a recipe realigns on unless it says otherwise."""

    corpus: Name
    aligner: Name
    other_corpora: Annotated[dict[Name, Languages], Field(max_length=100)] = {}
    """Corpus -> languages that are read from it instead."""

    @property
    def corpora(self) -> list[str]:
        """The names of all of them."""
        return [self.corpus, *self.other_corpora]


class Suite(Spec):
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
    realignment_matches: Literal["task", "suite"] = "task"
    """Whose steps and learning rate a recipe takes that matches fine-tuning: each task's own (AlignFreeze), or those of
    `finetuning` whatever a task changes, so that one realignment serves all tasks."""
    test_examples: Examples | None = None
    """At most so many test examples a language of every task, evenly spread over the data, whatever the task allows;
    null: as the tasks say."""
    parallel: SuiteParallel
    tiers: dict[Literal["high", "medium", "low"], Annotated[list[JoshiClass], Field(max_length=6)]] = {
        "high": [4, 5],
        "medium": [3],
        "low": [0, 1, 2],
    }
    """Joshi et al. (2020) classes."""
    bands: Bands
    checkpoint: DataName | None = None
    """The checkpoint that is evaluated when none is named."""
    controls: Annotated[list[Name], Field(max_length=100)] = []
    """Recipes that belong on the suite's board whatever is submitted."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.version}"

    def finetuning_of(self, task: str) -> Finetuning:
        """The suite's fine-tuning with the task's own changes."""
        change = self.finetuning_by_task.get(task)
        changed = {} if change is None else change.model_dump(exclude_none=True)
        return Finetuning.model_validate(self.finetuning.model_dump() | changed)

    def capped(self, task: Task) -> Task:
        """Return a task with no more test examples than the suite allows."""
        sizes = [size for size in (task.test_examples, self.test_examples) if size is not None]
        return task.model_copy(update={"test_examples": min(sizes, default=None)})

    @model_validator(mode="after")
    def _lists_are_sets(self) -> Suite:
        for field in ("target_languages", "tasks", "seeds"):
            values = getattr(self, field)
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"{field} names {', '.join(twice)} more than once")
        foreign = [name for name in self.finetuning_by_task if name not in self.tasks]
        if foreign:
            raise ValueError(f"finetuning_by_task names {', '.join(foreign)}, which is none of the suite's tasks")
        if self.source_language in self.target_languages:
            raise ValueError(
                f"the source language '{self.source_language}' is also a target; its score is never averaged, remove it"
            )
        return self


def chosen_seeds(asked: Sequence[int], known: Sequence[int]) -> list[int]:
    """Return the suite's seeds that are asked for, in its order, or fresh ones, sorted; all of the suite's if none is.

    Raises:
        UserError: some of them are the suite's and some are not, one comes twice, or one is out of range.
    """
    fresh = [seed for seed in asked if seed not in known]
    if not fresh:
        return chosen("seed", asked, known)
    if outside := [seed for seed in fresh if not 0 <= seed < 2**32]:
        raise UserError(f"--seed {outside[0]}: is out of range. Give a number from 0 to {2**32 - 1}")
    if len(fresh) < len(asked):
        theirs = ", ".join(str(seed) for seed in asked if seed in known)
        raise UserError(
            f"--seed {fresh[0]}: is none of the suite's seeds ({', '.join(map(str, known))}), but {theirs} is. "
            "Fresh seeds confirm what the suite's seeds have chosen: evaluate them in a run of their own"
        )
    if twice := [seed for seed in fresh if fresh.count(seed) > 1]:
        raise UserError(f"--seed {twice[0]}: is given twice; give each seed once")
    return sorted(fresh)


def chosen(what: str, asked: Sequence[Choice], known: Sequence[Choice]) -> list[Choice]:
    """Those of a suite's tasks, languages or seeds that are asked for, in its order; all where none is named.

    Raises:
        UserError: one is not the suite's.
    """
    for name in asked:
        if name not in known:
            raise unknown(f"{what} in this suite:", str(name), map(str, known))
    return [name for name in known if not asked or name in asked]
