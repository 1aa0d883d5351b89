"""What a plan will take. Truth: means, by hand, of timings that the test itself writes into the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from tests.small import World, write_recipe
from xrealign_bench.evaluate import Options, prepare
from xrealign_bench.pipeline import estimate as module
from xrealign_bench.pipeline.estimate import Row, Total, estimate, total
from xrealign_bench.pipeline.manifest import MANIFEST, read_manifest, write_manifest
from xrealign_bench.pipeline.plan import Plan, Stage
from xrealign_bench.pipeline.store import Store

WorldMaker = Callable[..., World]
TARGETS = ["de", "sw", "th"]


def plan_of(
    world: World, *, limit: int | None = None, aligner: str = "gold", languages: list[str] | None = None
) -> Plan:
    recipe = write_recipe(
        world.folder, aligner=aligner, **({"parallel": {"languages": languages}} if languages else {})
    )
    options = {"checkpoint": str(world.checkpoint), "suite": str(world.suite), "device": "cpu", "offline": True}
    return prepare(Options(recipes=[str(recipe)], limit=limit, **options))  # type: ignore[arg-type]


def put(store: Store, stage: Stage, seconds: float) -> None:
    """A stage as if it had taken so long."""

    def make(folder: Path) -> None:
        (folder / "file").write_text("x")

    path = store.produce(stage.kind, stage.key, stage.model_dump(mode="json"), make).folder / MANIFEST
    write_manifest(path, read_manifest(path).model_copy(update={"seconds": seconds}))


def of(plan: Plan, kind: str) -> list[Stage]:
    return [stage for ref, stage in plan.stages.items() if ref.kind == kind]


@pytest.fixture
def world(new_world: WorldMaker) -> World:
    return new_world(target_languages=TARGETS, seeds=[3, 7])


def rows(plan: Plan, world: World) -> dict[str, Row]:
    return {row.kind: row for row in estimate(plan, Store(world.store))}


def test_with_nothing_timed_there_are_no_numbers_but_those_of_models(world: World) -> None:
    found = rows(plan_of(world), world)
    assert {kind: row.seconds is None for kind, row in found.items()} == {
        "tokenise": True, "align": True, "encode": True, "realign": False, "finetune": False, "predict": False,
    }  # fmt: skip
    seconds = [row.seconds for row in found.values() if row.seconds is not None]
    assert total(list(found.values())) == Total(33, 0, sum(seconds), ["tokenise", "align", "encode"])


def test_aligners_are_timed_apart(world: World) -> None:
    store, gold, lexicon = Store(world.store), plan_of(world), plan_of(world, aligner="lexicon")
    for stage, seconds in zip(of(gold, "align")[:2], (2.0, 4.0), strict=True):
        put(store, stage, seconds)
    assert rows(gold, world)["align"] == Row("align", 3, 2, fmean([2.0, 4.0]))
    assert rows(lexicon, world)["align"] == Row("align", 3, 0, None)
    put(store, of(lexicon, "align")[0], 100.0)
    assert rows(lexicon, world)["align"] == Row("align", 3, 1, 2 * 100.0)
    assert rows(gold, world)["align"].seconds == 3.0
    # Nor does a run with fewer examples say what one with all of them takes.
    assert rows(plan_of(world, limit=5), world)["align"].seconds is None


def test_what_is_read_makes_the_cost(world: World) -> None:
    """Encoding pairs of one aligner's corpus, and predicting a task, take what their like took in other languages."""
    store, plan = Store(world.store), plan_of(world)
    align, encode, test, predict = (of(plan, kind) for kind in ("align", "encode", "tokenise", "predict"))
    put(store, encode[0], 6.0)
    assert rows(plan, world)["encode"].seconds is None  # of unknown pairs
    put(store, align[0], 1.0)
    assert rows(plan, world)["encode"] == Row("encode", 3, 1, 2 * 6.0)
    for stage in test:
        put(store, stage, 1.0)
    put(store, predict[0], 9.0)
    assert rows(plan, world)["predict"] == Row("predict", 16, 1, 15 * 9.0)
    limited = rows(plan_of(world, limit=5), world)["predict"].seconds
    assert limited is not None and limited < 1  # by the operations of a tiny model


def test_another_seed_takes_as_long(world: World) -> None:
    plan, store = plan_of(world), Store(world.store)
    put(store, of(plan, "realign")[0], 70.0)
    assert rows(plan, world)["realign"] == Row("realign", 2, 1, 70.0)


def test_where_all_is_stored_nothing_is_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = plan_of(world), Store(world.store)
    for stage in plan.stages.values():
        put(store, stage, 5.0)

    def no(*_: object) -> float:
        raise AssertionError("measured")

    monkeypatch.setattr(module, "_flops_a_second", no)
    assert total(estimate(plan, store)) == Total(33, 33, 0.0, [])


def test_a_gpu_is_not_estimated_by_the_cpu(world: World) -> None:
    plan = plan_of(world)
    plan.request.numerics["device"] = "cuda"
    assert {row.seconds for row in estimate(plan, Store(world.store))} == {None}
