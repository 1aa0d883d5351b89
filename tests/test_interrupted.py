"""Ctrl-C, SIGTERM and kill -9 in the middle of each kind of stage. Truth: the result of an uninterrupted run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from tests.small import World, essence, killed, left_over
from xrealign_bench.pipeline.stage import Stage, StageType, Workspace
from xrealign_bench.pipeline.stages import STAGES

KINDS = get_args(StageType)
BEFORE = {"tokenise": 0, "align": 6, "encode": 7, "realign": 8, "finetune": 3, "predict": 4}
"""Stages that are finished when the first one of a kind is begun: 3 tokenise, the baseline's fine-tuning and its two
predictions, the pairs aligned and encoded, ... Asserted so that a test that interrupts nothing is noticed."""
RECIPES = ("finetune-only", "alignfreeze-front")


QUICK = ("tokenise", "realign", "predict")
"""A stage that reads data, one that trains and one that runs a model; the others are slow tests."""


@pytest.fixture(autouse=True)
def _ctrl_c_arrives() -> None:
    """A shell that starts the tests in the background lets them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupt(stage_type: StageType, number: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Signal the own process when a stage of the type has files and, if it trains, is half through."""
    (stage_class,) = [stage for stage in STAGES if stage.stage_type == stage_type]
    real = stage_class.run

    def run(stage: Stage, workspace: Workspace) -> Any:
        (workspace.output / "half").write_text("written")

        def strike(done: int, total: int, note: str) -> None:
            if done * 2 >= total:
                os.kill(os.getpid(), number)

        costs = real(stage, replace(workspace, progress=strike))  # type: ignore[arg-type]
        os.kill(os.getpid(), number)
        return costs

    patch.setattr(stage_class, "run", run)


@pytest.fixture
def expected(undisturbed: World) -> list[dict[str, Any]]:
    return [essence(undisturbed.result(recipe)) for recipe in RECIPES]


def go_on(world: World, expected: list[dict[str, Any]], finished: int) -> None:
    """The same command again: what was finished is found, and the result is as if nothing had happened."""
    assert len(list(world.store.glob("*/??/*/manifest.json"))) == finished
    assert not list(world.output.rglob("result.json"))
    ran = world.evaluate()
    assert ran.status == 0
    assert f"{12 - finished} stages run, {finished} found in the store" in ran.err
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected
    assert left_over(world.store, world.output) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((signal.SIGINT, kind) for kind in QUICK),
        (signal.SIGTERM, "realign"),
        *(pytest.param(signal.SIGINT, kind, marks=pytest.mark.slow) for kind in KINDS if kind not in QUICK),
        pytest.param(signal.SIGTERM, "predict", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_and_sigterm(
    new_world: Callable[..., World],
    expected: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    kind: StageType,
) -> None:
    world = new_world()
    with monkeypatch.context() as patch:
        interrupt(kind, number, patch)
        ran = world.evaluate()
    assert ran.status == 128 + number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert ran.out == ""
    assert ran.err.endswith("interrupted; finished stages are stored. Run the same command again to resume\n")
    assert "Traceback" not in ran.err
    assert left_over(world.store, world.output) == []
    go_on(world, expected, BEFORE[kind])


SLOW = [kind for kind in KINDS if kind != "realign"]


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in KINDS])
def test_kill_9(new_world: Callable[..., World], expected: list[dict[str, Any]], kind: StageType) -> None:
    world = new_world()
    killed(world.arguments, lambda: interrupt(kind, signal.SIGKILL, pytest.MonkeyPatch()))
    assert [path.name.split("-")[0] for path in left_over(world.store)] == [kind]
    go_on(world, expected, BEFORE[kind])
