"""Plans on a Ray cluster of three nodes. Truth: the serial executor's entries and results, and what was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from tests.small import World, command, essence, left_over, write_recipe, write_suite
from xrealign_bench import distributed
from xrealign_bench import evaluation as job
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Evaluation, Options
from xrealign_bench.pipeline import ray_executor, ray_worker
from xrealign_bench.pipeline.executor import Outcome, StageEvent
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.ray_executor import on_ray
from xrealign_bench.pipeline.store import Store

ROOT = Path(__file__).parents[2]
RECIPES = ("finetune-only", "mine")
LONG = "realign with mine, seed 3"
FEW_STEPS = 8
MANY_STEPS = 400
"""Of realignment, so that it is at work long enough to be killed."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that computes nothing, and two nodes of a core each; this process is the driver."""
    memory = {"object_store_memory": 80 * 2**20, "memory": 8 * 2**30}
    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 0}
    quick["worker_niceness"] = 0
    handler = signal.getsignal(signal.SIGTERM)
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, **memory})
    for _ in range(2):
        started.add_node(num_cpus=1, **memory)
    ray.init(address=started.address, log_to_driver=False)
    yield started
    ray.shutdown()
    started.shutdown()
    signal.signal(signal.SIGTERM, handler)  # Ray leaves its own


def serial_world(folder: Path, checkpoint: Path, steps: int) -> World:
    """Evaluate by the serial executor."""
    world = World(folder, write_suite(folder, target_languages=["de", "sw"], seeds=[3]), checkpoint)
    write_recipe(folder, schedule={"batch_size": 4, "steps": steps})
    ran = world.evaluate("--recipe", folder / "mine.yaml")
    assert ran.status == 0, ran.err
    return world


def plan_of(world: World) -> Plan:
    given = {"checkpoint": str(world.checkpoint), "suite": str(world.suite)}
    return job.prepare(Options(**given, recipes=[str(world.folder / "mine.yaml")], device="cpu", offline=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    return serial_world(tmp_path_factory.mktemp("serial"), small_checkpoint, FEW_STEPS)


@pytest.fixture(scope="module")
def long_world(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    return serial_world(tmp_path_factory.mktemp("long"), small_checkpoint, MANY_STEPS)


@pytest.fixture
def plan(world: World) -> Plan:
    return plan_of(world)


@pytest.fixture
def long_plan(long_world: World) -> Plan:
    return plan_of(long_world)


class OnRay:
    """A run on the cluster, with what it told."""

    def __init__(self, plan: Plan, folder: Path, strike: Callable[[StageEvent], None] = lambda event: None) -> None:
        self.store, self.output, self.events = folder / "store", folder / "output", []
        self._strike = strike
        self.outcome, self.evaluation = self._run(plan)

    def _run(self, plan: Plan) -> tuple[Outcome, Evaluation | None]:
        store = Store(self.store)
        outcome = on_ray(None, 1.0)(plan, store, job.run_context(plan.request, "cpu"), self._hear)
        return outcome, None if outcome.failed else job.write_evaluation(plan, store, self.output, ["test"])

    def _hear(self, event: StageEvent) -> None:
        self.events.append(event)
        self._strike(event)

    def count(self, what: str) -> Counter[str]:
        return Counter(event.stage.label for event in self.events if event.status == what)

    def result(self, world: World, recipe: str) -> Path:
        return self.output / "results" / "small-1.0" / world.place / recipe


def entries(store: Path) -> dict[str, dict[str, Any]]:
    """Of each entry, the checksums of its files."""
    found = sorted(store.glob("*/??/*/manifest.json"))
    return {path.parent.name: json.loads(path.read_bytes())["files"] for path in found}


def same_as_serial(world: World, ran: OnRay) -> None:
    # Files with costs in them are the results'; those of the store hold none.
    assert entries(ran.store) == entries(world.store)
    assert [essence(ran.result(world, r)) for r in RECIPES] == [essence(world.result(r)) for r in RECIPES]
    assert left_over(ran.store, ran.output) == []
    assert not list((ran.store / ".locks").glob("run-*"))


def process_of(label: str) -> psutil.Process:
    """The worker at a stage: Ray gives it the stage's label as its title."""
    (found,) = [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[0] == f"ray::{label}"]
    return found


def once(act: Callable[[], None]) -> Callable[[StageEvent], None]:
    """Strike when the long stage is at work, the first time."""
    struck = []

    def strike(event: StageEvent) -> None:
        if event.status == "progress" and event.stage.label == LONG and not struck:
            struck.append(event)
            act()

    return strike


@pytest.mark.slow
def test_keys_and_results_are_those_of_the_serial_executor(
    cluster: Cluster, world: World, plan: Plan, tmp_path: Path
) -> None:
    ran = OnRay(plan, tmp_path)
    assert ran.outcome == Outcome(done=set(plan.stages))
    same_as_serial(world, ran)
    assert ran.count("start") == ran.count("done") == Counter(stage.label for stage in plan.stages.values())
    created = {path: path.stat().st_mtime_ns for path in ran.store.glob("*/??/*/*.parquet")}
    again = OnRay(plan, tmp_path)
    assert again.outcome == Outcome(stored=set(plan.stages))
    assert {event.status for event in again.events} == {"stored"}
    assert {path: path.stat().st_mtime_ns for path in again.store.glob("*/??/*/*.parquet")} == created


@pytest.mark.slow
def test_a_killed_worker_costs_one_stage(cluster: Cluster, long_world: World, long_plan: Plan, tmp_path: Path) -> None:
    ran = OnRay(long_plan, tmp_path, once(lambda: process_of(LONG).kill()))
    assert ran.outcome == Outcome(done=set(long_plan.stages))
    assert ran.count("again") == {LONG: 1}
    assert {label: times for label, times in ran.count("start").items() if times > 1} == {LONG: 2}
    same_as_serial(long_world, ran)


@pytest.mark.slow
def test_a_stage_that_keeps_killing_its_worker_costs_its_descendants(
    cluster: Cluster, long_world: World, long_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "STARTS", 2)

    def strike(event: StageEvent) -> None:
        if event.status == "progress" and event.stage.label == LONG:
            with suppress(ValueError):  # told of a worker that is dead already
                process_of(LONG).kill()

    ran = OnRay(long_plan, tmp_path, strike)
    ((ref, why),) = ran.outcome.failed.items()
    assert long_plan.stages[ref].label == LONG
    assert why == "its worker was lost 2 times, the last time because its process was killed, as the system does " \
        "where memory runs out"  # fmt: skip
    descendants = {r for r in long_plan.stages if r != ref and ref in long_plan.ancestors([r])}
    assert ran.outcome.skipped == descendants and len(descendants) == 4
    assert ran.outcome.done == set(long_plan.stages) - descendants - {ref}
    assert ran.evaluation is None and not ran.output.exists()
    again = OnRay(long_plan, tmp_path)
    assert again.outcome == Outcome(stored=ran.outcome.done, done=descendants | {ref})
    same_as_serial(long_world, again)


@pytest.mark.slow
def test_a_failed_training_costs_its_descendants_and_the_status_says_so(
    cluster: Cluster, world: World, tmp_path: Path
) -> None:
    schedule, objective = {"steps": 3, "batch_size": 4}, {"temperature": 1e-39}
    bad = write_recipe(tmp_path, name="bad", freeze={"blocks": "none"}, schedule=schedule, objective=objective)
    places = ["--store", tmp_path / "store", "--output", tmp_path / "output"]
    given = [*world.arguments, "--recipe", bad, "--recipe", world.folder / "mine.yaml", *places]
    ran = command(*given, "--executor", "ray", "--address", cluster.address)
    assert ran.status == 1
    *_, ended, failed, which, stored = ran.err.splitlines()
    assert ended == "17 stages run, 0 found in the store"
    assert failed == "1 stage failed, 4 not run:"
    assert which.startswith("  realign with bad, seed 3: ")
    assert stored == "Finished stages are stored; run the same command again to resume."
    assert set(entries(tmp_path / "store")) == set(entries(world.store))
    assert command(*given).err.splitlines()[-3:] == ran.err.splitlines()[-3:]  # the serial executor says the same


@pytest.mark.slow
def test_ctrl_c_ends_what_runs_and_keeps_what_is_done(
    cluster: Cluster, long_world: World, long_plan: Plan, tmp_path: Path
) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        OnRay(long_plan, tmp_path, once(press))
    stored = entries(tmp_path / "store")
    assert 0 < len(stored) < len(long_plan.stages)
    assert left_over(tmp_path) == []
    ran = OnRay(long_plan, tmp_path)
    assert {ref.key for ref in ran.outcome.stored} == set(stored)
    same_as_serial(long_world, ran)


DRIVER = f"""
import os, signal, sys
from xrealign_bench import cli, progress
def strike(self, event):
    if event.status == "progress" and event.stage.label == {LONG!r}:
        os.kill(os.getpid(), signal.SIGKILL)
progress.Progress.__call__ = strike
cli.main()
"""
"""Code of a driver that ends itself by SIGKILL; it takes the command line's arguments."""


@pytest.mark.slow
def test_a_killed_driver_started_again_loses_nothing(
    cluster: Cluster, long_world: World, long_plan: Plan, tmp_path: Path
) -> None:
    places = ["--store", tmp_path / "store", "--output", tmp_path / "output"]
    given = [*long_world.arguments, "--recipe", long_world.folder / "mine.yaml", *places]
    arguments = [*map(str, given), "--executor", "ray", "--address", cluster.address]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    driver = [sys.executable, "-c", DRIVER, *arguments]
    done = subprocess.run(driver, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    finished = {path: path.read_bytes() for path in tmp_path.glob("store/*/??/*/manifest.json")}
    (long,) = [ref for ref, stage in long_plan.stages.items() if stage.label == LONG]
    assert {ref.key for ref in long_plan.ancestors([long]) - {long}} <= {path.parent.name for path in finished}
    ran = OnRay(long_plan, tmp_path)
    assert {path: path.read_bytes() for path in finished} == finished
    assert {ref.key for ref in ran.outcome.stored} >= {path.parent.name for path in finished}
    assert not ran.outcome.failed and not ran.outcome.skipped
    assert entries(ran.store) == entries(long_world.store)
    assert [essence(ran.result(long_world, r)) for r in RECIPES] == [essence(long_world.result(r)) for r in RECIPES]


def test_a_plan_that_fits_no_node_is_refused(
    cluster: Cluster, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = job.compute_settings
    monkeypatch.setattr(job, "compute_settings", lambda *given: real(*given).model_copy(update={"threads": 64}))
    places = ["--store", tmp_path / "store", "--output", tmp_path / "output"]
    ran = command(*world.arguments, *places, "--executor", "ray", "--address", cluster.address)
    assert ran.status == 2
    told = "error: no node of the Ray cluster has the 64 CPUs, as many as the plan has threads, that 'fine-tune phrases"
    assert ran.err.splitlines()[-1].startswith(told)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(("name", "value"), [("torch", "0.0"), ("device_name", "H200"), ("processes", 2)])
def test_other_numbers_than_the_key_says_are_refused(plan: Plan, name: str, value: Any) -> None:
    stage = next(stage for ref, stage in plan.stages.items() if ref.stage_type == "finetune")
    context = job.run_context(plan.request, "cpu")
    ray_worker.check_compute_settings(stage, context)
    changed = plan.request.compute_settings.model_copy(update={name: value})
    stage = replace(stage, settings=stage.settings.model_copy(update={"compute_settings": changed}))
    told = rf"would compute other numbers than the plan says: {name} is \S+ there and {value} in the plan"
    with pytest.raises(UserError, match=told):
        ray_worker.check_compute_settings(stage, context)


def test_other_versions_are_refused(
    cluster: Cluster, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "software", lambda: (("xrealign-bench", "99"),))
    with pytest.raises(UserError, match=r"has xrealign-bench \S+ and the driver 99; install the same everywhere"):
        OnRay(plan, tmp_path)


@pytest.mark.slow
def test_a_killed_node_costs_one_stage(cluster: Cluster, long_world: World, long_plan: Plan, tmp_path: Path) -> None:
    def kill_node() -> None:
        raylet = process_of(LONG).ppid()
        (node,) = [n for n in cluster.worker_nodes if n.all_processes["raylet"][0].process.pid == raylet]
        cluster.remove_node(node, allow_graceful=False)

    ran = OnRay(long_plan, tmp_path, once(kill_node))
    assert len(cluster.worker_nodes) == 1
    assert ran.outcome == Outcome(done=set(long_plan.stages))
    assert {label: times for label, times in ran.count("start").items() if times > 1} == {LONG: 2}
    same_as_serial(long_world, ran)


def place_of(plan: Plan, store: Path, mark: Path) -> Any:
    return ray_worker.WorkerSetup(store, mark, job.run_context(plan.request, "cpu"), ray_worker.software())


def test_a_store_that_a_node_does_not_share_is_refused(plan: Plan, tmp_path: Path) -> None:
    with Store(tmp_path).mark() as mark:
        ray_worker.check_setup(place_of(plan, tmp_path, mark))
        with pytest.raises(UserError, match="does not see the store"):
            ray_worker.check_setup(place_of(plan, tmp_path, mark.with_name("elsewhere")))
        mark.with_name("unlocked").touch()
        with pytest.raises(UserError, match="does not see the locks of the store"):
            ray_worker.check_setup(place_of(plan, tmp_path, mark.with_name("unlocked")))
    assert not mark.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_stage_that_runs_no_model_needs_no_gpu(plan: Plan, tmp_path: Path) -> None:
    first = {ref.stage_type: stage for ref, stage in reversed(plan.stages.items())}
    with Store(tmp_path).mark() as mark:
        place = place_of(plan, tmp_path, mark)
        place = replace(place, context=replace(place.context, device="cuda"))
        done = ray_worker.run_one(first["tokenise"], place, lambda done, total, note: None)
        refused = ray_worker.run_one(first["finetune"], place, lambda done, total, note: None)
    assert done.status == "done"
    assert refused.status == "refused" and "torch finds no cuda device here" in refused.note


def test_predictions_with_one_model_are_made_by_one_worker(plan: Plan) -> None:
    jobs = list(ray_executor.jobs_of(plan, plan.stages))
    assert [ref for refs in jobs for ref in refs if len(refs) == 1] == [
        r for r in plan.stages if r.stage_type != "predict"
    ]
    together = [[plan.stages[ref] for ref in refs] for refs in jobs if len(refs) > 1]
    assert len(together) == len(RECIPES)
    for stages in together:
        assert len({stage.inputs.by_role()["model"] for stage in stages}) == 1 and len(stages) == 3  # en, de, sw


def test_memory_that_is_reserved_before_any_is_known(plan: Plan, world: World) -> None:
    weights = (world.checkpoint / "model.safetensors").stat().st_size
    guess = ray_executor._guessed_memory
    first = {ref.stage_type: stage for ref, stage in reversed(plan.stages.items())}
    here = plan.request.checkpoint
    assert guess(first["tokenise"], here, on_gpu=False) == 2**30
    assert guess(first["predict"], here, on_gpu=False) == guess(first["finetune"], here, on_gpu=True) == 2**31 + weights
    assert guess(first["finetune"], here, on_gpu=False) == 2**31 + 4 * weights


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://head:10001", "--address ray://head:10001: write auto or HOST:PORT, on a machine that is a node"),
        ("head", "--address head: write auto or HOST:PORT"),
        ("127.0.0.1:1", "no Ray cluster at --address 127.0.0.1:1: Connection refused"),
    ],
)
def test_an_address_without_a_cluster(address: str, told: str) -> None:
    ran = command("evaluate", "--executor", "ray", "--address", address)
    assert (ran.status, ran.out) == (2, "") and ran.err.startswith(f"error: {told}")


def test_options_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "add --executor ray" in command("evaluate", "--address", "auto").err
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(UserError, match="leave the launcher out"):
        on_ray(None, 1.0)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape("pip install 'xrealign-bench[ray]'")):
        on_ray(None, 1.0)
