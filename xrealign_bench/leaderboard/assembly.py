"""Read results and arrange them as boards: sections by checkpoint, ranks within each, and reasons for having none."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from tqdm import tqdm

from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.board import Board, BoardRow, Confirmation, Section, StoredResult
from xrealign_bench.leaderboard.formatting import describe_gaps, pluralise
from xrealign_bench.results.history import trust_level
from xrealign_bench.results.result import BASELINE, Result, digest_evidence
from xrealign_bench.results.storage import RESULT, find_results, read_checked, read_comparison, read_history
from xrealign_bench.scoring.aggregate import SCORING_VERSION, summarise
from xrealign_bench.scoring.ranks import baseline_gain, rank_sets, tell_apart
from xrealign_bench.specs import HubData, Suite, Task

_log = logging.getLogger(__name__)

CONFIRMING_SEEDS = 3
"""Fresh seeds that a confirmation needs."""

SectionKey = tuple[str, bool, str, str, str]
"""Name of the checkpoint, whether its results are reported, and the digests of its weights, configuration and
tokenizer."""

OnDamaged = Callable[[UserError], None]
"""Called for each result that is left out because its files differ from its manifest."""


def refuse(error: UserError) -> None:
    """Raise the error, so that no result is left out.

    Raises:
        UserError: always.
    """
    raise error


def read_results(root: Path, on_damaged: OnDamaged = refuse) -> Iterator[StoredResult]:
    """Yield every result below `root`, checking its files first. Those that no board may show are counted.

    Raises:
        UserError: `on_damaged` raises it.
    """
    left_out = 0
    for folder in tqdm(find_results(root), "reading results", unit="result", leave=False, disable=None):
        try:
            stored = StoredResult(folder, read_checked(folder), read_comparison(folder), read_history(folder))
        except UserError as error:
            on_damaged(error)
        else:
            left_out += not stored.result.may_stand_on_board
            if stored.result.may_stand_on_board:
                yield stored
    if left_out:
        counted = pluralise(left_out, "result")
        why = "or of checkpoints in memory are left out, because they never stand on a board"
        _log.warning("%s: %s on development data %s", root, counted, why)


def read_boards(root: Path, out_root: Path, on_damaged: OnDamaged = refuse) -> list[Board]:
    """Read all results below `root` and return their boards: see `make_boards`.

    Raises:
        UserError: there is no result, two suites share a name and version, or `on_damaged` raises it.
    """
    boards = make_boards(read_results(root, on_damaged), out_root)
    if not boards:
        raise UserError(
            f"{root}: contains no results to show; name a folder with SUITE/CHECKPOINT/RECIPE/{RESULT} in it, such as "
            "xrealign-output/results after `xrealign-bench evaluate`"
        )
    return boards


def make_boards(results: Iterable[StoredResult], out_root: Path) -> list[Board]:
    """Return one board a suite version, for files in the folder `<suite id>` below `out_root`.

    Only the row of each result is kept.

    Raises:
        UserError: two different suites have the same name and version.
    """
    suites: dict[tuple[str, str], Suite] = {}
    rows: dict[str, dict[SectionKey, list[BoardRow]]] = {}
    for stored in results:
        suite, key = stored.result.suite, _section_key(stored.result)
        suites.setdefault((suite.id, stored.result.suite_digest), suite)
        section = rows.setdefault(suite.id, {}).setdefault(key, [])
        row = make_row(stored, out_root / suite.id)
        if section and row.languages == section[0].languages:
            row = replace(row, languages=section[0].languages)  # large, and equal in nearly all rows
        section.append(row)
    boards = []
    for suite_id, by_key in sorted(rows.items()):
        digest = _one_digest(suite_id, [row for section in by_key.values() for row in section])
        keys = sorted(by_key)
        slugs = distinct_slugs(name + "--published" * reported for name, reported, *_ in keys)
        sections = tuple(_make_section(by_key[key], slug) for key, slug in zip(keys, slugs, strict=True))
        boards.append(Board(suites[suite_id, digest], digest, sections))
    return boards


def _one_digest(suite_id: str, rows: Sequence[BoardRow]) -> str:
    # Reported results rest on their publication's data and code, so they don't define the suite here.
    computed = [row for row in rows if row.reported is None] or rows
    by_digest: dict[str, list[str]] = {}
    for row in computed:
        by_digest.setdefault(row.suite_digest, []).append(str(row.folder))
    if len(by_digest) > 1:
        lines = [f"  {digest[:12]}: {', '.join(folders)}" for digest, folders in sorted(by_digest.items())]
        raise UserError(
            f"{suite_id}: results come from {len(by_digest)} different suites with this name and version. Give the "
            "changed suite a new version, or move the results of one elsewhere. Suite digests and results:\n"
            + "\n".join(lines)
        )
    return computed[0].suite_digest


def _section_key(result: Result) -> SectionKey:
    checkpoint = result.checkpoint
    digests = checkpoint.weights_sha256, checkpoint.config_sha256, checkpoint.tokenizer_sha256
    return checkpoint.id, result.reported is not None, *digests


def distinct_slugs(names: Iterable[str]) -> list[str]:
    """Turn names into file names that differ in more than upper and lower case.

    >>> distinct_slugs(["org/a b", "org/a<b", "c"])
    ['org--a-b', 'org--a-b-2', 'c']
    """
    slugs: list[str] = []
    taken: set[str] = set()
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("/", "--")).lstrip(".") or "-"
        candidates = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
        slugs.append(next(each for each in candidates if each.lower() not in taken))
        taken.add(slugs[-1].lower())
    return slugs


def _make_section(rows: Sequence[BoardRow], slug: str) -> Section:
    checkpoint, is_reported = rows[0].checkpoint, rows[0].reported is not None
    baselines = {row.evidence for row in rows if row.is_baseline and row.history.withdrawn is None}
    pages = distinct_slugs(row.folder.name for row in rows)
    placed = [
        replace(
            _check_comparison(row, baselines),
            checkpoint_name=checkpoint.id + (", as published" if is_reported else ""),
            checkpoint_page=f"checkpoints/{slug}/index",
            page=f"results/{slug}/{page}",
        )
        for row, page in zip(rows, pages, strict=True)
    ]
    return Section(checkpoint, slug, tuple(rank_rows(_confirm(placed))))


def _confirm(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Add to each row on the suite's seeds the gain of the same recipe on fresh seeds."""
    fresh = [
        row
        for row in rows
        if row.has_fresh_seeds and row.seeds >= CONFIRMING_SEEDS and row.comparison and row.history.withdrawn is None
    ]
    # The least favourable of several results counts, because choosing among them would be luck again.
    fresh.sort(key=lambda row: row.gains["xr"].low or 0.0, reverse=True)
    found = {(row.recipe, row.suffix): Confirmation(row.page, row.seeds, row.gains["xr"]) for row in fresh}
    return [row if row.is_partial else replace(row, confirmation=found.get((row.recipe, row.suffix))) for row in rows]


def make_row(stored: StoredResult, out: Path) -> BoardRow:
    """Return the row of a result, without pages, ranks and a check of its comparison, which depend on other rows.

    Args:
        out: the board's folder.
    """
    result, summary = stored.result, summarise(stored.result)
    memory = [stage.peak_memory_bytes for stage in result.stages if stage.peak_memory_bytes is not None]
    return BoardRow(
        folder=stored.folder,
        suite_digest=result.suite_digest,
        evidence=digest_evidence(result),
        checkpoint=result.checkpoint,
        checkpoint_name=result.checkpoint.id,
        checkpoint_page="",
        ranks=None,
        better_than=(),
        unranked=tuple(_reasons_without_rank(stored, summary.xr.reason)),
        is_partial=bool(result.missing),
        has_fresh_seeds=result.has_fresh_seeds,
        recipe=result.recipe.name,
        title=result.recipe.title,
        suffix=result.suffix,
        is_baseline=result.is_baseline,
        is_control=result.recipe.is_control,
        seeds=len(result.seeds),
        xr=summary.xr,
        groups=summary.groups,
        comparison=None if result.is_baseline else stored.comparison,
        confirmation=None,
        summary=summary,
        languages={language.code: language for language in result.languages},
        seconds=sum(stage.seconds for stage in result.stages),
        peak_memory_bytes=max(memory, default=None),
        realigned_parameters=max((record.trained_parameters for record in result.realignment), default=0),
        trust=trust_level(result, stored.history),
        plugins=tuple(result.plugins),
        history=stored.history,
        data_sets={task.name: hub_data_sets(task) for task in result.tasks},
        reported=result.reported,
        reported_means=result.reported_means,
        result=Path(os.path.relpath((stored.folder / RESULT).resolve(), out.resolve())).as_posix(),
        page="",
    )


def hub_data_sets(task: Task) -> tuple[str, ...]:
    """Return the ids of a task's data sets on the Hub, each once."""
    sources = (task.source, *(part.source for part in task.also))
    return tuple(dict.fromkeys(source.dataset for source in sources if isinstance(source, HubData)))


def _reasons_without_rank(stored: StoredResult, missing_score: str | None) -> list[str]:
    reasons = describe_gaps(stored.result) or ([missing_score] if missing_score else [])
    if stored.result.has_fresh_seeds:
        reasons = ["has other seeds than the suite's; it confirms or refutes another row"]
    withdrawn = stored.history.withdrawn
    return reasons if withdrawn is None else [f"withdrawn on {withdrawn.on}: {withdrawn.reason}", *reasons]


def _check_comparison(row: BoardRow, baselines: set[str]) -> BoardRow:
    """Remove a comparison that is out of date or has lost its baseline, and say why the row has no rank."""
    if row.seeds < 2 and not row.unranked:
        row = replace(row, unranked=("has only one seed",))
    if row.is_baseline or row.reported_means:
        return row
    problem = _comparison_problem(row, baselines)
    if problem is not None:
        return replace(row, comparison=None, unranked=(*row.unranked, problem))
    if not row.unranked and row.gains["xr"].low is None:
        return replace(row, unranked=("has a gain without an interval",))
    return row


def _comparison_problem(row: BoardRow, baselines: set[str]) -> str | None:
    if row.comparison is None:
        return f"is not compared with {BASELINE}"
    if row.comparison.scoring != SCORING_VERSION:
        return (
            f"has a comparison of scoring {row.comparison.scoring}; run xrealign-bench leaderboard recompare to update "
            f"it to scoring {SCORING_VERSION}"
        )
    if row.comparison.result_digest != row.evidence:
        return "was compared before its result changed; evaluate it again"
    if row.comparison.baseline_digest not in baselines:
        return f"was compared with a {BASELINE} result that is missing; evaluate it again"
    return None


def rank_rows(rows: Iterable[BoardRow]) -> list[BoardRow]:
    """Sort the rows of one checkpoint by XR score, the best first, and give each the set of its possible ranks.

    Rows that can't be ranked come last. The sets are those of `scoring.ranks`, over gains in XR score.
    """
    ordered = sorted(rows, key=lambda row: (bool(row.unranked), -(row.xr.mean or 0.0), row.recipe, row.result))
    ranked = [row for row in ordered if not row.unranked]
    gains = [baseline_gain(row.seeds) if row.is_baseline else row.gains["xr"] for row in ranked]
    pairs = tell_apart(gains)
    sets = rank_sets(len(ranked), pairs)
    better_than = [tuple(ranked[worse].label for better, worse in pairs if better == n) for n in range(len(ranked))]
    return [
        *(replace(row, ranks=found, better_than=b) for row, found, b in zip(ranked, sets, better_than, strict=True)),
        *(replace(row, ranks=None, better_than=()) for row in ordered[len(ranked) :]),
    ]
