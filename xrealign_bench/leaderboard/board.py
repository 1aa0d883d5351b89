"""The table model: results and comparisons as rows with sets of ranks. Markdown, CSV and JSON are made from it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path

from tqdm import tqdm

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.formatting import gaps
from xrealign_bench.results.comparison import Comparison, Gain, LanguageChange, OneStd
from xrealign_bench.results.history import History, Trust, trust_in
from xrealign_bench.results.records import CheckpointRecord, LanguageRecord, ReportedMean
from xrealign_bench.results.result import BASELINE, Result, digest_evidence
from xrealign_bench.results.storage import (
    RESULT,
    find_results,
    read_checked,
    read_comparison,
    read_history,
    read_result,
)
from xrealign_bench.scoring.aggregate import SCORING_VERSION, SeedScores, Summary, summarise
from xrealign_bench.scoring.ranks import baseline_gain, rank_sets, tell_apart
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
    """Number of (task, language) pairs in which a recipe beats the baseline or loses to it, by the corrected test."""

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
    """What a result on fresh seeds says of a row that the suite's seeds have chosen."""

    page: str
    seeds: int
    gain: Gain

    @property
    def holds(self) -> bool:
        """Whether the gain's 95 % interval lies above 0."""
        return self.gain.low is not None and self.gain.low > 0


@dataclass(frozen=True)
class Row:
    """One result: what a board shows of it, without the result itself, since those of a large board fill a memory.

    Scores and changes are on the 0..1 scale.
    """

    folder: Path
    """Of the result."""
    suite_digest: str
    evidence: str
    """What `digest_evidence` gives for it."""
    ranks: tuple[int, int] | None
    """The lowest and the highest rank that it may have among the rows of its checkpoint: see `scoring.ranks`."""
    above: tuple[str, ...]
    """The labels of the rows that it is told apart from and better than."""
    unranked: tuple[str, ...]
    """Why it has no rank."""
    partial: bool
    """A part of the suite, or limited."""
    fresh_seeds: bool
    """The whole suite on seeds that are not the suite's."""
    recipe: str
    title: str
    suffix: str
    """What sets it apart from a result of the same recipe: see `results.records.ComputeSettings.suffix`."""
    is_baseline: bool
    seeds: int
    xr: SeedScores
    groups: dict[str, SeedScores]
    """Mean over tasks of each tier, band and so on: see `scoring.aggregate.Summary`."""
    comparison: Comparison | None
    """With the same checkpoint fine-tuned only; None for the baseline, and where there is none that may be shown."""
    confirmation: Confirmation | None
    """None: there is no result of the recipe on at least `CONFIRMING_SEEDS` fresh seeds."""
    summary: Summary
    languages: dict[str, LanguageRecord]
    seconds: float
    """Of all stages behind the result, those shared with other results included."""
    peak_memory_bytes: int | None
    realigned_parameters: int
    trust: Trust
    history: History
    reported: str | None
    """Where reported scores were taken from."""
    reported_means: list[ReportedMean]
    """Of a row without scores: shown in tables of their own, and nothing else of it is."""
    result: str
    """Path of result.json, relative to the folder that the table is written to."""
    page: str
    """Its page on the site, without the ending: a path relative to the same folder."""

    @property
    def label(self) -> str:
        """The recipe's name; of a partial result its folder's, which says which part it is and how it was computed."""
        return self.folder.name if self.partial else self.recipe + self.suffix

    @property
    def result_folder(self) -> str:
        """Folder of the stored result, relative to the folder of the board."""
        return Path(self.result).parent.as_posix()

    @property
    def gains(self) -> dict[str, Gain]:
        return self.comparison.gains if self.comparison else {}

    @cached_property
    def changes(self) -> tuple[LanguageChange, ...]:
        """Of all tasks."""
        return tuple(change for task in self.comparison.tasks for change in task.languages) if self.comparison else ()

    @property
    def tested(self) -> Verdicts | None:
        return Verdicts.of(self.changes) if self.comparison else None

    @property
    def one_std(self) -> OneStd | None:
        return self.comparison.one_std if self.comparison else None

    @property
    def worst(self) -> LanguageChange | None:
        return min(self.changes, key=lambda change: change.gain, default=None)

    def read_result(self) -> Result:
        """The whole of it, from its folder."""
        return read_result(self.folder)


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


CONFIRMING_SEEDS = 3
"""A claim needs at least three seeds."""

_Key = tuple[str, bool, str, str, str]
"""Of a section: name of the checkpoint, whether it is reported, digests of its weights and so on."""


OnDamaged = Callable[[UserError], None]
"""Told of each result that is left out, since its folder is not what its manifest says."""


def refuse(error: UserError) -> None:
    """Leave no result out: raise the error.

    Raises:
        UserError: always.
    """
    raise error


def read_entries(root: Path, on_damaged: OnDamaged = refuse) -> Iterator[Entry]:
    """Read every result below `root`, each when it is asked for, after all its files were checked.

    Raises:
        UserError: what `on_damaged` raises.
    """
    for folder in tqdm(find_results(root), "reading results", unit="result", leave=False, disable=None):
        try:
            entry = Entry(folder, read_checked(folder), read_comparison(folder), read_history(folder))
        except UserError as error:
            on_damaged(error)
        else:
            yield entry


def read_boards(root: Path, out_root: Path, on_damaged: OnDamaged = refuse) -> list[Board]:
    """The boards of all results below `root`: see `make_boards`.

    Raises:
        UserError: there is none, two suites share a name and version, or what `on_damaged` raises.
    """
    boards = make_boards(read_entries(root, on_damaged), out_root)
    if not boards:
        raise UserError(f"{root}: no result in it or below that can be shown; evaluate a recipe first")
    return boards


def make_boards(entries: Iterable[Entry], out_root: Path) -> list[Board]:
    """One board a suite version, for files in the folder `<suite id>` below `out_root`.

    Of an entry no more is kept than its row.

    Raises:
        UserError: two results have the same suite name and version, and yet different suites.
    """
    suites: dict[tuple[str, str], Suite] = {}
    checkpoints: dict[tuple[str, _Key], CheckpointRecord] = {}
    rows: dict[str, dict[_Key, list[Row]]] = {}
    for entry in entries:
        suite, key = entry.result.suite, _section_key(entry.result)
        suites.setdefault((suite.id, entry.result.suite_digest), suite)
        checkpoints.setdefault((suite.id, key), entry.result.checkpoint)
        alike = rows.setdefault(suite.id, {}).setdefault(key, [])
        row = _row(entry, out_root / suite.id)
        # Equal in nearly all rows, and large: once is enough.
        alike.append(
            replace(row, languages=alike[0].languages) if alike and row.languages == alike[0].languages else row
        )
    boards = []
    for suite_id, by_key in sorted(rows.items()):
        digest = _one_digest(suite_id, [row for alike in by_key.values() for row in alike])
        keys = sorted(by_key)
        slugs = distinct_slugs(name + "--published" * reported for name, reported, *_ in keys)
        sections = tuple(
            _section(checkpoints[suite_id, key], by_key[key], slug) for key, slug in zip(keys, slugs, strict=True)
        )
        boards.append(Board(suites[suite_id, digest], digest, sections))
    return boards


def _one_digest(suite_id: str, rows: Sequence[Row]) -> str:
    # What is reported is of its publication's own data and code: it has no part in what the suite is here.
    computed = [row for row in rows if row.reported is None] or rows
    by_digest: dict[str, list[str]] = {}
    for row in computed:
        by_digest.setdefault(row.suite_digest, []).append(str(row.folder))
    if len(by_digest) > 1:
        lines = [f"  {digest[:12]}: {', '.join(folders)}" for digest, folders in sorted(by_digest.items())]
        raise UserError(
            f"{suite_id} means {len(by_digest)} different suites here; give the changed suite a new version, "
            "or move the results of one away. Digest of the suite with its tasks, and its results:\n" + "\n".join(lines)
        )
    return computed[0].suite_digest


def _section_key(result: Result) -> _Key:
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


def _section(checkpoint: CheckpointRecord, rows: Sequence[Row], slug: str) -> Section:
    baselines = {row.evidence for row in rows if row.is_baseline and row.history.withdrawn is None}
    pages = distinct_slugs(row.folder.name for row in rows)
    placed = [
        replace(_with_good_comparison(row, baselines), page=f"results/{slug}/{page}")
        for row, page in zip(rows, pages, strict=True)
    ]
    return Section(checkpoint, rows[0].reported is not None, slug, tuple(rank(_confirm(placed))))


def _confirm(rows: Sequence[Row]) -> list[Row]:
    """Give each row of the suite's seeds what a result of the same recipe on fresh seeds says."""
    able = [
        row
        for row in rows
        if row.fresh_seeds and row.seeds >= CONFIRMING_SEEDS and row.comparison and row.history.withdrawn is None
    ]
    # Of several results the least favourable counts: a choice among them would be luck again.
    able.sort(key=lambda row: row.gains["xr"].low or 0.0, reverse=True)
    fresh = {(row.recipe, row.suffix): Confirmation(row.page, row.seeds, row.gains["xr"]) for row in able}
    return [row if row.partial else replace(row, confirmation=fresh.get((row.recipe, row.suffix))) for row in rows]


def _row(entry: Entry, out: Path) -> Row:
    """Without what only the rows beside it tell: page and rank, and whether its comparison may be shown."""
    result, summary = entry.result, summarise(entry.result)
    unranked = gaps(result) or [value.reason for value in (summary.xr,) if value.reason]
    if result.has_fresh_seeds:
        unranked = ["on fresh seeds: it confirms or refutes a row, and has no rank itself"]
    if (withdrawn := entry.history.withdrawn) is not None:
        unranked.insert(0, f"withdrawn on {withdrawn.on}: {withdrawn.reason}")
    memory = [stage.peak_memory_bytes for stage in result.stages if stage.peak_memory_bytes is not None]
    return Row(
        folder=entry.folder,
        suite_digest=result.suite_digest,
        evidence=digest_evidence(result),
        ranks=None,
        above=(),
        unranked=tuple(unranked),
        partial=bool(result.missing),
        fresh_seeds=result.has_fresh_seeds,
        recipe=result.recipe.name,
        title=result.recipe.title,
        suffix=result.suffix,
        is_baseline=result.is_baseline,
        seeds=len(result.seeds),
        xr=summary.xr,
        groups=summary.groups,
        comparison=None if result.is_baseline else entry.comparison,
        confirmation=None,
        summary=summary,
        languages={language.code: language for language in result.languages},
        seconds=sum(stage.seconds for stage in result.stages),
        peak_memory_bytes=max(memory, default=None),
        realigned_parameters=max((record.trained_parameters for record in result.realignment), default=0),
        trust=trust_in(result, entry.history),
        history=entry.history,
        reported=result.reported,
        reported_means=result.reported_means,
        result=Path(os.path.relpath((entry.folder / RESULT).resolve(), out.resolve())).as_posix(),
        page="",
    )


def _with_good_comparison(row: Row, baselines: set[str]) -> Row:
    """The row, or without its comparison if that may not be shown."""
    if row.seeds < 2 and not row.unranked:
        row = replace(row, unranked=("one seed decides nothing",))
    if row.is_baseline or row.reported_means:
        return row
    problem = _comparison_problem(row, baselines)
    if problem is not None:
        return replace(row, comparison=None, unranked=(*row.unranked, problem))
    if not row.unranked and row.gains["xr"].low is None:
        return replace(row, unranked=("its gain has no interval",))
    return row


def _comparison_problem(row: Row, baselines: set[str]) -> str | None:
    if row.comparison is None:
        return f"not compared with {BASELINE}"
    if row.comparison.scoring != SCORING_VERSION:
        return (
            f"its comparison is of scoring {row.comparison.scoring}; run xrealign-bench leaderboard recompare for that "
            f"of scoring {SCORING_VERSION}"
        )
    if row.comparison.result_digest != row.evidence:
        return "its comparison is of an earlier result; evaluate it again"
    if row.comparison.baseline_digest not in baselines:
        return f"the {BASELINE} result that it was compared with is not here; evaluate it again"
    return None


def rank(rows: Iterable[Row]) -> list[Row]:
    """Order the rows of one checkpoint and give each its set of ranks.

    Rows go by XR score, the best first; rows that can't be ranked come last. Sets of ranks are those of
    `scoring.ranks`, over the gains in XR score.
    """
    ordered = sorted(rows, key=lambda row: (bool(row.unranked), -(row.xr.mean or 0.0), row.recipe, row.result))
    ranked = [row for row in ordered if not row.unranked]
    gains = [baseline_gain(row.seeds) if row.is_baseline else row.gains["xr"] for row in ranked]
    told_apart = tell_apart(gains)
    sets = rank_sets(len(ranked), told_apart)
    above = [tuple(ranked[worse].label for better, worse in told_apart if better == n) for n in range(len(ranked))]
    return [
        *(replace(row, ranks=found, above=names) for row, found, names in zip(ranked, sets, above, strict=True)),
        *(replace(row, ranks=None, above=()) for row in ordered[len(ranked) :]),
    ]
