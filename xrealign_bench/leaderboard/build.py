"""From a folder of results to a folder of tables."""

from __future__ import annotations

from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.files import remove_leftovers
from xrealign_bench.leaderboard.markdown import render_markdown
from xrealign_bench.leaderboard.records import render_csv, render_json, render_languages_csv
from xrealign_bench.leaderboard.table import make_boards, read_entries
from xrealign_bench.results.files import write_text


def build(results_root: Path, out_root: Path) -> list[Path]:
    """Write README.md, leaderboard.csv, languages.csv and leaderboard.json into `out_root/<suite id>`.

    The same results give the same bytes. Files of suites that have no results are left alone.

    Returns:
        The files written, each suite's README.md first.

    Raises:
        UserError: there is no result, one can't be read, or two suites share a name and version.
    """
    entries = read_entries(results_root)
    if not entries:
        raise UserError(f"{results_root}: no result.json in it or below; evaluate a recipe first")
    written = []
    for board in make_boards(entries, out_root):
        folder = out_root / board.suite.id
        remove_leftovers(folder)
        written += [
            write_text(folder / "README.md", render_markdown(board)),
            write_text(folder / "leaderboard.csv", render_csv(board)),
            write_text(folder / "languages.csv", render_languages_csv(board)),
            write_text(folder / "leaderboard.json", render_json(board)),
        ]
    return written
