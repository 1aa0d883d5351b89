"""Users without a name or home, as in containers. Truth: a process that has neither, and the files it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
START = """
import pwd

def unknown(*_):
    raise KeyError("uid not found")

pwd.getpwuid = pwd.getpwnam = unknown
from xrealign_bench.cli import main
main()
"""


def homeless(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, as a user without an account."""
    known = {name: os.environ[name] for name in ("PATH", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        cwd=folder,
        env={**known, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "--help"], ["list", "recipes"]], ids=" ".join)
def test_commands_that_store_nothing_need_no_home(tmp_path: Path, arguments: list[str]) -> None:
    ran = homeless(tmp_path, *arguments)
    assert ran.returncode == 0 and ran.stdout and ran.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "there is no home folder to store finished stages in; name a folder with --store"),
        (["cache", "list"], "there is no home folder to store finished stages in; name a folder with --store"),
        (
            ["evaluate", "--store", "store"],
            "there is no home folder for downloads; set HF_HOME to a folder for them",
        ),
    ],
)
def test_a_missing_home_is_reported_in_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    ran = homeless(tmp_path, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"error: {message}") and ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # above all no folder named ~
