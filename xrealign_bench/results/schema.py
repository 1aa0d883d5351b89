"""The result of one checkpoint x recipe on one suite, and its comparison with the fine-tuning-only baseline.

On disk a result is a folder: `result.json`, one `predictions-<task>.parquet` a task, and, unless it is the baseline
itself, `comparison.json`. Predictions hold numbers and no text: columns language (string), seed (int64), example
(int32), and those that `tasks.metrics.SCORING` names for the kind of task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xrealign_bench.models.device import PRECISIONS
from xrealign_bench.results.fields import (
    CheckpointId,
    Finite,
    Key,
    Metrics,
    NoSha256,
    NotNegative,
    PackageName,
    Paragraph,
    Rule,
    Seeds,
    Version,
)
from xrealign_bench.specs import (
    BlockNumber,
    Corpus,
    Count,
    DataName,
    Day,
    Examples,
    HubData,
    LanguageCode,
    LearningRate,
    Moment,
    Name,
    Recipe,
    Revision,
    Seed,
    Sentence,
    Sha256,
    Share,
    Spec,
    Suite,
    Task,
    Title,
)
from xrealign_bench.specs.base import digest


class CheckpointRecord(Spec):
    """Of a reported result the digests are empty and the parameters null: a publication names a checkpoint alone."""

    id: CheckpointId
    revision: Revision | None
    model_type: Title
    architecture: Title
    parameters: Count | None
    config_sha256: Sha256 | NoSha256
    weights_sha256: Sha256 | NoSha256
    tokenizer_sha256: Sha256 | NoSha256


class DataRecord(Spec):
    """One split of one language that was read."""

    used_as: Literal["train", "test", "parallel", "lexicon"]
    name: Name
    """Task or corpus."""
    language: LanguageCode
    config: DataName | None
    split: DataName
    revision: Revision | None
    fingerprint: Key
    examples: Count
    dropped: dict[Rule, Count] = {}
    """Rule -> how many examples (`link ...`: links) it dropped."""
    repaired: dict[Rule, Count] = {}
    """Rule -> how many gold labels it changed: `i_without_b`, an I-X that goes on no entity, read as B-X. Results from
    before this field existed have the labels as they are in the data, and do not count them."""
    altered: dict[Rule, Count] = {}
    """What the model does not read as it is. Words: `without_token` (read as the unknown token), `shortened`; texts:
    `truncated`, `without_token` (nothing is left of a text); questions: `shortened`, and those whose answer is whole
    `in_no_window`."""


class LanguageRecord(Spec):
    """A target language as the suite sees it; distances are to the suite's source language."""

    code: LanguageCode
    name: Title
    script: Title
    family: Title
    joshi_class: Annotated[int, Field(ge=0, le=5)] | None
    tier: Rule
    distance: Share | None
    band: Rule
    seen: bool | None
    """In the checkpoint's pre-training; null: not known."""


Trust = Literal["reported", "rescored", "rerun"]


class Score(Spec):
    """One task, language and seed."""

    task: Name
    language: LanguageCode
    seed: Seed
    examples: Count | None
    counted: Count | None
    """Words, examples, pairs or questions that count. Both are null where they are not reported."""
    metrics: Metrics
    """Metric -> value in 0..1; null: nothing to count, see `reason`."""
    groups: dict[Rule, Metrics] = {}
    """Group of words -> metrics, `counted` included."""
    reason: Sentence | None = None


class ReportedMean(Spec):
    """A mean over seeds that a publication gives without the scores of the single seeds.

    It is shown as it is: nothing is computed from it, and it is compared with nothing.
    """

    test_set: Title
    """In the publication's words: it need not be a task of the suite."""
    languages: Annotated[list[LanguageCode], Field(min_length=1, max_length=1000)] | None
    """Those that it averages, the source language among them where that is so; null: not known which."""
    mean: Share
    std: Share | None
    """Over the seeds; null: not given."""
    ddof: Literal[0, 1] | None
    """Of the std; null: not given."""


class RealignmentRecord(Spec):
    """What realignment did with one seed."""

    task: Name | None
    """Null where one realignment serves all tasks."""
    seed: Seed
    steps: Count
    learning_rate: LearningRate
    pairs: dict[LanguageCode, Count]
    """Language -> pairs, of word-aligned ones those with at least one link."""
    pairs_seen: dict[LanguageCode, Count]
    """Language -> pairs read in training, repetitions counted."""
    links: dict[LanguageCode, Count]
    dropped: dict[LanguageCode, dict[Rule, Count]]
    """Language -> rule -> links or pairs that it dropped."""
    languages_without_data: list[LanguageCode]
    frozen_blocks: list[BlockNumber]
    frozen_embeddings: bool
    trained_parameters: Count
    """Of the encoder, reached by the loss: what is frozen or above the objective's layer is not among them."""
    frozen_parameters: Count
    first_loss: Finite
    last_loss: Finite
    """Means of the first and the last tenth of the steps."""


class StageRecord(Spec):
    """What a stage cost when it was run (not when its output was reused)."""

    stage_type: Rule
    key: Key
    seconds: NotNegative
    peak_memory_bytes: Count | None = None
    flops: NotNegative | None = None
    batch_parts: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    """Of a training: into how many parts batches were cut, with the same loss, since memory was short."""


class PredictionRecord(Spec):
    task: Name
    file: Annotated[str, Field(pattern=r"^predictions-[a-z0-9][a-z0-9.-]{0,79}\.parquet$")]
    """Beside `result.json`, and nowhere else."""
    sha256: Sha256
    rows: Count


class ComputeSettings(Spec):
    """Everything about the machine and the software that can change a number (`models.device.compute_settings`)."""

    device: Literal["cpu", "cuda", "mps"]
    device_name: Title | None = None
    """Of a GPU."""
    dtype: Literal["float32", "bfloat16", "float16"]
    threads: Annotated[int, Field(gt=0, le=10_000)]
    deterministic_algorithms: bool = False
    tf32: bool = False
    torch: Version | None = None
    transformers: Version | None = None
    arithmetic: Annotated[int, Field(ge=0, le=10_000)] = 1
    """`models.device.ARITHMETIC`."""
    gradient_checkpointing: bool = False
    quantised: Literal["8bit", "4bit"] | None = None
    bitsandbytes: Version | None = None
    processes: Annotated[int, Field(gt=0, le=100_000)] = 1

    @property
    def suffix(self) -> str:
        """Suffix for rows that are not computed in fp32, such as `--bf16` or `--8bit`.

        >>> ComputeSettings(device="cpu", dtype="bfloat16", threads=1, quantised="8bit").suffix
        '--bf16--8bit'
        """
        short = [name for name, full in PRECISIONS.items() if full == self.dtype != "float32"]
        return "".join(f"--{name}" for name in (*short, self.quantised) if name)


class Result(Spec):
    """Everything that is known about one evaluation."""

    schema_version: Literal[3] = 3
    harness_version: Version
    created: Moment
    command: Paragraph
    """As it was typed: never shown as something to run, `results.command` builds that from the other fields."""
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


class Variance(Spec):
    """An estimate of a variance (0..1 scale, squared) and its degrees of freedom."""

    value: NotNegative
    df: NotNegative


class Gain(Spec):
    """Mean gain over the baseline (0..1 scale: 0.01 is one percentage point) with its 95 % interval.

    Everything that the interval follows from is here: `scoring.inference.estimate` computes it from `by_seed`, `prior`
    and `examples`.
    """

    mean: Finite | None
    """Null: a language or a tier is missing, see `reason`."""
    low: Finite | None
    high: Finite | None
    """Null: no mean, or nothing to estimate its variance from."""
    languages: Count
    """How many languages the mean covers; over several tasks, the sum of their languages."""
    reason: Paragraph | None = None
    by_seed: list[Finite] = []
    """The gain with each seed, in the order of the result's seeds."""
    prior: Variance | None = None
    """What is expected of the variance of one seed's gain: by the prior, plus the seed-by-example interaction. With 0
    degrees of freedom the metric has no prior. Null: nothing depends on the seed."""
    examples: Variance | None = None
    """Variance of the mean by the choice of test examples, without what the seeds' variance holds already; null for
    reported scores."""


MAX_RESAMPLES = 100_000
"""Ten times the default."""

Verdict = Literal["helped", "harmed", "same", "untested"]
"""`untested`: there is one seed only, or no variance to test with."""


class LanguageChange(Spec):
    """One language of one task against the baseline."""

    task: Name
    language: LanguageCode
    score: Finite
    """Mean over seeds."""
    std: NotNegative | None
    """Over seeds, with the comparison's `ddof`; null for a single seed."""
    baseline: Finite
    baseline_std: NotNegative | None
    gain: Finite
    low: Finite | None
    high: Finite | None
    """The 95 % interval of this language alone."""
    p_value: Share | None
    """Two-sided; includes the variance of seeds and examples; Holm-corrected over all tasks and languages."""
    verdict: Verdict
    """By the corrected test at 5 %."""
    one_std: Literal["helped", "harmed", "same"]
    """By AlignFreeze's rule: rounded means differ by more than the baseline's rounded std (percent, one decimal, ddof
    0). Always `same` in retrieval, where the baseline has no spread."""


class LanguageCount(Spec):
    """A number of languages (over several tasks: of languages and tasks together) with its 95 % interval."""

    count: Count
    low: Count | None
    high: Count | None
    """Null: too little to resample."""


class OneStd(Spec):
    """How many languages change by AlignFreeze's rule (see `LanguageChange.one_std`).

    The rule is applied to every resample of `scoring.bootstrap`, with seeds moved apart so that drawn seeds spread as
    much as the measured ones. In simulated studies (benchmarks/one_std_interval.py) this interval covers the count
    that fresh seeds give on average more often than the range over leaving out a seed.
    """

    helped: LanguageCount
    harmed: LanguageCount


class Further(Spec):
    """The gain to expect in one further language like a task's targets (see `scoring.further`)."""

    mean: Finite
    low: Finite
    high: Finite
    """The 95 % prediction interval: variance between languages included, language families as clusters."""
    families: Count


class TaskComparison(Spec):
    task: Name
    metric: Rule
    gains: dict[Rule, Gain]
    """`xr` (the mean over the tiers that count) and those of `scoring.aggregate.GROUPS` that have languages."""
    languages: list[LanguageChange]
    """Target languages; the source language's change is in `gains`."""
    further: Further | None = None
    """Null: one seed, or fewer than three language families."""
    one_std: OneStd | None
    """Null: there is no standard deviation to go by, with one seed or without fine-tuning."""
    not_compared: dict[LanguageCode, Sentence] = {}
    """Language -> why it has no change."""


class Comparison(Spec):
    """A result against its baseline: derived from the two results' predictions, and so recomputable.

    Schema version 2 added the intervals of `one_std`; version 3 replaced bootstrap intervals and tests by those of
    `scoring.inference`.
    """

    schema_version: Literal[3] = 3
    scoring: Annotated[int, Field(ge=1, le=1000)]
    """`scoring.aggregate.SCORING_VERSION` of the code that compared; 1 for a migrated comparison, which has no
    intervals and no tests."""
    prior: Version | None
    """Version of the prior (`scoring/prior.json`) that the intervals used; null for a migrated comparison."""
    ddof: Literal[0, 1]
    """Of the standard deviations of languages."""
    result_digest: Sha256
    """What `digest_evidence` returns for the result."""
    baseline_digest: Sha256
    baseline: Title
    """Path of the baseline's folder, relative to this result's."""
    resamples: Annotated[int, Field(ge=0, le=MAX_RESAMPLES)]
    seed: Seed
    """Of the resampling behind `one_std`, not of the training."""
    gains: dict[Rule, Gain]
    """The keys of the tasks' gains, each the mean over the tasks in which the group counts; `xr` is the gain in XR
    score."""
    one_std: OneStd | None
    """Over the tasks that have it; null: none has."""
    tasks: list[TaskComparison]


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


class HistoryEvent(Spec):
    """What happened to a published result."""

    what: Literal["rerun", "corrected", "withdrawn"]
    on: Day
    evidence: Sha256
    """`digest_evidence` of the result: of a corrected one, as it was before."""
    reason: Sentence = ""
    """Of a correction or withdrawal."""
    seed: Seed | None = None
    """The one that was computed again from checkpoint and data."""
    largest_difference: NotNegative | None = None
    """Of a rerun: percentage points between the means of a task, over the tasks."""
    same_compute_settings: bool | None = None
    """Of a rerun: on the same kind of device, with the same versions, so that every score had to be equal."""

    @model_validator(mode="after")
    def _says_what_it_must(self) -> HistoryEvent:
        if self.what == "rerun" and None in (self.seed, self.largest_difference, self.same_compute_settings):
            raise ValueError("a rerun says seed, largest_difference and same_compute_settings")
        if self.what != "rerun" and not self.reason.strip():
            raise ValueError(f"what is {self.what} needs a reason")
        return self


class History(Spec):
    """What happened to a result since it was published, the earliest first."""

    schema_version: Literal[2] = 2
    events: list[HistoryEvent] = []

    @property
    def withdrawn(self) -> HistoryEvent | None:
        return next((event for event in self.events if event.what == "withdrawn"), None)


def trust_in(result: Result, history: History) -> Trust:
    """How far scores can be checked: `reported`, not at all; `rescored`, each from stored predictions; `rerun`, and a
    seed was computed again and agreed."""
    if result.reported is not None:
        return "reported"
    evidence = digest_evidence(result)
    again = any(event.what == "rerun" and event.evidence == evidence for event in history.events)
    return "rerun" if again else "rescored"


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
