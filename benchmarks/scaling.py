"""Measure how costs grow with the size of a comparison, of a board and of a corpus.

    python benchmarks/scaling.py sharing    an evaluation by its recipes, tasks, seeds and languages
    python benchmarks/scaling.py board      `leaderboard build` by 10 to 10,000 results
    python benchmarks/scaling.py corpus     memory of each stage type by 1,000 to 1,000,000 pairs

Each prints a table. They use the embedded checkpoint and data, and the results in this repository.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tabulate import tabulate

from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs import Suite, Task, find_spec
from xrealign_bench.specs.base import Spec

if TYPE_CHECKING:
    from xrealign_bench.pipeline.plan import Plan

ROOT = Path(__file__).parent.parent
RECIPES = ["alignfreeze-front", "alignfreeze-back", "alignfreeze-full", "sentence-mean-all"]
SEEDS, TASKS = [31, 42, 66], ["cldr-phrases", "cldr-phrases-again"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    sharing_parser = commands.add_parser("sharing")
    sharing_parser.add_argument("--steps", type=int, default=50, help="steps of each training")
    sharing_parser.set_defaults(run=sharing)
    board_parser = commands.add_parser("board")
    board_parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    board_parser.set_defaults(run=board)
    corpus_parser = commands.add_parser("corpus")
    corpus_parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    corpus_parser.add_argument("--pairs", type=int, help="largest number of pairs to read from the corpus")
    corpus_parser.set_defaults(run=corpus)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="scaling-") as folder:
        options.run(options, Path(folder))


def sharing(options: argparse.Namespace, folder: Path) -> None:
    """Run everything once in one store. The cost of a part is then the sum over the stages of its plan."""
    # Imported here because the peak memory of a child process starts at its parent's.
    from xrealign_bench.evaluation import Options, prepare

    task, suite = find_spec("cldr-phrases", Task), find_spec("demo", Suite)
    for name in TASKS:
        write_spec(folder / f"{name}.yaml", task, name=name)
    finetuning = suite.finetuning.model_dump() | {"steps": options.steps}
    path = write_spec(folder / "scaling.yaml", suite, name="scaling", tasks=TASKS, seeds=SEEDS, finetuning=finetuning)
    store = folder / "store"
    arguments = [option for recipe in RECIPES for option in ("--recipe", recipe)]
    evaluate("--suite", path, "--store", store, "--output", folder / "output", *arguments)
    seconds = {entry.manifest.key: entry.manifest.seconds for entry in Store(store).entries()}
    targets = [code for code in suite.target_languages]
    most = {"recipes": RECIPES, "tasks": TASKS, "seeds": SEEDS, "languages": targets}
    rows = []
    for what, counts in {"recipes": (1, 2, 4), "tasks": (1, 2), "seeds": (1, 2, 3), "languages": (4, 12, 46)}.items():
        first: float | None = None
        for count in counts:
            asked = {"recipes": RECIPES[:1], "tasks": TASKS[:1], "seeds": SEEDS[:1], "languages": targets}
            asked[what] = most[what][:count]  # type: ignore[index]
            plan = prepare(Options(suite=str(path), offline=True, **asked))  # type: ignore[arg-type]
            shared, alone = cost(plan, seconds), cost_unshared(plan, seconds)
            first = first or shared / count
            rows.append([what, count, len(plan.stages), shared, shared / (first * count), shared / alone])
    headers = ["against", "number", "stages", "seconds", "of as many times the first", "of the same without sharing"]
    show(rows, headers)


def cost(plan: Plan, seconds: dict[str, float]) -> float:
    return sum(seconds[ref.key] for ref in plan.stages)


def cost_unshared(plan: Plan, seconds: dict[str, float]) -> float:
    """Return the cost of evaluating every recipe, task and seed separately, each with its own baseline."""
    total = 0.0
    baseline, *others = plan.runs
    for run in others:
        for task in plan.request.tasks:
            for seed in plan.request.seeds:
                for one in (run, baseline):
                    refs = [ref for (name, _, of), ref in one.predict.items() if (name, of) == (task.name, seed)]
                    total += sum(seconds[ref.key] for ref in plan.ancestors(refs))
    return total


ROWS = 100
"""Number of results per checkpoint on a board."""


def board(options: argparse.Namespace, folder: Path) -> None:
    """Build boards of copies of the demo's results, `ROWS` per checkpoint, since ranks compare all pairs of rows."""
    originals = sorted(path.parent for path in (ROOT / "leaderboard/results/demo-1.0").rglob("result.json"))
    baseline = next(path for path in originals if path.name == "finetune-only")
    others = [path for path in originals if path != baseline and (path / "comparison.json").is_file()]
    rows: list[list[Any]] = []
    for size in options.sizes:
        root = folder / str(size)
        for number in range(size):
            checkpoint = f"mini-{number // ROWS:03d}"
            source, name = (others[number % len(others)], f"copy-{number:05d}") if number % ROWS else (baseline, None)
            copy_result(source, root / "results/demo-1.0" / checkpoint / (name or "finetune-only"), name, checkpoint)
        seconds, memory = run("leaderboard", "build", root / "results")
        written = sum(path.stat().st_size for path in (root / "demo-1.0").rglob("*") if path.is_file())
        rows.append([size, seconds, 1000 * seconds / size, memory / 1e6, written / 1e6])
        show(rows[-1:], ["results", "seconds", "ms a result", "MB of memory", "MB written"])


def copy_result(source: Path, target: Path, name: str | None, checkpoint: str) -> None:
    target.mkdir(parents=True)
    result = json.loads((source / "result.json").read_text(encoding="utf-8"))
    result["checkpoint"]["id"] = checkpoint
    if name is not None:
        result["recipe"]["name"] = name
        (target / "comparison.json").write_bytes((source / "comparison.json").read_bytes())
    (target / "result.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")


def corpus(options: argparse.Namespace, folder: Path) -> None:
    """Measure peak memory on sentences of made-up words. It is recorded in the store's manifests."""
    rows = []
    for size in options.sizes:
        root = folder / str(size)
        write_pairs(root / "data/made/pairs/train-00000-of-00001.parquet", size)
        suite = find_spec("demo", Suite)
        source = {"kind": "hub", "dataset": "made/pairs"}
        columns = {"en": "en", "de": "de"}
        corpus = {"name": "made", "title": "Made-up words", "licence": "CC0-1.0", "source": source, "columns": columns}
        write_yaml(root / "made.yaml", corpus | {"split": "train", "pairs": options.pairs, "lexicons": None})
        finetuning = suite.finetuning.model_dump() | {"steps": 10}
        parallel = {"corpus": "made", "aligner": "eflomal"}
        changes = {"name": "scaling", "target_languages": ["de"], "finetuning": finetuning, "parallel": parallel}
        write_spec(root / "scaling.yaml", suite, **changes)
        write_spec(root / "cldr-phrases.yaml", find_spec("cldr-phrases", Task), train_examples=64, test_examples=64)
        where = ["--store", root / "store", "--output", root / "output", "--data-root", root / "data"]
        evaluate("--suite", root / "scaling.yaml", "--seed", 31, "--recipe", "sentence-mean-all", *where)
        peak = {
            entry.manifest.kind: (entry.manifest.peak_memory_bytes or 0) / 1e6
            for entry in Store(root / "store").entries()
        }
        rows.append([size, *(peak[name] for name in ("align", "encode", "realign"))])
        show(rows[-1:], ["pairs", "MB in align", "MB in encode", "MB in realign"])


def write_pairs(path: Path, size: int) -> None:
    """Write pairs of sentences with 20 words on average, from a vocabulary of 20,000."""
    path.parent.mkdir(parents=True)
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(20_000)]
    schema = pa.schema({"en": pa.string(), "de": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for begin in range(0, size, 10_000):
            count = min(10_000, size - begin)
            sides = [[" ".join(rng.choices(words, k=rng.randint(10, 30))) for _ in range(count)] for _ in schema.names]
            writer.write_table(pa.table(sides, schema=schema))


def write_spec(path: Path, spec: Spec, **changes: Any) -> Path:
    return write_yaml(path, spec.model_dump(mode="json") | changes)


def write_yaml(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def evaluate(*arguments: object) -> None:
    run("evaluate", "--offline", *arguments)


def run(*arguments: object) -> tuple[float, int]:
    """Run a command. Returns seconds and peak memory (bytes)."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "xrealign_bench", *map(str, arguments)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, arguments))} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def show(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"), flush=True)


if __name__ == "__main__":
    main()
