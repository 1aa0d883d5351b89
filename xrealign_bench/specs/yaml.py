"""Read specs from YAML and report all problems of a file at once, each with line, field and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems, shorten, unknown
from xrealign_bench.specs.core_schema import Document, Where, read_yaml
from xrealign_bench.specs.data import Corpus
from xrealign_bench.specs.explain import explain
from xrealign_bench.specs.lock import LOCK_SUFFIX, Lock
from xrealign_bench.specs.recipe import Recipe
from xrealign_bench.specs.suite import Suite
from xrealign_bench.specs.task import Task

AnySpec = TypeVar("AnySpec", Recipe, Task, Suite, Corpus, Lock)
Data = TypeVar("Data", Task, Corpus)

FOLDERS: dict[type[BaseModel], str] = {
    Recipe: "submissions",
    Task: "tasks",
    Suite: "tasks/suites",
    Corpus: "tasks/corpora",
}

LARGEST_FILE = 2**20
"""Bytes; twenty times the largest shipped file, a lock."""


def load_spec(path: Path, model: type[AnySpec]) -> AnySpec:
    """Read one YAML file as `model`.

    Raises:
        UserError: the file can't be read or parsed, or does not fit the model. The message has one line per problem,
            `file:line: field: what is wrong`.
    """
    content, written, twice = _read(path)
    problems: list[tuple[int, Where, Callable[[], str]]]
    problems = [(line, where, lambda: "is given twice; keep one") for where, line in twice]
    try:
        spec = model.model_validate(content)
    except ValidationError as error:
        for where, say in explain(error, model, written).items():
            nearest = next(where[:n] for n in range(len(where), -1, -1) if where[:n] in written)
            problems.append((written[nearest].line, where, say))
    if problems:
        problems.sort(key=lambda problem: problem[:2])
        shown = problems[:MOST_PROBLEMS]
        lines: list[str] = [f"{path}:{line}: {_dotted(where)}: {say()}" for line, where, say in shown]
        raise UserError("\n".join([*lines, *count_further_problems(str(path), len(problems))]))
    return spec


def read_fields(path: Path) -> dict[str, Any]:
    """Read the fields of a spec without validating them.

    Raises:
        UserError: the file can't be read or parsed, or is not a mapping.
    """
    fields: dict[str, Any] = _read(path).content
    return fields


def shipped_names(model: type[BaseModel]) -> list[str]:
    """Return the names of all shipped specs of this model."""
    files = shipped_folder(model).glob("*.yaml")
    return sorted(path.stem for path in files if not path.name.endswith(LOCK_SUFFIX))


def find_spec(name_or_file: str, model: type[AnySpec]) -> AnySpec:
    """Load a shipped spec by name, or a YAML file if the argument contains a '/' or ends in .yaml or .yml.

    Raises:
        UserError: there is no such spec (with the nearest names), or it is invalid.
    """
    return load_spec(find_spec_file(name_or_file, model), model)


def find_spec_file(name_or_file: str, model: type[BaseModel]) -> Path:
    """Return the file of the spec that `find_spec` loads.

    Raises:
        UserError: no spec of that name is shipped.
    """
    if "/" in name_or_file or name_or_file.endswith((".yaml", ".yml")):
        return Path(name_or_file)
    if name_or_file not in shipped_names(model):
        raise unknown(model.__name__.lower(), name_or_file, shipped_names(model))
    return shipped_folder(model) / f"{name_or_file}.yaml"


def find_in_suite(name: str, model: type[Data], suite: str) -> Data:
    """Load a task or corpus that a suite names: from the folder of the suite's file, else the shipped one.

    Args:
        name: name of the task or corpus.
        suite: name or file of the suite.

    Raises:
        UserError: there is no such spec, or it is invalid.
    """
    beside = Path(suite)
    if beside.suffix not in (".yaml", ".yml") or not (path := beside.parent / f"{name}.yaml").is_file():
        spec = find_spec(name, model)
        if spec.name != name:
            raise UserError(
                f"suite {suite}: '{name}' is a file; name tasks and corpora by their name, here '{spec.name}': they "
                "are looked up in the suite's folder"
            )
        return spec
    spec = load_spec(path, model)
    if spec.name != name:
        raise UserError(f"{path}: its name is '{spec.name}'; give the file and the name in it the same name")
    return spec


def entry_lines(path: Path, field: str) -> list[int]:
    """Return the line of each entry of a list, in a valid file."""
    document = _read(path)
    return [document.written[(field, str(index))].line for index in range(len(document.content[field]))]


def place_of(path: Path, field: Where) -> str:
    """Return `file:line: field` of a field in a file that loads, or of the nearest field around it."""
    written = _read(path).written
    nearest = next(field[:n] for n in range(len(field), -1, -1) if field[:n] in written)
    return f"{path}:{written[nearest].line}: {_dotted(field)}"


def shipped_folder(model: type[BaseModel]) -> Path:
    """Return the folder of shipped YAML: inside the package if installed from a wheel, next to it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "shipped"
    return (inside if inside.is_dir() else package.parent) / FOLDERS[model]


def _read(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    if len(data) > LARGEST_FILE:
        raise UserError(f"{path}: has more than the {LARGEST_FILE:,} bytes that a spec may have; write less")
    document = read_yaml(text, str(path))
    if not isinstance(document.content, dict):
        raise UserError(f"{path}:1: must be a mapping of fields such as 'name: ...'")
    return document


def _dotted(where: Where) -> str:
    return shorten(".".join(where)) or "the file"
