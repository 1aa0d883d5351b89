"""From a folder of results to a folder of tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from xrealign_bench.errors import UserError
from xrealign_bench.files import remove_leftovers
from xrealign_bench.leaderboard import views
from xrealign_bench.leaderboard.board import Board, OnDamaged, read_boards, refuse
from xrealign_bench.leaderboard.export import REPORTED, render_files
from xrealign_bench.leaderboard.markdown import render_language, render_markdown, render_result
from xrealign_bench.results.storage import write_text

PAGE_FOLDERS = ("results", "languages")


def build(results_root: Path, out_root: Path, on_damaged: OnDamaged = refuse) -> list[Path]:
    """Write README.md, leaderboard.csv, languages.csv and leaderboard.json into `out_root/<suite id>`, and pages; also
    reported.csv where there are reported means.

    Pages are Markdown files of their own, one a result and one a language. The same results give the same bytes. Files
    of suites that have no results are left alone; what a build wrote of results that are gone is removed.

    Returns:
        The boards' files, each suite's README.md first; the pages, which these lead to, are not among them.

    Raises:
        UserError: there is no result, two suites share a name and version, a board would be written among its results,
            or what `on_damaged` raises.
    """
    written = []
    for board in read_boards(results_root, out_root, on_damaged):
        folder = out_root / board.suite.id
        if folder.resolve() == results_root.resolve():
            raise UserError(f"{folder}: holds the results themselves; name another folder for the board with --output")
        remove_leftovers(folder)
        files = {"README.md": render_markdown(board)} | render_files(board)
        tables = [write_text(folder / name, text) for name, text in files.items()]
        pages = [_write_page(folder / f"{name}.md", page) for name, page in _render_pages(board)]
        _remove_others(folder, {*tables, *pages})
        written += tables
    return written


def _render_pages(board: Board) -> Iterator[tuple[str, str]]:
    rows = [(section, row) for section in board.sections for row in section.rows]
    for section, row in tqdm(rows, f"pages of {board.suite.id}", unit="page", leave=False, disable=None):
        yield row.page, render_result(board, section, row)
    for code in views.languages_of(board):
        yield views.language_page(code), render_language(board, code)


def _write_page(path: Path, page: str) -> Path:
    """Without waiting for the disk, since pages are many: one that a crash left torn is written by the next build."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _remove_others(folder: Path, paths: set[Path]) -> None:
    """Remove what an earlier build wrote and this one did not: of results, languages and means that are gone."""
    pages = {page for kind in PAGE_FOLDERS for page in (folder / kind).rglob("*.md")}
    for gone in (pages | {folder / REPORTED}) - paths:
        gone.unlink(missing_ok=True)
