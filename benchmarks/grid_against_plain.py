"""Compare the harness's pipeline with `plain.py` on 4 recipes x 2 tasks x 2 seeds, on one machine.

The plain side realigns again for every task, as the code released with AlignFreeze does, and keeps its models in
memory. The harness's side is the plan of `evaluate`, including everything that it writes to its store. Both run the
same steps on the same batches from the same weights, without dropout, each in a separate process, one after the
other, several times. Printed are medians. Reading, tokenising and aligning happen beforehand and are not counted.

    python benchmarks/grid_against_plain.py --checkpoint ./encoder --data-root ./hub --steps 6
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import plain
import pyarrow.parquet as pq
import torch
import yaml
from against_plain import windows_with_labels
from tabulate import tabulate

from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.models.blocks import find_blocks
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.freeze import freeze
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.training import shuffled_batches
from xrealign_bench.models.windows import Window, Windows
from xrealign_bench.pipeline.executor import run_serially
from xrealign_bench.pipeline.files import read_json, read_rows
from xrealign_bench.pipeline.plan import Plan, Run
from xrealign_bench.pipeline.store import Store
from xrealign_bench.progress import ProgressBars
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.mixing import draw_batches
from xrealign_bench.realignment.pairs import EncodedPairs, pair_up
from xrealign_bench.specs import Suite, find_spec
from xrealign_bench.tasks.token_classification.model import TokenClassifier

RECIPES = ("alignfreeze-full", "alignfreeze-front", "alignfreeze-back")  # fine-tuning only is always included
TASKS, SEEDS = ("ud-masakhapos-lite", "uner-lite"), (31, 42)
SIDES = ("plain", "harness")
RATE = 1e-5
DATA = ("tokenise", "align", "encode")


def without_dropout(checkpoint: Path, folder: Path) -> Path:
    """Copy the checkpoint with dropout disabled in its configuration, so that both sides compute the same numbers."""
    copy = folder / "checkpoint"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).symlink_to(path.resolve())
    config = json.loads((checkpoint / "config.json").read_text())
    (copy / "config.json").unlink()
    changed = {name: 0.0 for name, value in config.items() if "dropout" in name and value is not None}
    (copy / "config.json").write_text(json.dumps(config | changed))
    return copy


def write_suite(options: argparse.Namespace, folder: Path) -> Path:
    """Write the shipped suite with fewer steps, languages and tasks."""
    suite = find_spec("xrealign-lite", Suite).model_dump(mode="json", exclude_unset=True)
    suite["name"] = "grid"
    suite["tasks"], suite["seeds"] = list(TASKS), list(SEEDS)
    suite["target_languages"], suite["test_examples"] = sorted(options.languages), options.sentences
    suite["finetuning"] |= {"steps": options.steps, "learning_rate": {"default": RATE}, "lr_schedule": "constant"}
    suite["finetuning"]["warmup"] = 0.0
    del suite["finetuning_by_task"]
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(suite, allow_unicode=True))
    return path


def plan_of(folder: Path, data_root: Path) -> Plan:
    return prepare(
        Options(
            checkpoint=str(folder / "checkpoint"), suite=str(folder / "grid.yaml"), recipes=RECIPES,
            data_root=data_root, offline=True,
        )
    )  # fmt: skip


class PlainGrid:
    """The grid, cell by cell. Only the tokenised data are shared."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        request = plan.request
        self.finetuning = request.suite.finetuning
        self.settings = {
            "length": self.finetuning.max_length,
            "pad_id": load_tokenizer(request.checkpoint).pad_token_id,
        }

    def folder(self, ref: Any) -> Path:
        return self.store.read(ref.stage_type, ref.key).folder

    def pairs(self, run: Run, task: str, seed: int) -> dict[str, EncodedPairs]:
        read = {}
        for language, ref in self.plan.stages[run.realign[task, seed]].inputs.items():
            folder = self.folder(ref)
            sides = (Windows(pq.read_table(folder / f"{side}.parquet"), Window) for side in ("source", "target"))
            read[language] = pair_up(*map(list, sides), read_rows(folder / "links.parquet")["links"])
        return read

    def realign(self, encoder: Any, run: Run, task: str, seed: int) -> list[float]:
        pairs, schedule = self.pairs(run, task, seed), run.recipe.schedule
        seed_everything(seed)
        freeze(encoder, run.recipe.freeze)
        head = projection_head(encoder.config.hidden_size, run.recipe.objective.projection or 0)
        sizes = {language: len(encoded.pairs) for language, encoded in pairs.items()}
        drawn = draw_batches("round_robin", sizes, schedule.batch_size, self.finetuning.steps, seed)
        batches = [[pairs[language].pairs[number] for language, number in chosen] for chosen in drawn]
        layer = len(find_blocks(encoder)) - 2
        losses = plain.realign(encoder, head, batches, layer=layer, rate=RATE, **self.settings)
        encoder.requires_grad_(True)
        return losses

    def cell(self, run: Run, task: str, seed: int) -> dict[str, Any]:
        """Realign, fine-tune and predict for one recipe, task and seed."""
        encoder = load_encoder(self.plan.request.checkpoint, seed=seed)
        name = f"{run.recipe.name} {task} {seed}"
        found = {f"realign {name}": self.realign(encoder, run, task, seed)} if run.recipe.realigns else {}
        train = self.folder(self.plan.train[task])
        tables = {table: pq.read_table(train / f"{table}.parquet") for table in ("windows", "sentences")}
        data = windows_with_labels(tables)
        seed_everything(seed)
        labels = next(own.labels for own in self.plan.request.tasks if own.name == task)
        model, steps = TokenClassifier(encoder, len(labels)), self.finetuning.steps
        batches = [
            [data[n] for n in chosen] for chosen in shuffled_batches(len(data), self.finetuning.batch_size, steps, seed)
        ]
        found[f"finetune {name}"] = plain.finetune(model, batches, rates=[RATE] * steps, **self.settings)
        for tested, language in self.plan.test:
            if tested == task:
                table = pq.read_table(self.folder(self.plan.test[tested, language]) / "windows.parquet")
                windows = list(Windows(table, Window))
                tagged = plain.tag(model, windows, **self.settings)
                found[f"predict {name} {language}"] = [label for window in tagged for label in window]
        return found

    def run(self) -> dict[str, Any]:
        found = {}
        for run in self.plan.runs:
            for task in TASKS:
                for seed in SEEDS:
                    found |= self.cell(run, task, seed)
        return found


def run_harness(plan: Plan, store: Store) -> dict[str, Any]:
    """Run the plan of `evaluate` serially. Returns the stages' outputs under the names of the plain side."""
    outcome = run_serially(plan, store, run_context(plan.request, "cpu"), lambda event: None)
    assert not outcome.failed, outcome.failed
    found = {}
    for run in plan.runs:
        for role, refs in (("realign", run.realign), ("finetune", run.finetune)):
            for (task, seed), ref in refs.items():
                losses = read_json(store.read(ref.stage_type, ref.key).folder / "log.json")["losses"]
                found[f"{role} {run.recipe.name} {task} {seed}"] = losses
        for (task, language, seed), ref in run.predict.items():
            rows = read_rows(store.read(ref.stage_type, ref.key).folder / "predictions.parquet")["predicted"]
            found[f"predict {run.recipe.name} {task} {seed} {language}"] = [label for row in rows for label in row]
    return found


def measure_one(side: str, plan: Plan, store: Store) -> dict[str, Any]:
    before = time.perf_counter()
    values = PlainGrid(plan, store).run() if side == "plain" else run_harness(plan, store)
    seconds = time.perf_counter() - before
    return {"seconds": seconds, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "values": values}


def compare_outputs(first: dict[str, Any], second: dict[str, Any]) -> tuple[float, int, int]:
    """Return the largest difference of a loss, the number of labels that differ, and the number of labels."""
    assert first.keys() == second.keys(), first.keys() ^ second.keys()
    losses, wrong, labels = 0.0, 0, 0
    for name, values in first.items():
        pairs = list(zip(values, second[name], strict=True))
        if name.startswith("predict"):
            wrong, labels = wrong + sum(a != b for a, b in pairs), labels + len(pairs)
        else:
            losses = max(losses, *(abs(a - b) for a, b in pairs))
    return losses, wrong, labels


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6, help="of each realignment and fine-tuning")
    parser.add_argument("--languages", nargs="+", default=["de", "ar", "zh", "yo"])
    parser.add_argument("--sentences", type=int, default=32, help="test sentences per task and language")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "FOLDER", "STORE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    if options.one:
        side, folder, store = options.one
        print(json.dumps(measure_one(side, plan_of(Path(folder), options.data_root), Store(Path(store)))))
        return
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        without_dropout(options.checkpoint, folder)
        write_suite(options, folder)
        plan = plan_of(folder, options.data_root)
        data = {ref: stage for ref, stage in plan.stages.items() if ref.stage_type in DATA}
        with ProgressBars(len(data)) as progress:
            sources = run_context(plan.request, "cpu")
            run_serially(Plan(plan.request, data), Store(folder / "data"), sources, progress)
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number in range(options.repeat):
            for side in SIDES:
                store = shutil.copytree(folder / "data", folder / f"{side}-{number}")
                command = [sys.executable, *sys.argv, "--one", side, str(folder), str(store)]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                runs[side].append(json.loads(out.stdout))
                shutil.rmtree(store)
                print(f"{side}: {runs[side][-1]['seconds']:.0f} s", file=sys.stderr)
        trained = {
            name: sum(ref.stage_type == name for ref in plan.stages) for name in ("realign", "finetune", "predict")
        }
    seconds = {side: statistics.median(run["seconds"] for run in runs[side]) for side in SIDES}
    losses, wrong, labels = compare_outputs(*(runs[side][0]["values"] for side in SIDES))
    print(f"{torch.get_num_threads()} threads; {options.steps} steps each; the harness's stages: {trained}")
    print(f"losses differ by at most {losses:.1e}; {wrong} of {labels} labels differ")
    rows = [
        [side, f"{seconds[side]:.0f}", f"{max(run['bytes'] for run in runs[side]) / 2**30:.2f}",
         f"{seconds['plain'] / seconds[side]:.2f}x", ", ".join(f"{run['seconds']:.0f}" for run in runs[side])]
        for side in SIDES
    ]  # fmt: skip
    print(tabulate(rows, ["side", "median s", "GiB", "faster", "runs"], disable_numparse=True))


if __name__ == "__main__":
    main()
