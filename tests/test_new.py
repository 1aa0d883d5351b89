"""`new`: files to start from. Truth: the schemas, and what `validate` says of the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tests.small import Ran, command
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, load_spec
from xrealign_bench.specs.new import MODELS
from xrealign_bench.specs.recipe import NamedBlocks


@pytest.mark.parametrize("spec_type", MODELS)
def test_a_new_file_is_a_valid_spec_of_its_type(tmp_path: Path, spec_type: str) -> None:
    ran = command("new", spec_type, "my-own", "--output", tmp_path / "study")
    path = tmp_path / "study" / "my-own.yaml"
    assert ran == Ran(0, f"{path}\n", "")
    spec = load_spec(path, MODELS[spec_type])  # type: ignore[type-var]
    assert isinstance(spec, Recipe | Task | Corpus | Suite) and spec.name == "my-own"
    assert "$" not in path.read_text().partition("\n")[2]


@pytest.mark.parametrize("spec_type", MODELS)
def test_every_commented_field_is_one_of_the_type(tmp_path: Path, spec_type: str) -> None:
    command("new", spec_type, "my-own", "--output", tmp_path)
    fields = re.findall(r"^# ([a-z_]+): ", (tmp_path / "my-own.yaml").read_text(), re.MULTILINE)
    assert fields and not set(fields) - set(MODELS[spec_type].model_fields)


def test_commented_fields_of_a_suite_have_valid_values_that_are_not_the_default(tmp_path: Path) -> None:
    command("new", "suite", "my-own", "--output", tmp_path)
    path = tmp_path / "my-own.yaml"
    text = path.read_text()
    fields = re.findall(r"^# ([a-z_]+): ", text, re.MULTILINE)
    path.write_text(re.sub(r"^# ([a-z_]+: )", r"\1", text, flags=re.MULTILINE))
    spec = load_spec(path, Suite)
    assert "long_sentences" in fields
    assert all(getattr(spec, field) != Suite.model_fields[field].default for field in fields)


@pytest.mark.parametrize("blocks", get_args(NamedBlocks))
def test_a_new_recipe_names_selections_of_blocks_that_are_valid(tmp_path: Path, blocks: str) -> None:
    command("new", "recipe", "mine", "--output", tmp_path)
    (line,) = re.findall(r"^  blocks: .*$", (tmp_path / "mine.yaml").read_text(), re.MULTILINE)
    assert blocks in line and "all," not in line


def test_a_new_recipe_is_good_at_once(tmp_path: Path) -> None:
    command("new", "recipe", "mine", "--output", tmp_path)
    assert command("validate", tmp_path / "mine.yaml") == Ran(0, f"{tmp_path}/mine.yaml: a good recipe\n", "")


def test_a_new_suite_says_what_to_replace(tmp_path: Path) -> None:
    command("new", "suite", "mine", "--output", tmp_path)
    ran = command("validate", tmp_path / "mine.yaml")
    assert ran.status == 2
    assert "mine.yaml:12: tasks.0: unknown task 'my-task'" in ran.err
    command("new", "task", "my-task", "--output", tmp_path)
    ran = command("validate", tmp_path / "mine.yaml")
    assert ran.out == f"{tmp_path}/mine.yaml: a valid suite, with problems in its data\n"
    assert f"{tmp_path}/data/fo-test.conllu: no such file; put it there or correct 'source.test'" in ran.err


REFUSED = {
    ("task", "taken"): "{folder}/taken.yaml: exists already; choose another name, or another folder with --output",
    ("recipe", "My Recipe"): (
        "'My Recipe' is no name of a recipe; use at most 80 lower-case letters, digits, '-' and '.'"
    ),
    ("task", "../x"): "'../x' is no name of a task; use at most 80 lower-case letters, digits, '-' and '.'",
    ("task", "my.yaml"): "'my.yaml' is the name of a file; leave out '.yaml'",
    ("suite", "demo"): "'demo' is the name of a shipped suite; choose another name",
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.items(), ids=[name for _, name in REFUSED])
def test_no_file_is_overwritten_and_no_bad_name_taken(tmp_path: Path, arguments: tuple[str, str], message: str) -> None:
    (tmp_path / "taken.yaml").write_text("mine")
    ran = command("new", *arguments, "--output", tmp_path)
    assert ran == Ran(2, "", f"error: {message.format(folder=tmp_path)}\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"taken.yaml": "mine"}
