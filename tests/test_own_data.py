"""A suite on files of one's own, from YAML to results, and what is said of bad files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.web_server import Page, served
from tests.small import Ran, command, write_suite, write_yaml
from xrealign_bench.specs import Task
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
