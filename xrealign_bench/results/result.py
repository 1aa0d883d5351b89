"""The result of one checkpoint and recipe on one suite, and the digests by which results are matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import fsum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from xrealign_bench.plugins import no_imports
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
from xrealign_bench.specs.base import added_later, digest
from xrealign_bench.specs.plugin import PluginRecord
from xrealign_bench.specs.recipe import BASELINE as BASELINE

IN_MEMORY = "in-memory"
"""Id of a checkpoint that was passed as an object: nobody else can find it."""


class Result(Spec):
    """One evaluation: its inputs, settings, scores and costs."""

    schema_version: Literal[3] = 3
    harness_version: Version
    created: Moment
    command: Paragraph
    """The command as it was typed. Never shown as something to run: `results.reproduction` builds that from the other
    fields."""
    reported: Paragraph | None = None
    """Source of scores that were taken from a publication, and what to know about them. Such a result has no
    predictions and no stages. Null: the harness computed the scores."""
    suite: Suite
    suite_digest: Sha256
    """`digest_suite` of the suite with its tasks and parallel corpora."""
    tasks: Annotated[list[Task], Field(max_length=100)]
    corpora: Annotated[list[Corpus], Field(max_length=100)] = added_later([])
    """Parallel corpora of the suite and the recipe; empty in results older than this field."""
    recipe: Recipe
    recipe_digest: Sha256
    checkpoint: CheckpointRecord
    seeds: Seeds
    ddof: Literal[0, 1] = 1
    """Delta degrees of freedom of the standard deviations on boards. 0 only for reported figures whose publication
    uses it."""
    languages: Annotated[list[LanguageRecord], Field(max_length=1000)]
    limit: Examples | None
    """Largest number of examples per language and split; null: all. A limited result is never ranked."""
    compute_settings: ComputeSettings | None
    """Null for reported results: not known."""
    packages: dict[PackageName, Version]
    data: list[DataRecord]
    realignment: list[RealignmentRecord] = []
    scores: list[Score]
    reported_means: list[ReportedMean] = []
    """Means from a publication that gives no scores. Such a result has no tasks of the suite and no scores."""
    predictions: list[PredictionRecord]
    stages: list[StageRecord]
    plugins: Annotated[list[PluginRecord], Field(max_length=100)] = added_later([])
    """Plugins that it was computed with. Reading a result imports none of them."""

    @model_validator(mode="wrap")
    @classmethod
    def _import_no_plugin(cls, content: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        with no_imports():
            return validate(content)

    @model_validator(mode="after")
    def _check_computed_or_reported(self) -> Result:
        if (self.reported is None) == (self.compute_settings is None):
            raise ValueError("exactly one of 'reported' and 'compute_settings' must be null")
        return self

    @model_validator(mode="after")
    def _check_means_stand_alone(self) -> Result:
        if self.reported_means and (self.reported is None or self.tasks or self.scores or self.predictions):
            raise ValueError("'reported_means' needs 'reported', and no tasks, scores or predictions")
        return self

    @model_validator(mode="after")
    def _check_bands_are_cut(self) -> Result:
        if self.suite.bands.cuts is None:
            raise ValueError("'suite.bands.cuts' must be two numbers")
        return self

    @property
    def known_compute_settings(self) -> ComputeSettings:
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
    def may_stand_on_board(self) -> bool:
        """Whether boards show it: not on development data, and with a checkpoint that others can find."""
        return not self.suite.is_development and self.checkpoint.id != IN_MEMORY

    @property
    def total_flops(self) -> float | None:
        """Estimated floating-point operations of all stages; None if no stage recorded any."""
        counted = [stage.flops for stage in self.stages if stage.flops is not None]
        return fsum(counted) if counted else None

    @property
    def missing(self) -> list[str]:
        """The parts of the suite that this result lacks, one sentence each. Empty: complete, so it can be ranked.

        A language that a task does not have is not missing.
        """
        if self.reported_means:
            return ["means alone are reported, not the scores that they are of"]
        limited = [f"limited to {self.limit} examples"] if self.limit is not None else []
        scored = {(s.task, s.language, s.seed) for s in self.scores if s.reason is None}
        return limited + (self._missing_axes(scored) or self._missing_scores(scored))

    def _missing_axes(self, scored: set[tuple[str, str, int]]) -> list[str]:
        """Tasks, languages and seeds without any score."""
        problems = []
        for what, position, wanted in (
            ("task", 0, self.suite.tasks),
            ("language", 1, self.suite.target_languages),
            ("seed", 2, self.suite.seeds),
        ):
            present = {cell[position] for cell in scored}
            if absent := [str(each) for each in wanted if each not in present]:
                problems.append(f"{what}s not evaluated: {', '.join(absent)}")
        return problems

    def _missing_scores(self, scored: set[tuple[str, str, int]]) -> list[str]:
        """Single combinations of task, language and seed without a score."""
        unavailable = {
            (t.name, code) for t in self.tasks for code in self.suite.target_languages if code not in t.languages
        }
        return [
            f"{task} in {language}: not evaluated with seed {seed}"
            for task, language, seed in product(self.suite.tasks, self.suite.target_languages, self.suite.seeds)
            if (task, language, seed) not in scored and (task, language) not in unavailable
        ]

    @property
    def has_fresh_seeds(self) -> bool:
        """Whether it is complete except that it uses none of the suite's seeds.

        Such a result is not ranked. It can confirm a row that was selected on the suite's seeds.
        """
        if set(self.seeds) & set(self.suite.seeds):
            return False
        suite = self.suite.model_copy(update={"seeds": self.seeds})
        return not self.model_copy(update={"suite": suite}).missing


def digest_suite(suite: Suite, tasks: Sequence[Task], corpora: Mapping[str, Corpus]) -> str:
    """Sha256 (hex) of a suite, its tasks and its parallel corpora. Comparable results have the same one.

    Args:
        tasks: the suite's tasks.
        corpora: by name; those of the suite are included in the digest, without their commit, since an evaluation
            without realignment does not look it up.
    """
    names = sorted(suite.parallel.corpora)
    return digest(
        {
            "suite": suite,
            "tasks": sorted(tasks, key=lambda task: task.name),
            "corpora": [_without_commit(corpora[name]) for name in names],
        }
    )


def _without_commit(corpus: Corpus) -> Corpus:
    if not isinstance(corpus.source, HubData):
        return corpus
    return corpus.model_copy(update={"source": corpus.source.model_copy(update={"revision": None})})


def digest_evidence(result: Result) -> str:
    """Sha256 (hex) of everything that determines a result's figures: protocol, checkpoint, recipe and predictions.

    Unlike the bytes of result.json, it stays the same when another command collects the same predictions. So a
    comparison stays valid when its baseline is evaluated again together with the next recipe.
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
