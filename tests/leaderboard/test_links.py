"""Links of boards and sites. Truth: the files that they lead to; broken links made by the test."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "check_links.py"


def load_broken_links() -> Callable[[Path], Iterator[str]]:
    spec = importlib.util.spec_from_file_location("check_links", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Path], Iterator[str]] = module.broken_links
    return found


broken_links = load_broken_links()


def test_every_link_of_the_boards_in_the_repository_works() -> None:
    boards = sorted(path.relative_to(ROOT) for path in (ROOT / "leaderboard").rglob("*.md"))
    assert len(boards) == 1 + len(list((ROOT / "leaderboard" / "results").iterdir()))
    assert list(broken_links(ROOT / "leaderboard")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "[x](gone.md)"),
        ("a.md", "# Title\n[x](#other-title)"),
        ("a.html", '<a href="gone.html">x</a>'),
        ("a.html", '<img src="gone%20too.svg">'),
        ("a.html", '<a href="#nowhere">x</a>'),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (line,) = broken_links(tmp_path)
    assert line.startswith(f"{tmp_path / name}: ")


def test_working_links_are_accepted_and_other_sites_ignored(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a.md").write_text("# How to `read`, now\n[x](a%20b) [y](#how-to-read-now) [z](https://example.org/x)")
    (tmp_path / "b.html").write_text('<h1 id="top"></h1><a href="#top"></a><a href="a.md#x"></a><img src="data:,">')
    assert list(broken_links(tmp_path)) == []
    ran = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0 broken links"
