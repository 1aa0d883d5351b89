"""Check the names of arguments in calls of the Python API."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from xrealign_bench.errors import ArgumentError, nearest

P = ParamSpec("P")
T = TypeVar("T")


def names_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Raise an `ArgumentError` with the nearest name for an argument that the function does not have.

    Arguments of `**options: Unpack[SomeTypedDict]` are those of the TypedDict, which must be in the function's module.
    """
    known: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            options = parameter.annotation.removeprefix("Unpack[").removesuffix("]")
            known += function.__globals__[options].__annotations__
        else:
            known.append(name)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if wrong := next((name for name in kwargs if name not in known), None):
            near = nearest(wrong, known)
            hint = f"; did you mean {' or '.join(near)}?" if near else ";"
            name = function.__name__
            raise ArgumentError(f"{name}() has no argument '{wrong}'{hint} It takes {', '.join(known)}")
        return function(*args, **kwargs)

    return checked
