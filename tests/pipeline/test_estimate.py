"""What a plan will take. Truth: costs that the test itself writes into the store or lays down as a law, summed by hand;
and a real run of the same plan."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

from tests.small import CORPUS, TASK, World, write_recipe, write_yaml
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.pipeline import calibrate
from xrealign_bench.pipeline.calibrate import Calibration, Measurement
from xrealign_bench.pipeline.estimate import Estimate, StageTypeCost, Total, estimate, weights_bytes
from xrealign_bench.pipeline.manifest import MANIFEST, read_manifest, write_manifest
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.stage import Stage
from xrealign_bench.pipeline.stages import Align, Encode, Finetune, Predict, Realign, Tokenise
from xrealign_bench.pipeline.store import Store

WorldMaker = Callable[..., World]
TARGETS = ["de", "sw", "th"]
MB = 1_000_000


def plan_of(
    world: World, *, limit: int | None = None, aligner: str = "gold", languages: list[str] | None = None, **recipe: Any
) -> Plan:
    written = write_recipe(
        world.folder, aligner=aligner, **({"parallel": {"languages": languages}} if languages else {}), **recipe
    )
    options = {"checkpoint": str(world.checkpoint), "suite": str(world.suite), "device": "cpu", "offline": True}
    return prepare(Options(recipes=[str(written)], limit=limit, **options))  # type: ignore[arg-type]


def put(store: Store, stage: Stage, seconds: float, memory: int = MB) -> None:
    """A stage as if it had taken so long and so much memory; it takes one byte of the disk."""

    def make(folder: Path) -> None:
        (folder / "file").write_text("x")

    path = store.produce(stage.stage_type, stage.key, stage.description(), make).folder / MANIFEST
    changed = {"seconds": seconds, "peak_memory_bytes": memory}
    write_manifest(path, read_manifest(path).model_copy(update=changed))


def of(plan: Plan, kind: str) -> list[Stage]:
    return [stage for ref, stage in plan.stages.items() if ref.stage_type == kind]


@pytest.fixture
def world(new_world: WorldMaker) -> World:
    return new_world(target_languages=TARGETS, seeds=[3, 7])


def rows(plan: Plan, world: World) -> dict[str, StageTypeCost]:
    return {row.stage_type: row for row in estimate(plan, Store(world.store)).rows}


def measured(plan: Plan, world: World) -> Estimate:
    return estimate(plan, Store(world.store), run_context(plan.request, "cpu"))


def test_with_nothing_timed_and_nothing_measured_there_are_no_numbers(world: World) -> None:
    found = estimate(plan_of(world), Store(world.store))
    kinds = ["tokenise", "finetune", "predict", "align", "encode", "realign"]
    assert [row.stage_type for row in found.rows] == kinds
    assert {row.seconds for row in found.rows} == {None}
    assert found.total == Total(33, 0, 0, None, None, 0, kinds)


def test_aligners_are_timed_apart(world: World) -> None:
    store, gold, lexicon = Store(world.store), plan_of(world), plan_of(world, aligner="lexicon")
    for stage, seconds, memory in zip(of(gold, "align")[:2], (2.0, 4.0), (5 * MB, 7 * MB), strict=True):
        put(store, stage, seconds, memory)
    assert rows(gold, world)["align"] == StageTypeCost("align", 3, 2, fmean([2.0, 4.0]), 7 * MB, None, 1)
    assert rows(lexicon, world)["align"] == StageTypeCost("align", 3, 0, None)
    put(store, of(lexicon, "align")[0], 100.0)
    assert rows(lexicon, world)["align"] == StageTypeCost("align", 3, 1, 2 * 100.0, MB, None, 2)
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
    assert rows(plan, world)["encode"] == StageTypeCost("encode", 3, 1, 2 * 6.0, MB, None, 2)
    for stage in test:
        put(store, stage, 1.0)
    put(store, predict[0], 9.0)
    assert rows(plan, world)["predict"] == StageTypeCost("predict", 16, 1, 15 * 9.0, MB, None, 15)
    assert rows(plan_of(world, limit=5), world)["predict"].seconds is None


def test_another_seed_takes_as_long(world: World) -> None:
    plan, store = plan_of(world), Store(world.store)
    for kind in ("align", "encode"):
        put(store, of(plan, kind)[0], 1.0)
    put(store, of(plan, "realign")[0], 70.0)
    assert rows(plan, world)["realign"].seconds is None  # of pairs that are not known of some languages
    for kind in ("align", "encode"):
        for stage in of(plan, kind):
            put(store, stage, 1.0)
    assert rows(plan, world)["realign"] == StageTypeCost("realign", 2, 1, 70.0, MB, None, 1)


def test_fine_tuning_after_a_realignment_takes_as_long_as_without(world: World) -> None:
    plan, store = plan_of(world), Store(world.store)
    put(store, of(plan, "tokenise")[0], 1.0)
    put(store, of(plan, "finetune")[0], 30.0)
    assert rows(plan, world)["finetune"].seconds == 3 * 30.0


def test_the_same_task_with_more_examples_takes_longer(world: World) -> None:
    """Suites may cap it otherwise."""
    store, plan = Store(world.store), plan_of(world)
    for stage in of(plan, "tokenise"):
        put(store, stage, 1.0)
    write_yaml(world.folder / "phrases.yaml", TASK | {"test_examples": 500})
    assert rows(plan_of(world), world)["tokenise"].seconds is None


def test_where_all_is_stored_nothing_is_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = plan_of(world), Store(world.store)
    for stage in plan.stages.values():
        put(store, stage, 5.0)
    monkeypatch.setattr(Calibration, "__init__", None)
    assert measured(plan, world).total == Total(33, 33, 0.0, None, None, 0, [])
    assert weights_bytes(plan, store) == 0


class Law(NamedTuple):
    """Seconds of a stage, and bytes that it adds to the store: so much, and so much more an example or step."""

    fixed: float
    each: float
    room: int
    room_each: int


LAWS = {
    "tokenise": Law(0.010, 1e-4, 100, 3),
    "align": Law(0.020, 2e-4, 200, 4),
    "encode": Law(0.030, 3e-4, 300, 5),
    "predict": Law(0.040, 4e-4, 400, 6),
    "finetune": Law(5.0, 0.50, 5_000_000, 0),
    "realign": Law(6.0, 0.25, 6_000_000, 0),
}
LOADING = 0.3
"""Of a prediction that is the first of its model."""
PAIRS, TRAIN, TEST, STEPS = 5000, 2000, 700, 4000


@pytest.fixture
def lawful(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """Miniatures cost what the laws say; those that were run."""
    run: list[Stage] = []

    def size(calibration: Calibration, stage: Stage) -> int:
        if isinstance(stage, Tokenise | Align):
            assert stage.settings.limit is not None
            return stage.settings.limit
        if isinstance(stage, Realign | Finetune):
            return stage.steps
        assert isinstance(stage, Encode | Predict)
        read = stage.inputs.pairs if isinstance(stage, Encode) else stage.inputs.test
        return size(calibration, calibration._stages[read])

    def ask(calibration: Calibration, job: Callable[..., Any], *arguments: Any) -> Any:
        if job is not calibrate._run:
            return None
        (stage,) = arguments
        if stage.key in {other.key for other in run}:
            return None
        cold = stage.stage_type == "predict" and not any(other.stage_type == "predict" for other in run)
        run.append(stage)
        law, n = LAWS[stage.stage_type], size(calibration, stage)
        steps = [law.each] * (n - 1) if stage.stage_type in ("realign", "finetune") else []
        seconds = law.fixed + law.each * n + LOADING * cold
        return Measurement(seconds, steps, len(run) * MB, None, law.room + law.room_each * n)

    monkeypatch.setattr(Calibration, "_ask", ask)
    monkeypatch.setattr(Calibration, "start", lambda _: 7.0)
    return run


@pytest.fixture
def large(world: World) -> World:
    """A suite that takes long; its data are never made."""
    world.suite.write_text(world.suite.read_text().replace("steps: 3\n", f"steps: {STEPS}\n"))
    write_yaml(world.folder / "phrases.yaml", TASK | {"train_examples": TRAIN, "test_examples": TEST})
    write_yaml(world.folder / "pairs.yaml", CORPUS | {"pairs": PAIRS})
    return world


def test_what_costs_by_a_law_is_told_by_it(large: World, lawful: list[Stage]) -> None:
    found = measured(plan_of(large), large)

    def cost(kind: str, *sizes: int) -> tuple[float, float]:
        law = LAWS[kind]
        return sum(law.fixed + law.each * n for n in sizes), sum(law.room + law.room_each * n for n in sizes)

    expected = {
        "tokenise": cost("tokenise", TRAIN, *[TEST] * 4),
        "align": cost("align", *[PAIRS] * 3),
        "encode": cost("encode", *[PAIRS] * 3),
        "predict": cost("predict", *[TEST] * 16),  # 4 languages of 4 models
        "finetune": cost("finetune", *[STEPS] * 4),
        "realign": cost("realign", *[STEPS] * 2),
    }
    expected["predict"] = expected["predict"][0] + 4 * LOADING, expected["predict"][1]
    by_type = {row.stage_type: row for row in found.rows}
    for kind, (seconds, room) in expected.items():
        assert by_type[kind].seconds == pytest.approx(seconds, rel=1e-6), kind
        assert by_type[kind].disk_bytes == pytest.approx(room, abs=20), kind  # rounded up for each stage
    whole = found.total
    assert whole.seconds == pytest.approx(sum(seconds for seconds, _ in expected.values()) + 7.0)
    assert whole.memory_bytes == len(lawful) * MB
    assert (whole.stages, whole.stored, whole.without_timing, found.unmeasured) == (33, 0, [], [])
    # Not as many steps as the suite has, and no stage of the plan itself.
    assert max(stage.steps for stage in lawful if isinstance(stage, Finetune)) < 10
    assert not {stage.key for stage in lawful} & {ref.key for ref in plan_of(large).stages}


def test_only_what_is_not_known_is_measured(large: World, lawful: list[Stage]) -> None:
    plan, store = plan_of(large), Store(large.store)
    for kind in ("tokenise", "align", "encode", "finetune", "predict"):
        put(store, of(plan, kind)[0], 1.0)
    for kind in ("tokenise", "align", "encode"):
        for stage in of(plan, kind):
            put(store, stage, 1.0)
    found = {row.stage_type: row for row in measured(plan, large).rows}
    assert (found["finetune"].seconds, found["predict"].seconds) == (3.0, 15.0)
    law = LAWS["realign"]
    assert found["realign"].seconds == pytest.approx(2 * (law.fixed + law.each * STEPS))
    assert {stage.stage_type for stage in lawful} == {"align", "encode", "realign"}  # what it reads, and itself


def test_what_fails_in_miniature_has_no_timing_and_says_why(
    large: World, lawful: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Calibration._ask

    def fail(calibration: Calibration, job: Callable[..., Any], *arguments: Any) -> Any:
        if arguments and arguments[0].stage_type == "realign":
            raise UserError("no word is linked")
        return ask(calibration, job, *arguments)

    monkeypatch.setattr(Calibration, "_ask", fail)
    found = measured(plan_of(large), large)
    assert (found.total.without_timing, found.unmeasured) == (["realign"], ["no word is linked"])
    assert found.total.seconds > 4 * STEPS * LAWS["finetune"].each


@pytest.mark.slow
def test_a_run_takes_what_was_measured(world: World) -> None:
    """Of memory and disk; other processes share the machine, and time is another's."""
    plan = plan_of(world)
    told: list[str] = []
    found = estimate(plan, Store(world.store), run_context(plan.request, "cpu"), told.append)
    assert (found.unmeasured, found.total.without_timing) == ([], [])
    assert told[0] == "imports of a process" and any(label.startswith("fine-tune phrases") for label in told)
    assert [path for path in world.store.rglob("*") if path.is_file()] == []
    assert list((world.store / ".work").iterdir()) == []
    assert world.evaluate("--recipe", world.folder / "mine.yaml").status == 0
    entries = Store(world.store).entries()
    assert len(entries) == found.total.stages
    for row in found.rows[1:]:
        own = [entry for entry in entries if entry.manifest.kind == row.stage_type]
        assert row.disk_bytes == pytest.approx(sum(entry.size for entry in own), rel=0.1), row.stage_type
        assert row.memory_bytes is not None and row.seconds is not None
        peak = max(entry.manifest.peak_memory_bytes or 0 for entry in own)
        assert row.memory_bytes == pytest.approx(peak, rel=0.3), row.stage_type
        assert row.seconds > 0


def test_what_does_not_fit_is_told(new_world: WorldMaker, monkeypatch: pytest.MonkeyPatch, lawful: list[Stage]) -> None:
    world = new_world()
    plan = plan_of(world)
    weights = weights_bytes(plan, Store(world.store))
    size = (world.checkpoint / "model.safetensors").stat().st_size
    assert weights == pytest.approx(3 * size, rel=0.05)  # 1 realigned, 2 fine-tuned; the header is not counted
    recipe = ["--recipe", str(world.folder / "mine.yaml")]

    def free(room: float) -> None:
        usage = shutil.disk_usage(world.folder)._replace(free=int(room))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    free(0.9 * weights)
    told = world.evaluate(*recipe).err
    assert f"warning: the weights alone will take {weights / 1e6:.1f} MB in the store" in told
    shutil.rmtree(world.store)
    free(1.1 * weights)
    assert "warning" not in world.evaluate(*recipe).err
