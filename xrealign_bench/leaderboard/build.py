"""Build the boards that are kept beside the results: one Markdown page, CSV and JSON for each suite version."""

from __future__ import annotations

from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.files import remove_temporary_files
from xrealign_bench.leaderboard.assembly import OnDamaged, read_boards, refuse
from xrealign_bench.leaderboard.export import REPORTED, render_files
from xrealign_bench.leaderboard.markdown import render_markdown
from xrealign_bench.results.storage import RESULT, find_results, write_text

LAYOUT = ("SUITE", "CHECKPOINT", "RECIPE")
"""Levels of a folder of results, as `evaluate` writes it."""
OLD_PAGES = ("results", "languages")
"""Folders of the Markdown pages that versions before 0.2 wrote beside a board; the site has these pages now."""


def build(results_root: Path, out_root: Path, on_damaged: OnDamaged = refuse) -> list[Path]:
    """Write README.md, leaderboard.csv, languages.csv and leaderboard.json into `out_root/<suite id>`.

    Reported means also get a reported.csv. The same results give the same bytes. Suites without results are left
    alone; files of an earlier build that this build does not write are removed.

    Returns:
        The written files, each suite's README.md first.

    Raises:
        UserError: there is no result, two suites share a name and version, a board would be written into the folder
            of its results, or `on_damaged` raises.
    """
    written = []
    for board in read_boards(results_root, out_root, on_damaged):
        folder = out_root / board.suite.id
        if folder.resolve() == results_root.resolve():
            raise UserError(f"{folder}: holds the results themselves; name another folder for the board with --output")
        remove_temporary_files(folder)
        files = {"README.md": render_markdown(board)} | render_files(board)
        written += [write_text(folder / name, text) for name, text in files.items()]
        if REPORTED not in files:
            (folder / REPORTED).unlink(missing_ok=True)
        _remove_old_pages(folder, board.suite.id)
    return written


def default_output(results_root: Path) -> Path:
    """Return the folder that boards are written to if none is named: the one that contains the folder of results.

    Raises:
        UserError: the folder of results is below `results_root`, so that boards would be written to a wrong place.
    """
    found = next((folder for folder in find_results(results_root) if (folder / RESULT).is_file()), None)
    root = None if found is None else Path(*found.parts[: -len(LAYOUT)])
    if root is not None and results_root in root.parents:
        raise UserError(
            f"{results_root}: is not a folder of results, which has {'/'.join(LAYOUT)} in it. Name {root}, or a folder "
            "for the boards with --output"
        )
    return results_root.parent


def _remove_old_pages(folder: Path, suite_id: str) -> None:
    """Remove pages that an earlier version wrote, and folders that are empty then; other files stay."""
    for name in OLD_PAGES:
        pages = [page for page in (folder / name).rglob("*.md") if _is_old_page(page, suite_id)]
        for page in pages:
            page.unlink()
        for parent in sorted({parent for page in pages for parent in (page.parent, folder / name)}, reverse=True):
            if not any(parent.iterdir()):
                parent.rmdir()


def _is_old_page(page: Path, suite_id: str) -> bool:
    """Whether a file has the line with which every page linked to its board."""
    return f"\nBoard: [{suite_id}](../" in page.read_text(encoding="utf-8", errors="replace")
