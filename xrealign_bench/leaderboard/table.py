"""The table model: results and comparisons as rows with ranks. Markdown, CSV and JSON are made from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.numbers import gaps
from xrealign_bench.models.device import how_computed
from xrealign_bench.results.files import RESULT, find_results, read_comparison, read_history, read_result
from xrealign_bench.results.schema import (
    BASELINE,
    CheckpointRecord,
    Comparison,
    Gain,
    History,
    LanguageChange,
    LanguageRecord,
    OneStd,
    ReportedMean,
    Result,
    Trust,
    digest_evidence,
    trust_in,
)
from xrealign_bench.scoring.aggregate import Summary, Value, summarise
from xrealign_bench.specs import Suite


@dataclass(frozen=True)
class Entry:
    """A result folder that was read."""

    folder: Path
    result: Result
    comparison: Comparison | None
    history: History = field(default_factory=History)


@dataclass(frozen=True)
class Verdicts:
    """Of how many (task, language) pairs a recipe is better or worse than the baseline, by the corrected test."""

    helped: int
    harmed: int

    @staticmethod
    def of(changes: Iterable[LanguageChange]) -> Verdicts:
        verdicts = [change.verdict for change in changes]
        return Verdicts(verdicts.count("helped"), verdicts.count("harmed"))


@dataclass(frozen=True)
class Row:
    """One result. Scores and changes are on the 0..1 scale."""

    rank: int | None
    """Among the rows of its checkpoint."""
    unranked: tuple[str, ...]
    """Why it has no rank."""
    partial: bool
    """A part of the suite, or limited."""
    recipe: str
    title: str
    is_baseline: bool
    seeds: int
    xr: Value
    groups: dict[str, Value]
    """Mean over tasks of each tier, band and so on: see `scoring.aggregate.Summary`."""
    gains: dict[str, Gain]
    """Against the same checkpoint fine-tuned only; empty for the baseline, and without a good comparison."""
    tested: Verdicts | None
    one_std: OneStd | None
    worst: LanguageChange | None
    changes: tuple[LanguageChange, ...]
    summary: Summary
    languages: dict[str, LanguageRecord]
    seconds: float
    """Of all stages behind the result, those shared with other results included."""
    peak_memory_bytes: int | None
    realigned_parameters: int
    trust: Trust
    reported: str | None
    """Where reported scores were taken from."""
    reported_means: list[ReportedMean]
    """Of a row without scores: shown in tables of their own, and nothing else of it is."""
    result: str
    """Path of result.json, relative to the folder that the table is written to."""
    page: str
    """Its own page, without the ending: a path relative to the same folder."""
    entry: Entry
    """What all of this was made from, without a comparison that may not be shown."""

    @property
    def label(self) -> str:
        """The recipe's name; of a partial result its folder's, which says which part it is and how it was computed."""
        if self.partial:
            return self.entry.folder.name
        return self.recipe + how_computed(self.entry.result.numerics)


@dataclass(frozen=True)
class Section:
    """All rows of one checkpoint: the baseline is among them, and ranks are within it.

    What is reported of a checkpoint is a section of its own, beside that of what is computed with it.
    """

    checkpoint: CheckpointRecord
    reported: bool
    slug: str
    """Of its pages: no other checkpoint of the board has it."""
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return self.checkpoint.id + (", as published" if self.reported else "")


@dataclass(frozen=True)
class Board:
    """One suite version."""

    suite: Suite
    suite_digest: str
    sections: tuple[Section, ...]


def read_entries(root: Path) -> list[Entry]:
    """Every result below `root`.

    Raises:
        UserError: one of them can't be read.
    """
    return [
        Entry(folder, read_result(folder), read_comparison(folder), read_history(folder))
        for folder in find_results(root)
    ]


def read_some_entries(root: Path) -> list[Entry]:
    """As `read_entries`, but there must be a result.

    Raises:
        UserError: there is none, or one can't be read.
    """
    entries = read_entries(root)
    if not entries:
        raise UserError(f"{root}: no result.json in it or below; evaluate a recipe first")
    return entries


def make_boards(entries: Sequence[Entry], out_root: Path) -> list[Board]:
    """One board a suite version, for files in the folder `<suite id>` below `out_root`.

    Raises:
        UserError: two results have the same suite name and version, and yet different suites.
    """
    boards = []
    for suite_id in sorted({entry.result.suite.id for entry in entries}):
        of_suite = [entry for entry in entries if entry.result.suite.id == suite_id]
        # What is reported is of its publication's own data and code: it has no part in what the suite is here.
        computed = [entry for entry in of_suite if entry.result.reported is None] or of_suite
        _check_one_digest(suite_id, computed)
        keys = sorted({_section_key(entry.result) for entry in of_suite})
        slugs = distinct_slugs(name + "--published" * reported for name, reported, *_ in keys)
        sections = tuple(
            _section([entry for entry in of_suite if _section_key(entry.result) == key], slug, out_root / suite_id)
            for key, slug in zip(keys, slugs, strict=True)
        )
        boards.append(Board(computed[0].result.suite, computed[0].result.suite_digest, sections))
    return boards


def _check_one_digest(suite_id: str, entries: Sequence[Entry]) -> None:
    by_digest: dict[str, list[str]] = {}
    for entry in entries:
        by_digest.setdefault(entry.result.suite_digest, []).append(str(entry.folder))
    if len(by_digest) > 1:
        lines = [f"  {digest[:12]}: {', '.join(folders)}" for digest, folders in sorted(by_digest.items())]
        raise UserError(
            f"{suite_id} means {len(by_digest)} different suites here; give the changed suite a new version, "
            "or move the results of one away. Digest of the suite with its tasks, and its results:\n" + "\n".join(lines)
        )


def _section_key(result: Result) -> tuple[str, bool, str, str, str]:
    checkpoint = result.checkpoint
    digests = checkpoint.weights_sha256, checkpoint.config_sha256, checkpoint.tokenizer_sha256
    return checkpoint.id, result.reported is not None, *digests


def distinct_slugs(names: Iterable[str]) -> list[str]:
    """File names for the names of others, each another one whatever a file system makes of capitals.

    >>> distinct_slugs(["org/a b", "org/a<b", "c"])
    ['org--a-b', 'org--a-b-2', 'c']
    """
    slugs: list[str] = []
    taken: set[str] = set()
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("/", "--")).lstrip(".") or "-"
        ways = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
        slugs.append(next(way for way in ways if way.lower() not in taken))
        taken.add(slugs[-1].lower())
    return slugs


def _section(entries: Sequence[Entry], slug: str, out: Path) -> Section:
    standing = (entry for entry in entries if entry.history.withdrawn is None)
    baselines = {digest_evidence(e.result) for e in standing if e.result.is_baseline}
    pages = distinct_slugs(entry.folder.name for entry in entries)
    rows = [_row(entry, baselines, f"results/{slug}/{page}", out) for entry, page in zip(entries, pages, strict=True)]
    first = entries[0].result
    return Section(first.checkpoint, first.reported is not None, slug, tuple(rank(rows)))


def _row(entry: Entry, baselines: set[str], page: str, out: Path) -> Row:
    result, summary = entry.result, summarise(entry.result)
    problem = _comparison_problem(entry, baselines)
    comparison = entry.comparison if problem is None else None
    changes = tuple(change for task in comparison.tasks for change in task.languages) if comparison else ()
    unranked = gaps(result) or [value.reason for value in (summary.xr,) if value.reason]
    if (withdrawn := entry.history.withdrawn) is not None:
        unranked.insert(0, f"withdrawn on {withdrawn.on}: {withdrawn.reason}")
    if problem is not None:
        unranked.append(problem)
    elif comparison is not None and not unranked and comparison.gains["xr"].low is None:
        unranked.append("its gain has no interval")
    memory = [stage.peak_memory_bytes for stage in result.stages if stage.peak_memory_bytes is not None]
    return Row(
        rank=None,
        unranked=tuple(unranked),
        partial=bool(result.missing),
        recipe=result.recipe.name,
        title=result.recipe.title,
        is_baseline=result.is_baseline,
        seeds=len(result.seeds),
        xr=summary.xr,
        groups=summary.groups,
        gains=comparison.gains if comparison else {},
        tested=Verdicts.of(changes) if comparison else None,
        one_std=comparison.one_std if comparison else None,
        worst=min(changes, key=lambda change: change.gain, default=None),
        changes=changes,
        summary=summary,
        languages={language.code: language for language in result.languages},
        seconds=sum(stage.seconds for stage in result.stages),
        peak_memory_bytes=max(memory, default=None),
        realigned_parameters=max((record.trained_parameters for record in result.realignment), default=0),
        trust=trust_in(result, entry.history),
        reported=result.reported,
        reported_means=result.reported_means,
        result=Path(os.path.relpath((entry.folder / RESULT).resolve(), out.resolve())).as_posix(),
        page=page,
        entry=replace(entry, comparison=comparison),
    )


def _comparison_problem(entry: Entry, baselines: set[str]) -> str | None:
    """Why a result has no comparison that may be shown; None: it has one, is the baseline, or has no scores at all."""
    if entry.result.is_baseline or entry.result.reported_means:
        return None
    if entry.comparison is None:
        return f"not compared with {BASELINE}"
    if entry.comparison.result_digest != digest_evidence(entry.result):
        return "its comparison is of an earlier result; evaluate it again"
    if entry.comparison.baseline_digest not in baselines:
        return f"the {BASELINE} result that it was compared with is not here; evaluate it again"
    return None


def rank(rows: Iterable[Row]) -> list[Row]:
    """Order the rows of one checkpoint and give ranks.

    Rows go by XR score, the best first. A row has the rank of the row above it if the 95 % intervals of their
    gains in XR score overlap (the baseline's gain is 0 without spread), and otherwise its place in the order.
    Rows that can't be ranked come last.
    """
    ordered = sorted(rows, key=lambda row: (bool(row.unranked), -(row.xr.mean or 0.0), row.recipe, row.result))
    ranked: list[Row] = []
    for place, row in enumerate(ordered, start=1):
        above = ranked[-1] if ranked else None
        if row.unranked:
            ranked.append(row)
        elif above is not None and _bounds(row)[1] >= _bounds(above)[0]:
            ranked.append(replace(row, rank=above.rank))
        else:
            ranked.append(replace(row, rank=place))
    return ranked


def _bounds(row: Row) -> tuple[float, float]:
    """The interval of the gain in XR score of a row that may be ranked."""
    gain = row.gains.get("xr")
    if gain is None or gain.low is None or gain.high is None:
        return 0.0, 0.0
    return gain.low, gain.high
