"""Manifests. Truth: bytes, sizes and digests on disk, and damage done to them here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.builder import write_system
from tests.small import command, damage
from xrealign_bench.errors import UserError
from xrealign_bench.results.history import History
from xrealign_bench.results.manifest import MANIFEST, check_folder, seal
from xrealign_bench.results.rescoring import rescore
from xrealign_bench.results.storage import (
    find_results,
    read_checked,
    read_comparison,
    read_history,
    read_result,
    write_comparison,
    write_history,
    write_result,
)
from xrealign_bench.scoring.compare import compare
from xrealign_bench.scoring.recompute import recompute

CODES = ("en", "de", "fr", "th", "sw")
PLACE = Path("toy-1.0", "mini")
NAMES = ("comparison.json", "history.json", "predictions-tags.parquet", "result.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two recipes and their baseline, with comparisons; one has a history. Copy them before changing any."""
    root = tmp_path_factory.mktemp("whole") / "results"
    words = {"full": [1, 1, 0, 1], "half": [1, 0, 0, 1], "finetune-only": [0, 1, 0, 0]}
    for recipe, right in words.items():
        examples = [right, right[::-1], [right[1], 1, 0, right[2]]]
        cells = {("tags", code, seed): examples for code in CODES for seed in (1, 2)}
        write_system(root / PLACE / recipe, cells, recipe=recipe)
    for recipe in ("full", "half"):
        folder, baseline = root / PLACE / recipe, root / PLACE / "finetune-only"
        write_comparison(folder, compare(folder, baseline, resamples=100))
    write_history(root / PLACE / "full", History())
    return root


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "results"))


@pytest.fixture
def folder(results: Path) -> Path:
    return results / PLACE / "full"


def test_every_file_is_named_with_size_digest_and_schema_version(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    versions = {"comparison.json": 3, "history.json": 2, "result.json": 3}
    assert manifest == {
        "schema_version": 1,
        "files": [
            {
                "name": name,
                "bytes": (folder / name).stat().st_size,
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
                "schema_version": versions.get(name),
            }
            for name in NAMES
        ],
    }
    check_folder(folder)
    before = (folder / MANIFEST).read_bytes()
    seal(folder)
    assert (folder / MANIFEST).read_bytes() == before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def link(path: Path) -> None:
    """Replace a file by a link to a file with the same bytes."""
    path.rename(path.parents[3] / "elsewhere")
    path.symlink_to(path.parents[3] / "elsewhere")


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parents[3] / "nowhere")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "a flipped byte": (flip, "so it was changed"),
    "a cut file": (cut, f"but {MANIFEST} says "),
    "a file of zeros": (zero, "so it was changed"),
    "no file": (Path.unlink, "is missing. Restore it or evaluate again"),
    "a link": (link, "is a symbolic link. Replace it by the file"),
    "a dangling link": (dangle, "is a symbolic link. Replace it by the file"),
    "a folder": (make_folder, "is not a file. Restore it or evaluate again"),
}
READ: dict[str, Callable[[Path], object]] = {
    "comparison.json": read_comparison,
    "history.json": read_history,
    "predictions-tags.parquet": rescore,
    "result.json": read_result,
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told_with_the_files_name(folder: Path, name: str, spoil: Callable[[Path], None], said: str) -> None:
    spoil(folder / name)
    for read in (READ[name], check_folder, rescore):
        with pytest.raises(UserError) as caught:
            read(folder)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{folder / name}: ") and said in line


@pytest.mark.parametrize("name", ["run.sh", "predictions-more.parquet", "sub/result.json"])
def test_a_file_that_was_added_is_no_part_of_the_result(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    for read in (check_folder, rescore):
        with pytest.raises(UserError, match=f"^{folder / name.split('/')[0]}: is not in {MANIFEST}, so it is not part"):
            read(folder)
    assert read_result(folder).recipe.name == "full"  # which none of it reaches


def test_a_comparison_that_was_added_is_refused_where_it_would_be_read(folder: Path) -> None:
    (folder / "comparison.json").unlink()
    seal(folder)
    assert read_comparison(folder) is None
    shutil.copyfile(folder.with_name("half") / "comparison.json", folder / "comparison.json")
    with pytest.raises(UserError, match=f"comparison.json: is not in {MANIFEST}"):
        read_comparison(folder)


@pytest.mark.parametrize("name", ["comparison.json", "predictions-tags.parquet", "result.json", MANIFEST])
def test_another_results_file_is_told(folder: Path, name: str) -> None:
    shutil.copyfile(folder.with_name("half") / name, folder / name)
    with pytest.raises(UserError) as caught:
        check_folder(folder)
    told = str(caught.value).splitlines()
    assert told and all(str(folder) in line for line in told)
    assert name == MANIFEST or [line.split(": ")[0] for line in told] == [str(folder / name)]


def test_everything_is_told_at_once(folder: Path) -> None:
    flip(folder / "result.json")
    (folder / "comparison.json").unlink()
    (folder / "run.sh").touch()
    with pytest.raises(UserError) as caught:
        check_folder(folder)
    told = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert told == [str(folder / name) for name in ("comparison.json", "result.json", "run.sh")]


def outside(content: Any) -> None:
    content["files"][0]["name"] = "../half/comparison.json"


def absolute(content: Any) -> None:
    content["files"][0]["name"] = "/etc/passwd"


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda path: path.write_text("{"),
    "not UTF-8": lambda path: path.write_bytes(b'{"files": "\xff"}'),
    "empty": lambda path: path.write_text(""),
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "an unknown field": lambda path: damage(path, lambda content: content.update(colour="red")),
    "an unknown field of a file": lambda path: damage(path, lambda content: content["files"][0].update(mode=7)),
    "a path outside": lambda path: damage(path, outside),
    "an absolute path": lambda path: damage(path, absolute),
    "a newer version": lambda path: damage(path, lambda content: content.update(schema_version=2)),
    "negative bytes": lambda path: damage(path, lambda content: content["files"][0].update(bytes=-1)),
    "too many files": lambda path: damage(path, lambda content: content.update(files=content["files"] * 60)),
    "a file twice": lambda path: damage(path, lambda content: content.update(files=content["files"] * 2)),
    "a key twice": lambda path: path.write_text(path.read_text().replace("{", '{"schema_version": 1, ', 1)),
    "a link": link,
}


@pytest.mark.parametrize("spoil", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_can_not_be_read_is_told(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / MANIFEST)
    for read in (read_result, check_folder, rescore):
        with pytest.raises(UserError) as caught:
            read(folder)
        (line,) = str(caught.value).splitlines()
        assert line.startswith((f"{folder / MANIFEST}: ", f"{folder / MANIFEST}:1: "))
        assert len(line) < len(str(folder)) + 350 and "Input should" not in line


def test_predictions_are_those_that_the_result_names(folder: Path) -> None:
    """This holds even if the manifest was rewritten after the change."""
    path = next(folder.glob("predictions-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    seal(folder)
    with pytest.raises(UserError, match=f"{path.name}: is not the file that the scores in result.json were computed"):
        read_checked(folder)
    path.unlink()
    seal(folder)
    with pytest.raises(UserError, match=f"{path.name}: is not the file that the scores in result.json were computed"):
        read_checked(folder)


def test_a_link_to_a_folder_is_named_and_not_passed_over(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert folder in find_results(folder.parent)
    with pytest.raises(UserError, match=f"{folder.name}: is a symbolic link"):
        check_folder(folder)


def test_a_recipe_that_is_not_the_one_of_its_digest_is_told(folder: Path) -> None:
    result = read_result(folder)
    write_result(folder, result.model_copy(update={"recipe": result.recipe.model_copy(update={"title": "Another"})}))
    with pytest.raises(UserError, match="its recipe is not that of its recipe_digest"):
        recompute(folder)


def test_without_a_manifest_a_remedy_is_named(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    for read in (read_result, check_folder, rescore):
        with pytest.raises(UserError, match=f"has no {MANIFEST}.*leaderboard recompare {folder}': it checks"):
            read(folder)


def test_what_an_interrupted_write_leaves_is_no_part_and_no_fault(folder: Path) -> None:
    (folder / ".result.json.x.tmp").write_text("{")
    check_folder(folder)


@pytest.mark.parametrize("words", [["build"], ["site"]], ids=["build", "site"])
def test_a_board_names_what_is_damaged_and_shows_the_rest(results: Path, tmp_path: Path, words: list[str]) -> None:
    ran = command("leaderboard", *words, results, "--output", tmp_path / "sound")
    assert (ran.status, ran.err.count("error: ")) == (0, 0), ran.err
    assert shown_on_board(tmp_path / "sound") == {"finetune-only", "full", "half"}
    half, full = results / PLACE / "half", results / PLACE / "full"
    flip(half / "predictions-tags.parquet")  # which a board does not read
    (full / "result.json").unlink()  # what is left is still a result's
    ran = command("leaderboard", *words, results, "--output", tmp_path / "out")
    assert ran.status == 1
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert errors[0].startswith(f"error: {full / 'result.json'}: is missing")
    assert errors[1].startswith(f"error: {half / 'predictions-tags.parquet'}: its sha256 is")
    assert "2 results left out" in ran.err
    assert shown_on_board(tmp_path / "out") == {"finetune-only"}


def shown_on_board(out: Path) -> set[str]:
    rows = json.loads((out / "toy-1.0" / "leaderboard.json").read_text())["rows"]
    return {row["recipe"] for row in rows}


def test_a_board_of_nothing_but_damage_is_refused_and_names_it(results: Path, tmp_path: Path) -> None:
    for path in results.rglob("result.json"):
        cut(path)
    ran = command("leaderboard", "build", results, "--output", tmp_path / "out")
    assert ran.status == 2 and ran.err.count("result.json: has ") == 3
    assert "contains no results to show" in ran.err
    assert not (tmp_path / "out").exists()
