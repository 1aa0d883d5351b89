"""Compare time, peak memory and losses of each phase between the harness and `plain.py`, on one machine.

Both run the same steps on the same batches from the same weights, without dropout, each in a separate process, one
after the other, several times. Printed are medians, and the share of this machine's matrix-product speed (float32,
measured in the same run) that each reaches. The harness reads, tokenises and aligns beforehand; this is not counted.

    python benchmarks/against_plain.py --checkpoint ./encoder --data-root ./hub --store ./store --steps 20
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import plain
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile

from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.models.blocks import find_blocks
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.training import shuffled_batches
from xrealign_bench.models.windows import Window, Windows
from xrealign_bench.pipeline.executor import run_serially
from xrealign_bench.pipeline.files import read_rows
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.store import Store
from xrealign_bench.progress import ProgressBars
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.mixing import draw_batches
from xrealign_bench.realignment.pairs import EncodedPairs, PairCorpus, pair_up
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Recipe, Schedule, find_spec
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.token_classification import model as token_classification
from xrealign_bench.tasks.token_classification.model import TokenClassifier

PHASES, SIDES = ("realign", "finetune", "predict"), ("plain", "harness")
SEED, PAIRS_A_STEP, FULL_TOKENS = 31, 16, 48
PARTS = {
    "matrix products": ("mm", "matmul", "scaled_dot_product"),
    "dropout's draws": ("bernoulli",),
    "activations, norms": ("gelu", "norm", "softmax", "relu", "tanh"),
    "optimiser": ("adam", "Optimizer"),
    "filling, copying": ("fill_", "zero_", "copy_", "cat", "index", "embedding", "gather", "scatter", "clone", "_to"),
    "other operations": (),
    "Python": (),
}
"""Part of the time -> substrings of its operations' names. The first match counts."""
CPU = torch.device("cpu")


@dataclass
class Inputs:
    """Inputs of both sides."""

    plan: Plan
    store: Store
    steps: int

    @property
    def pad_id(self) -> int:
        return load_tokenizer(self.plan.request.checkpoint).pad_token_id or 0

    @property
    def length(self) -> int:
        return self.plan.request.suite.finetuning.max_length

    def encoder(self) -> Any:
        encoder = load_encoder(self.plan.request.checkpoint, seed=SEED)
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
        return encoder

    def model(self) -> TokenClassifier:
        encoder = self.encoder()
        seed_everything(SEED)
        return TokenClassifier(encoder, len(self.plan.request.tasks[0].labels), dropout=0.0)

    def folder(self, label: str) -> Path:
        ref = next(ref for ref, stage in self.plan.stages.items() if stage.label.startswith(label))
        return self.store.read(ref.stage_type, ref.key).folder

    def tables(self, label: str) -> dict[str, pa.Table]:
        return {name: pq.read_table(self.folder(label) / f"{name}.parquet") for name in ("windows", "sentences")}

    def pairs(self) -> dict[str, EncodedPairs]:
        read = {}
        for language in self.plan.runs[-1].align:
            folder = self.folder(f"encode pairs {language}")
            sides = (Windows(pq.read_table(folder / f"{side}.parquet"), Window) for side in ("source", "target"))
            read[language] = pair_up(*map(list, sides), read_rows(folder / "links.parquet")["links"])
        return read


def nothing(done: int, total: int, note: str) -> None:
    pass


def realign_plain(inputs: Inputs) -> Callable[[], list[float]]:
    encoder, pairs = inputs.encoder(), inputs.pairs()
    layer = len(find_blocks(encoder)) - 2
    seed_everything(SEED)
    head = projection_head(encoder.config.hidden_size, 128)
    sizes = {language: len(encoded.pairs) for language, encoded in pairs.items()}
    batches = [
        [pairs[language].pairs[number] for language, number in chosen]
        for chosen in draw_batches("round_robin", sizes, PAIRS_A_STEP, inputs.steps, SEED)
    ]
    settings = {"layer": layer, "length": inputs.length, "pad_id": inputs.pad_id, "rate": 1e-5}
    return partial(plain.realign, encoder, head, batches, **settings)


def realign_harness(inputs: Inputs) -> Callable[[], list[float]]:
    schedule = Schedule(steps=inputs.steps, learning_rate=1e-5, batch_size=PAIRS_A_STEP)
    realignment, corpus = Realignment("word_contrastive", schedule=schedule), PairCorpus(inputs.pairs(), inputs.pad_id)
    run = partial(realign, inputs.encoder(), corpus, realignment, seed=SEED, device=CPU, progress=nothing)
    return lambda: run().losses


def windows_with_labels(tables: dict[str, pa.Table]) -> list[tuple[Window, list[int]]]:
    """Return the windows of training data that have a label, with their labels."""
    labels, windows = tables["sentences"]["labels"].to_pylist(), Windows(tables["windows"], Window)
    data = [(w, labels[w.sentence][w.first_word : w.first_word + len(w.starts)]) for w in windows]
    return [(window, own) for window, own in data if any(label != -100 for label in own)]


def finetune_plain(inputs: Inputs) -> Callable[[], list[float]]:
    tables, finetuning = inputs.tables("tokenise udpos-lite en train"), inputs.plan.request.suite.finetuning
    data = windows_with_labels(tables)
    batches = [
        [data[n] for n in chosen] for chosen in shuffled_batches(len(data), finetuning.batch_size, inputs.steps, SEED)
    ]
    rates = [1e-5] * inputs.steps
    return partial(plain.finetune, inputs.model(), batches, length=inputs.length, pad_id=inputs.pad_id, rates=rates)


def finetune_harness(inputs: Inputs) -> Callable[[], list[float]]:
    return trained(inputs, inputs.model(), inputs.tables("tokenise udpos-lite en train"))


def full_harness(inputs: Inputs) -> Callable[[], list[float]]:
    """Fine-tune with dropout on full batches: concatenated sentences, cut into pieces of equal length."""
    tables = inputs.tables("tokenise udpos-lite en train")
    ids = list(chain.from_iterable(tables["windows"]["input_ids"].to_pylist()))
    texts = [ids[begin : begin + FULL_TOKENS] for begin in range(0, len(ids) - FULL_TOKENS, FULL_TOKENS)]
    numbers, nothing_special = range(len(texts)), [0] * len(texts)
    ends = [list(range(1, FULL_TOKENS + 1))] * len(texts)
    windows = {
        "sentence": numbers, "first_word": nothing_special, "input_ids": texts,
        "starts": [[end - 1 for end in own] for own in ends], "ends": ends,
        "without_token": nothing_special, "shortened": nothing_special,
    }  # fmt: skip
    labels = len(inputs.plan.request.tasks[0].labels)
    sentences = {"labels": [[number % labels for number in own] for own in texts]}
    encoder = load_encoder(inputs.plan.request.checkpoint, seed=SEED)
    tables = {"windows": pa.table(windows, schema=Window.SCHEMA), "sentences": pa.table(sentences)}
    return trained(inputs, TokenClassifier(encoder, labels), tables)


def trained(inputs: Inputs, model: TokenClassifier, tables: dict[str, pa.Table]) -> Callable[[], list[float]]:
    same = {"steps": inputs.steps, "learning_rate": {"default": 1e-5}, "lr_schedule": "constant", "warmup": 0.0}
    finetuning = inputs.plan.request.suite.finetuning.model_copy(update=same)
    settings = FinetuningRun(finetuning, SEED, CPU, nothing)
    run = partial(token_classification.train, model, inputs.pad_id, tables, settings)
    return lambda: run().losses


def tests(inputs: Inputs) -> Iterator[dict[str, pa.Table]]:
    for language in inputs.plan.request.languages:
        yield inputs.tables(f"tokenise udpos-lite {language} test")


def predict_plain(inputs: Inputs) -> Callable[[], list[float]]:
    model, tables, pad_id = inputs.model(), list(tests(inputs)), inputs.pad_id

    def run() -> list[float]:
        found = [
            plain.tag(model, list(Windows(t["windows"], Window)), length=inputs.length, pad_id=pad_id) for t in tables
        ]
        return [float(label) for of_language in found for window in of_language for label in window]

    return run


def predict_harness(inputs: Inputs) -> Callable[[], list[float]]:
    model, tables, pad_id = inputs.model(), list(tests(inputs)), inputs.pad_id

    def run() -> list[float]:
        found = [
            token_classification.tag(
                model,
                pad_id,
                list(Windows(t["windows"], Window)),
                [len(g) for g in t["sentences"]["labels"]],
                device=CPU,
            )
            for t in tables
        ]
        return [float(label) for of_language in found for sentence in of_language for label in sentence]

    return run


def profile_one(inputs: Inputs, phase: str, side: str) -> dict[str, float]:
    """Return each part's share of the time. Time outside torch operations counts as Python."""
    run = globals()[f"{phase}_{side}"](inputs)
    before = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    microseconds = 1e6 * (time.perf_counter() - before)
    spent = dict.fromkeys(PARTS, 0.0)
    for operation in profiled.key_averages():
        part = next((part for part, names in PARTS.items() if any(n in operation.key for n in names)), None)
        spent[part or "other operations"] += operation.self_cpu_time_total
    spent["Python"] = microseconds - sum(spent.values())
    return {part: own / microseconds for part, own in spent.items()}


def print_profile(repeat: Callable[[str, str], dict[str, Any]]) -> None:
    columns = [(phase, side) for phase in PHASES for side in SIDES]
    found = [repeat(*column) for column in columns]
    rows = [[part, *(f"{100 * shares[part]:.0f} %" for shares in found)] for part in PARTS]
    print(tabulate(rows, ["time in", *(f"{phase}, {side}" for phase, side in columns)], disable_numparse=True))


def measure_one(inputs: Inputs, phase: str, side: str) -> dict[str, Any]:
    run = globals()[f"{phase}_{side}"](inputs)
    before = time.perf_counter()
    values = run()
    seconds = time.perf_counter() - before
    return {"seconds": seconds, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "values": values}


def matrix_peak() -> float:
    """Return the floating-point operations per second of a large matrix product, the best of ten."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    times = []
    for _ in range(10):
        before = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - before)
    return 2 * 2048**3 / min(times)


def useful_flops(inputs: Inputs, phase: str) -> float:
    """Return 6 (training) or 2 (prediction) operations per parameter of the blocks and token without padding."""
    encoder = inputs.encoder()
    if phase == "realign":
        pairs = inputs.pairs()
        sizes = {language: len(encoded.pairs) for language, encoded in pairs.items()}
        chosen = [pairs[c].pairs[n] for b in draw_batches("round_robin", sizes, 16, inputs.steps, SEED) for c, n in b]
        tokens = sum(len(pair.source.input_ids) + len(pair.target.input_ids) for pair in chosen)
    elif phase == "finetune":
        windows = list(Windows(inputs.tables("tokenise udpos-lite en train")["windows"], Window))
        batches = shuffled_batches(len(windows), inputs.plan.request.suite.finetuning.batch_size, inputs.steps, SEED)
        tokens = sum(len(windows[n].input_ids) for batch in batches for n in batch)
    else:
        tokens = sum(len(ids) for t in tests(inputs) for ids in t["windows"]["input_ids"])
    return (2 if phase == "predict" else 6) * tokens * encoder.num_parameters(exclude_embeddings=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--languages", nargs="+", default=["de", "ar", "zh", "yo", "th", "hi", "fi", "tr"])
    parser.add_argument("--sentences", type=int, default=160, help="test sentences per language")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="profile one run instead of timing several")
    parser.add_argument("--one", nargs=2, metavar=("PHASE", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    full = find_spec("alignfreeze-full", Recipe)
    recipe = full.model_copy(update={"parallel": full.parallel.model_copy(update={"languages": options.languages})})
    plan = prepare(
        Options(
            checkpoint=options.checkpoint, suite="pos-lite", recipes=[recipe], languages=options.languages,
            seeds=[SEED], limit=options.sentences, data_root=options.data_root, offline=True,
        )
    )  # fmt: skip
    inputs = Inputs(plan, Store(options.store), options.steps)
    if options.one:
        print(json.dumps((profile_one if options.profile else measure_one)(inputs, *options.one)))
        return
    before = {ref: stage for ref, stage in plan.stages.items() if ref.stage_type in ("tokenise", "align", "encode")}
    with ProgressBars(len(before)) as progress:
        run_serially(Plan(plan.request, before), inputs.store, run_context(plan.request, "cpu"), progress)

    def repeat(phase: str, side: str) -> dict[str, Any]:
        command = [sys.executable, *sys.argv, "--one", phase, side]
        return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))

    if options.profile:
        print_profile(repeat)
        return
    peak, runs = matrix_peak(), dict[tuple[str, str], list[dict[str, Any]]]()
    for column in [*((phase, side) for phase in PHASES for side in SIDES), ("full", "harness")]:
        runs[column] = []
        for _ in range(options.repeat):
            runs[column].append(repeat(*column))
            peak = max(peak, matrix_peak())  # the machine may be busy for a moment
    seconds = {column: statistics.median(run["seconds"] for run in own) for column, own in runs.items()}
    print(f"{torch.get_num_threads()} threads; matrix products {peak / 1e9:.0f} Gflop/s")
    tokens = options.steps * plan.request.suite.finetuning.batch_size * FULL_TOKENS
    share = 6 * tokens * inputs.encoder().num_parameters(exclude_embeddings=True) / seconds["full", "harness"] / peak
    print(f"fine-tuning on full batches of {tokens // options.steps} tokens, dropout on: {100 * share:.0f} % of that")
    rows = []
    for phase in PHASES:
        own = [seconds[phase, side] for side in SIDES]
        first, second = (runs[phase, side][0]["values"] for side in SIDES)
        difference = max(abs(a - b) for a, b in zip(first, second, strict=True))
        memory = (max(run["bytes"] for run in runs[phase, side]) / 2**30 for side in SIDES)
        shares = (100 * useful_flops(inputs, phase) / taken / peak for taken in own)
        rows.append(
            [phase, *(f"{taken:.1f}" for taken in own), f"{own[0] / own[1]:.2f}x", *(f"{gib:.2f}" for gib in memory),
             *(f"{share:.0f} %" for share in shares), f"{difference:.1e}"]
        )  # fmt: skip
    head = ["phase", "plain s", "harness s", "faster", "plain GiB", "harness GiB", "plain of peak", "harness of peak"]
    print(tabulate(rows, [*head, "largest difference of losses or labels"], disable_numparse=True))


if __name__ == "__main__":
    main()
