"""Simulate a comparison of 20 checkpoints x 30 recipes x 5 seeds x 6 tasks x 100 languages on a cluster.

The plan of one checkpoint is real: the harness makes it from specs and tiny data files, and it is repeated for the
other checkpoints. The harness's own costs per stage (planning, storing, looking up, Ray) are measured. The computing
time of stages is assumed, as printed. The simulation gives each stage a GPU or a core in the order of the plan, as the
executor does.

    python benchmarks/simulate_cluster.py --gpus 8 64 256
"""

from __future__ import annotations

import argparse
import heapq
import os
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tabulate import tabulate

from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.pipeline.executor import StageEvent, run_serially
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.ray_executor import TOGETHER, jobs_of, run_on_ray
from xrealign_bench.pipeline.stage import Stage
from xrealign_bench.pipeline.stages import Finetune, Predict, Realign, Tokenise
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs import Suite, find_spec

GB = 1e9

# Assumptions: XLM-R-base in bf16 on one A100.
BLOCK_PARAMETERS = 85.6e6
WEIGHTS_BYTES = 4 * 278.0e6
FLOPS = 0.2 * 312e12
"""A fifth of an A100's dense bf16 peak, for batches of short sentences."""
STEP_FLOOR = 0.04
"""Minimum seconds per training step, for kernel launches and the optimiser's pass over all weights."""
INODES = 5
"""Inodes per entry: its folder, two files, the manifest, the lock."""
EXTRA = ("lb", "gl", "sq", "mk", "be")
"""Languages that complete a hundred."""
START = 15.0
"""Seconds for a process to import its libraries and open the GPU. Each GPU job starts a new process."""
READ = 1 * GB
"""Bytes per second of a shared file system, for loading and storing a model."""
PAIR_TOKENS = 2 * 30
CPU_SECONDS: Mapping[str, float] = {"tokenise": 1.0, "align": 120.0, "encode": 5.0}
CORES_A_GPU = 12


@dataclass(frozen=True)
class TaskShape:
    """A task of the comparison."""

    name: str
    columns: Mapping[str, Any]
    task_type: str
    tokens: int
    """Sub-words per example."""
    examples: int
    """Test examples per language."""
    more: Mapping[str, Any]


WORDS = {"words": "tokens", "labels": "tags"}
LABELS = {"labels": ["a", "b", "c"]}
TASKS = (
    TaskShape("pos", WORDS, "token_classification", 30, 1000, LABELS),
    TaskShape(
        "entities", WORDS, "token_classification", 30, 1000,
        {"labels": ["O", "B-X", "I-X"], "metric": "entity_f1"},
    ),
    TaskShape("inference", {"text": "a", "text_pair": "b", "label": "y"}, "sequence_classification", 50, 5010, LABELS),
    TaskShape("topics", {"text": "a", "label": "y"}, "sequence_classification", 40, 204, LABELS),
    TaskShape(
        "questions", {"question": "q", "context": "c", "answers": "a"}, "question_answering", 300, 1190,
        {"metric": "f1"},
    ),
    TaskShape("retrieval", {}, "retrieval", 2 * 40, 997, {"text_language": "en"}),
)  # fmt: skip
TASK = {task.name: task for task in TASKS}


def write_specs(folder: Path, languages: list[str], recipes: int, seeds: int) -> Options:
    """Write a suite like the headline one with other tasks, and a data file of two rows per language and task."""
    root = folder / "data"
    write_tasks(folder, root, languages)
    write_corpus(folder, root, languages)
    write_suite(folder, languages, seeds)
    asked = []
    for number in range(recipes - 1):  # fine-tuning only is one of them
        recipe = {
            "name": f"recipe-{number}", "title": "one of many", "method": "word_contrastive",
            "objective": {"temperature": 0.05 + 0.01 * number},
        }  # fmt: skip
        write_yaml(folder / f"recipe-{number}.yaml", recipe)
        asked.append(str(folder / f"recipe-{number}.yaml"))
    return Options(suite=str(folder / "comparison.yaml"), recipes=asked, data_root=root, device="cpu", offline=True)


def write_tasks(folder: Path, root: Path, languages: list[str]) -> None:
    for task in TASKS:
        columns: dict[str, Any] = dict(task.columns)
        configs = {code: code for code in ["en", *languages]}
        if task.task_type == "retrieval":
            columns = {"text": "en", "text_pair": {code: code for code in languages}}
            configs.pop("en")
        for code in configs:
            for split in ("test",) if code != "en" else ("train", "test"):
                path = root / "bench" / task.name / code / f"{split}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                texts = {"a": [f"{code} {split}", "text"], "b": ["more", "text"], "y": ["a", "b"]}
                pq.write_table(pa.table(texts | {"row": [task.name, task.name]}), path)
        spec = {
            "name": task.name, "title": task.name, "licence": "CC0", "task_type": task.task_type,
            "source": {"kind": "hub", "dataset": f"bench/{task.name}"}, "configs": configs, "columns": columns,
            **task.more,
        }  # fmt: skip
        write_yaml(folder / f"{task.name}.yaml", spec)


def write_corpus(folder: Path, root: Path, languages: list[str]) -> None:
    pairs = root / "bench" / "pairs" / "default" / "train.parquet"
    pairs.parent.mkdir(parents=True)
    pq.write_table(pa.table({"row": ["pairs"]}), pairs)
    corpus = {
        "name": "pairs", "title": "pairs", "licence": "CC0", "source": {"kind": "hub", "dataset": "bench/pairs"},
        "columns": {code: code for code in ["en", *languages]},
    }  # fmt: skip
    write_yaml(folder / "pairs.yaml", corpus)


def write_suite(folder: Path, languages: list[str], seeds: int) -> None:
    headline = find_spec("xrealign", Suite).finetuning.model_dump()
    suite = {
        "name": "comparison", "version": "1.0", "title": "comparison", "source_language": "en",
        "target_languages": languages, "tasks": list(TASK), "seeds": list(range(1, seeds + 1)),
        "finetuning": headline | {"learning_rate": {"default": 2e-5}},
        "finetuning_by_task": {
            "inference": {"steps": 12000}, "topics": {"steps": 500, "batch_size": 16},
            "questions": {"steps": 8000, "max_length": 384, "batch_size": 24},
        },
        "parallel": {"corpus": "pairs", "aligner": "eflomal"}, "realignment_matches": "suite",
        "bands": {"cuts": [0.487670, 0.546253]},
    }  # fmt: skip
    write_yaml(folder / "comparison.yaml", suite)


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), allow_unicode=True))


# Computing time of a stage.


def seconds(stage: Stage) -> float:
    """Return the computing time, without starting a process or loading a model."""
    match stage:
        case Realign(settings=asked):
            return training(asked.steps, asked.batch_size * PAIR_TOKENS)
        case Finetune(settings=asked):
            return training(asked.finetuning.steps, asked.finetuning.batch_size * TASK[asked.task.name].tokens)
        case Predict(settings=asked):
            task = TASK[asked.task.name]
            return 2 * BLOCK_PARAMETERS * task.examples * task.tokens / FLOPS
    return CPU_SECONDS[stage.stage_type]


def training(steps: int, tokens: int) -> float:
    return steps * max(STEP_FLOOR, 6 * BLOCK_PARAMETERS * tokens / FLOPS)


def overhead(stage: Stage) -> float:
    """Return the overhead of a GPU job: starting its process, and reading and writing its model."""
    return START + WEIGHTS_BYTES / READ * (1 if isinstance(stage, Predict) else 2)


# The simulation.


@dataclass
class Job:
    seconds: float
    on_gpu: bool
    needs: set[int]
    """Indices of jobs that must be done first."""


def lay_out(plan: Plan, a_stage: float, together: int) -> list[Job]:
    """Return the executor's jobs of a plan, including the harness's overhead per stage."""
    refs = [list(each) for each in jobs_of(plan, plan.stages, together)]
    job_of = {ref: number for number, each in enumerate(refs) for ref in each}
    jobs = []
    for number, each in enumerate(refs):
        stages = [plan.stages[ref] for ref in each]
        on_gpu = stages[0].runs_model
        total = sum(seconds(stage) + a_stage for stage in stages) + (overhead(stages[0]) if on_gpu else 0.0)
        needs = {job_of[need] for stage in stages for need in stage.inputs.by_role().values()} - {number}
        jobs.append(Job(total, on_gpu, needs))
    return jobs


def simulate(jobs: list[Job], gpus: int, cores: int, a_job: float) -> tuple[float, float]:
    """Run jobs in the order of the plan as they become ready. The driver needs `a_job` seconds to hand one out.

    Returns:
        Seconds until all jobs are done, and the share of that time that a GPU is busy.
    """
    users: dict[int, list[int]] = defaultdict(list)
    missing = [len(job.needs) for job in jobs]
    for number, job in enumerate(jobs):
        for need in job.needs:
            users[need].append(number)
    ready: dict[bool, list[int]] = {True: [], False: []}
    for number, count in enumerate(missing):
        if count == 0:
            heapq.heappush(ready[jobs[number].on_gpu], number)
    free = {True: gpus, False: cores}
    now = handed_out = busy = 0.0
    running: list[tuple[float, int]] = []
    while running or ready[True] or ready[False]:
        for on_gpu in (True, False):
            while free[on_gpu] and ready[on_gpu]:
                number = heapq.heappop(ready[on_gpu])
                handed_out = max(handed_out, now) + a_job
                heapq.heappush(running, (handed_out + jobs[number].seconds, number))
                free[on_gpu] -= 1
                busy += jobs[number].seconds if on_gpu else 0.0
        now, number = heapq.heappop(running)
        free[jobs[number].on_gpu] += 1
        for user in users[number]:
            missing[user] -= 1
            if missing[user] == 0:
                heapq.heappush(ready[jobs[user].on_gpu], user)
    return now, busy / (gpus * now)


def critical_path(jobs: list[Job]) -> float:
    """Return the seconds needed with an unlimited number of machines."""
    ends: list[float] = []
    for job in jobs:  # dependencies come first
        ends.append(job.seconds + max((ends[need] for need in job.needs), default=0.0))
    return max(ends)


def repeated(jobs: list[Job], times: int) -> list[Job]:
    """Repeat the jobs for other checkpoints, which share nothing."""
    size = len(jobs)
    return [Job(j.seconds, j.on_gpu, {n + r * size for n in j.needs}) for r in range(times) for j in jobs]


# Costs of the harness.


def memory() -> float:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    done = work()
    return done, time.perf_counter() - started


@dataclass(frozen=True)
class StoreCosts:
    """Seconds per entry."""

    produce: float
    has: float
    open: float
    new: float


def store_costs(root: Path, stages: Iterable[Stage]) -> StoreCosts:
    """Measure entries like those of predictions: two small files and the spec of their key."""
    store = Store(root)
    stages = list(stages)

    def make(folder: Path) -> None:
        (folder / "predictions.parquet").write_bytes(bytes(1500))
        (folder / "score.json").write_bytes(bytes(300))

    def each(act: Callable[[Stage], Any]) -> float:
        return statistics.median(timed(partial(act, stage))[1] for stage in stages)

    produce = each(lambda s: store.produce(s.stage_type, s.key, s.description(), make))
    again = Store(root)
    has = each(lambda s: again.has(s.stage_type, s.key))
    return StoreCosts(produce, has, each(lambda s: again.open(s.stage_type, s.key)), timed(lambda: Store(root))[1])


@dataclass(frozen=True)
class RayCosts:
    """Seconds."""

    stages: int
    serial: float
    """Per stage, with the serial executor."""
    on_ray: float
    """Per stage, between the first and the last that is done."""
    driver: float
    """Per stage, CPU time of the driver."""
    start: float
    """Until the first stage is done: starting the cluster and a worker with its libraries."""


def ray_costs(plan: Plan, folder: Path) -> RayCosts:
    """Measure the smallest possible stages: tokenising texts of two rows."""
    small = {ref: stage for ref, stage in plan.stages.items() if ref.stage_type == "tokenise" and small_task(stage)}
    some, sources = Plan(plan.request, small), run_context(plan.request, "cpu")
    run_serially(Plan(plan.request, dict(list(small.items())[:3])), Store(folder / "warm"), sources, lambda event: None)
    _, serial = timed(lambda: run_serially(some, Store(folder / "serial"), sources, lambda event: None))
    ended: list[tuple[float, float]] = []

    def on_event(event: StageEvent) -> None:
        if event.status == "done":
            ended.append((time.perf_counter(), time.process_time()))

    started = time.perf_counter()
    run_on_ray(some, Store(folder / "ray"), sources, on_event)
    (first, first_cpu), (last, last_cpu) = ended[0], ended[-1]
    n = len(small)
    return RayCosts(n, serial / n, (last - first) / (n - 1), (last_cpu - first_cpu) / (n - 1), first - started)


def small_task(stage: Stage) -> bool:
    return isinstance(stage, Tokenise) and stage.settings.task.name in ("topics", "inference")


# The report.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("checkpoints", 20), ("recipes", 30), ("seeds", 5), ("languages", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64, 256])
    parser.add_argument("--predictions-bytes", type=int, default=3000, help="Bytes of an entry's files.")
    parser.add_argument("--without-ray", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report(given, Path(name))


def report(given: argparse.Namespace, folder: Path) -> None:
    languages = [code for code in find_spec("xrealign", Suite).target_languages if code != "en"]
    languages = [*languages, *(code for code in EXTRA if code not in languages)][: given.languages]
    plan = report_plan(write_specs(folder, languages, given.recipes, given.seeds))
    predictions = [stage for ref, stage in plan.stages.items() if ref.stage_type == "predict"][:500]
    store = store_costs(folder / "store", predictions)
    print(
        f"store entry on this disk: produced in {1e3 * store.produce:.1f} ms, looked up in {1e3 * store.has:.2f} ms, "
        f"opened with its checksums in {1e3 * store.open:.2f} ms; looking up all of one checkpoint: "
        f"{store.has * len(plan.stages):.0f} s"
    )
    driver = 0.005 if given.without_ray else report_ray(ray_costs(plan, folder))
    print()
    report_jobs(plan, store)
    report_clusters(given, plan, lay_out(plan, store.produce, TOGETHER), driver)
    report_disk(given, plan)


def report_plan(options: Options) -> Plan:
    before = memory()
    plan, planning = timed(lambda: prepare(options))
    held, n = memory() - before, len(plan.stages)
    counts = Counter(ref.stage_type for ref in plan.stages)
    print(f"one checkpoint: {n:,} stages, {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    print(f"planned in {planning:.1f} s ({1e6 * planning / n:.0f} us per stage), the plan takes {held / GB:.2f} GB")
    return plan


def report_ray(ray: RayCosts) -> float:
    """Print Ray's costs. Returns the driver's seconds per stage."""
    print(
        f"{ray.stages} nearly empty stages: {1e3 * ray.serial:.1f} ms each serially; on Ray with {os.cpu_count()} "
        f"cores {1e3 * ray.on_ray:.1f} ms each, of which {1e3 * ray.driver:.1f} ms are the driver's CPU time, after "
        f"{ray.start:.0f} s until the first is done"
    )
    return ray.driver


def report_jobs(plan: Plan, store: StoreCosts) -> None:
    for together in (1, 32, TOGETHER):
        on_gpus = [job.seconds for job in lay_out(plan, store.produce, together) if job.on_gpu]
        print(
            f"GPU hours of one checkpoint, up to {together} predictions per job: {sum(on_gpus) / 3600:.0f}, in "
            f"{len(on_gpus):,} jobs that take {START * len(on_gpus) / 3600:.0f} h to start"
        )
    computing: Counter[str] = Counter()
    for stage in plan.stages.values():
        computing[stage.stage_type] += seconds(stage) * stage.runs_model
    print(f"  of which computing: {', '.join(f'{name} {v / 3600:.1f}' for name, v in computing.items() if v)}")
    print(f"critical path: {critical_path(lay_out(plan, store.produce, TOGETHER)) / 3600:.2f} h")


def report_clusters(given: argparse.Namespace, plan: Plan, jobs: list[Job], driver: float) -> None:
    every, stages = repeated(jobs, given.checkpoints), len(plan.stages) * given.checkpoints
    hours = sum(job.seconds for job in every if job.on_gpu) / 3600
    rows = []
    for gpus in given.gpus:
        end, busy = simulate(every, gpus, gpus * CORES_A_GPU, driver)
        rows.append([gpus, end / 3600, end / 86400, 100 * busy, stages / end, len(every) / end])
    print(f"\n{given.checkpoints} checkpoints: {stages:,} stages in {len(every):,} jobs, {hours:,.0f} GPU hours")
    print(tabulate(rows, ["GPUs", "hours", "days", "GPUs busy %", "entries/s", "jobs/s"], floatfmt=".1f"))


def report_disk(given: argparse.Namespace, plan: Plan) -> None:
    n, models = len(plan.stages), sum(ref.stage_type in ("realign", "finetune") for ref in plan.stages)
    entries, small = n * given.checkpoints, (n - models) * given.predictions_bytes
    print(
        f"\nstore: {models * WEIGHTS_BYTES * given.checkpoints / 1e12:.1f} TB of weights "
        f"({models * given.checkpoints:,} models), {small * given.checkpoints / GB:.1f} GB of everything else; "
        f"{entries:,} entries, {INODES * entries / 1e6:.1f} million inodes"
    )
    print(f"of one checkpoint: {models * WEIGHTS_BYTES / 1e12:.2f} TB, {INODES * n / 1e6:.2f} million inodes")


if __name__ == "__main__":
    main()
