"""Scores as another program reports them, and which of its tasks share their data with tasks here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from xrealign_bench.errors import UserError, nearest
from xrealign_bench.specs.core_schema import read_yaml

Value = TypeVar("Value")
_SHARED = Path(__file__).with_name("shared_tasks.yaml")
_JSON: dict[type, str] = {str: "text", list: "list", dict: "object"}
LARGEST_FILE = 64 * 2**20
"""In bytes: fifty times a file of lm-eval with a hundred tasks."""


@dataclass(frozen=True)
class ForeignScore:
    """One score of another program."""

    task: str
    """The program's name for its task, without the language."""
    data_set: str
    """Hub id."""
    subset: str
    """Config of the data set."""
    languages: tuple[str, ...]
    """Codes as the program writes them."""
    split: str
    metrics: Mapping[str, Any]
    """Metric as it is called here -> value; None if the program does not report it."""
    differs: str
    """How the program's protocol differs."""


@dataclass(frozen=True)
class Report:
    """The content of one file."""

    program: str
    """Name and version."""
    checkpoint: str | None
    revision: str | None
    scores: list[ForeignScore]


@dataclass(frozen=True)
class KnownTask:
    """A task of another program that shares its data with tasks here."""

    data_set: str
    differs: str


@cache
def _shared() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(_SHARED.read_text(encoding="utf-8"), str(_SHARED)).content
    return content


def same_data(ours: str, theirs: str) -> bool:
    """Return whether two Hub ids have the same data.

    >>> same_data("facebook/xnli", "xnli"), same_data("facebook/xnli", "xquad")
    (True, False)
    """
    return theirs == ours or theirs in _shared()["mirrors"].get(ours, ())


def known_tasks(program: str, name: str, path: Path) -> KnownTask:
    """Return what is known of another program's task.

    Raises:
        UserError: the task shares its data with no task here.
    """
    known = _shared()[program]
    if name not in known:
        near = nearest(name, known)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        raise UserError(f"{path}: no task here has the data of '{name}'{hint} Tasks that do: {', '.join(known)}")
    return KnownTask(**known[name])


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of another program. NaN, which Python programs write, is read as null.

    Raises:
        UserError: the file can't be read, or is no JSON object.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path}: has more than {LARGEST_FILE:,} bytes; give a file of results")
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}; name another file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON: {str(error)[:200]}; give a file of results") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is a {type(content).__name__} in JSON and no object; give a file of results")
    return content


def text_or_none(value: Any) -> str | None:
    """Return a value that may be a text, such as a version."""
    return value if isinstance(value, str) and value else None


def take(content: Any, field: str, kind: type[Value], path: Path, program: str) -> Value:
    """Return a field of a file's object.

    Raises:
        UserError: the field is missing or of another type.
    """
    value = content.get(field) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        problem = f"'{field}' is missing or no {_JSON[kind]}"
        raise UserError(f"{path}: is no result of {program}: {problem}; check --format")
    return value


def check_share(value: Any, what: str, path: Path) -> float:
    """Return a score from 0 to 1.

    Raises:
        UserError: it is no such number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise UserError(f"{path}: {what} is {value!r}, which is no number from 0 to 1; correct or remove it")
    return float(value)
