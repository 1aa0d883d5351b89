"""Submissions that someone has tampered with. Truth: the shipped baseline of the demo suite, which passes as it is,
with one thing spoilt in it; and files that an attacker's code would have left behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.small import command
from tests.test_submit import DEMO, FILE, RECIPE, SHIPPED, change
from xrealign_bench import submit as job
from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file
from xrealign_bench.specs import Recipe
from xrealign_bench.specs.yaml import shipped_folder

BASELINE = "finetune-only"
PREDICTIONS = "predictions-cldr-phrases.parquet"
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The baseline's result, to be submitted by itself: it is computed again but compared with nothing.

    Without its history, which is the board's and no part of what is submitted."""
    return copied(tmp_path / "results" / DEMO.id / "xrealign-mini" / BASELINE)


def copied(folder: Path) -> Path:
    own = shutil.ignore_patterns("history.json")
    return shutil.copytree(SHIPPED / BASELINE, folder, ignore=own, dirs_exist_ok=True)


def refused(folder: Path, file: Path | None = None) -> list[str]:
    """What is told: on one line each, with status 2, and nothing written anywhere."""
    top = folder.parents[3]
    before = sorted(top.rglob("*"))
    file = file or shipped_folder(Recipe) / f"{BASELINE}.yaml"
    ran = command("submit", file, "--results", top / "results", "--output", top / "out")
    assert ran.status == 2 and ran.out == "", ran
    assert sorted(top.rglob("*")) == before
    assert ran.err.startswith("error: ") and "Traceback" not in ran.err
    return ran.err.removeprefix("error: ").splitlines()


def told(lines: list[str], *sentences: str) -> bool:
    return all(any(sentence in line for line in lines) for sentence in sentences)


def edit(folder: Path, changes: Callable[[Any], object]) -> list[str]:
    change(folder / "result.json", changes)
    return refused(folder)


def predict(folder: Path, changes: Callable[[pa.Table], pa.Table], record: bool = True) -> None:
    """Change the predictions; and what the result says of the file, as a careful forger would."""
    path = folder / PREDICTIONS
    table = changes(pq.read_table(path))
    pq.write_table(table, path)
    new = {"sha256": sha256_file(path), "rows": table.num_rows}
    if record:
        change(folder / "result.json", lambda content: content["predictions"][0].update(new))


def other_first_label(table: pa.Table) -> pa.Table:
    rows = table["predicted"].to_pylist()
    at = next(n for n, scored in enumerate(table["scored"].to_pylist()) if scored[0])
    rows[at][0] = (rows[at][0] + 1) % 12
    column = table.schema.get_field_index("predicted")
    return table.set_column(column, table.schema.field(column), pa.array(rows, table.schema.field(column).type))


def test_a_changed_score(folder: Path) -> None:
    lines = edit(folder, lambda content: content["scores"][5]["metrics"].update(accuracy=0.99))
    assert len(lines) == 1 and told(lines, "result.json says {'accuracy': 0.99")


def test_a_changed_prediction(folder: Path) -> None:
    predict(folder, other_first_label, record=False)
    assert told(refused(folder), "this is not the file that the scores were computed from")
    predict(folder, lambda table: table)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "the predictions give")


def test_another_suite_digest(folder: Path) -> None:
    lines = edit(folder, lambda content: content.update(suite_digest="0" * 64))
    assert len(lines) == 1 and told(lines, f"its suite's digest is 000000000000, which is not that of {DEMO.id}")


def test_a_missing_language_even_where_nothing_else_is_left_of_it(folder: Path) -> None:
    def drop(content: Any) -> None:
        content["scores"] = [score for score in content["scores"] if score["language"] != "sw"]
        content["languages"] = [language for language in content["languages"] if language["code"] != "sw"]

    change(folder / "result.json", drop)
    predict(folder, lambda table: table.filter(pa.compute.not_equal(table["language"], "sw")))
    lines = refused(folder)
    assert len(lines) == 2
    assert told(lines, "languages not evaluated: sw", f"its languages are not those of {DEMO.id} as this installation")


def test_duplicate_rows(folder: Path) -> None:
    change(folder / "result.json", lambda content: content["scores"].append(content["scores"][0]))
    assert told(refused(folder), "is scored 2 times")
    shutil.copyfile(SHIPPED / BASELINE / "result.json", folder / "result.json")
    predict(folder, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert told(refused(folder), "has an example twice")
    shutil.rmtree(folder)
    for name in "ab":  # of which one would be written over the other
        copied(folder.parents[2] / name / DEMO.id / "xrealign-mini" / BASELINE)
    (folder.parents[2] / "b" / DEMO.id / "xrealign-mini" / BASELINE / PREDICTIONS).unlink()
    assert told(
        refused(folder), f"{DEMO.id}/xrealign-mini/finetune-only: is twice below", "missing; the result's scores"
    )


@pytest.mark.parametrize("path", ["../../../secret.parquet", "/etc/passwd", "predictions-../x.parquet"])
def test_a_path_out_of_the_folder(folder: Path, path: str) -> None:
    lines = edit(folder, lambda content: content["predictions"][0].update(file=path))
    assert len(lines) == 1 and told(lines, "predictions.0.file: String should match pattern")


def test_a_baseline_out_of_the_folder(folder: Path) -> None:
    shutil.copytree(SHIPPED / RECIPE, folder.parent / RECIPE, ignore=shutil.ignore_patterns("history.json"))
    shutil.copytree(SHIPPED / BASELINE, folder.parents[3] / "elsewhere")
    elsewhere = "../../../../elsewhere"
    change(folder.parent / RECIPE / "comparison.json", lambda content: content.update(baseline=elsewhere))
    lines = refused(folder, FILE)
    assert len(lines) == 1 and told(lines, f"is with '{elsewhere}' and not with ../finetune-only beside it")


def test_links_are_not_followed(folder: Path) -> None:
    secret = folder.parents[3] / "secret"
    secret.write_text("secret")
    (folder / "result.json").unlink()
    (folder / "result.json").symlink_to(secret)
    (folder.parent / "linked").symlink_to(folder.parents[3])
    lines = refused(folder)
    assert len(lines) == 2 and told(lines, "result.json: is a link", "linked: is a link")
    file = folder.parents[3] / f"{BASELINE}.yaml"
    file.symlink_to(secret)
    lines = refused(folder, file)
    assert len(lines) == 1 and told(lines, f"{BASELINE}.yaml: is a link")


def test_a_result_in_anothers_place(folder: Path) -> None:
    elsewhere = folder.parent.with_name("xrealign-maxi") / BASELINE
    shutil.move(folder.parent, elsewhere.parent)
    assert told(refused(elsewhere), f"belongs in a folder {DEMO.id}/xrealign-mini")


def test_html_in_a_name(folder: Path) -> None:
    file = folder.parents[3] / f"{BASELINE}.yaml"
    text = (shipped_folder(Recipe) / f"{BASELINE}.yaml").read_text()
    title = next(line for line in text.splitlines() if line.startswith("title: "))
    file.write_text(text.replace(title, f'title: "{MARKUP}"'))
    change(folder / "result.json", lambda content: content["recipe"].update(title=MARKUP))
    change(folder / "result.json", lambda content: content["checkpoint"].update(id=f"a{MARKUP}"))
    assert told(refused(folder, file), f"{BASELINE}.yaml:6: title: has HTML in it")
    assert told(refused(folder), "recipe.title: has HTML")
    change(folder / "result.json", lambda content: content["recipe"].update(title="X"))
    assert told(refused(folder), "checkpoint.id: has HTML")


def test_a_huge_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(folder / PREDICTIONS, job.LARGEST_FILE + 1)  # sparse
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, f"{PREDICTIONS}: has 52,428,801 bytes, more than the 52,428,800")
    os.truncate(folder / "result.json", job.LARGEST_FILE + 1)
    assert told(refused(folder), "result.json: has 52,428,801 bytes")
    shutil.copytree(SHIPPED / BASELINE, folder, dirs_exist_ok=True)
    values = 268_876 * len(DEMO.seeds)  # as many with each seed
    monkeypatch.setattr(job, "LARGEST_VALUES", 1000)  # such as a hundred million times the same, which is small on disk
    assert told(refused(folder), f"{PREDICTIONS}: has {values:,} values, more than the 1,000 that it may have")
    file = folder.parents[3] / f"{BASELINE}.yaml"
    file.write_text("# " + "x" * job.LARGEST_RECIPE)
    assert told(refused(folder, file), f"{BASELINE}.yaml: has 16,386 bytes")


def test_nan(folder: Path) -> None:
    lines = edit(folder, lambda content: content["scores"][5]["metrics"].update(accuracy=float("nan")))
    assert len(lines) == 1 and told(lines, "result.json: is no JSON that can be read: NaN is no number")
    text = (SHIPPED / BASELINE / "result.json").read_text()
    (folder / "result.json").write_text(text.replace('"accuracy": 0.', '"accuracy": 1e999, "x": 0.', 1))
    assert told(refused(folder), "accuracy: Input should be a finite number (given: inf)")


@pytest.mark.parametrize("seeds", [DEMO.seeds[:-1], [*DEMO.seeds, 99]])
def test_a_wrong_list_of_seeds(folder: Path, seeds: list[int]) -> None:
    """Such as the best of them: the board's means are over the list."""
    said, right = (", ".join(map(str, each)) for each in (seeds, DEMO.seeds))
    lines = edit(folder, lambda content: content.update(seeds=seeds))
    assert len(lines) == 1 and told(lines, f"its seeds are {said}, those of {DEMO.id} {right}; evaluate these")


def test_all_of_it_is_told_at_once(folder: Path) -> None:
    def worse(content: Any) -> None:
        content.update(suite_digest="0" * 64, seeds=[31])
        content["checkpoint"]["architecture"] = MARKUP
        content["scores"][5]["metrics"]["accuracy"] = 0.99
        content["scores"].append(content["scores"][0] | {"language": "tlh"})

    lines = edit(folder, worse)
    assert len(lines) == len(set(lines)) == 6
    assert told(
        lines, "suite's digest", "its seeds are 31,", "architecture: has HTML", "the predictions give",
        "tlh 31: has a score and no predictions", f"has scores that {DEMO.id} does not ask for: cldr-phrases tlh 31",
    )  # fmt: skip


class Attack:
    """What a pickle of it runs when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_no_pickle_is_loaded(folder: Path) -> None:
    mark = folder.parents[3] / "ran"
    payload = pickle.dumps(Attack(mark))
    (folder / PREDICTIONS).write_bytes(payload)
    record = {"sha256": sha256_file(folder / PREDICTIONS)}
    change(folder / "result.json", lambda content: content["predictions"][0].update(record))
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, f"{PREDICTIONS}: can't be read as Parquet")
    copied(folder)
    marked = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}

    def pickled(table: pa.Table) -> pa.Table:  # a type that pyarrow before 14.0.1 unpickled
        return table.cast(pa.schema([table.schema.field(0).with_metadata(marked), *list(table.schema)[1:]]))

    predict(folder, pickled)
    (folder / "weights.bin").write_bytes(payload)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "weights.bin: is no part of a result; remove it")
    (folder / "weights.bin").unlink()
    ran = command("rescore", folder)
    assert ran.status == 0, ran.err
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: !!python/object/apply:os.mkdir [{mark}]", "the tag '!!python/object/apply:os.mkdir' is not read here"),
        ("a: &a {{x: 1}}\nb: &b {{<<: [*a, *a]}}\nname: {{<<: [*b, *b]}}", "the alias *a is not read"),
        ("name: " + "[" * 2_000, "is nested more than 40 levels deep"),
    ],
)
def test_yaml_is_parsed_and_no_more(folder: Path, text: str, said: str) -> None:
    mark, file = folder.parents[3] / "ran", folder.parents[3] / f"{BASELINE}.yaml"
    file.write_text(text.format(mark=mark))
    lines = refused(folder, file)
    assert len(lines) == 1 and said in lines[0] and not mark.exists()


def test_json_that_is_nested_too_deeply(folder: Path) -> None:
    (folder / "result.json").write_text("[" * 200_000)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "result.json: is no JSON that can be read")


def test_a_copy_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = folder.parents[3]
    submission = job.Submission(Recipe(name="mine", title="mine"), [folder], {}, [])
    (top / "mine.yaml").write_text("name: mine")
    before = sorted(top.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(shutil, "copytree", full)
        job.write(submission, top / "mine.yaml", top / "out")
    assert sorted(top.rglob("*")) == before
    written = job.write(submission, top / "mine.yaml", top / "out")
    assert [path.relative_to(top / "out").as_posix() for path in written] == [
        "submissions/mine.yaml",
        f"leaderboard/results/{DEMO.id}/xrealign-mini/{BASELINE}",
    ]
    with pytest.raises(UserError, match="is not empty"):
        job.write(submission, top / "mine.yaml", top / "out")


def test_json_of_the_shipped_result_is_what_is_spoilt_here(folder: Path) -> None:
    """Unspoilt it is accepted, so whatever the tests above are told comes of what they changed."""
    job.check(shipped_folder(Recipe) / f"{BASELINE}.yaml", folder.parents[2])
    assert json.loads((folder / "result.json").read_text())["recipe"]["name"] == BASELINE
