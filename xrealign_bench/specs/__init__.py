"""What people write: strict models of recipes, tasks, corpora and suites, and their YAML."""

from xrealign_bench.specs.base import Spec, canonical_json, digest
from xrealign_bench.specs.data import Corpus, DataSource, EmbeddedData, HubData
from xrealign_bench.specs.fields import (
    BatchSize,
    BlockNumber,
    Commit,
    Count,
    DataName,
    Day,
    Examples,
    HubId,
    LanguageCode,
    LearningRate,
    ModelText,
    Moment,
    Name,
    Revision,
    Seed,
    Sentence,
    SequenceLength,
    Sha256,
    Share,
    Steps,
    Title,
    Url,
    Weight,
)
from xrealign_bench.specs.lock import Lock, LockedGold, LockedSplit
from xrealign_bench.specs.recipe import (
    Adapter,
    Freeze,
    Objective,
    Parallel,
    PublishedSubset,
    Recipe,
    Regularisation,
    Schedule,
    SelectedLanguages,
)
from xrealign_bench.specs.suite import Bands, DistanceKind, Finetuning, FinetuningChange, Suite, SuiteParallel
from xrealign_bench.specs.task import Columns, Kind, Part, Spans, Task
from xrealign_bench.specs.yaml import find_beside, find_spec, load_spec, shipped_names, spec_file

__all__ = [
    "Adapter", "Bands", "BatchSize", "BlockNumber", "Columns", "Commit", "Corpus", "Count", "DataName", "DataSource",
    "Day", "DistanceKind", "EmbeddedData", "Examples", "Finetuning", "FinetuningChange", "Freeze", "HubData", "HubId",
    "Kind", "LanguageCode", "LearningRate", "Lock", "LockedGold", "LockedSplit", "ModelText", "Moment", "Name",
    "Objective", "Parallel", "Part", "PublishedSubset", "Recipe", "Regularisation", "Revision", "Schedule", "Seed",
    "SelectedLanguages", "Sentence", "SequenceLength", "Sha256", "Share", "Spans", "Spec", "Steps", "Suite",
    "SuiteParallel", "Task", "Title", "Url", "Weight", "canonical_json", "digest", "find_beside", "find_spec",
    "load_spec", "shipped_names", "spec_file",
]  # fmt: skip
