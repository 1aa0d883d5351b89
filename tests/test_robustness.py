"""docs/robustness.md. Truth: the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/robustness.md").read_text("utf-8"))))


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_named_tests_exist(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for other, name in NAMED if other == file} <= there


def test_each_row_links_a_report_and_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs/robustness.md").read_text("utf-8").splitlines() if line.startswith("| [")]
    assert len(rows) >= 10
    for row in rows:
        report, _, _, test = row.strip("| ").split(" | ")
        assert "https://github.com/" in report
        assert "`tests/" in test
