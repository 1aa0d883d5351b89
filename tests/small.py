"""A tiny suite, checkpoint and recipe: a whole evaluation takes a second or two."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import yaml

from xrealign_bench.files import write_atomically
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.results.manifest import MANIFEST, seal

SOURCE, TARGETS, SEEDS = "en", ["de", "sw", "th"], [3, 7]
"""One target language per tier: high, low, medium."""
TAGS = ["WEEKDAY", "MONTH", "DAY", "YEAR", "NUMBER", "UNIT", "CURRENCY", "TERRITORY", "LANGUAGE", "REL", "CONJ", "O"]
BLOCKS = 4

TASK: dict[str, Any] = {
    "name": "phrases",
    "title": "A few phrases",
    "licence": "Unicode-3.0",
    "task_type": "token_classification",
    "source": {"kind": "embedded"},
    "configs": {code: code for code in [SOURCE, *TARGETS, "fr"]},
    "columns": {"words": "words", "labels": "labels", "groups": "groups"},
    "labels": TAGS,
    "scored_words": "lexical",
    "train_examples": 24,
    "test_examples": 12,
}
CORPUS: dict[str, Any] = {
    "name": "pairs",
    "title": "A few pairs",
    "licence": "Unicode-3.0",
    "source": {"kind": "embedded"},
    "config": None,
    "pairs": 10,
    "lexicons": "embedded",
}
SUITE: dict[str, Any] = {
    "name": "small",
    "version": "1.0",
    "title": "A small suite",
    "source_language": SOURCE,
    "target_languages": TARGETS,
    "tasks": ["phrases"],
    "seeds": SEEDS,
    "finetuning": {"steps": 3, "batch_size": 8, "max_length": 32, "learning_rate": {"default": 1e-3}},
    "parallel": {"corpus": "pairs", "aligner": "gold"},
    "bands": {"cuts": [0.45, 0.52]},
}
RECIPE: dict[str, Any] = {
    "name": "mine",
    "title": "A recipe of one's own",
    "method": "word_contrastive",
    "freeze": {"blocks": "lower_half"},
    "schedule": {"batch_size": 4},
}


def write_yaml(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def write_suite(folder: Path, **changes: Any) -> Path:
    """Write the suite, and its task and corpus to the same folder."""
    write_yaml(folder / "phrases.yaml", TASK)
    write_yaml(folder / "pairs.yaml", CORPUS)
    suite = SUITE | changes
    return write_yaml(folder / f"{suite['name']}.yaml", suite)


def write_recipe(folder: Path, **changes: Any) -> Path:
    recipe = RECIPE | changes
    return write_yaml(folder / f"{recipe['name']}.yaml", recipe)


def write_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write a BERT with random weights and the tokenizer of the embedded checkpoint."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=12000,
        hidden_size=32,
        num_hidden_layers=BLOCKS,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return _with_tokenizer(folder)


def write_llama(folder: Path) -> Path:
    """Write a Llama with random weights and the tokenizer of the embedded checkpoint."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=12000, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return _with_tokenizer(folder)


def _with_tokenizer(folder: Path) -> Path:
    """Copy the tokenizer of the embedded checkpoint into a folder."""
    import xrealign_bench

    embedded = Path(xrealign_bench.__file__).parent / "demo" / "checkpoint"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(embedded / name, folder / name)
    return folder


class Ran(NamedTuple):
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


def _blank_png(figure: object, path: Path, source: str | None = None) -> Path:
    """Write a file in place of a chart's picture: rendering takes a third of a small evaluation."""
    return write_atomically(path, f"\x89PNG {source} {' ' * 200}".encode("latin-1"))


def command(*arguments: object, with_charts: bool = False, online: bool = False) -> Ran:
    """Run the command line's `main` in this process and restore the environment.

    Dry runs skip the measurement of costs, which would take longer than everything else, and charts are not rendered
    unless `with_charts` is set. With `online`, the command may ask the Hub, for which a test has a server of its own.
    """
    from xrealign_bench import cli
    from xrealign_bench.leaderboard import chart
    from xrealign_bench.pipeline import estimate

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["xrealign-bench", *map(str, arguments)]
    status = 0
    environment = mock.patch.dict(os.environ, {"HF_HUB_OFFLINE": "0" if online else "1"})
    no_measurement = mock.patch.object(estimate, "_measure", lambda *_: estimate._Measured())
    no_charts = nullcontext() if with_charts else mock.patch.object(chart, "write_png", _blank_png)
    with environment, no_measurement, no_charts, redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.argv = before
    return Ran(status, out.getvalue(), err.getvalue())


def killed(arguments: Sequence[object], prepare: Callable[[], object]) -> None:
    """Run the command line in a fork of this process that ends itself by SIGKILL, as `prepare` arranges in the fork.

    A fork has all packages loaded; a new process would import them for most of its time.
    """
    child = os.fork()
    if child == 0:
        try:
            prepare()
            ran = command(*arguments)
            os.write(2, f"exit status {ran.status}\n{ran.err}".encode())
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@dataclass(frozen=True)
class World:
    """Suite, checkpoint, store and output folder of a test."""

    folder: Path
    suite: Path
    checkpoint: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def arguments(self) -> list[object]:
        places = ["--store", self.store, "--output", self.output]
        return ["evaluate", "--suite", self.suite, "--checkpoint", self.checkpoint, "--device", "cpu", *places]

    def evaluate(self, *more: object) -> Ran:
        return command(*self.arguments, *more)

    def result(self, recipe: str, suite: str = "small-1.0") -> Path:
        return self.output / "results" / suite / self.place / recipe

    @property
    def place(self) -> str:
        """Folder of the checkpoint's results, unique among checkpoints of the same name."""
        return f"{self.checkpoint.name}-{resolve_checkpoint(str(self.checkpoint)).weights_sha256[:8]}"


def left_over(*folders: Path) -> list[Path]:
    """Return temporary files and unfinished work of a store."""
    return [p for folder in folders for p in [*folder.rglob("*.tmp"), *folder.glob(".work/*")]]


def forge(path: Path, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file of a result and update its manifest, as a careful forger would."""
    damage(path, edit)
    seal(path.parent)


def seal_bytes(path: Path, content: bytes) -> None:
    """Replace the content of a result's file, and update its digest in the manifest."""
    path.write_bytes(content)

    def record(manifest: Any) -> None:
        entry = next(entry for entry in manifest["files"] if entry["name"] == path.name)
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    damage(path.with_name(MANIFEST), record)


def damage(path: Path, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file without updating the manifest."""
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def mean_by_language(result: Path, task: str, metric: str) -> dict[str, float]:
    """Return a result's mean score over seeds, by language."""
    by_language: dict[str, list[float]] = {}
    for score in json.loads((result / "result.json").read_bytes())["scores"]:
        if score["task"] == task:
            by_language.setdefault(score["language"], []).append(score["metrics"][metric])
    return {language: sum(values) / len(values) for language, values in by_language.items()}


def essence(result: Path) -> dict[str, Any]:
    """Return a result's content without times and memory, and the bytes of its other files."""
    content = json.loads((result / "result.json").read_bytes())
    for stage in content["stages"]:
        del stage["seconds"], stage["peak_memory_bytes"]
    del content["created"], content["command"]
    own = ("result.json", "manifest.json")  # the manifest has the digest of result.json
    return content | {path.name: path.read_bytes() for path in result.iterdir() if path.name not in own}
