"""A suite on files of one's own, from YAML to results, and what is said of bad files."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.data.web_server import Page, served
from tests.small import Ran, command, essence, write_suite, write_yaml
from xrealign_bench.results.reproduction import reproduction_notes
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs import Recipe, Task
from xrealign_bench.specs.yaml import shipped_folder
from xrealign_bench.submit.result_checks import local_file_problems

LABELS = ["NOUN", "VERB", "PUNCT"]
TEXTS = {
    "en": [["dogs/NOUN", "bark/VERB", "./PUNCT"], ["birds/NOUN", "sing/VERB"]],
    "de": [["Hunde/NOUN", "bellen/VERB"], ["Vögel/NOUN", "singen/VERB", "!/PUNCT"]],
    "sw": [["mbwa/NOUN", "wanabweka/VERB"]],
}


def conllu(sentences: list[list[str]]) -> str:
    return "\n".join(
        "".join(
            "\t".join([str(place), form, "_", upos, *"______"]) + "\n"
            for place, (form, upos) in enumerate((word.split("/") for word in words), 1)
        )
        for words in sentences
    )


def task(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tags",
        "title": "Tags of my own",
        "licence": "none",
        "task_type": "token_classification",
        "source": {"kind": "files", "train": "data/en.conllu", "test": "data/{config}.conllu"},
        "configs": {"en": "en", "de": ["de_old", "de"], "sw": "sw"},
        "columns": {"words": "form", "labels": "upos"},
        "labels": LABELS,
    } | changes


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    path = write_suite(folder, tasks=["tags"], target_languages=["de", "sw"], seeds=[3])
    write_yaml(folder / "tags.yaml", task())
    corpus = {"name": "pairs", "title": "Pairs", "licence": "none", "config": "{source}-{target}"}
    source = {"kind": "files", "train": "data/{config}.{language}"}
    write_yaml(folder / "pairs.yaml", corpus | {"source": source})
    (folder / "data").mkdir()
    for code, sentences in TEXTS.items():
        (folder / "data" / f"{code}.conllu").write_text(conllu(sentences), encoding="utf-8")
    for code, line in (("en", "dogs bark"), ("de", "Hunde bellen")):
        (folder / "data" / f"de-en.{code}").write_text(f"{line}\n" * 5)
    return path


def evaluate(suite: Path, checkpoint: Path, *more: object, recipe: str = "finetune-only") -> Ran:
    folder = suite.parent.parent
    where = ["--output", folder / "results", "--store", folder / "store"]
    return command("evaluate", "--suite", suite, "--recipe", recipe, "--checkpoint", checkpoint, *where, *more)


def test_an_own_suite_is_evaluated(suite: Path, small_checkpoint: Path) -> None:
    ran = evaluate(suite, small_checkpoint, "--language", "de", recipe="sentence-mean-all")
    assert ran.status == 0, ran.err
    found = json.loads(next(suite.parent.parent.rglob("results/**/sentence-mean-all*/result.json")).read_text())
    read = {(record["used_as"], record["name"], record["language"]): record for record in found["data"]}
    test = read["test", "tags", "de"]
    file = suite.parent / "data" / "de.conllu"
    assert (test["config"], test["examples"]) == ("de", 2)  # the second alternative
    assert test["fingerprint"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert read["parallel", "pairs", "de"]["examples"] == 5
    assert str(suite.parent) not in json.dumps(found["tasks"])
    assert found["tasks"][0]["source"]["test"] == "data/{config}.conllu"


def test_a_lock_has_paths_bytes_and_digests(suite: Path, small_checkpoint: Path) -> None:
    ran = command("fetch", "--suite", suite, "--write-lock")
    assert ran.status == 0, ran.err
    content = (suite.parent / "data" / "sw.conllu").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    line = (
        f"- {{dataset: ./data/sw.conllu, config: sw, split: test, revision: null, sha256: {digest}, "
        f"bytes: {len(content)}}}\n"
    )
    lock = suite.with_name("small.lock.yaml")
    assert line in lock.read_text()
    assert "{dataset: './data/de-en.{language}', config: de-en, split: train" in lock.read_text()
    assert command("fetch", "--suite", suite).status == 0
    (suite.parent / "data" / "sw.conllu").write_text(conllu([["paka/NOUN"]]))
    number = lock.read_text().splitlines(keepends=True).index(line) + 1
    for ran in (command("fetch", "--suite", suite), evaluate(suite, small_checkpoint, "--dry-run")):
        assert ran.status == 2
        assert f"small.lock.yaml:{number}: ./data/sw.conllu/sw/test has the sha256" in ran.err


def test_labels_outside_the_task_are_counted_with_the_first_line(suite: Path, small_checkpoint: Path) -> None:
    file = suite.parent / "data" / "sw.conllu"
    file.write_text(conllu([["a/NOUN", "b/NUON"], ["c/X", "d/Y"]]))
    ran = evaluate(suite, small_checkpoint)
    assert ran.status == 2
    assert f"{file}:2: the label 'NUON' is none of the task 'tags'" in ran.err
    assert "and so for 2 more of these data" in ran.err


def test_a_missing_file_is_named(suite: Path, small_checkpoint: Path) -> None:
    (suite.parent / "data" / "de.conllu").unlink()
    ran = evaluate(suite, small_checkpoint, "--dry-run")
    assert ran.status == 2
    assert f"none of de_old, de: {suite.parent}/data/de_old.conllu: no such file; put it there or correct" in ran.err


COMMIT = "376f4161f0425584d4bd7664122b56fa026926d3"


def test_a_suite_of_files_at_urls(
    suite: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {"kind": "url", "format": "conll", "names": ["word", "tag"]}
    urls |= {split: f"https://host/{COMMIT}/{{config}}/{split}.txt" for split in ("train", "test")}
    columns = {"words": "word", "labels": "tag"}
    write_yaml(suite.parent / "tags.yaml", task(source=urls, columns=columns))
    with served(monkeypatch, tmp_path / "cache") as web:
        for code, sentences in TEXTS.items():
            text = "\n".join("".join(word.replace("/", " ") + "\n" for word in words) for words in sentences)
            for split in ("train", "test"):
                web.pages[f"host/{COMMIT}/{code}/{split}.txt"] = Page(text.encode())
        ran = command("fetch", "--suite", suite, "--write-lock")
        assert ran.status == 0, ran.err
    digest = hashlib.sha256(text.encode()).hexdigest()
    lock = suite.with_name("small.lock.yaml").read_text()
    assert (
        f"- {{dataset: 'https://host/{COMMIT}/sw/test.txt', config: sw, split: test, revision: {COMMIT}, "
        f"sha256: {digest}, bytes: {len(text)}}}" in lock
    )
    assert evaluate(suite, small_checkpoint, "--offline", "--dry-run").status == 0
    file = next(path for path in (tmp_path / "cache").rglob("test.txt") if path.read_text() == text)
    file.write_text(text.replace("mbwa", "paka"))
    ran = evaluate(suite, small_checkpoint, "--offline", "--dry-run")
    assert ran.status == 2
    assert "sw/test.txt/sw/test has the sha256" in ran.err
    assert f"delete {file} and fetch the data again" in ran.err


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/a.conllu", "task tags reads local files (data/a.conllu); a submission names only data that everyone"),
        ("data/../../a.conllu", "task tags reads data/../../a.conllu, outside the folder of its YAML; a submission"),
        ("/etc/passwd", "task tags reads /etc/passwd, outside the folder of its YAML; a submission names only data"),
    ],
)
def test_local_files_are_no_part_of_a_submission(path: str, message: str) -> None:
    submitted = Task.model_validate(task(source={"kind": "files", "test": path, "train": path}))
    assert [problem.startswith(message) for problem in local_file_problems(submitted)] == [True]


DATA_FILES = {"tags.conllu": ("CoNLL-U", "task"), "x.tsv.gz": ("TSV", "task"), "x.tmx": ("TMX", "corpus")}


@pytest.mark.parametrize("name", DATA_FILES)
def test_data_in_place_of_a_suite_are_called_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"\xff\xfe")
    title, spec = DATA_FILES[name]
    said = (
        f"error: {name}: is data ({title}), not a spec; write a {spec} whose source names it: "
        f"xrealign-bench new {spec}\n"
    )
    assert command("validate", name) == Ran(2, "", said)
    assert command("evaluate", "--suite", name, "--dry-run").err.startswith(said)
    assert command("evaluate", "--recipe", name, "--dry-run").err.startswith(said)


def test_a_task_in_another_folder_is_said_to_be_missing_where_it_is_looked_for(suite: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    moved = suite.rename(other / suite.name)
    ran = command("validate", moved)
    assert ran.status == 2
    first = ran.err.splitlines()[0]
    assert first.startswith(f"error: {moved}:22: tasks.0: unknown task 'tags'; known: cldr-phrases, ")
    assert first.endswith(f". There is no {other}/tags.yaml either; put your own task there")


@pytest.fixture
def evaluated(suite: Path, small_checkpoint: Path) -> Path:
    """The folder of the results of two recipes on an own suite."""
    assert evaluate(suite, small_checkpoint, "--language", "de", recipe="sentence-mean-all").status == 0
    return next((suite.parent.parent / "results").rglob("sentence-mean-all*/result.json")).parent


def test_results_on_an_own_suite_are_compared_and_put_on_a_board(evaluated: Path, tmp_path: Path) -> None:
    baseline = next(evaluated.parent.glob("finetune-only*"))
    assert "sentence-mean-all" in command("compare", evaluated, baseline).out
    ran = command("leaderboard", "build", tmp_path / "results" / "results", "--output", tmp_path / "board")
    assert ran.status == 0 and f"{tmp_path}/board/small-1.0/README.md" in ran.out
    assert "Suite `small-1.0`" in (tmp_path / "board" / "small-1.0" / "README.md").read_text()


def test_the_specs_that_reproduce_writes_give_the_result_again(
    suite: Path, evaluated: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    ran = command("reproduce", evaluated, "--write", again)
    assert ran.status == 0
    assert ran.err == "".join(f"wrote {again}/{name}.yaml\n" for name in ("small", "tags", "pairs"))
    sha256 = hashlib.sha256((suite.parent / "data" / "de.conllu").read_bytes()).hexdigest()
    assert f"# data: local file data/de.conllu, to be put below {again}, sha256 {sha256}" in ran.out.splitlines()
    assert f"# data: local file data/de-en.{{language}}, to be put below {again}, digest of its files " in ran.out
    _, program, *words = shlex.split(ran.out.splitlines()[-1])
    assert program == "xrealign-bench" and words[words.index("--suite") + 1] == str(again / "small.yaml")
    (suite.parent / "data").rename(again / "data")
    words[words.index("tiny")] = str(small_checkpoint)
    ran = command(*words, "--output", tmp_path / "o", "--store", tmp_path / "s")
    assert ran.status == 0, ran.err
    assert essence(evaluated) == essence(tmp_path / "o" / evaluated.relative_to(tmp_path / "results"))
    ran = command("reproduce", evaluated, "--write", again)
    assert ran == Ran(2, "", f"error: {again}/small.yaml: exists already; name an empty folder with --write\n")


def test_reproduce_names_the_files_to_replace(evaluated: Path) -> None:
    lines = command("reproduce", evaluated).out.splitlines()
    assert lines[0] == (
        "# suite small-1.0: not shipped with this installation; name its YAML file with --suite, or write it, its "
        "tasks and its corpora from the result: 'xrealign-bench reproduce RESULT --write FOLDER'"
    )
    assert any(line.startswith("# data: local file data/en.conllu, beside the suite's YAML, sha256 ") for line in lines)
    assert " --suite small.yaml --recipe sentence-mean-all " in lines[-1]


def test_reproduce_names_the_addresses_that_were_read(evaluated: Path) -> None:
    result = read_result(evaluated)
    urls = {"kind": "url", "train": "https://host/{config}.conllu", "test": "https://host/{config}.conllu"}
    changed = result.model_copy(update={"tasks": [Task.model_validate(task(source=urls))], "corpora": []})
    notes = reproduction_notes(changed)
    (record,) = (each for each in result.data if (each.used_as, each.language) == ("test", "de"))
    assert f"data: https://host/de.conllu, sha256 {record.fingerprint}" in notes
    assert "suite small-1.0: put the YAML of pairs beside its file; the result does not have it" in notes


def test_a_result_on_an_own_suite_is_not_submitted(evaluated: Path, tmp_path: Path) -> None:
    file = shipped_folder(Recipe) / "sentence-mean-all.yaml"
    ran = command("submit", file, "--results", tmp_path / "results", "--board", tmp_path / "none")
    assert ran.status == 2 and not ran.out
    assert ran.err == (
        f"error: {evaluated}: its suite 'small' is your own, and the boards of this project take shipped suites only; "
        "keep a board of your own with 'xrealign-bench leaderboard build'\n"
    )
