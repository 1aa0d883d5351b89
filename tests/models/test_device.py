"""Devices, settings and seeds. Truth: torch's own answers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from xrealign_bench.errors import UserError
from xrealign_bench.models.compute_settings import ComputeSettings, compute_settings
from xrealign_bench.models.device import pick_device, seed_everything


def test_without_a_name_the_cpu_unless_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(None) == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "gpus", "message"),
    [
        ("gpu", 0, "'gpu' is no device; write cpu, cuda, cuda:1 or mps"),
        ("meta", 0, "device 'meta' is not supported"),
        ("cuda", 0, "device 'cuda': torch finds no cuda device here; use --device cpu"),
        ("cuda:4", 2, "device 'cuda:4': there are only 2, numbered from 0"),
    ],
)
def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=message):
        pick_device(name)


def test_a_gpu_is_set_to_what_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check only that torch's settings are changed."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        pick_device("cuda")
        assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not torch.backends.cuda.mem_efficient_sdp_enabled() and not torch.backends.cudnn.allow_tf32
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.allow_tf32 = True
        for enable in ("flash", "mem_efficient", "cudnn"):
            getattr(torch.backends.cuda, f"enable_{enable}_sdp")(True)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_settings_are_plain_and_change_with_what_changes_numbers() -> None:
    settings = compute_settings("cpu")
    assert ComputeSettings.model_validate_json(json.dumps(settings.model_dump(mode="json"))) == settings
    assert settings.torch == torch.__version__ and settings.dtype == "float32"
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert compute_settings("cpu") != settings
    finally:
        torch.set_num_threads(threads)


def test_a_seed_fixes_all_three_generators() -> None:
    def draw(seed: int) -> tuple[float, float, float]:
        seed_everything(seed)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    one, again, other = draw(3), draw(3), draw(4)
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys, xrealign_bench.models.checkpoint, xrealign_bench.models.device;"
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
