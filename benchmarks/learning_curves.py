"""Measure how a suite's scores grow with the steps of fine-tuning, task by task, without realignment.

    OMP_NUM_THREADS=1 python benchmarks/learning_curves.py measure --suite xrealign-lite --checkpoint ./encoder \
        --data-root ./hub --steps nli-lite=640 --steps sib200=160
    python benchmarks/learning_curves.py draw

`measure` fine-tunes once per task, with the suite's batch size and learning rate, which stays constant after a warm-up:
each point then belongs to a training of any length. At 1/8, 1/4, 1/2 and all of the steps it scores the source
language and a few targets, and writes benchmarks/learning-curves.csv anew after each point. `draw` writes the figure of
docs/learning-curves.md from that file, and prints its table.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from tabulate import tabulate

from xrealign_bench.data import DataLocation, Split
from xrealign_bench.data.examples import spread_rows
from xrealign_bench.data.loaded_suite import load_suite
from xrealign_bench.leaderboard.chart import COLOURS, style_axes
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.specs import Finetuning, Task
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.registry import TASK_TYPES

ROOT = Path(__file__).parent.parent
POINTS, FIGURE = ROOT / "benchmarks/learning-curves.csv", ROOT / "docs/images/learning-curves.svg"
FIELDS = ["task", "batch_size", "steps", "language", "examples", "metric", "score", "step_seconds"]
SEED, SOURCE = 31, "en"
LINES = {"English": True, "mean of the targets": False}
"""Name of a line -> whether it shows the source language."""
TARGETS, TARGET_EXAMPLES, SOURCE_EXAMPLES = 6, 50, 200
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
CPU = torch.device("cpu")

Tables = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measure_parser = commands.add_parser("measure")
    measure_parser.add_argument("--suite", required=True)
    measure_parser.add_argument("--checkpoint", required=True)
    measure_parser.add_argument("--data-root", type=Path, required=True)
    measure_parser.add_argument("--steps", action="append", required=True, metavar="TASK=STEPS")
    measure_parser.set_defaults(run=measure)
    commands.add_parser("draw").set_defaults(run=draw)
    options = parser.parse_args()
    options.run(options)


def measure(options: argparse.Namespace) -> None:
    """Measure one curve per task that is named, and keep those of other tasks in the file."""
    checkpoint = resolve_checkpoint(options.checkpoint, offline=True)
    loaded, location = load_suite(options.suite), DataLocation(options.data_root, offline=True)
    source, tasks = loaded.suite.source_language, {task.name: task for task in loaded.tasks}
    for name, steps in (pair.split("=") for pair in options.steps):
        task = tasks[name]
        targets = [code for code in loaded.suite.target_languages if code in task.languages]
        languages = {source: SOURCE_EXAMPLES}
        languages |= {targets[row]: TARGET_EXAMPLES for row in spread_rows(len(targets), TARGETS)}
        settings = loaded.suite.finetuning_for(name)
        settings = settings.model_copy(update={"steps": int(steps), "lr_schedule": "constant"})
        measure_curve(Reader(task, settings, checkpoint, location), source, languages)


@dataclass(frozen=True)
class Reader:
    """A task's data and model."""

    task: Task
    settings: Finetuning
    checkpoint: Checkpoint
    location: DataLocation

    def tables(self, language: str, split: Split, limit: int | None = None) -> Tables:
        task_type = TASK_TYPES[self.task.task_type]
        data = task_type.load(self.task, language, split, self.location, limit)
        return task_type.encode(self.task, data, load_tokenizer(self.checkpoint), self.settings.length(split))[0]

    def model(self) -> Any:
        encoder = load_encoder(self.checkpoint, seed=SEED)
        seed_everything(SEED)
        return TASK_TYPES[self.task.task_type].new_model(encoder, self.task)


def measure_curve(reader: Reader, source: str, languages: Mapping[str, int]) -> None:
    """Fine-tune on one task, score languages (code -> number of test examples) on the way, and write the points."""
    task, settings, task_type = reader.task, reader.settings, TASK_TYPES[reader.task.task_type]
    assert task_type.train is not None
    pad_id = load_tokenizer(reader.checkpoint).pad_token_id
    train = reader.tables(source, "train")
    test = {language: reader.tables(language, "test", examples) for language, examples in languages.items()}
    model, scored = reader.model(), reader.model()
    points = [point for point in read_points() if point["task"] != task.name] if POINTS.is_file() else []
    wanted, spent = {round(share * settings.known_steps) for share in SHARES}, 0.0
    began = time.process_time()

    def score(done: int, total: int, note: str) -> None:
        nonlocal spent
        if done not in wanted:
            return
        before = time.process_time()
        copy_weights(model, scored, chain([[pad_id]], *(read_ids(table) for table in train.values())))
        for language, tables in test.items():
            predicted = task_type.predict(scored, pad_id, tables, task, device=CPU)
            value = task_type.metric.score(task, predicted.to_pydict())["metrics"][task.metric]
            point = [task.name, settings.batch_size, done, language, languages[language], task.metric, f"{value:.4f}"]
            points.append(dict(zip(FIELDS, [*point, f"{(before - began - spent) / done:.2f}"], strict=True)))
        write_points(points)
        print(f"{task.name}: {done} of {total} steps, {note}", flush=True)
        spent += time.process_time() - before

    task_type.train(model, pad_id, train, FinetuningRun(settings, SEED, CPU, score))


def read_ids(table: pa.Table) -> list[list[int]]:
    return table["input_ids"].to_pylist() if "input_ids" in table.column_names else []


def copy_weights(trained: Any, other: Any, texts: Iterable[list[int]]) -> None:
    """Copy a model in training, whose embeddings are shrunk to the rows that `texts` use."""
    rows = torch.tensor(sorted(set(chain.from_iterable(texts))))
    shrunk = trained.encoder.get_input_embeddings().weight
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), trained.parameters(), strict=True):
            if theirs is shrunk:
                mine[rows] = theirs
            else:
                mine.copy_(theirs)


def read_points() -> list[dict[str, str]]:
    with POINTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_points(points: Sequence[Mapping[str, object]]) -> None:
    with POINTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)


def draw(options: argparse.Namespace) -> None:
    """Draw a panel per task with the source language and the mean of the targets, and print them as a table."""
    curves: dict[str, dict[int, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for point in read_points():
        curves[point["task"]][int(point["steps"])].append(point)
    figure = Figure(figsize=(3 * len(curves), 3), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    rows = []
    for panel, (task, points) in zip(panels, curves.items(), strict=True):
        lines = {name: [mean_score(at, is_source) for at in points.values()] for name, is_source in LINES.items()}
        for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
            panel.plot(list(points), values, marker="o", color=colour, label=name)
        panel.set(title=task, xlabel="steps", xlim=(0, None), ylim=(0, 100))
        style_axes(panel)
        for (steps, at), *values in zip(points.items(), *lines.values(), strict=True):
            examples = steps * int(at[0]["batch_size"])
            rows.append([task, steps, f"{examples:,}", *(f"{value:.1f}" for value in values), at[0]["step_seconds"]])
    panels[0].set_ylabel("score (%)")
    panels[0].legend(frameon=False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "learning-curves"}):
        figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})
    headers = ["task", "steps", "examples read", *LINES, "processor seconds a step"]
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


def mean_score(points: Sequence[Mapping[str, str]], is_source: bool) -> float:
    """Return the mean score of the source language or of the targets, in percent."""
    return 100 * fmean(float(point["score"]) for point in points if (point["language"] == SOURCE) == is_source)


if __name__ == "__main__":
    main()
