"""Errors of YAML files. Truth: the mistakes put into the files of `bad/`; messages were read against them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Corpus, Lock, Recipe, Suite, Task, find_spec, load_spec

BAD = Path(__file__).parent / "bad"
MODELS = {"recipe": Recipe, "task": Task, "suite": Suite, "corpus": Corpus, "lock": Lock}


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_spec(path, MODELS[path.stem.partition("-")[0]])  # type: ignore[type-var]
    return str(caught.value).replace(f"{path.parent}/", "") + "\n"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_problem_is_reported_with_its_line_and_remedy(path: Path) -> None:
    assert message(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_bad_files_and_messages_match_one_to_one() -> None:
    yaml, text = ({path.stem for path in BAD.glob(f"*.{suffix}")} for suffix in ("yaml", "txt"))
    assert yaml == text
    assert len(yaml) > 20


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: can't be read: No such file or directory$"):
        find_spec(str(tmp_path / "none.yaml"), Recipe)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: x\ntitle: \xe9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.yaml: is not UTF-8 text \(byte 15\)$"):
        load_spec(path, Recipe)


def test_a_name_that_is_not_shipped() -> None:
    with pytest.raises(UserError, match="unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front"):
        find_spec("alignfreeze-frnt", Recipe)
