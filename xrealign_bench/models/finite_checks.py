"""Refuse NaN and infinity in weights and outputs: they would be compared and scored like any number."""

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
    """Refuse weights with NaN or infinity. A file is read once per process unless it changes.

    Args:
        what: names the model in the error.
        paths: safetensors files, or pickles, from which only tensors are read.

    Raises:
        UserError: a tensor has a value that is not finite; the message names the tensor and its file.
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
    """Refuse trained weights with NaN or infinity. The last step can produce them after a finite loss.

    Raises:
        TrainingError: a weight is not finite.
    """
    for name, tensor in trained.items():
        if not _is_finite(tensor):
            raise TrainingError(f"the trained {name} is not finite (NaN or infinity); try a smaller learning rate")


def check_finite_outputs(values: Tensor | NDArray[Any], what: str, model: nn.Module) -> None:
    """Refuse outputs of a model with NaN or infinity: comparisons with NaN are meaningless.

    Args:
        values: the outputs that are compared or averaged, without padding.
        what: names them in the error, in the plural.
        model: the encoder that computed them, or a model around it; its precision decides the advice in the error.

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
    """Return whether all values are finite. NaN propagates to the minimum and the maximum."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.element_size() < 2:  # torch can't compare 8-bit floats
        tensor = tensor.float()
    return bool(torch.stack(torch.aminmax(tensor.detach())).isfinite().all())


@lru_cache(maxsize=4096)
def _not_finite_in(path: Path, size: int, mtime_ns: int) -> str | None:
    return next((name for name, tensor in read_tensors(path) if not _is_finite(tensor)), None)


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a weight file by name, with one in memory at a time if the format allows it."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - the file is no dictionary
                yield name, file.get_tensor(name)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        yield from ((name, value) for name, value in content.items() if isinstance(value, Tensor))
