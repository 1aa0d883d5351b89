"""The comment with which a YAML file names its JSON Schema, for editors with the YAML language server.

A schema's version increases with the first change of its fields after a release. So a file that names a newer schema
than this package has is refused with that reason, instead of an unknown field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from xrealign_bench import __version__
from xrealign_bench.errors import UserError
from xrealign_bench.specs.data import Corpus
from xrealign_bench.specs.family import RecipeFamily
from xrealign_bench.specs.recipe import Recipe
from xrealign_bench.specs.suite import Suite
from xrealign_bench.specs.task import Task

SCHEMAS: Mapping[type[BaseModel], tuple[str, int]] = {
    Recipe: ("recipe", 1),
    RecipeFamily: ("recipe-family", 1),
    Task: ("task", 1),
    Corpus: ("corpus", 1),
    Suite: ("suite", 1),
}
"""Type of spec -> name and version of its schema."""

FOLDER = "schemas"
_COMMENT = re.compile(r"# yaml-language-server: \$schema=(\S*?(?P<name>[a-z-]+)-(?P<version>[0-9]{1,4})\.json)\r?\n")


def schema_file(model: type[BaseModel]) -> str:
    """Return the file name of the schema of a type of spec, such as `recipe-1.json`."""
    name, version = SCHEMAS[model]
    return f"{name}-{version}.json"


def set_schema(text: str, model: type[BaseModel], folder: str) -> str:
    """Return a YAML file's text with the comment that names its schema in its first line.

    Args:
        folder: the schemas' folder, relative to the file's own.
    """
    comment = f"# yaml-language-server: $schema={folder}/{schema_file(model)}\n"
    return comment + (text[found.end() :] if (found := _COMMENT.match(text)) else text)


def named_schema(text: str) -> str | None:
    """Return the path that a YAML file's first line names as its schema."""
    found = _COMMENT.match(text)
    return found[1] if found else None


def check_schema(text: str, path: Path) -> None:
    """Check that a YAML file does not name a newer schema than this package has.

    Raises:
        UserError: it does.
    """
    found = _COMMENT.match(text)
    known = dict(SCHEMAS.values()).get(found["name"]) if found else None
    if found and known and int(found["version"]) > known:
        raise UserError(
            f"{path}:1: names version {int(found['version'])} of the schema '{found['name']}', but xrealign-bench "
            f"{__version__} reads versions up to {known}. Install a newer xrealign-bench, or correct the line"
        )
