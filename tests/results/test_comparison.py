"""Contradictions within a comparison. Truth: a comparison that the package computed, with one figure changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.builder import write_system
from tests.small import forge
from xrealign_bench.errors import UserError
from xrealign_bench.results.storage import read_comparison, write_comparison
from xrealign_bench.scoring.compare import compare

CODES, SEEDS = ("en", "de", "fr", "th", "sw"), (1, 2)
BASELINE = {("tags", code, seed): [[1, 0], [1, 0]] for code in CODES for seed in SEEDS}
BETTER = {(task, code, seed): [[1, 1], [seed - 1, 1]] for task, code, seed in BASELINE}

Edit = Callable[[Any], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    write_system(root / "finetune-only", BASELINE, recipe="finetune-only")
    write_system(root / "full", BETTER, recipe="full")
    write_comparison(root / "full", compare(root / "full", root / "finetune-only", resamples=100))
    return root / "full"


CHANGES: dict[str, tuple[Edit, str]] = {
    "a gain": (lambda c: c["tasks"][0]["languages"][0].update(gain=0.4), "tags in de: its gain 0.4 is not score"),
    "a task's name": (
        lambda c: c["tasks"][0]["languages"][0].update(task="other"),
        "tags in de: its 'task' is 'other'",
    ),
    "an interval": (lambda c: c["tasks"][0]["languages"][1].update(low=0.9, high=1.0), "tags in fr: its gain is outs"),
    "a missing bound": (lambda c: c["gains"]["xr"].update(low=None), "gain 'xr': its mean is outside its interval"),
    "a verdict": (lambda c: c["tasks"][0]["languages"][0].update(verdict="harmed"), "its verdict is 'harmed', but"),
    "a p-value": (lambda c: c["tasks"][0]["languages"][0].update(p_value=None), "p_value and gain give 'untested'"),
    "a task's mean": (lambda c: c["tasks"][0]["gains"]["xr"].update(mean=0.3), "tags, gain 'xr': its mean 0.3 is not"),
    "a count": (lambda c: c["one_std"]["helped"].update(count=5), "all tasks: one_std counts 5 languages as helped"),
    "a task's count": (lambda c: c["tasks"][0]["one_std"]["harmed"].update(count=1), "tags: one_std counts 1 lang"),
}


def test_what_the_package_computes_has_no_contradiction(folder: Path) -> None:
    comparison = read_comparison(folder)
    assert comparison is not None and comparison.one_std is not None and comparison.one_std.helped.count == 4


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_figures_that_contradict_each_other_are_refused(folder: Path, change: Edit, said: str) -> None:
    path = folder / "comparison.json"
    whole = path.read_bytes()
    forge(path, change)
    try:
        with pytest.raises(UserError) as caught:
            read_comparison(folder)
    finally:
        path.write_bytes(whole)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines) and any(said in line for line in lines)
