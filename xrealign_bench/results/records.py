"""The parts of a result: its checkpoint, data, target languages, scores, realignments, stages and predictions.

On disk a result is a folder with `result.json`, one `predictions-<task>.parquet` per task and, unless it is the
baseline itself, `comparison.json`. Predictions hold numbers and no text: the columns language (string), seed (int64),
example (int32), and those that the metric of the task type lists.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.models.device import PRECISIONS
from xrealign_bench.results.fields import CheckpointId, Finite, Key, Metrics, NoSha256, NotNegative, Rule, Version
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
