"""The model of a board: one suite version, its checkpoints, and one row a result.

All outputs are rendered from it: terminal, Markdown, HTML, CSV and JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xrealign_bench.leaderboard.table import Link
from xrealign_bench.results.comparison import Comparison, Gain, LanguageChange, OneStd, TaskComparison
from xrealign_bench.results.history import History, Trust
from xrealign_bench.results.records import CheckpointRecord, LanguageRecord, ReportedMean
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import read_result
from xrealign_bench.scoring.aggregate import SeedScores, Summary
from xrealign_bench.specs import Suite
from xrealign_bench.specs.plugin import PluginRecord


@dataclass(frozen=True)
class StoredResult:
    """A result folder that was read."""

    folder: Path
    result: Result
    comparison: Comparison | None
    history: History = field(default_factory=History)


@dataclass(frozen=True)
class Verdicts:
    """Number of (task, language) pairs that a recipe helps or harms, by the corrected test."""

    helped: int
    harmed: int

    @staticmethod
    def of(changes: Iterable[LanguageChange]) -> Verdicts | None:
        """Count verdicts; None if nothing was tested, as with one seed."""
        verdicts = [change.verdict for change in changes]
        if all(verdict == "untested" for verdict in verdicts):
            return None
        return Verdicts(verdicts.count("helped"), verdicts.count("harmed"))


@dataclass(frozen=True)
class Confirmation:
    """Gain of a row's recipe on fresh seeds, which had no part in choosing the row."""

    page: str
    seeds: int
    gain: Gain

    @property
    def holds(self) -> bool:
        """Whether the 95 % interval of the gain is above 0."""
        return self.gain.low is not None and self.gain.low > 0


@dataclass(frozen=True)
class BoardRow:
    """What a board shows of one result. It doesn't keep the result, which would fill the memory on a large board.

    Scores and changes are on the 0..1 scale.
    """

    folder: Path
    """Folder of the result."""
    suite_digest: str
    evidence: str
    """`digest_evidence` of the result."""
    checkpoint: CheckpointRecord
    checkpoint_name: str
    """Name of the row's section."""
    checkpoint_page: str
    """Page of the row's section on the site."""
    ranks: tuple[int, int] | None
    """Lowest and highest rank that it may have among the rows of its checkpoint: see `scoring.ranks`."""
    better_than: tuple[str, ...]
    """Labels of the rows that it is significantly better than."""
    unranked: tuple[str, ...]
    """Why it has no rank."""
    is_partial: bool
    """Whether it covers only a part of the suite or of the examples."""
    has_fresh_seeds: bool
    """Whether it covers the whole suite, with other seeds than the suite's."""
    recipe: str
    title: str
    suffix: str
    """Distinguishes results of one recipe by how they were computed: see `ComputeSettings.suffix`."""
    is_baseline: bool
    is_control: bool
    """Whether its recipe is a control: see `Recipe.is_control`."""
    seeds: int
    xr: SeedScores
    groups: dict[str, SeedScores]
    """Mean over tasks of each tier, band and so on: see `scoring.aggregate.Summary`."""
    comparison: Comparison | None
    """Comparison with the same checkpoint fine-tuned only; None for the baseline and if none may be shown."""
    confirmation: Confirmation | None
    """None without a result of the recipe on at least `CONFIRMING_SEEDS` fresh seeds."""
    summary: Summary
    languages: dict[str, LanguageRecord]
    """Target languages by code."""
    seconds: float
    """Run time of all stages behind the result, including those shared with other results."""
    peak_memory_bytes: int | None
    realigned_parameters: int
    trust: Trust
    plugins: tuple[PluginRecord, ...]
    """Plugins that it was computed with."""
    history: History
    data_sets: dict[str, tuple[str, ...]]
    """Task -> ids of its data sets on the Hub."""
    reported: str | None
    """Source of reported scores."""
    reported_means: list[ReportedMean]
    """Means that a publication gives without scores; such a row is shown in tables of its own."""
    result: str
    """Path of result.json, relative to the board's folder."""
    page: str
    """Its page on the site, without the ending, relative to the board's folder."""

    @property
    def label(self) -> str:
        """The recipe's name, or a partial result's folder name, which says what it covers."""
        return self.folder.name if self.is_partial else self.recipe + self.suffix

    @property
    def trust_label(self) -> str:
        """Its trust, followed by `plugin` and their packages or files if it needs any."""
        origins = dict.fromkeys(plugin.origin for plugin in self.plugins)
        return f"{self.trust}, plugin ({', '.join(origins)})" if origins else self.trust

    @property
    def link(self) -> Link:
        return Link(self.page, Path(self.result).parent.as_posix())

    @property
    def gains(self) -> dict[str, Gain]:
        return self.comparison.gains if self.comparison else {}

    @cached_property
    def changes(self) -> tuple[LanguageChange, ...]:
        """Changes in the languages of all tasks."""
        return tuple(change for task in self.comparison.tasks for change in task.languages) if self.comparison else ()

    def changes_in(self, task: str) -> dict[str, LanguageChange]:
        """Return the changes of one task by language."""
        return {change.language: change for change in self.changes if change.task == task}

    def compared_in(self, task: str) -> TaskComparison | None:
        """Return the comparison in one task."""
        tasks = self.comparison.tasks if self.comparison else []
        return next((compared for compared in tasks if compared.task == task), None)

    @property
    def verdicts(self) -> Verdicts | None:
        return Verdicts.of(self.changes) if self.comparison else None

    @property
    def one_std(self) -> OneStd | None:
        return self.comparison.one_std if self.comparison else None

    @property
    def lowest(self) -> LanguageChange | None:
        """The change with the lowest gain."""
        return min(self.changes, key=lambda change: change.gain, default=None)

    def read_result(self) -> Result:
        """Read the whole result from its folder."""
        return read_result(self.folder)


@dataclass(frozen=True)
class Section:
    """All rows of one checkpoint, including the baseline. Rows are ranked within a section.

    Reported results of a checkpoint have a section of their own, apart from those computed with it.
    """

    checkpoint: CheckpointRecord
    slug: str
    """Unique name for the section's pages."""
    rows: tuple[BoardRow, ...]

    @property
    def name(self) -> str:
        return self.rows[0].checkpoint_name

    @property
    def page(self) -> str:
        return self.rows[0].checkpoint_page

    @property
    def scored_rows(self) -> list[BoardRow]:
        """Rows with scores, rather than a publication's means alone."""
        return [row for row in self.rows if not row.reported_means]


@dataclass(frozen=True)
class Board:
    """All results of one suite version."""

    suite: Suite
    suite_digest: str
    sections: tuple[Section, ...]

    @property
    def rows(self) -> list[BoardRow]:
        return [row for section in self.sections for row in section.rows]

    @property
    def has_reported_means(self) -> bool:
        return any(row.reported_means for row in self.rows)
