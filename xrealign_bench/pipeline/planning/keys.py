"""Parts of specs and checkpoints that enter the keys of stages."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any, TypeVar

from xrealign_bench.data import Split
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.stage import TokenizerKey, WeightsKey
from xrealign_bench.specs import Corpus, Task

DataSpec = TypeVar("DataSpec", Task, Corpus)


def without_prose(spec: DataSpec, **changes: Any) -> DataSpec:
    """Return a data spec without the fields that only people read, and with some changes."""
    return spec.model_copy(update={"title": "", "citation": "", "licence": "", **changes})


def only_cell(task: Task, language: str, split: Split) -> Task:
    """Return the task as if it had no other language or split: a stage's key must not depend on them."""
    part = task.part(language, split)
    other = "test" if split == "train" else "train"
    unread = {name: Task.model_fields[name].default for name in (f"{other}_split", f"{other}_examples")}
    if split == "train":
        unread["repair"] = "none"  # of predictions
    own = {name: getattr(part, name) for name in ("source", "configs", "columns", "label_map", "test_split")}
    own["spans"] = task.spans.of_split(split)
    own["segment"] = [language] if language in task.segment else []
    return without_prose(task, also=[], training_data=None, development_split=None, **{**own, **unread})


@cache
def package_version(package: str) -> str:
    """Return the version of an installed package, read once a process because that takes milliseconds."""
    return importlib.metadata.version(package)


def tokenizer_key(checkpoint: Checkpoint) -> TokenizerKey:
    return TokenizerKey(
        files=checkpoint.tokenizer_sha256,
        tokenizers=package_version("tokenizers"),
        transformers=package_version("transformers"),
    )


def weights_key(checkpoint: Checkpoint, *, with_tokenizer: bool = False) -> WeightsKey:
    return WeightsKey(
        config=checkpoint.config_sha256,
        weights=checkpoint.weights_sha256,
        peft=None if checkpoint.adapter is None else package_version("peft"),
        tokenizer=checkpoint.tokenizer_sha256 if with_tokenizer else None,
    )
