"""Check the names and types of arguments in calls of the Python API."""

from __future__ import annotations

import builtins
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from xrealign_bench.errors import ArgumentError, nearest, shorten

P = ParamSpec("P")
T = TypeVar("T")

_NAMES = {str: "a string", int: "an integer", bool: "True or False", os.PathLike: "a path", Callable: "a function"}


def names_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Raise an `ArgumentError` for an argument that is unknown, missing or not of its annotated type.

    Arguments of `**options: Unpack[SomeTypedDict]` are those of the TypedDict, which must be in the function's module.
    `Annotated[TYPE, "a folder"]` says in words what to give.
    """
    # Only `plot` is used as a module of its own.
    name = f"plot.{function.__name__}" if function.__module__ == "xrealign_bench.plot" else function.__name__
    signature = inspect.signature(function)
    annotations = dict(_annotations(signature, function.__globals__))
    types = cache(lambda: _evaluate(annotations, function.__globals__))

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if wrong := next((each for each in kwargs if each not in annotations), None):
            near = nearest(wrong, annotations)
            hint = f"; did you mean {' or '.join(near)}?" if near else ";"
            raise ArgumentError(f"{name}() has no argument '{wrong}'{hint} It takes {', '.join(annotations)}")
        try:
            bound = signature.bind(*args, **kwargs).arguments
        except TypeError as error:  # an argument is missing, or given twice
            raise ArgumentError(f"{name}(): {error}; see help({name})") from None
        for argument, value in {**bound, **kwargs}.items():
            if argument in annotations and not _is_of_type(value, types()[argument]):
                raise ArgumentError(f"{name}(): {argument} is {_show(value)}; give {_describe(types()[argument])}")
        return function(*args, **kwargs)

    return checked


class _ByName(type):
    """Type of stand-ins for classes that a module imports for type checkers only, such as transformers' models."""

    def __instancecheck__(cls, value: object) -> bool:
        return any(base.__name__ == cls.__name__ for base in type(value).__mro__)


class _Namespace(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return _ByName(name, (), {})


def _annotations(signature: inspect.Signature, names: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and annotation of every argument."""
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            options = names[parameter.annotation.removeprefix("Unpack[").removesuffix("]")]
            yield from ((field, hint.__forward_arg__) for field, hint in options.__annotations__.items())
        else:
            yield name, parameter.annotation


def _evaluate(annotations: dict[str, str], names: dict[str, Any]) -> dict[str, Any]:
    namespace = _Namespace({**vars(builtins), **names})
    return {name: eval(annotation, {}, namespace) for name, annotation in annotations.items()}


def _is_of_type(value: object, hint: Any) -> bool:
    """Return whether a value is of an annotated type. Unlike in Python, True is no integer and a string no sequence."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return _is_of_type(value, args[0])
    if origin in (Union, UnionType):
        return any(_is_of_type(value, each) for each in args)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin is Sequence:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return False
        return all(_is_of_type(each, args[0]) for each in value)
    return isinstance(value, origin) and not (origin is int and isinstance(value, bool))


def _describe(hint: Any) -> str:
    """Describe a type in words.

    >>> _describe(Sequence[int] | int | None)
    'an integer, a list of them or None'
    >>> _describe(Sequence[int | None])
    'a list, each item an integer or None'
    """
    parts = list(_describe_parts(hint))
    return ", ".join(parts[:-1]) + " or " + parts[-1] if len(parts) > 1 else parts[0]


def _describe_parts(hint: Any) -> Iterator[str]:
    hints = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    lists = [each for each in hints if get_origin(each) is Sequence]
    singles = [each for each in hints if each not in (*lists, type(None))]
    for single in singles:
        origin = get_origin(single) or single
        if origin is Annotated:
            yield get_args(single)[1]
        elif origin is Literal:
            yield from map(repr, get_args(single))
        elif origin in (Union, UnionType):
            yield from _describe_parts(single)
        else:
            yield _NAMES.get(origin) or f"a {origin.__name__}"
    for each in lists:
        yield "a list of them" if singles else f"a list, each item {_describe(get_args(each)[0])}"
    if type(None) in hints:
        yield "None"


def _show(value: object) -> str:
    is_plain = value is None or type(value).__module__ == "builtins"
    return shorten(repr(value)) if is_plain else f"of type {type(value).__name__}"
