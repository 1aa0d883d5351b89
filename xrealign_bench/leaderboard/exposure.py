"""What checkpoints are known to have seen of the evaluation data: facts that boards show beside the scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from xrealign_bench.leaderboard.board import BoardRow
from xrealign_bench.specs import Day, HubId, Sentence, Spec
from xrealign_bench.specs.yaml import read_fields

Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class Release(Spec):
    """Publication of a data set."""

    released: Day
    circulates: Sentence
    """Where its texts can be met elsewhere."""


class Seen(Spec):
    """Evaluation data that some checkpoints have seen, according to a publication."""

    ids: Annotated[list[Pattern], Field(min_length=1)]
    """Shell patterns of checkpoint ids; case is ignored."""
    seen: Annotated[dict[HubId, Sentence], Field(min_length=1)]
    """Data set -> what of it the checkpoints have seen."""
    source: Sentence


class ExposureTable(Spec):
    data_sets: dict[HubId, Release]
    checkpoints: list[Seen]

    @model_validator(mode="after")
    def _data_sets_are_listed(self) -> ExposureTable:
        absent = sorted({name for each in self.checkpoints for name in each.seen} - self.data_sets.keys())
        if absent:
            raise ValueError(f"checkpoints names {', '.join(absent)}, which data_sets does not")
        return self


@dataclass(frozen=True)
class Exposure:
    """One task whose data a checkpoint is known to have seen."""

    task: str
    data_set: str
    seen: str
    released: date
    circulates: str
    source: str


@cache
def exposure_table() -> ExposureTable:
    """Read the table of known exposure, which is part of the package."""
    return ExposureTable.model_validate(read_fields(Path(__file__).with_name("exposure.yaml")))


def known_exposures(rows: Iterable[BoardRow]) -> list[Exposure]:
    """Return what the checkpoint of some rows is known to have seen of their tasks, by task."""
    table = exposure_table()
    return [
        Exposure(task, name, each.seen[name], release.released, release.circulates, each.source)
        for checkpoint, task, name in sorted({pair for row in rows for pair in _pairs(row)})
        for each in table.checkpoints
        if name in each.seen and any(fnmatch(checkpoint.lower(), pattern.lower()) for pattern in each.ids)
        for release in [table.data_sets[name]]
    ]


def _pairs(row: BoardRow) -> Iterator[tuple[str, str, str]]:
    """Yield checkpoint, task and data set."""
    for task, names in row.data_sets.items():
        for name in names:
            yield row.checkpoint.id, task, name
