"""Storage of results. Truth: reading returns what was written, and bad files are refused as documented."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.builder import flat, make_result, write_system
from tests.small import forge, seal_bytes
from xrealign_bench.errors import UserError
from xrealign_bench.results.manifest import seal
from xrealign_bench.results.storage import (
    find_results,
    read_comparison,
    read_predictions,
    read_result,
    write_comparison,
    write_result,
    write_text,
)
from xrealign_bench.scoring.compare import compare

SCORES = flat({"en": 0.9, "de": 0.8, "fr": 0.6, "th": 0.5, "sw": None})
RIGHT = {("tags", code, seed): [[1, 0], [1, 1]] for code in ("en", "de", "fr", "th", "sw") for seed in (1, 2)}


@pytest.mark.parametrize("recipe", ["finetune-only", "full"])
def test_round_trip_gives_the_same_result_and_the_same_bytes(tmp_path: Path, recipe: str) -> None:
    result = make_result(SCORES, recipe=recipe)
    path = write_result(tmp_path, result)
    first = path.read_bytes()
    assert read_result(tmp_path) == result
    assert write_result(tmp_path, read_result(tmp_path)).read_bytes() == first


def test_json_has_one_form(tmp_path: Path) -> None:
    text = write_result(tmp_path, make_result(SCORES)).read_text()
    content = json.loads(text)
    assert text == json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_comparison_round_trip_and_absence(tmp_path: Path) -> None:
    for name in ("finetune-only", "full"):
        write_system(tmp_path / name, RIGHT, recipe=name)
    assert read_comparison(tmp_path / "full") is None
    comparison = compare(tmp_path / "full", tmp_path / "finetune-only", resamples=200)
    write_comparison(tmp_path / "full", comparison)
    assert read_comparison(tmp_path / "full") == comparison


def test_unknown_schema_version_is_refused_by_name(tmp_path: Path) -> None:
    path = write_result(tmp_path, make_result(SCORES))
    forge(path, lambda content: content.update(schema_version=7))
    with pytest.raises(
        UserError, match=r"result\.json: schema_version is 7, but .* reads versions up to 3\. Install a newer"
    ):
        read_result(tmp_path)


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    """Both the reader, after checking the digest, and the writer of manifests refuse it."""
    path = write_result(tmp_path, make_result(SCORES))
    seal_bytes(path, b'{\n "suite": ,\n}')
    with pytest.raises(UserError, match=r"result\.json:2: is not JSON"):
        read_result(tmp_path)
    with pytest.raises(UserError, match=r"result\.json: is not a file of a result"):
        seal(tmp_path)


def test_all_wrong_fields_are_told_at_once(tmp_path: Path) -> None:
    path = write_result(tmp_path, make_result(SCORES))

    def wrong(content: Any) -> None:
        del content["seeds"]
        content["colour"] = "red"
        content["scores"][3]["counted"] = "many"

    forge(path, wrong)
    with pytest.raises(UserError) as caught:
        read_result(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert any("seeds: is required and missing" in line for line in lines)
    assert any("colour: no such field" in line for line in lines)
    assert any("scores.3.counted: " in line and "'many'" in line for line in lines)


def test_missing_result_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no result in it"):
        read_result(tmp_path)


def test_result_is_not_written_before_its_predictions(tmp_path: Path) -> None:
    result = write_system(tmp_path / "a", RIGHT)
    with pytest.raises(FileNotFoundError, match="Write the predictions first"):
        write_result(tmp_path / "b", result)
    assert not (tmp_path / "b" / "result.json").exists()


def test_predictions_are_checked_against_their_digest(tmp_path: Path) -> None:
    result = write_system(tmp_path, RIGHT)
    table = read_predictions(tmp_path, result.predictions[0], result.tasks[0])
    assert table.num_rows == 20
    path = tmp_path / result.predictions[0].file
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(UserError, match=r"so it was changed\. Restore it"):
        read_predictions(tmp_path, result.predictions[0], result.tasks[0])
    seal(tmp_path)  # the result still says which file its scores are of
    with pytest.raises(UserError, match=r"not the file that the scores in result\.json were computed from"):
        read_predictions(tmp_path, result.predictions[0], result.tasks[0])
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        read_predictions(tmp_path, result.predictions[0], result.tasks[0])


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_text(tmp_path / "a.txt", "old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_results_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b/y", "a", "b/x"):
        write_result(_made(tmp_path / name), make_result(SCORES))
    assert [path.relative_to(tmp_path).as_posix() for path in find_results(tmp_path)] == ["a", "b/x", "b/y"]
    with pytest.raises(UserError, match="no such folder"):
        find_results(tmp_path / "nowhere")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
