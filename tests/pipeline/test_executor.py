"""The executor. Truth: counted executions, and the inputs that each stage names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small import World, left_over, write_recipe
from xrealign_bench.errors import TrainingError, UserError
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.pipeline.executor import Outcome, StageEvent, run_serially
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef, Workspace
from xrealign_bench.pipeline.stages import STAGES, Align, Realign
from xrealign_bench.pipeline.store import Store

WorldMaker = Callable[..., World]


def plan_of(world: World, *recipes: str) -> Plan:
    return prepare(
        Options(checkpoint=str(world.checkpoint), suite=str(world.suite), recipes=recipes, device="cpu", offline=True)
    )


def run(plan: Plan, store: Path, on_event: Callable[[StageEvent], None] = lambda event: None) -> Outcome:
    request = plan.request
    return run_serially(plan, Store(store), RunContext(request.checkpoint, request.location, "cpu"), on_event)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages leave a file and do nothing; the list gets the label of each one that is run."""
    labels: list[str] = []

    def run_nothing(stage: Stage, workspace: Workspace) -> dict[str, float]:
        labels.append(stage.stage_type)
        workspace.progress(1, 2, "half")
        (workspace.output / "file").write_text(stage.stage_type)
        return {}

    for stage in STAGES:
        monkeypatch.setattr(stage, "run", run_nothing)
    return labels


def everything(outcome: Outcome) -> list[StageRef]:
    return [*outcome.stored, *outcome.done, *outcome.failed, *outcome.skipped]


def test_each_stage_is_run_once_and_never_again(ran: list[str], new_world: WorldMaker) -> None:
    world = new_world(seeds=[3, 7])
    plan = plan_of(world)
    first = run(plan, world.store)
    # en train, en and de test; one language; two seeds, with and without realignment, en and de each
    assert Counter(ran) == {"tokenise": 3, "align": 1, "encode": 1, "realign": 2, "finetune": 4, "predict": 8}
    assert first.done == set(plan.stages)
    second = run(plan, world.store)
    assert len(ran) == 19
    assert second.stored == set(plan.stages) and not second.done


def test_events_tell_what_happens(ran: list[str], new_world: WorldMaker) -> None:
    world, events = new_world(), list[StageEvent]()
    plan = plan_of(world)
    run(plan, world.store, events.append)
    assert [event.status for event in events] == ["start", "progress", "done"] * len(plan.stages)
    assert [event.stage.ref for event in events[::3]] == list(plan.stages)
    assert (events[1].done, events[1].total, events[1].note) == (1, 2, "half")
    events.clear()
    run(plan, world.store, events.append)
    assert [event.status for event in events] == ["stored"] * len(plan.stages)


def fail(
    monkeypatch: pytest.MonkeyPatch, stage_class: type[Stage], error: Exception, when: Callable[[Any], bool]
) -> None:
    before = stage_class.run

    def run_or_fail(stage: Stage, workspace: Workspace) -> Any:
        if when(stage.settings):
            (workspace.output / "half").write_text("half")
            raise error
        return before(stage, workspace)

    monkeypatch.setattr(stage_class, "run", run_or_fail)


def test_a_failure_costs_its_descendants_and_nothing_else(
    ran: list[str], new_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(seeds=[3, 7])
    plan = plan_of(world)
    with monkeypatch.context() as patch:
        fail(patch, Realign, TrainingError("the loss is nan"), lambda settings: settings.seed == 3)
        outcome = run(plan, world.store)
    failed = plan.runs[1].realign["phrases", 3]
    descendants = {ref for ref in plan.stages if failed in plan.ancestors([ref])} - {failed}
    assert outcome.failed == {failed: "the loss is nan"}
    assert outcome.skipped == descendants and len(descendants) == 3
    assert sorted(map(repr, everything(outcome))) == sorted(map(repr, plan.stages))
    assert left_over(world.store) == []
    ran.clear()
    again = run(plan, world.store)
    assert again.done == {failed} | descendants
    assert Counter(ran) == {"realign": 1, "finetune": 1, "predict": 2}


def test_bad_data_end_the_run_and_keep_what_is_finished(
    ran: list[str], new_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    plan = plan_of(world)
    with monkeypatch.context() as patch:
        fail(patch, Align, UserError("row 3 is bad"), lambda settings: True)
        with pytest.raises(UserError, match="row 3 is bad"):
            run(plan, world.store)
    before = len(ran)
    assert before and left_over(world.store) == []
    outcome = run(plan, world.store)
    assert len(outcome.stored) == before
    assert len(outcome.done) == len(plan.stages) - before


def test_a_damaged_entry_is_made_again(ran: list[str], new_world: WorldMaker) -> None:
    world = new_world()
    plan = plan_of(world)
    run(plan, world.store)
    damaged = plan.runs[1].realign["phrases", 3]
    (Store(world.store).read(*damaged).folder / "file").write_text("reaLign")
    outcome = run(plan, world.store)
    assert outcome.done == {damaged}
    assert len(outcome.stored) == len(plan.stages) - 1


def test_training_that_diverges_fails_its_recipe_only(new_world: WorldMaker) -> None:
    """The real stages, through the real command."""
    world = new_world()
    wild = write_recipe(world.folder, name="wild", objective={"temperature": 1e-39})
    ran = world.evaluate("--recipe", wild, "--recipe", "alignfreeze-full")
    assert ran.status == 1
    assert ran.out == ""
    assert "Traceback" not in ran.err
    # 3 tokenise, align, encode; the other two recipes' 1 realign, 2 fine-tune and 4 predict
    assert "12 stages run, 0 found in the store" in ran.err
    assert "1 stage failed, 3 not run:" in ran.err
    assert "\n  realign with wild, seed 3: the loss of step 1 of 3 is" in ran.err
    assert "run the same command again to resume" in ran.err
    assert not (world.output / "leaderboard").exists()
    assert left_over(world.store, world.output) == []
    again = world.evaluate("--recipe", wild, "--recipe", "alignfreeze-full")
    assert again.status == 1
    assert "0 stages run, 12 found in the store" in again.err
    without = world.evaluate("--recipe", "alignfreeze-full")
    assert without.status == 0
    assert "0 stages run, 12 found in the store" in without.err
