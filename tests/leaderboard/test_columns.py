"""A column is defined once and shown everywhere. Truth: a column added by the test, found in every output."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.leaderboard.test_board import BASELINE, entry, rows_of
from tests.leaderboard.test_build import cells, store
from tests.leaderboard.test_site import Page
from xrealign_bench.leaderboard.board import BoardRow
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.site.build import build_site
from xrealign_bench.leaderboard.table import Cell, Column, Link, Table, View, export_record, make_table
from xrealign_bench.leaderboard.terminal import render_evaluation
from xrealign_bench.leaderboard.views import ranking
from xrealign_bench.leaderboard.views.by_language import LANGUAGE_COLUMNS, language_rows


def test_one_entry_adds_a_column_to_every_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    languages = Column[BoardRow](
        "Languages", lambda row: Cell(str(len(row.languages))), fields=lambda row: {"languages": len(row.languages)}
    )
    monkeypatch.setattr(ranking, "BOARD_COLUMNS", (*ranking.BOARD_COLUMNS, languages))
    full = entry("full", 0.05, 0.04, 0.06)
    results = store(tmp_path, BASELINE, full)
    markdown, table, *_ = build(results, tmp_path / "out")
    assert (cells(markdown, "Rank")[-1], cells(markdown, "1 | [full]")[-1]) == ("Languages", "4")
    assert [row["languages"] for row in csv.DictReader(table.open())] == ["4", "4"]
    rows = json.loads((table.parent / "leaderboard.json").read_text())["rows"]
    assert [row["languages"] for row in rows] == [4, 4]
    page = Page(build_site(results, tmp_path / "site")[0].parent / "toy-1.0" / "index.html")
    assert (page.row("Rank")[-1], page.row("1")[-1]) == ("Languages", "4")
    text = render_evaluation([BASELINE.result, full.result], [None, full.comparison])
    xr = text.partition("XR score, mean")[2].splitlines()
    assert xr[1].split()[-1] == "languages" and [line.split()[-1] for line in xr[3:5]] == ["4", "4"]


NUMBERS: tuple[Column[int], ...] = (
    Column("Number", lambda n: Cell(str(n), n, link=Link(f"pages/{n}")), is_text=True),
    Column("Square", lambda n: Cell(str(n * n), n * n), note=lambda all: f"of {len(all)}", views=frozenset({"html"})),
    Column("Hidden", lambda n: Cell("x"), views=frozenset(), fields=lambda n: {"cube": n**3}),
)


@pytest.mark.parametrize(("view", "shown"), [("html", ["Number", "Square"]), ("terminal", ["Number"])])
def test_a_view_shows_its_columns(view: View, shown: list[str]) -> None:
    table: Table = make_table(NUMBERS, [2, 3], view)
    assert [cell.text for cell in table.headings] == shown
    assert [len(row) for row in table.rows] == [len(shown)] * 2
    assert table.is_text == (True, False)[: len(shown)]


def test_headings_have_notes_and_cells_sort_keys_and_links() -> None:
    table = make_table(NUMBERS, [2, 3])
    assert table.headings[1].note == "of 2"
    assert [row[1].sort_key for row in table.rows] == [4, 9]
    assert table.rows[0][0].link == Link("pages/2")


def test_fields_are_those_of_all_columns_shown_or_not() -> None:
    assert export_record(NUMBERS, 3) == {"cube": 27}


@pytest.mark.parametrize(("p", "shown"), [(0.0001, "0.0001"), (0.00004, "< 0.0001"), (0.0, "< 0.0001"), (None, "–")])
def test_no_p_value_is_shown_as_0(p: float | None, shown: str) -> None:
    full = entry("full", 0.05, 0.04, 0.06)
    row = rows_of(BASELINE, full)["full"]
    (each, *_) = language_rows(row, "tags")
    assert each.change is not None
    changed = replace(each, change=each.change.model_copy(update={"p_value": p}))
    table = make_table(LANGUAGE_COLUMNS, [changed], "result page")
    cells = dict(zip([cell.text for cell in table.headings], table.rows[0], strict=True))
    assert cells["p (Holm-corrected)"].text == shown
