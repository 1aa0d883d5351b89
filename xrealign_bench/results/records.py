"""The parts of a result: its checkpoint, data, target languages, scores, realignments, stages and predictions.

On disk a result is a folder with `result.json`, one `predictions-<task>.parquet` per task and, unless it is the
baseline itself, `comparison.json`. Predictions hold numbers and no text: the columns language (string), seed (int64),
example (int32), and those that the metric of the task type lists.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.models.compute_settings import ComputeSettings as ComputeSettings
from xrealign_bench.results.fields import CheckpointId, Finite, Key, Metrics, NoSha256, NotNegative, Rule
from xrealign_bench.specs import (
    BlockNumber,
    Count,
    DataName,
    LanguageCode,
    LearningRate,
    Name,
    Revision,
    Seed,
    Sentence,
    Sha256,
    Share,
    Spec,
    Title,
)
from xrealign_bench.specs.base import added_later


class CheckpointRecord(Spec):
    """The evaluated checkpoint. In a reported result the digests are empty and `parameters` is null."""

    id: CheckpointId
    revision: Revision | None
    model_type: Title
    architecture: Title
    parameters: Count | None
    config_sha256: Sha256 | NoSha256
    weights_sha256: Sha256 | NoSha256
    tokenizer_sha256: Sha256 | NoSha256


class DataRecord(Spec):
    """One split of one language, as it was read."""

    used_as: Literal["train", "test", "parallel", "lexicon"]
    name: Name
    """Name of the task or corpus."""
    language: LanguageCode
    config: DataName | None
    split: DataName
    revision: Revision | None
    fingerprint: Key
    examples: Count
    dropped: dict[Rule, Count] = {}
    """Rule -> number of examples (for `link ...`: links) dropped by it."""
    repaired: dict[Rule, Count] = {}
    """Rule -> number of gold labels changed by it. `i_without_b`: an I-X without a preceding B-X or I-X, read as B-X.
    Results older than this field use the labels unchanged and count nothing."""
    altered: dict[Rule, Count] = {}
    """Number of inputs that the model can't read in full, or not as they are in the data. Words: `without_token` (read
    as the unknown token), `shortened`. Sentences: `segmented` (split into other words). Texts: `truncated`,
    `without_token` (no token is left). Questions: `shortened`, and `in_no_window` if no window contains the whole
    answer."""


class LanguageRecord(Spec):
    """A target language: its tier, and its distance to the suite's source language."""

    code: LanguageCode
    name: Title
    script: Title
    family: Title
    joshi_class: Annotated[int, Field(ge=0, le=5)] | None
    tier: Rule
    distance: Share | None
    band: Rule
    seen: bool | None
    """Whether the checkpoint was pre-trained on the language; null: not known."""


class Score(Spec):
    """The score of one task, language and seed."""

    task: Name
    language: LanguageCode
    seed: Seed
    examples: Count | None
    counted: Count | None
    """Number of scored words, examples, pairs or questions. Both are null if a publication does not report them."""
    metrics: Metrics
    """Metric -> value in 0..1; null: there is nothing to score, see `reason`."""
    groups: dict[Rule, Metrics] = {}
    """Group of words -> metrics, `counted` included."""
    reason: Sentence | None = None


class ReportedMean(Spec):
    """A mean over seeds that a publication gives without the scores of the individual seeds.

    Boards show it unchanged. Nothing is computed from it, and it takes part in no comparison.
    """

    test_set: Title
    """The publication's name for it. It need not be a task of the suite."""
    languages: Annotated[list[LanguageCode], Field(min_length=1, max_length=1000)] | None
    """The averaged languages, including the source language if it is part of the mean; null: not known."""
    mean: Share
    std: Share | None
    """Standard deviation over the seeds; null: not given."""
    ddof: Literal[0, 1] | None
    """Delta degrees of freedom of `std`; null: not given."""


class RealignmentRecord(Spec):
    """One realignment run: its data, frozen parts and losses."""

    task: Name | None
    """Null if one realignment serves all tasks."""
    seed: Seed
    steps: Count
    learning_rate: LearningRate
    pairs: dict[LanguageCode, Count]
    """Language -> number of pairs; with word alignment, of pairs with at least one link."""
    pairs_seen: dict[LanguageCode, Count]
    """Language -> number of pairs read in training, including repetitions."""
    links: dict[LanguageCode, Count]
    dropped: dict[LanguageCode, dict[Rule, Count]]
    """Language -> rule -> number of links or pairs dropped by it."""
    languages_without_data: list[LanguageCode]
    frozen_blocks: list[BlockNumber]
    frozen_embeddings: bool
    trained_parameters: Count
    """Encoder parameters that the loss trains: neither frozen nor above the objective's layer."""
    frozen_parameters: Count
    first_loss: Finite
    last_loss: Finite
    """`first_loss` and `last_loss` are means over the first and the last tenth of the steps."""
    output_layer: Literal["checkpoint", "new", "input_embeddings"] | None = added_later(None)
    """Output layer of `continued_pretraining`: the checkpoint's own, a new one for its model type, or its input
    embeddings; null for other methods."""


class StageRecord(Spec):
    """The cost of running a stage. A reused output keeps the cost of its original run."""

    stage_type: Rule
    key: Key
    seconds: NotNegative
    peak_memory_bytes: Count | None = None
    flops: NotNegative | None = None
    batch_parts: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    """Training only: number of gradient-accumulation parts per batch after running out of memory. The loss is the
    same."""


class PredictionRecord(Spec):
    """The predictions file of one task."""

    task: Name
    file: Annotated[
        str,
        Field(
            description="a file name such as predictions-TASK.parquet",
            pattern=r"^predictions-[a-z0-9][a-z0-9.-]{0,79}\.parquet$",
        ),
    ]
    """Name of a file next to `result.json`."""
    sha256: Sha256
    rows: Count
