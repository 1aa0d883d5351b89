"""Write the JSON Schemas of specs, results, comparisons, analyses and boards to schemas/, and name them in YAML.

    python scripts/write_schemas.py           # after a change of a model
    python scripts/write_schemas.py --check   # write nothing; exit with status 1 if a file differs

Schemas are of draft 7, the newest that every editor reads. They allow what the models allow and, where a rule relates
several fields, a little more: `xrealign-bench validate` checks those rules. A schema of an earlier version stays.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from xrealign_bench.leaderboard.board_file import BoardFile
from xrealign_bench.results.analysis_files import AnalysisRecord
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.result import Result
from xrealign_bench.specs import Task
from xrealign_bench.specs.docstrings import docstring_of, docstrings_of
from xrealign_bench.specs.lock import LOCK_SUFFIX
from xrealign_bench.specs.schema_comment import FOLDER, SCHEMAS, set_schema
from xrealign_bench.specs.yaml import FOLDERS

ROOT = Path(__file__).parent.parent
STORED = {"result": Result, "comparison": Comparison, "board": BoardFile, "analysis": AnalysisRecord}
"""Formats with a field `schema_version`."""
ALL: Mapping[str, tuple[type[BaseModel], int]] = {
    **{name: (model, version) for model, (name, version) in SCHEMAS.items()},
    **{name: (model, model.model_fields["schema_version"].default) for name, model in STORED.items()},
}
"""Name -> model and version."""


class _Draft7(GenerateJsonSchema):
    """Schemas of draft 7, with the docstrings of models and fields as descriptions."""

    schema_dialect = "http://json-schema.org/draft-07/schema#"

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made, model = super().model_schema(schema), schema["cls"]
        made["description"] = docstring_of(model).split("\n\n")[0]
        for name, text in docstrings_of(model).items():
            if name in made.get("properties", {}):
                made["properties"][name]["description"] = " ".join(text.split())
        if model is Task:
            _allow_old_name(made)
        return made

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        made = super().tuple_schema(schema)
        return {("items" if key == "prefixItems" else key): value for key, value in made.items()}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return made | ({"additionalProperties": False} if "patternProperties" in made else {})

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Require the tag, also where a model has a default for it: pydantic does."""
        made = super().tagged_union_schema(schema)
        if (tag := made.pop("discriminator", {}).get("propertyName")) is not None:
            made |= {"type": "object", "required": [tag]}
        return made


def _allow_old_name(task: JsonSchemaValue) -> None:
    """Allow `kind`, the first name of `task_type`."""
    task["properties"]["kind"] = task["properties"]["task_type"] | {"deprecated": True, "title": "Kind"}
    task["required"].remove("task_type")
    task["oneOf"] = [{"required": ["task_type"]}, {"required": ["kind"]}]


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of a format."""
    model, version = ALL[name]
    made = model.model_json_schema(by_alias=False, schema_generator=_Draft7)
    return {
        "$schema": _Draft7.schema_dialect,
        "$id": f"urn:xrealign-bench:schema:{name}:{version}",
        "title": f"xrealign-bench {name.replace('-', ' ')}, version {version}",
        **{key: value for key, value in made.items() if key != "title"},
    }


def files() -> Iterator[tuple[Path, str]]:
    """Yield every file that this script writes, and its text."""
    for name, (_, version) in ALL.items():
        yield ROOT / FOLDER / f"{name}-{version}.json", json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n"
    for model, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).glob("*.yaml")):
            if not path.name.endswith(LOCK_SUFFIX):
                up = "../" * len(Path(folder).parts)
                yield path, set_schema(path.read_text(encoding="utf-8"), model, f"{up}{FOLDER}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="Write nothing; exit with status 1 if a file differs.")
    check = parser.parse_args().check
    changed = [(path, text) for path, text in files() if not path.is_file() or path.read_text("utf-8") != text]
    for path, text in changed:
        print(f"{path.relative_to(ROOT)}: {'differs' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    sys.exit(check and bool(changed))


if __name__ == "__main__":
    main()
