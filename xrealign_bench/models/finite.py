"""Refuse numbers that are not finite, in weights and in outputs: NaN would be compared and scored like any number."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from xrealign_bench.errors import TrainingError, UserError

_REMEDIES = {
    "float16": "use --precision bf16 or fp32",
    "bfloat16": "use --precision fp32",
    "float32": "use another checkpoint or a smaller learning rate",
}


def check_finite_files(what: str, paths: Iterable[Path]) -> None:
    """Refuse weights that hold NaN or infinity. A file is read once a process while its size and time stay the same.

    Args:
        what: whose weights they are, for the error.
        paths: safetensors files, or pickles, of which nothing but tensors is read.

    Raises:
        UserError: a tensor has a value that is not finite; the error names it and its file.
    """
    for path in paths:
        state = path.stat()
        name = _not_finite_in(path, state.st_size, state.st_mtime_ns)
        if name is not None:
            raise UserError(
                f"{what}: {path}: the tensor {name} has values that are not finite (NaN or infinity), so nothing "
                "computed with it can be scored; get the file again or use another checkpoint"
            )


def check_finite_training(trained: Mapping[str, Tensor]) -> None:
    """Refuse to keep weights that training made NaN or infinite, which the last step may do behind a good loss.

    Raises:
        TrainingError: a weight is not finite.
    """
    for name, tensor in trained.items():
        if not _is_finite(tensor):
            raise TrainingError(f"the trained {name} is not finite (NaN or infinity); try a smaller learning rate")


def check_finite_outputs(values: Tensor | NDArray[Any], what: str, model: nn.Module) -> None:
    """Refuse outputs of a model that hold NaN or infinity: NaN loses or wins every comparison.

    Args:
        values: whatever is compared or averaged, without padding.
        what: what they are, in the plural, for the error.
        model: the encoder that computed them, or the model around it; its precision decides what the error advises.

    Raises:
        UserError: a value is not finite.
    """
    finite = _is_finite(values) if isinstance(values, Tensor) else bool(np.isfinite(values).all())
    if not finite:
        precision = getattr(getattr(model, "encoder", model), "precision", "float32")
        raise UserError(
            f"the {what} that the model computes in {precision} are not all finite (NaN or infinity), so they can't "
            f"be compared; {_REMEDIES[precision]}"
        )


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite. The smallest and the largest tell: both are NaN if one value is."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.element_size() < 2:  # torch can't compare numbers of 8 bits
        tensor = tensor.float()
    return bool(torch.stack(torch.aminmax(tensor.detach())).isfinite().all())


@lru_cache(maxsize=4096)
def _not_finite_in(path: Path, size: int, mtime_ns: int) -> str | None:
    return next((name for name, tensor in tensors_in(path) if not _is_finite(tensor)), None)


def tensors_in(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a file of weights by name, one in memory at a time as far as its format allows."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - the file is no dictionary
                yield name, file.get_tensor(name)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        yield from ((name, value) for name, value in content.items() if isinstance(value, Tensor))
