"""Read specs from YAML and report all problems of a file at once, each with line, field and remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xrealign_bench.errors import (
    MOST_PROBLEMS,
    Problems,
    UserError,
    count_further_problems,
    nearest,
    shorten,
    unknown,
)
from xrealign_bench.specs.core_schema import Document, Where, read_yaml
from xrealign_bench.specs.data import SUFFIXES as FORMATS
from xrealign_bench.specs.data import Corpus
from xrealign_bench.specs.explain import explain
from xrealign_bench.specs.family import RecipeFamily
from xrealign_bench.specs.lock import LOCK_SUFFIX, Lock
from xrealign_bench.specs.readers import ShippedFormat
from xrealign_bench.specs.recipe import Recipe
from xrealign_bench.specs.schema_comment import check_schema
from xrealign_bench.specs.suite import Suite
from xrealign_bench.specs.task import Task

AnySpec = TypeVar("AnySpec", Recipe, RecipeFamily, Task, Suite, Corpus, Lock)
Data = TypeVar("Data", Task, Corpus)
Check = Callable[[Path, type[BaseModel], Mapping[str, Any]], Iterable[str]]
"""Yields problems of a file with a type of spec and these fields, valid or not."""

FOLDERS: dict[type[BaseModel], str] = {
    Recipe: "submissions",
    RecipeFamily: "submissions/families",
    Task: "tasks",
    Suite: "tasks/suites",
    Corpus: "tasks/corpora",
}

USES: dict[type[BaseModel], str] = {
    Recipe: "is a recipe; give it to --recipe",
    RecipeFamily: "is a family of recipes; give its file to --recipe for all of them, or the name of one",
    Suite: "is a suite; give it to --suite",
    Task: "is a task; name it in a suite, under 'tasks'",
    Corpus: "is a parallel corpus; name it in a suite or recipe, under 'parallel'",
    Lock: "is the lock of a suite; give the suite's own file",
}
"""What a file of each type is, and where its name belongs."""

SUFFIXES = (".yaml", ".yml")

_DATA: dict[ShippedFormat, tuple[str, str]] = {
    "conllu": ("CoNLL-U", "task"),
    "conll": ("CoNLL columns", "task"),
    "jsonl": ("JSON Lines", "task"),
    "csv": ("CSV", "task"),
    "tsv": ("TSV", "task"),
    "parquet": ("Parquet", "task"),
    "tmx": ("TMX", "corpus"),
}
"""Format of data that are given in place of a spec -> its title, and the type of spec that names such data."""

LARGEST_FILE = 2**20
"""Bytes; twenty times the largest shipped file, a lock."""


def load_spec(path: Path, model: type[AnySpec]) -> AnySpec:
    """Read one YAML file as `model`.

    Raises:
        UserError: the file can't be read or parsed, is a spec of another type, or does not fit the model. The message
            has one line per problem, `file:line: field: what is wrong`.
    """
    content, written, twice = _read(path)
    problems: list[tuple[int, Where, Callable[[], str]]]
    problems = [(line, where, lambda: "is given twice; keep one") for where, line in twice]
    try:
        spec = model.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        if is_another_type(content, model):
            raise UserError(f"{path}: {USES[guess_type(content)]}") from None
        for where, say in explain(error, model, written).items():
            nearest = next(where[:n] for n in range(len(where), -1, -1) if where[:n] in written)
            problems.append((written[nearest].line, where, say))
    if problems:
        problems.sort(key=lambda problem: problem[:2])
        shown = problems[:MOST_PROBLEMS]
        lines: list[str] = [f"{path}:{line}: {_dotted(where)}: {say()}" for line, where, say in shown]
        raise UserError("\n".join([*lines, *count_further_problems(str(path), len(problems))]))
    return spec


def guess_type(fields: Collection[str]) -> type[BaseModel]:
    """Return the type of spec that has most of these fields and, among those, lacks fewest required ones."""
    return max(USES, key=lambda model: _fit(model, fields))


def is_another_type(fields: Collection[str], model: type[BaseModel]) -> bool:
    """Return whether fields are clearly those of another type of spec than `model`."""
    guess = guess_type(fields)
    (known, _), (known_here, _) = _fit(guess, fields), _fit(model, fields)
    # Nearly every spec has the few fields that a recipe must have.
    return guess is not model and known > 0 and (known > known_here or guess is not Recipe)


def read_fields(path: Path) -> dict[str, Any]:
    """Read the fields of a spec without validating them.

    Raises:
        UserError: the file can't be read or parsed, or is not a mapping.
    """
    fields: dict[str, Any] = _read(path).content
    return fields


def shipped_names(model: type[BaseModel]) -> list[str]:
    """Return the names of all shipped specs of this model; recipes include those of families."""
    names = _shipped_files(model)
    return sorted([*names, *family_recipes()] if model is Recipe else names)


def _shipped_files(model: type[BaseModel]) -> list[str]:
    """Return the names of specs with a shipped file; families, which take long to read, are not looked into."""
    return [path.stem for path in shipped_folder(model).glob("*.yaml") if not path.name.endswith(LOCK_SUFFIX)]


@cache
def _families() -> Mapping[Path, RecipeFamily]:
    """Return the shipped families by their files."""
    files = [shipped_folder(RecipeFamily) / f"{name}.yaml" for name in shipped_names(RecipeFamily)]
    return {file: load_spec(file, RecipeFamily) for file in files}


@cache
def family_recipes() -> Mapping[str, tuple[Recipe, Path]]:
    """Return the recipes of the shipped families: name -> the recipe and its family's file."""
    return {recipe.name: (recipe, file) for file, family in _families().items() for recipe in family.recipes}


def find_spec(name_or_file: str, model: type[AnySpec]) -> AnySpec:
    """Load a shipped spec by name, or a YAML file if the argument contains a '/' or ends in .yaml or .yml.

    Raises:
        UserError: there is no such spec (with the nearest names), or it is invalid. The message has one line per
            problem.
    """
    if model is Recipe and name_or_file not in _shipped_files(model) and name_or_file in family_recipes():
        return family_recipes()[name_or_file][0]  # type: ignore[return-value]
    return _load_named(find_spec_file(name_or_file, model), model)


def shipped_suite_name(suite: Suite) -> str | None:
    """Return the name to give to --suite for a suite of this version, or None if it is not shipped.

    The latest version is shipped under the suite's name, an earlier one as `NAME-VERSION`.
    """
    names = [name for name in (suite.name, f"{suite.name}-{suite.version}") if name in shipped_names(Suite)]
    return next((name for name in names if find_spec(name, Suite).version == suite.version), None)


def find_spec_file(name_or_file: str, model: type[BaseModel]) -> Path:
    """Return the file of the spec that `find_spec` loads; of a family's recipe, the family's file.

    Raises:
        UserError: no spec of that name is shipped.
    """
    if "/" in name_or_file or name_or_file.endswith(SUFFIXES) or _data_format(Path(name_or_file)) is not None:
        return Path(name_or_file)
    if name_or_file in _shipped_files(model):
        return shipped_folder(model) / f"{name_or_file}.yaml"
    if model is Recipe and name_or_file in family_recipes():
        return family_recipes()[name_or_file][1]
    if model is Recipe and (family := next((f for f in _families().values() if f.placeholder == name_or_file), None)):
        raise UserError(
            f"'{name_or_file}' stands for {len(family.recipes)} recipes, one for each published subset. Name one, such "
            f"as {family.recipes[-1].name}; `xrealign-bench list recipes --json` has all"
        )
    own = [path for path in Path().glob("*.y*ml") if path.stem == name_or_file and path.suffix in SUFFIXES]
    if own:
        raise UserError(
            f"'{name_or_file}' is not a shipped {model.__name__.lower()}; for the file in this folder, write {own[0]}"
        )
    for other in FOLDERS:
        if name_or_file in shipped_names(other):
            near = nearest(name_or_file, shipped_names(model))
            hint = f". Or did you mean the {model.__name__.lower()} {' or '.join(near)}?" if near else ""
            raise UserError(f"'{name_or_file}' {USES[other]}{hint}")
    raise unknown(model.__name__.lower(), name_or_file, shipped_names(model), sorted(_shipped_files(model)))


def collect_spec(
    path: Path, model: type[AnySpec], problems: Problems, check: Check = lambda path, model, fields: ()
) -> AnySpec | None:
    """Load a spec and add its problems.

    Args:
        path: the spec's file.
        model: the spec's type.
        problems: where to add problems, a line each.
        check: finds problems beyond those of the schema, in an invalid file, too.

    Returns:
        The spec, or None if the file does not fit the model.
    """
    spec = problems.attempt(partial(load_spec, path, model))
    fields = _fields_of(path, model) if spec is None else spec.model_dump(mode="json")
    problems.add(_name_problems(path, fields))
    problems.add(check(path, model, fields))
    return spec


def collect_recipes(
    name_or_file: str, problems: Problems, check: Check = lambda path, model, fields: ()
) -> tuple[list[Recipe], Path | None]:
    """Load the recipe of that name or file, or all recipes of a family's file, and add their problems.

    Returns:
        The recipes, and the file that they come from; no recipe if it is unknown or invalid.
    """
    path = problems.attempt(partial(find_spec_file, name_or_file, Recipe))
    if path is None:
        return [], None
    if not _is_family(path):
        recipe = collect_spec(path, Recipe, problems, check)
        return ([] if recipe is None else [recipe]), path
    family = collect_spec(path, RecipeFamily, problems, check)
    recipes = [] if family is None else family.recipes
    return [recipe for recipe in recipes if recipe.name == name_or_file] or recipes, path


def _is_family(path: Path) -> bool:
    try:
        return guess_type(read_fields(path)) is RecipeFamily
    except UserError:
        return False  # loading it as a recipe reports the problem


def _fields_of(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of an invalid file; none if it can't be read or is a spec of another type."""
    try:
        fields = read_fields(path)
    except UserError:
        return {}
    return {} if is_another_type(fields, model) else fields


def _name_problems(path: Path, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if a file is not named after its spec: specs are found, and results kept, by that name.

    The file of a suite may also have its version in its name, so that several versions can lie side by side.
    """
    name = fields.get("name")  # a lock has none
    if isinstance(name, str) and path.stem not in (name, f"{name}-{fields.get('version')}") and path.suffix in SUFFIXES:
        place = place_of(path, ("name",))
        yield f"{place}: is '{shorten(name)}', but the file is called {path.name}; give both the same name"


def file_in_suite(name: str, model: type[Data], suite: str) -> Path:
    """Return the file of a task or corpus that a suite names: in the folder of the suite's file, else the shipped one.

    Args:
        name: name of the task or corpus.
        model: `Task` or `Corpus`.
        suite: name or file of the suite.

    Raises:
        UserError: there is no such task or corpus, or it is named by its file.
    """
    own = Path(suite).parent / f"{name}.yaml" if suite.endswith(SUFFIXES) else None
    if own is not None and own.is_file():
        return own
    if name.endswith(SUFFIXES):
        raise UserError(
            f"'{name}' is a file; name tasks and corpora by their name, here '{Path(name).stem}': they are looked up "
            "in the suite's folder"
        )
    try:
        return find_spec_file(name, model)
    except UserError as error:
        if own is None:
            raise
        raise UserError(f"{error}. There is no {own} either; put your own {model.__name__.lower()} there") from None


def find_in_suite(name: str, model: type[Data], suite: str) -> Data:
    """Load a task or corpus that a suite names: from the folder of the suite's file, else the shipped one.

    Args:
        name: name of the task or corpus.
        suite: name or file of the suite.

    Raises:
        UserError: there is no such spec, or it is invalid.
    """
    return _load_named(file_in_suite(name, model, suite), model)


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
    """Return the folder of shipped YAML of a type of spec."""
    return shipped_root() / FOLDERS[model]


def shipped_root() -> Path:
    """Return the folder of shipped files: inside the package if installed from a wheel, around it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent


def _load_named(path: Path, model: type[AnySpec]) -> AnySpec:
    """Load a spec whose file is named after it."""
    problems = Problems()
    spec = collect_spec(path, model, problems)
    problems.raise_if_any()
    assert spec is not None
    return spec


def _fit(model: type[BaseModel], fields: Collection[str]) -> tuple[int, int]:
    """Return how many of the fields a type of spec has, and minus the number of required fields that are missing."""
    names = {"task_type" if name == "kind" else name for name in fields}  # `kind` is a task's old name for it
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    known = len(names & model.model_fields.keys())
    return known, -len(required - names) if known else 0


def _data_format(path: Path) -> ShippedFormat | None:
    """Return the format of a file that its suffix shows to be data and no spec."""
    found = FORMATS.get(Path(path.name.lower().removesuffix(".gz")).suffix)
    return found if found in _DATA else None


def _read(path: Path) -> Document:
    if (data_format := _data_format(path)) is not None and path.is_file():
        title, model = _DATA[data_format]
        raise UserError(
            f"{path}: is data ({title}), not a spec; write a {model} whose source names it: xrealign-bench new {model}"
        )
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
    check_schema(text, path)
    document = read_yaml(text, str(path))
    if not isinstance(document.content, dict):
        raise UserError(f"{path}:1: must be a mapping of fields such as 'name: ...'")
    return document


def _dotted(where: Where) -> str:
    return shorten(".".join(where)) or "the file"
