"""The result of one checkpoint and recipe on one suite, and the digests by which results are matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xrealign_bench.results.fields import PackageName, Paragraph, Seeds, Version
from xrealign_bench.results.records import (
    CheckpointRecord,
    ComputeSettings,
    DataRecord,
    LanguageRecord,
    PredictionRecord,
    RealignmentRecord,
    ReportedMean,
    Score,
    StageRecord,
)
from xrealign_bench.specs import Corpus, Examples, HubData, Moment, Recipe, Sha256, Spec, Suite, Task
from xrealign_bench.specs.base import digest


class Result(Spec):
    """Everything that is known about one evaluation."""

    schema_version: Literal[3] = 3
    harness_version: Version
    created: Moment
    command: Paragraph
    """As it was typed: never shown as something to run, `results.reproduction` builds that from the other fields."""
    reported: Paragraph | None = None
    """Where the scores were taken from, and what to know of them: such a result has no predictions and no stages. Null:
    the harness computed them."""
    suite: Suite
    suite_digest: Sha256
    """Of the suite with its tasks and parallel corpora: what `digest_suite` gives."""
    tasks: Annotated[list[Task], Field(max_length=100)]
    recipe: Recipe
    recipe_digest: Sha256
    checkpoint: CheckpointRecord
    seeds: Seeds
    ddof: Literal[0, 1] = 1
    """Of the standard deviations that boards show for it: 0 only for reported figures whose publication uses it."""
    languages: Annotated[list[LanguageRecord], Field(max_length=1000)]
    limit: Examples | None
    """Examples a language and split at most; null: all. A limited result is never ranked."""
    compute_settings: ComputeSettings | None
    """Null: not known, of a reported result."""
    packages: dict[PackageName, Version]
    data: list[DataRecord]
    realignment: list[RealignmentRecord] = []
    scores: list[Score]
    reported_means: list[ReportedMean] = []
    """Of a publication that gives no scores: such a result has neither tasks of the suite nor scores."""
    predictions: list[PredictionRecord]
    stages: list[StageRecord]

    @model_validator(mode="after")
    def _computed_or_reported(self) -> Result:
        if (self.reported is None) == (self.compute_settings is None):
            raise ValueError(
                "compute_settings are those of a result that was computed: one of these and reported is null"
            )
        return self

    @model_validator(mode="after")
    def _means_stand_alone(self) -> Result:
        if self.reported_means and (self.reported is None or self.tasks or self.scores or self.predictions):
            raise ValueError("reported_means are of a reported result that has no tasks, scores and predictions")
        return self

    @property
    def computed_with(self) -> ComputeSettings:
        """The compute settings of a computed result.

        Raises:
            ValueError: the result is a reported one.
        """
        if self.compute_settings is None:
            raise ValueError("a reported result has no compute settings")
        return self.compute_settings

    @property
    def suffix(self) -> str:
        """See `ComputeSettings.suffix`; empty for a reported result."""
        return self.compute_settings.suffix if self.compute_settings else ""

    @property
    def is_baseline(self) -> bool:
        return self.recipe.name == BASELINE

    @property
    def missing(self) -> list[str]:
        """What the suite asks for and this result lacks, one sentence each; empty: complete, so it can be ranked.

        A language that a task does not have is not asked for.
        """
        if self.reported_means:
            return ["means alone are reported, not the scores that they are of"]
        lacking = {
            (t.name, code) for t in self.tasks for code in self.suite.target_languages if code not in t.languages
        }
        have = {(s.task, s.language, s.seed) for s in self.scores if s.reason is None}
        lacks = [f"limited to {self.limit} examples"] if self.limit is not None else []
        wholly = []
        for what, position, wanted in (
            ("task", 0, self.suite.tasks),
            ("language", 1, self.suite.target_languages),
            ("seed", 2, self.suite.seeds),
        ):
            gone = [str(w) for w in wanted if w not in {h[position] for h in have}]
            if gone:
                wholly.append(f"{what}s not evaluated: {', '.join(gone)}")
        if not wholly:  # single cells are missing
            cells = product(self.suite.tasks, self.suite.target_languages, self.suite.seeds)
            wholly += [
                f"{task} in {language}: not evaluated with seed {seed}"
                for task, language, seed in cells
                if (task, language, seed) not in have and (task, language) not in lacking
            ]
        return lacks + wholly

    @property
    def has_fresh_seeds(self) -> bool:
        """Whether it is complete but for its seeds, none of which is the suite's: such a result ranks nothing, and can
        confirm a row that the suite's seeds have chosen."""
        if set(self.seeds) & set(self.suite.seeds):
            return False
        suite = self.suite.model_copy(update={"seeds": self.seeds})
        return not self.model_copy(update={"suite": suite}).missing


BASELINE = "finetune-only"
"""The recipe that every other one is measured against."""


def digest_suite(suite: Suite, tasks: Sequence[Task], corpora: Mapping[str, Corpus]) -> str:
    """Sha256 (hex) of a suite, its tasks and its parallel corpora: what must be equal for two results to be compared.

    Args:
        tasks: those that it names.
        corpora: its own among others. They are covered at whatever commit they are: an evaluation that realigns
            nothing does not look it up.
    """
    names = sorted(suite.parallel.corpora)
    return digest(
        {
            "suite": suite,
            "tasks": sorted(tasks, key=lambda task: task.name),
            "corpora": [_at_any_commit(corpora[name]) for name in names],
        }
    )


def _at_any_commit(corpus: Corpus) -> Corpus:
    if not isinstance(corpus.source, HubData):
        return corpus
    return corpus.model_copy(update={"source": corpus.source.model_copy(update={"revision": None})})


def digest_evidence(result: Result) -> str:
    """Sha256 (hex) of what a result's figures follow from: protocol, checkpoint, recipe and predictions.

    Unlike the bytes of result.json it stays the same when the same predictions are collected by another command, so
    a comparison stays good when its baseline is evaluated again together with the next recipe.
    """
    checkpoint = result.checkpoint
    reported = {} if result.reported is None else {"scores": [*result.scores, *result.reported_means]}
    return digest(
        reported
        | {
            "suite": result.suite_digest,
            "checkpoint": [checkpoint.weights_sha256, checkpoint.config_sha256, checkpoint.tokenizer_sha256],
            "recipe": result.recipe_digest,
            "seeds": result.seeds,
            "limit": result.limit,
            "predictions": sorted((record.task, record.sha256) for record in result.predictions),
        }
    )
