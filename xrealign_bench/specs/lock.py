"""Lock file of a suite: checksums of its data, one entry per split. It is stored next to the suite."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import (
    Commit,
    Count,
    DataName,
    HttpsAddress,
    HubId,
    LanguageCode,
    LocalPath,
    Name,
    Sha256,
)

LOCK_SUFFIX = ".lock.yaml"

Key = tuple[str, str, str]
"""Data set, config, split."""


class LockedSplit(Spec):
    """Commit and checksum of one split."""

    dataset: HubId | HttpsAddress | LocalPath
    """Hub id, address of a file or archive, or path relative to the task's or corpus's YAML, beginning with `./`."""
    config: DataName
    split: DataName
    revision: Commit | None
    """Commit on the Hub, or in the address; null: not pinned yet, or not under version control."""
    sha256: Sha256 | None
    """Checksum of the content at that commit or, without a commit, of the copy that the suite was measured on; null:
    unknown."""
    bytes: Count | None = None
    """Size of the files. Given for addresses and local files."""

    @property
    def key(self) -> Key:
        return self.dataset, self.config, self.split


class LockedGold(Spec):
    """Number and checksum of a task's test examples and gold labels in one language."""

    task: Name
    language: LanguageCode
    examples: Count
    sha256: Sha256
    """See `tasks.gold.Gold`."""


class Lock(Spec):
    """All splits that a suite reads, and the gold labels of its tasks."""

    splits: Annotated[list[LockedSplit], Field(min_length=1, max_length=100_000)]
    gold: Annotated[list[LockedGold], Field(max_length=100_000)] | None = None
    """Null: the lock was written without reading the data, so gold labels of results can't be checked."""

    @property
    def revisions(self) -> dict[str, str | None]:
        """Data set -> its commit, or None if it is not pinned."""
        return {split.dataset: split.revision for split in self.splits}

    @model_validator(mode="after")
    def _each_split_once_and_each_data_set_at_one_commit(self) -> Lock:
        keys = [split.key for split in self.splits]
        if twice := sorted({"/".join(key) for key in keys if keys.count(key) > 1}):
            raise ValueError(f"splits names {', '.join(twice)} more than once; keep one")
        for split in self.splits:
            if split.revision != (other := self.revisions[split.dataset]):
                raise ValueError(
                    f"splits has '{split.dataset}' at the revisions {split.revision or 'null'} and {other or 'null'}; "
                    "a suite reads a data set at one"
                )
        return self

    @model_validator(mode="after")
    def _each_gold_once(self) -> Lock:
        cells = [f"{gold.task} {gold.language}" for gold in self.gold or []]
        if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
            raise ValueError(f"gold names {', '.join(twice)} more than once; keep one")
        return self
