"""Everything about the machine and the software that can change a number."""

from __future__ import annotations

import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import Field

from xrealign_bench import distributed
from xrealign_bench.memo import recall
from xrealign_bench.models.dtypes import PRECISIONS, Precision, Quantised
from xrealign_bench.specs import Spec, Title

ARITHMETIC = 2
"""Raised when models add up or draw dropout in another order than before. 2: batches are read by length."""

PackageVersion = Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+!_-]*$", max_length=64)]
"""Version of a package, with nothing that pip could take for more than that."""


class ComputeSettings(Spec):
    """Device, dtype, threads and library versions: part of the key of every stage that runs a model."""

    device: Literal["cpu", "cuda", "mps"]
    device_name: Title | None = None
    """Name of the GPU."""
    dtype: Precision
    threads: Annotated[int, Field(gt=0, le=10_000)]
    deterministic_algorithms: bool = False
    tf32: bool = False
    torch: PackageVersion | None = None
    transformers: PackageVersion | None = None
    arithmetic: Annotated[int, Field(ge=0, le=10_000)] = 1
    """`ARITHMETIC` of the code that computed."""
    gradient_checkpointing: bool = False
    quantised: Quantised | None = None
    bitsandbytes: PackageVersion | None = None
    processes: Annotated[int, Field(gt=0, le=100_000)] = 1

    @property
    def suffix(self) -> str:
        """Suffix for rows that are not computed in fp32, such as `--bf16` or `--8bit`.

        >>> ComputeSettings(device="cpu", dtype="bfloat16", threads=1, quantised="8bit").suffix
        '--bf16--8bit'
        """
        short = [name for name, full in PRECISIONS.items() if full == self.dtype != "float32"]
        return "".join(f"--{name}" for name in (*short, self.quantised) if name)

    def differences(self, other: ComputeSettings) -> dict[str, tuple[Any, Any]]:
        """Return the fields that differ, in alphabetical order, with the two values."""
        return {
            name: values
            for name in sorted(type(self).model_fields)
            if len(set(values := (getattr(self, name), getattr(other, name)))) > 1
        }

    def key_content(self) -> dict[str, Any]:
        """Return what enters the keys of stages: all fields, and those added later only if they are set."""
        added_later = ("gradient_checkpointing", "quantised", "bitsandbytes", "processes")
        defaults = type(self).model_fields
        fields = self.model_dump(mode="json")
        return {
            name: value for name, value in fields.items() if name not in added_later or value != defaults[name].default
        }


def compute_settings(
    device: str,
    precision: Precision = "float32",
    gradient_checkpointing: bool = False,
    quantised: Quantised | None = None,
) -> ComputeSettings:
    """Return the settings of this process on a device, such as `cpu` or `cuda:1`.

    Without torch in the process, the CPU's are those that torch had at the last run in the same environment.
    """
    if device == "cpu" and "torch" not in sys.modules:
        found = recall("compute settings of the CPU", _environment(), partial(_of_torch, "cpu"))
    else:
        found = _of_torch(device)
    chosen = {
        "dtype": precision,
        "arithmetic": ARITHMETIC,
        "gradient_checkpointing": gradient_checkpointing,  # the order of sums may differ
        "quantised": quantised,
        "bitsandbytes": version("bitsandbytes") if quantised else None,
        "processes": distributed.world_size(),
    }
    return ComputeSettings.model_validate({**found, **chosen})


def _of_torch(device: str) -> dict[str, str | int | bool | None]:
    import torch
    import transformers

    device_type, _, _ = device.partition(":")
    on_gpu = device_type == "cuda"
    return {
        "device": device_type,
        "device_name": torch.cuda.get_device_name(device) if on_gpu else None,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "tf32": on_gpu and torch.backends.cuda.matmul.allow_tf32,
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
    }


def _environment() -> list[object]:
    """Return what torch's number of threads and its version depend on."""
    prefixes = ("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "TORCH_", "PYTORCH_", "ATEN_")
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith(prefixes))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [version("torch"), version("transformers"), platform.node(), sys.prefix, cores, variables]
