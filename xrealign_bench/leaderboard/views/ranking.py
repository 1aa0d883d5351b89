"""The ranking: one row a result, with everything that a board ranks by and reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from xrealign_bench.leaderboard.board import BoardRow, Section
from xrealign_bench.leaderboard.cells import (
    as_percent,
    gain_cell,
    gain_fields,
    mean_cell,
    number_cell,
    one_std_cell,
    score_cell,
    score_fields,
    verdicts_cell,
)
from xrealign_bench.leaderboard.exposure import known_exposures
from xrealign_bench.leaderboard.formatting import NONE, gain_with_interval, pluralise, rank_set, signed
from xrealign_bench.leaderboard.table import HTML, PAGES, Cell, Column, Link, export_only
from xrealign_bench.plugins import TITLES
from xrealign_bench.results.history import HistoryEvent
from xrealign_bench.scoring.aggregate import GROUPS, TIERS, counts_in_mean
from xrealign_bench.specs.plugin import PluginRecord

SHOWN_GROUPS = (*TIERS, "source")
"""Groups of languages with a column in tables; files have all of them."""


def recipe_cell(row: BoardRow) -> Cell:
    """Return the row's label with its title below."""
    return Cell(row.label, link=row.link, note=row.title)


def label_cell(row: BoardRow) -> Cell:
    return Cell(row.label, link=row.link)


def checkpoint_fields(row: BoardRow) -> dict[str, Any]:
    """Return what identifies a row's checkpoint in files."""
    checkpoint = row.checkpoint
    return {
        "checkpoint": checkpoint.id,
        "revision": checkpoint.revision,
        "weights_sha256": checkpoint.weights_sha256,
    }


def confirmation_note(row: BoardRow) -> str:
    """Say whether fresh seeds confirm the gain; empty if there are none."""
    confirmation = row.confirmation
    if confirmation is None:
        return ""
    verdict = "confirmed" if confirmation.holds else "not confirmed"
    return f"{verdict} on {confirmation.seeds} fresh seeds: {gain_with_interval(confirmation.gain)}"


def describe_plugin(plugin: PluginRecord) -> str:
    """Describe a plugin: what it is, its version, and its package or file."""
    return f"{TITLES[plugin.group]} {plugin.name}, version {plugin.version}, of {plugin.origin}"


def describe_event(event: HistoryEvent) -> str:
    """Say what happened to a result since it was published."""
    if event.what != "rerun":
        return f"{event.what} on {event.on}: {event.reason}"
    agreed = (
        "all scores are equal"
        if event.same_compute_settings
        else f"means of tasks differ by at most {event.largest_difference:.2f} points"
    )
    return f"seed {event.seed} computed again on {event.on}: {agreed}"


def corrections(section: Section) -> list[tuple[BoardRow, str]]:
    """Return the rows that were corrected since they were published, and how."""
    return [(r, describe_event(event)) for r in section.rows for event in r.history.events if event.what == "corrected"]


def checkpoint_identity(section: Section) -> str:
    """Describe a checkpoint by what its results say of it; a publication only gives its name."""
    checkpoint = section.checkpoint
    known = [checkpoint.architecture]
    known += [] if checkpoint.parameters is None else [f"{checkpoint.parameters:,} parameters"]
    known += [f"revision {checkpoint.revision}"] if checkpoint.revision else []
    known += [f"weights {checkpoint.weights_sha256[:12]}"] if checkpoint.weights_sha256 else []
    return ", ".join(known)


def _rank(row: BoardRow) -> Cell:
    if row.ranks is not None:
        return Cell(rank_set(row.ranks), row.ranks[0])
    if row.history.withdrawn:
        return Cell("withdrawn")
    return Cell("fresh seeds" if row.has_fresh_seeds else "partial" if row.is_partial else NONE)


def _gain(row: BoardRow) -> Cell:
    if row.is_baseline and row.comparison is None:
        return Cell("baseline", 0.0)
    return replace(gain_cell(row.gains.get("xr")), note=confirmation_note(row))


def _group_column(name: str) -> Column[BoardRow]:
    return Column(
        name.capitalize(),
        lambda row: mean_cell(row.groups.get(name)),
        note=_coverage(name) if name in TIERS else None,
        views=PAGES if name in SHOWN_GROUPS else frozenset(),
        fields=lambda row: {name: score_fields(row.groups[name])} if name in row.groups else {},
    )


def _coverage(group: str) -> Callable[[Sequence[BoardRow]], str]:
    """Say how many languages a group has in how many tasks, counting the tasks that enter its mean."""

    def note(rows: Sequence[BoardRow]) -> str:
        sizes: dict[str, int] = {}
        for task in (task for row in rows for task in row.summary.tasks.values()):
            # A row of a few languages doesn't know the size of a tier, so the largest is taken.
            sizes[task.task] = max(sizes.get(task.task, 0), task.sizes.get(group, 0))
        entered = [size for size in sizes.values() if counts_in_mean(group, size)]
        if not entered:
            return "in no task"
        return f"{rank_set((min(entered), max(entered)))} languages, {pluralise(len(entered), 'task')}"

    return note


def _lowest_gain(row: BoardRow) -> Cell:
    if row.lowest is None:
        return Cell(NONE)
    return Cell(f"{row.lowest.language} {signed(row.lowest.gain)}", as_percent(row.lowest.gain))


def _one_std_fields(row: BoardRow) -> dict[str, int | None]:
    record: dict[str, int | None] = {}
    for name in ("helped", "harmed"):
        count = None if row.one_std is None else getattr(row.one_std, name)
        record |= {
            f"{name}_one_std{end}": None if count is None else getattr(count, field)
            for end, field in (("", "count"), ("_low", "low"), ("_high", "high"))
        }
    return record


BOARD_COLUMNS: tuple[Column[BoardRow], ...] = (
    Column(
        "Rank",
        _rank,
        is_text=True,
        views=PAGES,
        fields=lambda row: {"rank_low": row.ranks and row.ranks[0], "rank_high": row.ranks and row.ranks[1]},
    ),
    export_only(lambda row: {"unranked": list(row.unranked), **checkpoint_fields(row)}),
    export_only(lambda row: {"exposed_tasks": list(dict.fromkeys(each.task for each in known_exposures([row])))}),
    Column("Recipe", recipe_cell, is_text=True, fields=lambda row: {"recipe": row.recipe, "title": row.title}),
    Column(
        "Checkpoint", lambda row: Cell(row.checkpoint_name, link=Link(row.checkpoint_page)), is_text=True, views=HTML
    ),
    Column(
        "Trust",
        lambda row: Cell(row.trust_label),
        is_text=True,
        views=PAGES,
        fields=lambda row: {
            "trust": row.trust,
            **({"plugins": list(map(describe_plugin, row.plugins))} if row.plugins else {}),
            "history": [describe_event(event) for event in row.history.events],
        },
    ),
    Column(
        "Seeds",
        lambda row: number_cell(row.seeds, "d"),
        views=PAGES,
        fields=lambda row: {"seeds": row.seeds, "ddof": row.xr.ddof},
    ),
    export_only(
        lambda row: {
            "confirmed_on_seeds": row.confirmation and row.confirmation.seeds,
            "confirmed": row.confirmation and row.confirmation.holds,
        }
    ),
    Column("XR score", lambda row: score_cell(row.xr), fields=lambda row: {"xr": score_fields(row.xr)}),
    Column("Gain [95 %]", _gain),
    *map(_group_column, GROUPS),
    export_only(
        lambda row: {f"gain_{name}": gain_fields(row.gains[name]) for name in ("xr", *GROUPS) if name in row.gains}
    ),
    Column(
        "Helped / harmed (▲ / ▼)",
        lambda row: verdicts_cell(row.verdicts),
        views=PAGES,
        fields=lambda row: {
            "helped": row.verdicts and row.verdicts.helped,
            "harmed": row.verdicts and row.verdicts.harmed,
        },
    ),
    Column("Helped / harmed by 1 std (†)", lambda row: one_std_cell(row.one_std), views=PAGES, fields=_one_std_fields),
    Column(
        "Lowest gain",
        _lowest_gain,
        views=PAGES,
        fields=lambda row: {
            "worst_task": row.lowest and row.lowest.task,
            "worst_language": row.lowest and row.lowest.language,
            "worst_gain": row.lowest and as_percent(row.lowest.gain),
        },
    ),
    Column(
        "Seconds",
        lambda row: number_cell(None if row.reported else row.seconds, ",.0f"),
        views=PAGES,
        fields=lambda row: {"seconds": round(row.seconds, 1)},
    ),
    Column(
        "Peak memory",
        lambda row: number_cell(row.peak_memory_bytes and row.peak_memory_bytes / 2**20, ",.0f", " MiB"),
        views=PAGES,
        fields=lambda row: {"peak_memory_bytes": row.peak_memory_bytes},
    ),
    Column(
        "Realigned parameters",
        lambda row: number_cell(None if row.reported else row.realigned_parameters),
        views=PAGES,
        fields=lambda row: {"realigned_parameters": row.realigned_parameters},
    ),
    export_only(lambda row: {"result": row.result}),
    Column("Why not ranked", lambda row: Cell("; ".join(row.unranked)), is_text=True, views=HTML),
)
