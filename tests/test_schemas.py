"""The JSON Schemas of all formats. Truth: jsonschema, which shares no code with pydantic, on shipped and stored files.

tests/specs/old/cldr-phrases.yaml is the task of commit 6c07d17, the last with `kind` for `task_type`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.small import RECIPE, SUITE, TASK, command, write_yaml
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Recipe, Task, digest, find_spec, load_spec
from xrealign_bench.specs.core_schema import read_yaml
from xrealign_bench.specs.lock import LOCK_SUFFIX
from xrealign_bench.specs.new import MODELS
from xrealign_bench.specs.schema_comment import named_schema, set_schema

ROOT = Path(__file__).parent.parent
OLD = ROOT / "tests" / "specs" / "old" / "cldr-phrases.yaml"
SHIPPED = sorted(
    path
    for folder in ("submissions", "tasks")
    for path in (ROOT / folder).rglob("*.yaml")
    if not path.name.endswith(LOCK_SUFFIX)
)
STORED = sorted((ROOT / "leaderboard").rglob("*.json"))


@cache
def schema(path: Path) -> Draft7Validator:
    content = json.loads(path.read_text(encoding="utf-8"))
    Draft7Validator.check_schema(content)
    return Draft7Validator(content)


def problems(path: Path, content: Any) -> Iterator[str]:
    """Yield what a schema of the repository finds: the place and the message."""
    for error in schema(path).iter_errors(content):
        yield f"{error.json_path}: {error.message}"


def problems_of_yaml(path: Path) -> list[str]:
    """Resolve the first line as an editor does, and return what the schema finds."""
    text = path.read_text(encoding="utf-8")
    named = named_schema(text)
    assert named is not None, f"{path} names no schema; run scripts/write_schemas.py"
    return list(problems((path.parent / named).resolve(), read_yaml(text, str(path)).content))


def test_committed_schemas_and_comments_are_what_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write_schemas.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run scripts/write_schemas.py"


def test_every_schema_has_an_id_with_its_version() -> None:
    ids = {path.name: json.loads(path.read_text())["$id"] for path in (ROOT / "schemas").iterdir()}
    names = ("recipe", "recipe-family", "task", "corpus", "suite", "result", "comparison", "board", "analysis")
    assert {name.rpartition("-")[0] for name in ids} == set(names)
    for file, found in ids.items():
        name, _, version = file.removesuffix(".json").rpartition("-")
        assert found == f"urn:xrealign-bench:schema:{name}:{version}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_yaml_fits_the_schema_that_it_names(path: Path) -> None:
    assert problems_of_yaml(path) == []


@pytest.mark.parametrize("spec_type", MODELS)
def test_a_new_file_names_a_schema_that_lies_beside_it(tmp_path: Path, spec_type: str) -> None:
    command("new", spec_type, "mine", "--output", tmp_path)
    path = tmp_path / "mine.yaml"
    named = named_schema(path.read_text())
    assert named is not None
    assert (tmp_path / named).read_bytes() == (ROOT / named).read_bytes()
    assert problems_of_yaml(path) == []


def check_stored(path: Path) -> None:
    content = json.loads(path.read_bytes())
    name = {"leaderboard": "board"}.get(path.stem, path.stem)
    assert list(problems(ROOT / "schemas" / f"{name}-{content['schema_version']}.json", content)) == []


def stored(pattern: str) -> list[Path]:
    return [path for path in STORED if path.match(pattern)]


def smallest_of_each_suite(name: str) -> list[Path]:
    """Return one file of each suite's reported and computed results."""
    groups: dict[tuple[str, bool], list[Path]] = {}
    for path in stored(f"results/*/*/*/{name}.json"):
        groups.setdefault((path.parts[-4], path.parts[-3].endswith("--published")), []).append(path)
    return [min(group, key=lambda path: path.stat().st_size) for group in groups.values()]


SOME = [
    *smallest_of_each_suite("result"),
    *smallest_of_each_suite("comparison"),
    *sorted(stored("*/leaderboard.json"), key=lambda path: path.stat().st_size)[:4],
]


@pytest.mark.parametrize("path", SOME, ids=lambda path: "/".join(path.parts[-3:]))
def test_stored_files_fit_their_schema(path: Path) -> None:
    check_stored(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result", "comparison", "leaderboard"])
def test_every_stored_file_fits_its_schema(name: str) -> None:
    paths = stored(f"{name}.json")
    assert paths
    for path in paths:
        check_stored(path)


UNDERLINED: dict[str, tuple[str, dict[str, Any], Callable[[dict[str, Any]], object], str]] = {
    "a misspelt field": ("recipe", RECIPE, lambda c: c.update(methods="none"), "'methods' was unexpected"),
    "a misspelt value": ("recipe", RECIPE, lambda c: c.update(parallel={"mixing": "robin"}), "'robin' is not one of"),
    "blocks": ("recipe", RECIPE, lambda c: c.update(freeze={"blocks": "lower_hlaf"}), "$.freeze.blocks"),
    "a number in quotes": ("recipe", RECIPE, lambda c: c["schedule"].update(batch_size="4"), "not of type 'integer'"),
    "a version without quotes": ("suite", SUITE, lambda c: c.update(version=1.0), "1.0 is not of type 'string'"),
    "a missing field": ("suite", SUITE, lambda c: c.pop("tasks"), "'tasks' is a required property"),
    "a source without kind": ("task", TASK, lambda c: c.update(source={"dataset": "a/b"}), "$.source"),
    "a task type twice": ("task", TASK, lambda c: c.update(kind="retrieval"), "$"),
    "a bad code": ("task", TASK, lambda c: c.update(configs={"d": "de"}), "$.configs"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "good", "spoil", "expected"), UNDERLINED.values(), ids=UNDERLINED.keys())
def test_a_mistake_is_found_by_the_schema_alone(
    name: str, good: dict[str, Any], spoil: Callable[[dict[str, Any]], object], expected: str
) -> None:
    path, content = ROOT / "schemas" / f"{name}-1.json", json.loads(json.dumps(good))
    assert list(problems(path, content)) == []
    spoil(content)
    found = list(problems(path, content))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize("value", [{"steps": "match_finetuning", "max_length": "match_finetuning"}, {"steps": 5}])
def test_shorthands_fit(value: dict[str, Any]) -> None:
    assert list(problems(ROOT / "schemas" / "recipe-1.json", RECIPE | {"schedule": value})) == []


def test_fields_are_described_by_their_docstrings() -> None:
    """Editors show these on hover."""
    properties = json.loads((ROOT / "schemas" / "recipe-1.json").read_text())["properties"]
    assert properties["initialisation"]["description"].startswith("`random` discards the checkpoint's weights")


def test_a_task_of_the_first_format_loads_and_fits() -> None:
    old, now = load_spec(OLD, Task), find_spec("cldr-phrases", Task)
    assert "\nkind: token_classification" in OLD.read_text() and old.task_type == "token_classification"
    assert digest(old) == digest(now)
    assert list(problems(ROOT / "schemas" / "task-1.json", read_yaml(OLD.read_text(), "old").content)) == []


def test_a_newer_file_is_refused_with_the_version(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "mine.yaml", RECIPE | {"a_field_of_tomorrow": 1})
    newer = set_schema(path.read_text(), Recipe, "schemas").replace("recipe-1.json", "recipe-2.json")
    path.write_text(newer)
    with pytest.raises(UserError) as caught:
        load_spec(path, Recipe)
    said = str(caught.value)
    assert said.startswith(f"{path}:1: names version 2 of the schema 'recipe', but xrealign-bench ")
    assert said.endswith(" reads versions up to 1. Install a newer xrealign-bench, or correct the line")
    assert command("validate", path).status == 2
    path.write_text(newer.replace("recipe-2.json", "elsewhere-2.json"))  # no schema of ours
    with pytest.raises(UserError, match="a_field_of_tomorrow: no such field"):
        load_spec(path, Recipe)


def test_the_comment_is_set_once_and_changes_no_digest(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "mine.yaml", RECIPE)
    plain, text = load_spec(path, Recipe), path.read_text()
    once = set_schema(text, Recipe, "../schemas")
    assert once == "# yaml-language-server: $schema=../schemas/recipe-1.json\n" + text
    assert set_schema(once, Recipe, "elsewhere") == once.replace("../schemas", "elsewhere")
    path.write_text(once)
    assert digest(load_spec(path, Recipe)) == digest(plain)
