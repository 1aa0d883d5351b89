"""Save the weights of a trained module, and load them again."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from xrealign_bench.errors import UserError, first_line, shorten_list
from xrealign_bench.files import allow_reading
from xrealign_bench.models.finite_checks import check_finite_files, check_finite_training


def save_weights(module: nn.Module, path: Path, only: Collection[str] | None = None) -> None:
    """Save a module's state, or only the tensors with some names, as safetensors.

    Raises:
        OSError: the file can't be written.
        TrainingError: a weight is not finite.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if only is None or name in only}
    check_finite_training(state)
    try:
        save_file(state, path)
    except SafetensorError as error:
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(number[1]), first_line(error), str(path)) from None
    allow_reading(path)


def load_weights(module: nn.Module, path: Path, *, partial: bool = False) -> None:
    """Load what `save_weights` wrote into a module of the same architecture.

    Args:
        module: the module.
        path: the file.
        partial: the file may lack tensors of the module, which stay as they are.

    Raises:
        UserError: the file can't be read, its names or shapes are not exactly the module's, or a weight is not finite.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights {path} can't be read: {first_line(error)}") from None
    own = module.state_dict()
    wrong = sorted(state.keys() - own.keys() if partial else own.keys() ^ state.keys())
    wrong = wrong or [name for name, tensor in state.items() if tensor.shape != own[name].shape]
    if wrong:
        raise UserError(f"the weights {path} are of another model: {shorten_list(wrong)} don't fit")
    check_finite_files("the weights of a stage", [path])
    module.load_state_dict(state, strict=not partial)
