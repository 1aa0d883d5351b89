"""Runs in fresh processes, at last with all stages stored. Truth: a run in this process, and `sys.modules`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import World, essence
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.memo import kept_in, recall
from xrealign_bench.models import compute_settings as module
from xrealign_bench.models.compute_settings import compute_settings
from xrealign_bench.pipeline.runner import _check_compute_settings

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "datasets", "evaluate", "matplotlib", "pandas", "scipy", "sklearn", "peft")
DRIVER = f"""
import sys
from xrealign_bench.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def run(world: World) -> tuple[str, list[str]]:
    """Evaluate in a fresh process; returns what it prints, and the heavy packages that it loads."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, world.arguments)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (loaded,) = [line for line in done.stderr.splitlines() if line.startswith("loaded:")]
    return done.stdout, loaded.split()[1:]


def test_a_fresh_process_gives_the_same_and_a_stored_run_loads_nothing_heavy(new_world: Callable[..., World]) -> None:
    here, world = new_world("here"), new_world()
    assert here.evaluate().status == 0
    first, loaded = run(world)
    assert "torch" in loaded
    results = [essence(here.result(recipe)) for recipe in ("finetune-only", "alignfreeze-front")]
    assert [essence(world.result(recipe)) for recipe in ("finetune-only", "alignfreeze-front")] == results
    (chart,) = world.output.rglob("*.png")
    before = chart.stat().st_mtime_ns
    again, loaded = run(world)
    assert (again, loaded) == (first, [])
    assert [essence(world.result(recipe)) for recipe in ("finetune-only", "alignfreeze-front")] == results
    assert chart.stat().st_mtime_ns == before


def test_an_answer_is_found_once(tmp_path: Path) -> None:
    asked: list[int] = []

    def find() -> int:
        asked.append(1)
        return 7

    for _ in range(2):
        with kept_in(tmp_path / "memo.json"):
            assert recall("how many", ["x"], find) == 7
    assert len(asked) == 1
    with kept_in(tmp_path / "memo.json"):
        assert recall("how many", ["y"], find) == 7  # it depends on something else
    (tmp_path / "memo.json").write_text("{")
    with kept_in(tmp_path / "memo.json"):
        assert recall("how many", ["x"], find) == 7  # a damaged file
    assert recall("how many", ["x"], find) == 7  # nothing is kept outside
    assert len(asked) == 4


def test_settings_that_are_kept_are_those_that_torch_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, of_torch = compute_settings("cpu"), module._of_torch("cpu")
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(module, "_of_torch", lambda _: of_torch)  # torch can't be imported twice
    with kept_in(tmp_path / "memo.json"):
        assert compute_settings("cpu") == asked
    content: dict[str, Any] = json.loads((tmp_path / "memo.json").read_text())
    (kept,) = content.values()
    assert kept["threads"] == asked.threads
    kept["threads"] = 77
    (tmp_path / "memo.json").write_text(json.dumps(content))
    with kept_in(tmp_path / "memo.json"):
        assert compute_settings("cpu").threads == 77
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    with kept_in(tmp_path / "memo.json"):
        assert compute_settings("cpu").threads != 77


def test_nothing_is_computed_with_other_settings_than_the_plan_says(new_world: Callable[..., World]) -> None:
    world = new_world()
    options = Options(checkpoint=str(world.checkpoint), suite=str(world.suite), device="cpu", offline=True)
    plan = prepare(options)
    stage = next(stage for stage in plan.stages.values() if stage.runs_model)
    other = plan.request.compute_settings.model_copy(update={"threads": 77})
    context = run_context(plan.request, "cpu")
    _check_compute_settings(stage, context)
    stage = replace(stage, settings=stage.settings.model_copy(update={"compute_settings": other}))
    with pytest.raises(UserError, match=r"threads is \d+ here and 77 in the plan; start the command again"):
        _check_compute_settings(stage, context)
