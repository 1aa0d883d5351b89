"""Write a commented YAML file to start a recipe, task, corpus or suite from (the command `new`).

The file's JSON Schema is copied to `schemas/` beside it, so that editors find it without a network and wherever this
package is installed.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from xrealign_bench.errors import UserError, convert_os_errors, shorten
from xrealign_bench.files import write_atomically
from xrealign_bench.specs.data import Corpus
from xrealign_bench.specs.fields import Name
from xrealign_bench.specs.recipe import Recipe
from xrealign_bench.specs.schema_comment import FOLDER, schema_file, set_schema
from xrealign_bench.specs.suite import Suite
from xrealign_bench.specs.task import Task
from xrealign_bench.specs.yaml import shipped_names, shipped_root

MODELS: dict[str, type[BaseModel]] = {"suite": Suite, "task": Task, "corpus": Corpus, "recipe": Recipe}
_TEMPLATES = Path(__file__).parent / "templates"


def write_template(spec_type: str, name: str, folder: Path) -> Path:
    """Write a template to `folder/name.yaml`, with its schema below `folder/schemas`, and return the template's path.

    Raises:
        UserError: the name is not allowed or is that of a shipped spec, or the file exists or can't be written.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"'{shorten(name)}' is no name of a {spec_type}; use at most 80 lower-case letters, digits, '-' and '.'"
        ) from None
    if name.endswith((".yaml", ".yml")):
        raise UserError(f"'{shorten(name)}' is the name of a file; leave out '{Path(name).suffix}'")
    model = MODELS[spec_type]
    if name in shipped_names(model):
        raise UserError(f"'{name}' is the name of a shipped {spec_type}; choose another name")
    path = folder / f"{name}.yaml"
    text = (_TEMPLATES / f"{spec_type}.yaml").read_text(encoding="utf-8").replace("$NAME", name)
    schema = schema_file(model)
    with convert_os_errors(str(path), "choose another folder with --output"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(set_schema(text, model, FOLDER))
        except FileExistsError:
            raise UserError(f"{path}: exists already; choose another name, or another folder with --output") from None
        write_atomically(folder / FOLDER / schema, (shipped_root() / FOLDER / schema).read_bytes())
    return path
