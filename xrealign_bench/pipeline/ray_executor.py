"""Run the stages of a plan as tasks of a Ray cluster, all of whose nodes see the store on a shared file system.

The driver, which holds the plan, submits a stage when its inputs are stored; a worker computes and stores it as any
other process would. Only the store counts: if a worker or a node is lost, the stages that it was running are submitted
again, and if the driver is killed, nothing is lost. Events only report progress.
"""

from __future__ import annotations

import heapq
import importlib.util
import logging
import os
import socket
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from xrealign_bench import distributed
from xrealign_bench.errors import UserError, describe_os_error
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.executor import Executor, OnEvent, Outcome, StageEvent
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.ray_worker import EventQueue, WorkerEvent, WorkerSetup, software, wait_until_seen, work
from xrealign_bench.pipeline.stage import RunContext, Stage, StageRef, StageType
from xrealign_bench.pipeline.stages import Predict
from xrealign_bench.pipeline.store import Store
from xrealign_bench.plugins import plugins_to_load

if TYPE_CHECKING:
    from ray import ObjectRef

_log = logging.getLogger(__name__)

STARTS = 4
"""Number of lost workers after which their stage counts as failed."""
TOGETHER = 128
"""Maximum number of predictions with one model per job, so that a worker loads the model once."""
GIB = 2**30
_GRAIN = GIB // 4
"""Reserved memory is a multiple of this, because Ray starts other workers for each new size."""
_ROOM = 1.2
"""Reserved memory, as a multiple of the peak of stored stages of the same type."""
_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_TO_CANCEL = 5.0


@dataclass(eq=False)
class _Job:
    """Stages that one worker runs in sequence. None of them needs another one."""

    number: int
    refs: list[StageRef]
    needs: int = 0
    """Number of unfinished stages of other jobs that this job waits for."""
    lost: int = 0
    """Number of workers lost while they ran the first of the stages."""

    def __lt__(self, other: _Job) -> bool:
        return self.number < other.number


def on_ray(address: str | None, gpus_per_stage: float) -> Executor:
    """Return `run_on_ray` as an executor.

    Raises:
        UserError: Ray is not installed, there are several processes already, or no cluster at that address.
    """
    if distributed.world_size() > 1:
        raise UserError("--executor ray starts its own processes; leave the launcher out")
    if importlib.util.find_spec("ray") is None:
        raise UserError("--executor ray needs Ray; pip install 'xrealign-bench[ray]'")
    if address not in (None, "auto"):
        _check_reachable(address)
    return partial(run_on_ray, address=address, gpus_per_stage=gpus_per_stage)


def run_on_ray(
    plan: Plan,
    store: Store,
    context: RunContext,
    on_event: OnEvent,
    *,
    address: str | None = None,
    gpus_per_stage: float = 1.0,
) -> Outcome:
    """Run the stages that the store doesn't hold yet on a Ray cluster, with the contract of `run_serially`.

    A stage also fails if its worker was lost `STARTS` times. Stored stages are not read here: the workers that read
    them verify them.

    Args:
        address: address of the cluster that this machine is a node of (`auto` or `HOST:PORT`); None starts one here.
        gpus_per_stage: share of a GPU that each stage with a model takes.

    Raises:
        UserError: there is no such cluster; no node has what a stage needs; a node does not see
            the store, or would compute other numbers than the plan says; and as `run_serially`.
    """
    if context.device not in ("cpu", "cuda"):
        raise UserError(f"--executor ray gives each stage its own device; write cuda or cpu, not {context.device}")
    with _connected(address), store.mark() as mark:
        setup = WorkerSetup(store.root, mark, _with_absolute_paths(context), software(), tuple(plugins_to_load()))
        return _Driver(plan, store, setup, on_event, gpus_per_stage).run()


class _Driver:
    def __init__(self, plan: Plan, store: Store, setup: WorkerSetup, on_event: OnEvent, gpus_per_stage: float) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._plan, self._store, self._setup, self._on_event = plan, store, setup, on_event
        self._gpus = gpus_per_stage if setup.context.device.startswith("cuda") else 0.0
        self._outcome = Outcome()
        self._peaks: dict[StageType, int] = {}
        self._started: set[StageRef] = set()
        self._users: dict[StageRef, list[_Job]] = {}
        self._ready: list[_Job] = []
        """A heap, in the order of the plan."""
        self._running: dict[ObjectRef[Any], _Job] = {}
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        queue: Any = ray.remote(num_cpus=0, max_restarts=-1)(EventQueue)
        self._queue = queue.options(scheduling_strategy=here).remote()
        # By default Ray keeps a worker that computed on the CPU, and ends one that holds memory of a GPU.
        self._work: Any = ray.remote(max_retries=0)(work)
        self._work_on_gpu: Any = ray.remote(max_retries=0, num_gpus=self._gpus, max_calls=1)(work)

    def run(self) -> Outcome:
        self._lay_out()
        self._check_fits()
        try:
            while self._ready or self._running:
                self._submit()
                ended = self._wait()
                self._listen()
                for task in ended:
                    self._take(self._running.pop(task), task)
        except BaseException:  # Ctrl-C too
            self._cancel()
            raise
        for ref in self._outcome.done:
            wait_until_seen(self._store, ref)
        return self._outcome

    def _lay_out(self) -> None:
        jobs: dict[StageRef, _Job] = {}
        for number, refs in enumerate(jobs_of(self._plan, self._find_stored())):
            job = _Job(number, refs)
            jobs |= dict.fromkeys(refs, job)
        for job in dict.fromkeys(jobs.values()):
            for need in {need for ref in job.refs for need in self._plan.inputs(ref) if need in jobs}:
                job.needs += 1
                self._users.setdefault(need, []).append(job)
            if job.needs == 0:
                heapq.heappush(self._ready, job)

    def _find_stored(self) -> list[StageRef]:
        """Report which stages are stored, and return the others."""
        others = []
        for ref, stage in self._plan.stages.items():
            if self._look(ref):
                self._outcome.stored.add(ref)
                self._on_event(StageEvent("stored", stage))
            else:
                others.append(ref)
        return others

    def _look(self, ref: StageRef) -> bool:
        """Return whether a stage is stored, and note its peak memory for stages of the same type."""
        if (entry := self._store.look(ref.stage_type, ref.key)) is None:
            return False
        self._peaks[ref.stage_type] = max(self._peaks.get(ref.stage_type, 0), entry.manifest.peak_memory_bytes or 0)
        return True

    def _submit(self) -> None:
        """Submit enough jobs to keep the cluster busy, so that Ray's own queue stays short."""
        nodes = _nodes() if self._ready else []
        most = 16 + 2 * int(sum(node.get("CPU", 0) for node in nodes))
        while self._ready and len(self._running) < most:
            job = heapq.heappop(self._ready)
            for ref in [ref for ref in job.refs if self._outcome.lacks_inputs(self._plan.stages[ref])]:
                job.refs.remove(ref)
                self._outcome.skipped.add(ref)
                self._settle(StageEvent("skipped", self._plan.stages[ref]))
            if job.refs:
                stages = [self._plan.stages[ref] for ref in job.refs]
                on_gpu = self._gpus > 0 and stages[0].runs_model
                task = (self._work_on_gpu if on_gpu else self._work).options(
                    name=stages[0].label, num_cpus=self._cpus(stages[0]), memory=self._memory(stages[0], nodes)
                )
                self._running[task.remote(stages, self._setup, self._queue)] = job

    def _wait(self) -> list[ObjectRef[Any]]:
        import ray

        tasks = list(self._running)
        if tasks and ray.wait(tasks, timeout=_SECONDS_BETWEEN_LOOKS, fetch_local=False)[0]:
            return ray.wait(tasks, num_returns=len(tasks), timeout=0, fetch_local=False)[0]
        return []

    def _listen(self) -> None:
        import ray
        from ray.exceptions import RayActorError

        with suppress(RayActorError):  # it is restarted; only its queued events are lost
            for event in ray.get(self._queue.take.remote()):
                self._handle(event)

    def _take(self, job: _Job, task: ObjectRef[Any]) -> None:
        """Handle a job that ended."""
        import ray
        from ray.exceptions import RayError, RaySystemError, RayTaskError

        try:
            for event in ray.get(task):
                self._handle(event)
        except RayTaskError as error:
            if isinstance(error.cause, RaySystemError):
                reason = str(error.cause).splitlines()[0]
                raise UserError(f"a node can't run xrealign-bench ({reason}); install the same everywhere") from None
            raise  # a mistake in the code
        except RayError as error:
            self._lose(job, error)

    def _handle(self, event: WorkerEvent) -> None:
        if event.status == "warning":
            _log.warning("%s", event.note)
        elif event.status == "refused":
            raise UserError(event.note)
        elif event.ref in self._outcome.done or event.ref in self._outcome.failed:
            pass  # reported already
        elif event.status == "start":
            self._start(event.ref)
        elif event.status == "done":
            self._finish(event.ref)
        elif event.status == "failed":
            self._fail(event.ref, event.note)
        else:
            self._start(event.ref)
            self._on_event(StageEvent("progress", self._plan.stages[event.ref], event.done, event.total, event.note))

    def _start(self, ref: StageRef) -> None:
        """Report the start of a stage once. Its outcome may arrive before the worker's start event."""
        if ref not in self._started:
            self._started.add(ref)
            self._on_event(StageEvent("start", self._plan.stages[ref]))

    def _lose(self, job: _Job, error: Exception) -> None:
        """Resubmit the stages that a lost worker had not stored. A stage that lost `STARTS` workers fails."""
        before = job.refs[0]
        job.refs = [ref for ref in job.refs if ref not in self._outcome.done and ref not in self._outcome.failed]
        for ref in [ref for ref in job.refs if self._look(ref)]:
            job.refs.remove(ref)
            self._finish(ref)
        if not job.refs:
            return
        at_work = job.refs[0]
        job.lost = job.lost + 1 if at_work == before else 1
        if job.lost == STARTS:
            job.lost = 0
            job.refs.remove(at_work)
            self._fail(at_work, f"its worker was lost {STARTS} times, the last time because {_reason(error)}")
        else:
            self._started.discard(at_work)
            self._on_event(StageEvent("again", self._plan.stages[at_work], note=_reason(error)))
            if lacking := self._lacking(self._plan.stages[at_work], _nodes()):
                _log.warning("%s any more; waiting for one", lacking)
        if job.refs:
            heapq.heappush(self._ready, job)

    def _finish(self, ref: StageRef) -> None:
        self._start(ref)
        self._look(ref)
        self._outcome.done.add(ref)
        self._settle(StageEvent("done", self._plan.stages[ref]))

    def _fail(self, ref: StageRef, why: str) -> None:
        self._start(ref)
        self._outcome.failed[ref] = why
        self._settle(StageEvent("failed", self._plan.stages[ref], note=why))

    def _settle(self, event: StageEvent) -> None:
        """Report the outcome of a stage, and release the jobs that waited only for it."""
        for job in self._users.pop(event.stage.ref, []):
            job.needs -= 1
            if job.needs == 0:
                heapq.heappush(self._ready, job)
        self._on_event(event)

    def _cancel(self) -> None:
        """Cancel running tasks, and give them a moment to clean up."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError, KeyboardInterrupt):
            for task in self._running:
                ray.cancel(task)
            ray.wait(list(self._running), num_returns=len(self._running), timeout=_SECONDS_TO_CANCEL)

    def _check_fits(self) -> None:
        """Refuse a plan with a stage that fits no node."""
        nodes = _nodes()
        waiting = {*self._ready, *(job for jobs in self._users.values() for job in jobs)}
        for stage in (self._plan.stages[job.refs[0]] for job in sorted(waiting)):
            if lacking := self._lacking(stage, nodes):
                raise UserError(f"{lacking}; add one that has")

    def _lacking(self, stage: Stage, nodes: list[dict[str, float]]) -> str:
        """Describe the resources that no node has for a stage; empty if it fits one."""
        cpus, gpus = self._cpus(stage), self._gpus if stage.runs_model else 0.0
        if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            return ""
        wanted = f"{gpus:g} GPUs and {cpus} CPUs" if gpus else f"{cpus} CPUs, as many as the plan has threads,"
        return f"no node of the Ray cluster has the {wanted} that '{stage.label}' takes"

    def _cpus(self, stage: Stage) -> int:
        settings = stage.settings.compute_settings
        return settings.threads if settings is not None and not self._gpus else 1

    def _memory(self, stage: Stage, nodes: list[dict[str, float]]) -> int:
        """Return the bytes to reserve: the observed peak with some room, or a guess; at most the largest node's."""
        seen = self._peaks.get(stage.stage_type, 0)
        wanted = int(seen * _ROOM) or _guessed_memory(stage, self._plan.request.checkpoint, on_gpu=self._gpus > 0)
        few_sizes = -(-wanted // _GRAIN) * _GRAIN
        return min(few_sizes, int(max((node.get("memory", 0) for node in nodes), default=few_sizes)))


def jobs_of(plan: Plan, refs: Iterable[StageRef], together: int = TOGETHER) -> Iterator[list[StageRef]]:
    """Yield the stages that one worker runs: several predictions with one model, or a single other stage."""
    groups: dict[Hashable, list[StageRef]] = {}
    for ref in refs:
        stage = plan.stages[ref]
        groups.setdefault(stage.model_id if isinstance(stage, Predict) else ref, []).append(ref)
    for group in groups.values():
        yield from (group[start : start + together] for start in range(0, len(group), together))


def _guessed_memory(stage: Stage, checkpoint: Checkpoint, *, on_gpu: bool) -> int:
    """Guess from libraries, weights and, for training on the CPU, gradients and two moments."""
    if not stage.runs_model:
        return GIB
    weights = sum(
        file.stat().st_size for file in checkpoint.folder.glob("*") if file.suffix in (".safetensors", ".bin")
    )
    return 2 * GIB + weights * (4 if stage.is_training and not on_gpu else 1)


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each live node."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _reason(error: Exception) -> str:
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    if isinstance(error, OutOfMemoryError):
        return "its node ran out of memory"
    if isinstance(error, NodeDiedError):
        return "its node was lost"
    if isinstance(error, WorkerCrashedError):
        return "its process was killed, as the system does when memory runs out"
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


# The connection.


def _check_reachable(address: str) -> None:
    """Fail at once if nothing listens at the address; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise UserError(
            f"--address {address}: write auto or HOST:PORT, on a machine that is a node of the cluster: the command "
            "reads and writes the store itself"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(f"no Ray cluster at --address {address}: {describe_os_error(error)}") from None


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster as its driver, or start a local one without an address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # by default, Ray gives workers a low priority
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    given: dict[str, Any] = {"address": address}
    if address is None:  # stages exchange data through the store
        given = {"address": "local", "include_dashboard": False, "object_store_memory": 128 * 2**20}
    already = ray.is_initialized()
    try:
        if not already:
            ray.init(**given, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"no Ray cluster at --address {address}: {reason}") from None
    try:
        yield
    finally:
        if not already:
            ray.shutdown()


def _with_absolute_paths(context: RunContext) -> RunContext:
    """Return the context with absolute paths."""
    checkpoint = replace(context.checkpoint, folder=context.checkpoint.folder.absolute())
    if checkpoint.adapter is not None:
        checkpoint = replace(checkpoint, adapter=checkpoint.adapter.absolute())
    if checkpoint.tokenizer is not None:
        checkpoint = replace(checkpoint, tokenizer=checkpoint.tokenizer.absolute())
    root = context.location.root
    location = replace(context.location, root=None if root is None else root.absolute())
    return replace(context, checkpoint=checkpoint, location=location)
