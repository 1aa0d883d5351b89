"""A board for programs: CSV and JSON. Scores and gains are percent, with four decimals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from xrealign_bench.leaderboard.board import Board, Row, Section
from xrealign_bench.leaderboard.views import has_reported_means, said_of
from xrealign_bench.results.comparison import Gain
from xrealign_bench.scoring.aggregate import GROUPS, SCORING_VERSION, SeedScores
from xrealign_bench.specs.fields import FORMULA

SCHEMA_VERSION = 2
REPORTED = "reported.csv"
"""The one file that not every board has."""


def render_files(board: Board) -> dict[str, str]:
    """The files of figures that lie beside a board, by name."""
    files = {
        "leaderboard.csv": render_csv(board),
        "languages.csv": render_languages_csv(board),
        "leaderboard.json": render_json(board),
    }
    return files | ({REPORTED: render_reported_csv(board)} if has_reported_means(board) else {})


def render_csv(board: Board) -> str:
    """One line a result."""
    return _csv_of_some(_flat(record) for record in _rows(board))


def render_languages_csv(board: Board) -> str:
    """One line a result, task and language, the source language included."""
    records = (record for section in board.sections for row in section.rows for record in _languages(section, row))
    first = next(records, {})
    return _csv(chain([first] if first else [], records), first)


def render_reported_csv(board: Board) -> str:
    """One line a reported mean, of averages and of single languages, kept apart from what is computed here."""
    return _csv_of_some(_flat(record) for record in _reported(board))


def render_json(board: Board) -> str:
    """The rows of `render_csv`, nested, with the reason of every null; and reported means, where there are some."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "suite": board.suite.id,
        "suite_digest": board.suite_digest,
        "scoring": SCORING_VERSION,
        "rows": list(_rows(board)),
    }
    if reported := list(_reported(board)):
        content["reported_means"] = reported
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _rows(board: Board) -> Iterator[dict[str, Any]]:
    for section in board.sections:
        for row in section.rows:
            yield {
                "rank_low": row.ranks and row.ranks[0],
                "rank_high": row.ranks and row.ranks[1],
                "unranked": list(row.unranked),
                **_identity(section, row),
                "title": row.title,
                "trust": row.trust,
                "history": [said_of(event) for event in row.history.events],
                "seeds": row.seeds,
                "ddof": row.xr.ddof,
                "confirmed_on_seeds": row.confirmation and row.confirmation.seeds,
                "confirmed": row.confirmation and row.confirmation.holds,
                "xr": _value(row.xr),
                **{name: _value(row.groups[name]) for name in GROUPS if name in row.groups},
                **{f"gain_{name}": _gain(row.gains[name]) for name in ("xr", *GROUPS) if name in row.gains},
                "helped": row.tested and row.tested.helped,
                "harmed": row.tested and row.tested.harmed,
                **_one_std(row),
                "worst_task": row.worst and row.worst.task,
                "worst_language": row.worst and row.worst.language,
                "worst_gain": row.worst and _percent(row.worst.gain),
                "seconds": round(row.seconds, 1),
                "peak_memory_bytes": row.peak_memory_bytes,
                "realigned_parameters": row.realigned_parameters,
                "result": row.result,
            }


def _languages(section: Section, row: Row) -> Iterator[dict[str, Any]]:
    changes = {(change.task, change.language): change for change in row.changes}
    for task in row.summary.tasks.values():
        for code, value in task.languages.items():
            record, change = row.languages.get(code), changes.get((task.task, code))
            yield {
                **_identity(section, row),
                "task": task.task,
                "language": code,
                "name": record and record.name,
                "script": record and record.script,
                "family": record and record.family,
                "joshi_class": record and record.joshi_class,
                "tier": record and record.tier,
                "distance": record and record.distance,
                "band": record and record.band,
                "seen": record and record.seen,
                "score": _percent(value.mean),
                "std": _percent(value.std),
                "baseline": change and _percent(change.baseline),
                "baseline_std": change and _percent(change.baseline_std),
                "gain": change and _percent(change.gain),
                "gain_low": change and _percent(change.low),
                "gain_high": change and _percent(change.high),
                "p_value_holm": change and change.p_value,
                "verdict": change and change.verdict,
                "one_std": change and change.one_std,
                "result": row.result,
            }


def _one_std(row: Row) -> dict[str, int | None]:
    """The counts by AlignFreeze's rule, with their intervals."""
    record: dict[str, int | None] = {}
    for name in ("helped", "harmed"):
        count = None if row.one_std is None else getattr(row.one_std, name)
        record |= {
            f"{name}_one_std{end}": None if count is None else getattr(count, field)
            for end, field in (("", "count"), ("_low", "low"), ("_high", "high"))
        }
    return record


def _reported(board: Board) -> Iterator[dict[str, Any]]:
    for section in board.sections:
        for row in section.rows:
            for mean in row.reported_means:
                yield {
                    "checkpoint": section.checkpoint.id,
                    "recipe": row.recipe,
                    "test_set": mean.test_set,
                    "languages": mean.languages,
                    "reported_mean": _percent(mean.mean),
                    "reported_std": _percent(mean.std),
                    "ddof": mean.ddof,
                    "result": row.result,
                }


def _identity(section: Section, row: Row) -> dict[str, Any]:
    checkpoint = section.checkpoint
    return {
        "checkpoint": checkpoint.id,
        "revision": checkpoint.revision,
        "weights_sha256": checkpoint.weights_sha256,
        "recipe": row.recipe,
    }


def _value(value: SeedScores) -> dict[str, Any]:
    return {"mean": _percent(value.mean), "std": _percent(value.std), "reason": value.reason}


def _gain(gain: Gain) -> dict[str, Any]:
    return {
        "mean": _percent(gain.mean),
        "low": _percent(gain.low),
        "high": _percent(gain.high),
        "languages": gain.languages,
        "reason": gain.reason,
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Nested figures become columns `xr`, `xr_std`, `gain_xr`, `gain_xr_low` and so on."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat[name] = value["mean"]
            flat |= {f"{name}_{part}": value[part] for part in ("std", "low", "high") if part in value}
        else:
            flat[name] = "; ".join(value) if isinstance(value, list) else value
    return flat


def _csv_of_some(records: Iterable[dict[str, Any]]) -> str:
    """With the columns that any record has."""
    known = list(records)
    return _csv(known, dict.fromkeys(name for record in known for name in record))


def _csv(records: Iterable[dict[str, Any]], columns: Iterable[str]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in record.items()} for record in records)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Keep a spreadsheet from computing a text: with an apostrophe in front it is shown as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
