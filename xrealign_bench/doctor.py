"""Diagnosis of an installation: versions, devices, the Hub, data and the store."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from xrealign_bench import __version__
from xrealign_bench.data.hub import open_data_set
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.lock import read_lock
from xrealign_bench.errors import UserError
from xrealign_bench.specs import HubData, LockedSplit, Suite, shipped_names

PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "huggingface_hub",
    "babel",
    "icu4py",
    "eflomal",
    "lang2vec",
)


OPTIONAL = ("ray", "bitsandbytes")
"""Packages that `--executor ray` and `--quantise` need."""


def examine(data_root: Path | None, store: Path) -> dict[str, Any]:
    """Return versions, devices, whether the Hub is reachable, and folders, by name."""
    import torch

    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    findings: dict[str, Any] = {
        "xrealign-bench": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        **{name: _version(name) for name in OPTIONAL},
        "devices": ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])],
        "threads": torch.get_num_threads(),
        "hub": _hub(),
        "data root": str(data_root) if data_root else "none given (--data-root or XREALIGN_BENCH_DATA_ROOT)",
        **{f"data of {name}": _data_of(name, data_root) for name in shipped_names(Suite)},
        "store": str(store),
        "store has room": _room(store),
    }
    return findings


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _hub() -> str:
    """Check by one request whether the Hub answers."""
    from huggingface_hub import HfApi
    from huggingface_hub.constants import ENDPOINT

    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return "not asked: offline"
    try:
        HfApi().model_info("FacebookAI/xlm-roberta-base", timeout=5)
    except Exception as error:  # whatever goes wrong is the finding
        return f"{ENDPOINT} can't be reached ({type(error).__name__})"
    return f"{ENDPOINT} answers"


def _data_of(suite: str, data_root: Path | None) -> str:
    """Count how a suite's lock pins its splits, and how many exist below the data root. Reads no data."""
    lock = read_lock(suite)
    if lock is None:
        return "no lock"
    splits = lock.lock.splits
    by_commit = [split for split in splits if split.revision is not None]
    by_checksum = [split for split in splits if split.revision is None and split.sha256 is not None]
    counts = [f"{len(by_commit)} pinned by commit", f"{len(by_checksum)} by checksum only"]
    counts.append(f"{len(splits) - len(by_commit) - len(by_checksum)} not pinned")
    if data_root is not None:
        counts.append(f"{sum(_is_there(split, data_root) for split in splits)} below the data root")
    return f"{len(splits)} splits: {', '.join(counts)}"


def _is_there(split: LockedSplit, data_root: Path) -> bool:
    if split.dataset.startswith("https:"):
        return (data_root / split.dataset.removeprefix("https://")).is_file()
    if split.dataset.startswith("./"):
        return False  # local files are not below the data root
    try:
        layout = open_data_set(HubData(dataset=split.dataset), DataLocation(data_root, offline=True)).layout
    except UserError:  # no such folder
        return False
    return bool(layout.get(split.config, {}).get(split.split))


def _room(store: Path) -> str:
    there = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.1f} GB"
