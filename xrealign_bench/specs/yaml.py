"""Read specs from YAML, and say everything that is wrong with a file at once: file, line, field, remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs.data import Corpus
from xrealign_bench.specs.explain import Where, Written, explain
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


def load_spec(path: Path, model: type[AnySpec]) -> AnySpec:
    """Read one YAML file as `model`.

    Raises:
        UserError: the file can't be read or parsed, or breaks the model; every problem stands on its own line
            as `file:line: field: what is wrong`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):  # ten lines of them can make a billion values
                line = token.start_mark.line + 1
                raise UserError(f"{path}:{line}: the alias *{token.value} is not read; write the value out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        written: dict[Where, Written] = {}
        twice = _note(root, (), written) if root is not None else []
        content = yaml.SafeLoader("").construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: is not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}:{line}: is not YAML: {error.reason}") from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be read") from None
    except ValueError as error:  # 2026-13-45
        raise UserError(f"{path}: has a date or a number that is none ({error}); put it in quotes") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}:1: must be a mapping of fields such as 'name: ...'")
    problems = [(line, f"{_dotted(where)}: is given twice; keep one") for where, line in twice]
    try:
        spec = model.model_validate(content)
    except ValidationError as error:
        for where, message in explain(error, model, written).items():
            nearest = next(where[:n] for n in range(len(where), -1, -1) if where[:n] in written)
            problems.append((written[nearest].line, f"{_dotted(where)}: {message}"))
    if problems:
        raise UserError("\n".join(f"{path}:{line}: {problem}" for line, problem in sorted(problems)))
    return spec


def shipped_names(model: type[BaseModel]) -> list[str]:
    """Names of the specs of a kind that come with the package."""
    files = shipped_folder(model).glob("*.yaml")
    return sorted(path.stem for path in files if not path.name.endswith(LOCK_SUFFIX))


def find_spec(name_or_file: str, model: type[AnySpec]) -> AnySpec:
    """The shipped spec of that name, or the one in that YAML file (with a '/', or ending in .yaml or .yml).

    Raises:
        UserError: there is none (with the nearest names), or it is wrong.
    """
    return load_spec(spec_file(name_or_file, model), model)


def spec_file(name_or_file: str, model: type[BaseModel]) -> Path:
    """Where the spec that `find_spec` finds is written.

    Raises:
        UserError: no spec of that name is shipped.
    """
    if "/" in name_or_file or name_or_file.endswith((".yaml", ".yml")):
        return Path(name_or_file)
    if name_or_file not in shipped_names(model):
        raise unknown(model.__name__.lower(), name_or_file, shipped_names(model))
    return shipped_folder(model) / f"{name_or_file}.yaml"


def find_beside(name: str, model: type[Data], suite: str) -> Data:
    """A task or corpus of a suite (name or file): the one beside its file, else the shipped one.

    Raises:
        UserError: there is none, or it is wrong.
    """
    beside = Path(suite)
    if beside.suffix not in (".yaml", ".yml") or not (path := beside.parent / f"{name}.yaml").is_file():
        spec = find_spec(name, model)
        if spec.name != name:
            raise UserError(
                f"suite {suite}: '{name}' is a file; name tasks and corpora by their name, here '{spec.name}': they "
                "are found beside the suite"
            )
        return spec
    spec = load_spec(path, model)
    if spec.name != name:
        raise UserError(f"{path}: its name is '{spec.name}'; give the file and the name in it the same name")
    return spec


def entry_lines(path: Path, field: str) -> list[int]:
    """The lines on which the entries of a list stand, in a file that loads."""
    root: Any = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    entries = next(value for key, value in root.value if key.value == field)
    return [node.start_mark.line + 1 for node in entries.value]


def shipped_folder(model: type[BaseModel]) -> Path:
    """Where the package's own YAML lies: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).parent.parent
    inside = package / "shipped"
    return (inside if inside.is_dir() else package.parent) / FOLDERS[model]


def _note(node: yaml.Node, where: Where, written: dict[Where, Written]) -> list[tuple[Where, int]]:
    """Fill `written` with every value's place; return the fields that occur twice, with their lines.

    Makes every key text: in a table of languages `no` is Norwegian.
    """
    twice = []
    text = node.value if isinstance(node, yaml.ScalarNode) else None
    line = written[where].line if where in written else node.start_mark.line + 1
    written[where] = Written(line, text)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            key.tag = "tag:yaml.org,2002:str"
            below = (*where, str(key.value))
            if below in written:
                twice.append((below, key.start_mark.line + 1))
            written[below] = Written(key.start_mark.line + 1, None)
            twice += _note(value, below, written)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            twice += _note(value, (*where, str(index)), written)
    return twice


def _dotted(where: Where) -> str:
    return ".".join(where) or "the file"
