"""The device, its numeric settings, and random seeds."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign_bench import distributed
from xrealign_bench.errors import UserError
from xrealign_bench.models.dtypes import Precision, Quantised

if TYPE_CHECKING:
    import torch

_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Present if NVIDIA's driver, WSL's or AMD's is loaded."""


def find_device(name: str | None) -> str:
    """Return the name of the device that `pick_device` picks. Imports no torch if that is certainly the CPU."""
    return "cpu" if name == "cpu" or (name is None and not _may_have_gpu()) else str(pick_device(name))


def pick_device(name: str | None) -> torch.device:
    """Return the device of that name (`cpu`, `cuda`, `cuda:1`, `mps`); for None, a GPU with CUDA or else the CPU.

    With several ranks, each has its own GPU, which is its `cuda` after `distributed.init`.

    For CUDA this turns off TF32 and turns on torch's deterministic kernels, with a warning where there is none.

    Raises:
        UserError: there is no such device.
    """
    import torch

    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(chosen)
    except RuntimeError:
        raise UserError(f"'{chosen}' is no device; write cpu, cuda, cuda:1 or mps") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"device '{chosen}' is not supported; write cpu, cuda, cuda:1 or mps")
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if present == 0:
        raise UserError(f"device '{chosen}': torch finds no {device.type} device here; use --device cpu")
    if (device.index or 0) >= present:
        raise UserError(f"device '{chosen}': there are only {present}, numbered from 0")
    if distributed.world_size() > 1:
        _check_shared(device, present)
    if device.type == "cuda":
        _enable_determinism()
    return device


def check_precision(precision: Precision, device: str) -> None:
    """Refuse a precision that a device does not have.

    Raises:
        UserError: it does not.
    """
    if precision != "bfloat16" or not device.startswith("cuda"):
        return
    import torch

    if not torch.cuda.is_bf16_supported():
        raise UserError(f"{torch.cuda.get_device_name(device)} can't compute in bf16; use --precision fp16 or fp32")


def check_quantised(quantised: Quantised | None, device: str) -> None:
    """Refuse quantised weights where they are not available.

    Raises:
        UserError: bitsandbytes is not installed, or does not support the device.
    """
    if quantised is None:
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(f"--quantise {quantised} needs bitsandbytes; pip install 'xrealign-bench[quantised]'")
    if device == "mps":
        raise UserError(f"--quantise {quantised}: bitsandbytes is not made for mps; use --device cpu or a CUDA GPU")
    if (device, quantised) == ("cpu", "4bit"):
        raise UserError(
            "--quantise 4bit: on the CPU bitsandbytes passes no gradient through weights of 4 bits; use --quantise "
            "8bit or a CUDA GPU"
        )


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch, on all devices."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def generator_states() -> list[torch.Tensor]:
    """Return the states of torch's generators, for `restore_generators`: the CPU's, then those of all GPUs."""
    import torch

    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def restore_generators(states: list[torch.Tensor]) -> None:
    """Restore the generators, so that the same random numbers are drawn again."""
    import torch

    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


def _check_shared(device: torch.device, present: int) -> None:
    """Refuse a device that several ranks can't share."""
    if device.type == "cpu":
        return
    if device.type != "cuda" or device.index is not None:
        raise UserError(f"device '{device}': several processes take a GPU each or the CPU; write --device cuda or cpu")
    if (started := distributed.local_world_size()) > present:
        raise UserError(
            f"more processes were started here ({started}) than there are GPUs ({present}); start one for each"
        )


def _may_have_gpu() -> bool:
    """Return False if torch was built without CUDA, or no driver of a GPU is loaded."""
    if version("torch").endswith("+cpu") or sys.platform == "darwin":
        return False
    return any(Path(driver).exists() for driver in _DRIVERS)


def _enable_determinism() -> None:
    import os

    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    # The fused attention kernels sum gradients in varying order.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
