"""Boards as CSV and JSON. Scores and gains are percent, with four decimals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from xrealign_bench.leaderboard.board import Board, BoardRow
from xrealign_bench.leaderboard.board_file import BoardFile
from xrealign_bench.leaderboard.cells import as_percent
from xrealign_bench.leaderboard.table import Column, export_only, export_record
from xrealign_bench.leaderboard.views import ranking
from xrealign_bench.leaderboard.views.by_language import LANGUAGE_COLUMNS, language_rows
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.scoring.aggregate import SCORING_VERSION
from xrealign_bench.specs.fields import FORMULA

REPORTED = "reported.csv"
"""The one file that only some boards have."""

REPORTED_COLUMNS: tuple[Column[tuple[BoardRow, ReportedMean]], ...] = (
    export_only(lambda pair: {"checkpoint": pair[0].checkpoint.id, "recipe": pair[0].recipe}),
    export_only(lambda pair: {"test_set": pair[1].test_set, "languages": pair[1].languages}),
    export_only(lambda pair: {"reported_mean": as_percent(pair[1].mean), "reported_std": as_percent(pair[1].std)}),
    export_only(lambda pair: {"ddof": pair[1].ddof, "result": pair[0].result}),
)


def render_files(board: Board) -> dict[str, str]:
    """Return the CSV and JSON files of a board by name."""
    files = {
        "leaderboard.csv": render_csv(board),
        "languages.csv": render_languages_csv(board),
        "leaderboard.json": render_json(board),
    }
    return files | ({REPORTED: render_reported_csv(board)} if board.has_reported_means else {})


def render_csv(board: Board) -> str:
    """Return one line a result."""
    return _csv_of_union(map(_flatten, _board_records(board)))


def render_languages_csv(board: Board) -> str:
    """Return one line a result, task and language, including the source language."""
    rows = (each for row in board.rows for task in row.summary.tasks for each in language_rows(row, task))
    records = (export_record(LANGUAGE_COLUMNS, each) for each in rows)
    first = next(records, {})
    return _csv(chain([first] if first else [], records), first)


def render_reported_csv(board: Board) -> str:
    """Return one line a reported mean, of averages and of single languages."""
    return _csv_of_union(map(_flatten, _reported_records(board)))


def render_json(board: Board) -> str:
    """Return the rows of `render_csv`, nested, with the reason of every null, and reported means if there are any."""
    content = {
        "schema_version": BoardFile.model_fields["schema_version"].default,
        "suite": board.suite.id,
        "suite_digest": board.suite_digest,
        "scoring": SCORING_VERSION,
        "rows": list(_board_records(board)),
    }
    if reported := list(_reported_records(board)):
        content["reported_means"] = reported
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _board_records(board: Board) -> Iterator[dict[str, Any]]:
    return (export_record(ranking.BOARD_COLUMNS, row) for row in board.rows)


def _reported_records(board: Board) -> Iterator[dict[str, Any]]:
    return (export_record(REPORTED_COLUMNS, (row, mean)) for row in board.rows for mean in row.reported_means)


def _flatten(record: dict[str, Any]) -> dict[str, Any]:
    """Turn nested figures into columns `xr`, `xr_std`, `gain_xr`, `gain_xr_low` and so on."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat[name] = value["mean"]
            flat |= {f"{name}_{part}": value[part] for part in ("std", "low", "high") if part in value}
        else:
            flat[name] = "; ".join(value) if isinstance(value, list) else value
    return flat


def _csv_of_union(records: Iterable[dict[str, Any]]) -> str:
    """Write records with all columns that any of them has."""
    known = list(records)
    return _csv(known, dict.fromkeys(name for record in known for name in record))


def _csv(records: Iterable[dict[str, Any]], columns: Iterable[str]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _without_formula(value) for name, value in record.items()} for record in records)
    return buffer.getvalue()


def _without_formula(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would compute as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
