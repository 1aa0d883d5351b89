"""Tied weights: parameters that several modules of a model share, whatever its configuration says."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

TiedNames = Sequence[str]
"""All names of one parameter."""


def find_tied_parameters(model: nn.Module) -> list[TiedNames]:
    """Return, for each parameter with more than one name, its names."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [shared for shared in names.values() if len(shared) > 1]


def set_parameter(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Replace the parameter of that name."""
    module, _, own = name.rpartition(".")
    setattr(model.get_submodule(module), own, parameter)
