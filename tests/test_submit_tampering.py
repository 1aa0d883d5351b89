"""Submissions that were tampered with. Truth: the shipped baseline of the demo suite, which passes unchanged, with one
thing changed; and files that an attacker's code would have left behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.forger import compare_again, predict, replace_column
from tests.small import command, forge, seal_bytes
from tests.test_submit import DEMO, FILE, RECIPE, SHIPPED, copy, rescored_once  # noqa: F401
from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file
from xrealign_bench.results import manifest
from xrealign_bench.results.corrections import add_event
from xrealign_bench.results.history import HistoryEvent
from xrealign_bench.results.manifest import MANIFEST, seal
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.results.storage import read_result, write_result
from xrealign_bench.scoring.compare import RESAMPLES
from xrealign_bench.specs import Recipe, digest
from xrealign_bench.specs.yaml import shipped_folder
from xrealign_bench.submit.checks import LARGEST_RECIPE, Submission, check_submission
from xrealign_bench.submit.packaging import write_submission
from xrealign_bench.tasks import prediction_tables as tables

BASELINE = "finetune-only"
BASELINE_FILE = shipped_folder(Recipe) / f"{BASELINE}.yaml"
PREDICTIONS = "predictions-cldr-phrases.parquet"
FORMULA = '=HYPERLINK("https://evil.example")'
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the baseline's result, to be submitted by itself: it is rescored, but has no comparison.

    Its history is left out, because it belongs to the board and not to a submission.
    """
    return copy(BASELINE, tmp_path / "results" / DEMO.id / "xrealign-mini")


@pytest.fixture
def pair(folder: Path) -> tuple[Path, Path]:
    """A recipe's result, and the baseline's."""
    return copy(RECIPE, folder.parent), folder


def refused(folder: Path, file: Path = BASELINE_FILE, board: Path | None = None) -> list[str]:
    """Submit a folder that must be refused. Returns the lines of the error; nothing may be written."""
    top = folder.parents[3]
    before = sorted(top.rglob("*"))
    with pytest.raises(UserError) as caught:
        check_submission(file, top / "results", board)
    assert sorted(top.rglob("*")) == before
    return str(caught.value).splitlines()


def test_what_is_refused_ends_the_command_with_status_2(folder: Path) -> None:
    top = folder.parents[3]
    forge(folder / "result.json", lambda content: content.update(suite_digest="0" * 64))
    places = ["--results", top / "results", "--output", top / "out", "--board", top / "board"]
    ran = command("submit", BASELINE_FILE, *places)
    assert (ran.status, ran.out) == (2, "") and not (top / "out").exists()
    assert ran.err.removeprefix("error: ").splitlines() == refused(folder) and "Traceback" not in ran.err


def told(lines: list[str], *sentences: str) -> bool:
    return all(any(sentence in line for line in lines) for sentence in sentences)


def edit(folder: Path, changes: Callable[[Any], object]) -> list[str]:
    """Edit a result and rewrite its manifest. Returns the lines of the error."""
    forge(folder / "result.json", changes)
    return refused(folder)


def swap_predictions(folder: Path, table: pa.Table) -> None:
    """Write other predictions and update their digest in the result and the manifest, but not the scores."""
    pq.write_table(table, folder / PREDICTIONS)
    record_predictions(folder, rows=table.num_rows)


def record_predictions(folder: Path, **more: int) -> None:
    new = {"sha256": sha256_file(folder / PREDICTIONS), **more}
    forge(folder / "result.json", lambda content: content["predictions"][0].update(new))


def other_first_label(table: pa.Table) -> pa.Table:
    rows = table["predicted"].to_pylist()
    at = next(n for n, scored in enumerate(table["scored"].to_pylist()) if scored[0])
    rows[at][0] = (rows[at][0] + 1) % 12
    return replace_column(table, "predicted", rows)


def test_a_changed_score(folder: Path) -> None:
    lines = edit(folder, lambda content: content["scores"][5]["metrics"].update(accuracy=0.99))
    assert len(lines) == 1 and told(lines, "result.json says {'accuracy': 0.99")


def test_a_changed_prediction(folder: Path) -> None:
    changed = other_first_label(pq.read_table(folder / PREDICTIONS))
    pq.write_table(changed, folder / PREDICTIONS)
    assert told(refused(folder), f"{PREDICTIONS}: has", f"but {MANIFEST} says")  # damage
    seal(folder)
    assert told(refused(folder), "is not the file that the scores in result.json were computed from")
    record_predictions(folder)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "the predictions give")


def test_another_suite_digest(folder: Path) -> None:
    lines = edit(folder, lambda content: content.update(suite_digest="0" * 64))
    assert len(lines) == 1 and told(lines, f"its suite's digest is 000000000000, which is not that of {DEMO.id}")


def test_a_missing_language_even_where_nothing_else_is_left_of_it(folder: Path) -> None:
    def drop(content: Any) -> None:
        content["scores"] = [score for score in content["scores"] if score["language"] != "sw"]
        content["languages"] = [language for language in content["languages"] if language["code"] != "sw"]

    forge(folder / "result.json", drop)
    table = pq.read_table(folder / PREDICTIONS)
    swap_predictions(folder, table.filter(pa.compute.not_equal(table["language"], "sw")))
    lines = refused(folder)
    assert len(lines) == 2
    assert told(lines, "languages not evaluated: sw", f"its languages are not those of {DEMO.id} as this installation")


def test_duplicate_rows(folder: Path) -> None:
    forge(folder / "result.json", lambda content: content["scores"].append(content["scores"][0]))
    assert told(refused(folder), "has 2 scores")
    forge(folder / "result.json", lambda content: content["scores"].pop())
    table = pq.read_table(folder / PREDICTIONS)
    swap_predictions(folder, pa.concat_tables([table, table.slice(0, 1)]))
    assert told(refused(folder), "repeats an example")
    shutil.rmtree(folder)
    for name in "ab":  # of which one would be written over the other
        copy(BASELINE, folder.parents[2] / name / DEMO.id / "xrealign-mini")
    (folder.parents[2] / "b" / DEMO.id / "xrealign-mini" / BASELINE / PREDICTIONS).unlink()
    lines = refused(folder)
    assert told(lines, f"{DEMO.id}/xrealign-mini/finetune-only: is twice below", f"{PREDICTIONS}: is missing")


@pytest.mark.parametrize("path", ["../../../secret.parquet", "/etc/passwd", "predictions-../x.parquet"])
def test_a_path_out_of_the_folder(folder: Path, path: str) -> None:
    lines = edit(folder, lambda content: content["predictions"][0].update(file=path))
    assert len(lines) == 1 and told(lines, f"predictions.0.file: '{path}' is not allowed; allowed: a file name")


def test_a_baseline_out_of_the_folder(folder: Path) -> None:
    copy(RECIPE, folder.parent)
    shutil.copytree(SHIPPED / BASELINE, folder.parents[3] / "elsewhere")
    elsewhere = "../../../../elsewhere"
    forge(folder.parent / RECIPE / "comparison.json", lambda content: content.update(baseline=elsewhere))
    lines = refused(folder, FILE)
    assert len(lines) == 1 and told(lines, f"is with '{elsewhere}' and not with ../finetune-only beside it")


def test_links_are_not_followed(folder: Path) -> None:
    secret = folder.parents[3] / "secret"
    secret.write_text("secret")
    (folder / "result.json").unlink()
    (folder / "result.json").symlink_to(secret)
    (folder.parent / "linked").symlink_to(folder.parents[3])
    lines = refused(folder)
    assert len(lines) == 2 and told(lines, "result.json: is a symbolic link", "linked: is a symbolic link")
    file = folder.parents[3] / f"{BASELINE}.yaml"
    file.symlink_to(secret)
    lines = refused(folder, file)
    assert len(lines) == 1 and told(lines, f"{BASELINE}.yaml: is a symbolic link")


def test_a_result_in_anothers_place(folder: Path) -> None:
    elsewhere = folder.parent.with_name("xrealign-maxi") / BASELINE
    shutil.move(folder.parent, elsewhere.parent)
    assert told(refused(elsewhere), f"belongs in a folder {DEMO.id}/xrealign-mini")


def test_html_in_a_name(folder: Path) -> None:
    file = folder.parents[3] / f"{BASELINE}.yaml"
    text = BASELINE_FILE.read_text()
    title = next(line for line in text.splitlines() if line.startswith("title: "))
    file.write_text(text.replace(title, f'title: "{MARKUP}"'))
    assert told(refused(folder, file), f"{BASELINE}.yaml:", "has HTML in it ('<img")

    def mark(content: Any) -> None:
        content["recipe"]["title"] = content["checkpoint"]["architecture"] = content["checkpoint"]["id"] = f"a{MARKUP}"

    fields = ("recipe.title: has HTML", "checkpoint.id: has HTML", "checkpoint.architecture: has HTML")
    assert told(edit(folder, mark), *fields)


def test_html_in_the_command_as_it_was_typed(folder: Path) -> None:
    """A command may hold any text, but a submission must not hold HTML."""
    lines = edit(folder, lambda content: content.update(command=f"xrealign-bench {MARKUP}"))
    assert len(lines) == 1 and told(lines, "command: has HTML in it")


def test_a_huge_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = manifest.LARGEST_TABLE
    os.truncate(folder / PREDICTIONS, largest + 1)  # sparse
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, f"{PREDICTIONS}: has {largest + 1:,} bytes, more than the {largest:,}")
    shutil.rmtree(folder)
    copy(BASELINE, folder.parent)
    monkeypatch.setattr(tables, "MOST_VALUES", 1000)  # such as a hundred million times the same, which is small on disk
    assert told(refused(folder), f"{PREDICTIONS}: holds no predictions of cldr-phrases: has more than 1,000 values")
    os.truncate(folder / "result.json", manifest.LARGEST_JSON + 1)
    assert told(refused(folder), f"result.json: has {manifest.LARGEST_JSON + 1:,} bytes, more than the")
    file = folder.parents[3] / f"{BASELINE}.yaml"
    file.write_text("# " + "x" * LARGEST_RECIPE)
    assert told(refused(folder, file), f"{BASELINE}.yaml: has 16,386 bytes")


def test_nan(folder: Path) -> None:
    text = (folder / "result.json").read_text()
    seal_bytes(folder / "result.json", text.replace('"accuracy": 0.', '"accuracy": NaN, "x": 0.', 1).encode())
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "result.json: can't be read as JSON: NaN is not a number")
    seal_bytes(folder / "result.json", text.replace('"accuracy": 0.', '"accuracy": 1e999, "x": 0.', 1).encode())
    assert told(refused(folder), "accuracy: 'inf' is not allowed; allowed: a number between")


@pytest.mark.parametrize("seeds", [DEMO.seeds[:-1], [*DEMO.seeds, 99]])
def test_a_wrong_list_of_seeds(folder: Path, seeds: list[int]) -> None:
    """Submitters may not choose their best seeds, because the board averages over all of them."""
    said, right = (", ".join(map(str, each)) for each in (seeds, DEMO.seeds))
    lines = edit(folder, lambda content: content.update(seeds=seeds))
    assert len(lines) == 1 and told(lines, f"its seeds are {said}, those of {DEMO.id} {right}; evaluate these")


def test_all_of_it_is_told_at_once(folder: Path) -> None:
    def worse(content: Any) -> None:
        content.update(suite_digest="0" * 64, seeds=[31], command=MARKUP)
        content["scores"][5]["metrics"]["accuracy"] = 0.99
        content["scores"].append(content["scores"][0] | {"language": "tlh"})

    lines = edit(folder, worse)
    assert len(lines) == len(set(lines)) == 6
    assert told(
        lines, "suite's digest", "its seeds are 31,", "command: has HTML", "the predictions give",
        "tlh 31: has a score, but no predictions", f"has scores that {DEMO.id} does not ask for: cldr-phrases tlh 31",
    )  # fmt: skip


class Attack:
    """Object whose pickle runs code when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_no_pickle_is_loaded(folder: Path) -> None:
    mark = folder.parents[3] / "ran"
    payload = pickle.dumps(Attack(mark))
    (folder / PREDICTIONS).write_bytes(payload)
    record_predictions(folder)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, f"{PREDICTIONS}: holds no predictions of cldr-phrases:")
    shutil.rmtree(folder)
    copy(BASELINE, folder.parent)
    marked = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}

    table = pq.read_table(folder / PREDICTIONS)  # its first column is of a type that pyarrow before 14.0.1 unpickled
    schema = pa.schema([table.schema.field(0).with_metadata(marked), *list(table.schema)[1:]])
    swap_predictions(folder, table.cast(schema))
    (folder / "weights.bin").write_bytes(payload)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, f"weights.bin: is not in {MANIFEST}, so it is not part of the result")
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
    seal_bytes(folder / "result.json", b"[" * 200_000)
    lines = refused(folder)
    assert len(lines) == 1 and told(lines, "result.json: can't be read as JSON")


def test_a_copy_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = folder.parents[3]
    submission = Submission(Recipe(name="mine", title="mine"), [folder], {}, [])
    (top / "mine.yaml").write_text("name: mine")
    before = sorted(top.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(shutil, "copytree", full)
        write_submission(submission, top / "mine.yaml", top / "out")
    assert sorted(top.rglob("*")) == before
    written = write_submission(submission, top / "mine.yaml", top / "out")
    assert [path.relative_to(top / "out").as_posix() for path in written] == [
        "submissions/mine.yaml",
        f"leaderboard/results/{DEMO.id}/xrealign-mini/{BASELINE}",
    ]
    with pytest.raises(UserError, match="is not empty"):
        write_submission(submission, top / "mine.yaml", top / "out")


def test_json_of_the_shipped_result_is_what_is_spoilt_here(folder: Path) -> None:
    """The unchanged result is accepted, so the errors in the tests above are due to their changes."""
    check_submission(BASELINE_FILE, folder.parents[2])
    assert json.loads((folder / "result.json").read_text())["recipe"]["name"] == BASELINE


# --- forgeries in which everything that follows from them was computed again ---------------------------------------


def test_predictions_that_are_not_of_the_suites_data(pair: tuple[Path, Path]) -> None:
    """In both results: gold labels, languages and examples are forged alike, and one seed's predictions are another's.

    The scores are those of the predictions, and so is the comparison.
    """

    def forged(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        plain = {(row["language"], row["seed"], row["example"]): row["predicted"] for row in rows}
        swapped = {"fr": "es", "es": "fr"}
        kept = []
        for row in rows:
            code, example = row["language"], row["example"]
            if row["seed"] == 66:
                row["predicted"] = plain[code, 42, example]
            if code == "de":
                row["gold"] = [(label + 1) % 12 for label in row["gold"]]
            row["language"] = swapped.get(code, code)
            if code != "sw" or example % 2:
                kept.append(row)
        return pa.Table.from_pylist(kept, schema=table.schema)

    for folder in pair:
        predict(folder, forged)
    compare_again(*pair)
    lines = refused(pair[0], FILE)
    examples = Counter(row["language"] for row in pq.read_table(pair[1] / PREDICTIONS).to_pylist() if row["seed"] == 31)
    for folder in pair:
        of = [line.removeprefix(f"{folder}: ") for line in lines if line.startswith(f"{folder}: ")]
        assert of.pop() == "seeds 42 and 66 have the same predictions in every task and language; evaluate both"
        assert len(of) == 4 * len(DEMO.seeds)
        for code in ("de", "fr", "es", "sw"):
            said = f"predictions of cldr-phrases in {code}, seed 31: their {examples[code]} examples and gold labels"
            assert sum(line.startswith(said) for line in of) == 1
    assert len(lines) == 2 * (4 * len(DEMO.seeds) + 1)


def test_words_without_a_label_are_not_left_out(pair: tuple[Path, Path]) -> None:
    """Two wrong words of one sentence are said not to have been read, so that they are not scored."""

    def unread(table: pa.Table) -> pa.Table:
        rows = table["predicted"].to_pylist()
        rows[0] = [*rows[0][:-2], -100, -100]
        return replace_column(table, "predicted", rows)

    for folder in pair:
        predict(folder, unread)
    compare_again(*pair)
    for line in refused(pair[0], FILE):
        assert "seed 31: 2 words have no label, and demo-1.1 has all words labelled; evaluate it again" in line


@pytest.mark.parametrize(("resamples", "seed"), [(130, 0), (1000, 7)])
def test_a_bootstrap_of_ones_own_choice(pair: tuple[Path, Path], resamples: int, seed: int) -> None:
    """Submitters may not choose the draw, because it determines the interval."""
    compare_again(*pair, resamples, seed)
    lines = refused(pair[0], FILE)
    said = f"comparison.json: has {resamples:,} resamples with seed {seed}, and not {RESAMPLES:,} with 0"
    assert len(lines) == 1 and told(lines, said)


def test_more_resamples_than_anyone_computes(pair: tuple[Path, Path]) -> None:
    forge(pair[0] / "comparison.json", lambda content: content.update(resamples=10**11))
    lines = refused(pair[0], FILE)
    said = "comparison.json: resamples: '100000000000' is not allowed; allowed: a whole number from 0 up to 100,000"
    assert len(lines) == 1 and told(lines, said)


STRANGE: dict[str, tuple[Callable[[Any], object], str]] = {
    "negative seconds": (
        lambda c: c["stages"][0].update(seconds=-1.0),
        "stages.0.seconds: '-1.0' is not allowed; allowed: a number from 0",
    ),
    "negative memory": (lambda c: c["stages"][0].update(peak_memory_bytes=-1), "stages.0.peak_memory_bytes: '-1' is n"),
    "no compute settings": (
        lambda c: c.update(compute_settings={}),
        "compute_settings.device: is required and missing",
    ),
    "null compute settings": (lambda c: c.update(compute_settings=None), "exactly one of 'reported' and"),
    "a formula": (
        lambda c: c["checkpoint"].update(architecture=FORMULA),
        "checkpoint.architecture: begins with '=', which a spreadsheet takes for a formula",
    ),
    "a share of two": (lambda c: c["scores"][0]["metrics"].update(accuracy=2.0), "accuracy is 2.0 and must be in 0..1"),
    "an option": (lambda c: c["checkpoint"].update(id="--output=/"), "checkpoint.id: "),
    "a package that pip would fetch": (
        lambda c: c["packages"].update(torch="1 @ https://evil.example"),
        "packages.torch",
    ),
}


def test_a_recipes_title_that_a_spreadsheet_computes(folder: Path) -> None:
    """The title is in the recipe's file and in the result, whose recipe digest matches it."""
    content = yaml.safe_load(BASELINE_FILE.read_text()) | {"title": FORMULA, "citation": "a paper", "name": "mine"}
    file = folder.parents[3] / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    lines = refused(folder, file)
    assert told(lines, "title: ", "begins with '=', which a spreadsheet takes for a formula")


@pytest.mark.parametrize(("strange", "said"), STRANGE.values(), ids=STRANGE)
def test_a_value_that_no_evaluation_writes(folder: Path, strange: Callable[[Any], object], said: str) -> None:
    lines = edit(folder, strange)
    assert all("result.json: " in line for line in lines) and told(lines, said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            ' "harness_version": ',
            ' "harness_version": "9", "harness_version": ',
            "'harness_version' is given more than once",
        ),
        (' "command": "', ' "command": "\\ud800', "command: "),
    ],
    ids=["a key twice", "a lone surrogate"],
)
def test_json_that_others_would_read_otherwise(folder: Path, old: str, new: str, said: str) -> None:
    text = (folder / "result.json").read_text()
    seal_bytes(folder / "result.json", text.replace(old, new, 1).encode())
    lines = refused(folder)
    assert len(lines) == 1 and "result.json: " in lines[0] and said in lines[0]


def test_weights_that_are_not_the_embedded_checkpoints(folder: Path) -> None:
    """The folder's name would match the forged weights."""
    lines = edit(folder, lambda content: content["checkpoint"].update(weights_sha256="1" * 64))
    assert len(lines) == 1 and told(lines, "its weights_sha256 is not that of the embedded checkpoint xrealign-mini")


def board_of(folder: Path, change: Callable[[Result], Result] = lambda result: result) -> Path:
    """Make a board that has the submitted result, changed. Predictions are left out, because they are not read."""
    board, result = folder.parents[3] / "board", change(read_result(folder))
    place = board / "/".join(folder.parts[-3:])
    place.mkdir(parents=True)
    for record in result.predictions:
        (place / record.file).touch()
    write_result(place, result)
    return board


def test_another_baseline_than_the_published_one(folder: Path) -> None:
    """A baseline with one more wrong word makes gains larger."""
    board = board_of(folder)
    check_submission(BASELINE_FILE, folder.parents[2], board)
    predict(folder, other_first_label)
    check_submission(BASELINE_FILE, folder.parents[2])
    lines = refused(folder, board=board)
    assert len(lines) == 1 and told(lines, f"{folder}: its predictions are not those of the baseline on the board")


def test_other_predictions_for_a_published_row(pair: tuple[Path, Path]) -> None:
    """The predictions are better, and all figures are recomputed from them."""
    folder, baseline = pair
    board = board_of(folder)
    predict(folder, other_first_label)
    compare_again(folder, baseline)
    lines = refused(folder, FILE, board=board)
    assert len(lines) == 1 and told(lines, "is published with other predictions", "a published row is not rewritten")


def test_another_recipe_under_a_published_name(folder: Path) -> None:
    def other(result: Result) -> Result:
        recipe = result.recipe.model_copy(update={"description": "quite another"})
        return result.model_copy(update={"recipe": recipe, "recipe_digest": digest(recipe)})

    lines = refused(folder, board=board_of(folder, other))
    assert told(lines, f"{folder}: the board has another recipe '{BASELINE}'; choose another name")


def test_another_checkpoint_of_the_same_commit(folder: Path) -> None:
    """The board's checkpoint has the same id and revision, but other weights."""

    def at_a_commit(result: Result, **more: str) -> Result:
        checkpoint = result.checkpoint.model_copy(update={"revision": "main", **more})
        return result.model_copy(update={"checkpoint": checkpoint})

    board = board_of(folder, lambda result: at_a_commit(result, weights_sha256="1" * 64))
    write_result(folder, at_a_commit(read_result(folder)))
    lines = refused(folder, board=board)
    assert len(lines) == 1 and told(lines, "checkpoint xrealign-mini at main has other weights")


def test_a_history_that_is_not_the_boards(folder: Path) -> None:
    """A forged verification is refused; the board's own history is accepted."""
    event = HistoryEvent(
        what="rerun", on=date(2026, 1, 2), evidence=digest_evidence(read_result(folder)), seed=31,
        largest_difference=0.0, same_compute_settings=True,
    )  # fmt: skip
    board = board_of(folder)
    add_event(folder, event)
    said = f"{folder / 'history.json'}: is written by those who keep the board and not part of"
    for where in (None, board):
        lines = refused(folder, board=where)
        assert len(lines) == 1 and told(lines, said)
    add_event(board / "/".join(folder.parts[-3:]), event)
    check_submission(BASELINE_FILE, folder.parents[2], board)
