"""`validate` on data. Truth: the files that the tests write, counted by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.small import command, write_suite, write_yaml

LABELS = ["NOUN", "VERB", "PUNCT", "X"]
TAGS: dict[str, Any] = {
    "name": "tags",
    "title": "Tags of my own",
    "licence": "none",
    "task_type": "token_classification",
    "source": {"kind": "files", "train": "{config}.conll", "test": "{config}.conll", "names": ["word", "tag"]},
    "configs": {"en": "en", "de": "de"},
    "columns": {"words": "word", "labels": "tag"},
    "labels": LABELS,
}


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    (tmp_path / "en.conll").write_text("dogs NOUN\nbark VERB\n. PUNCT\n\nbirds NOUN\n\nthey _\nsing VERB\n")
    (tmp_path / "de.conll").write_text("Hunde NOUN\nbellen VERB\n")
    return write_yaml(tmp_path / "tags.yaml", TAGS)


def cells(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_rows_labels_languages_and_first_examples_are_shown(tags: Path) -> None:
    ran = command("validate", tags)
    assert (ran.status, ran.err) == (0, "")
    lines = cells(ran.out)
    assert lines[0] == f"{tags}: a good task".split()
    assert ["tags:", "2", "languages"] in lines
    assert ["en", "train", "3", "3", "dogs/NOUN", "bark/VERB", "./PUNCT"] in lines
    assert ["en", "test", "3", "3", "dogs/NOUN", "bark/VERB", "./PUNCT"] in lines
    assert ["de", "test", "1", "1", "Hunde/NOUN", "bellen/VERB"] in lines
    assert ["NOUN", "2", "3"] in lines  # 2 in English, and 1 more in German's test data
    assert ["PUNCT", "1", "1", "de"] in lines
    assert ["X", "0", "0", "en,", "de"] in lines
    assert max(map(len, ran.out.splitlines()[1:])) <= 120


def test_examples_are_cut_so_that_the_table_fits(tags: Path) -> None:
    tags.with_name("de.conll").write_text("\n".join(f"Wort{number} NOUN" for number in range(40)))
    tags.with_name("en.conll").write_text("Zero\u200bwidth NOUN\nbark VERB\n")
    ran = command("validate", tags)
    (line,) = (line for line in ran.out.splitlines() if line.startswith("de"))
    assert len(line) <= 120 and line.endswith("…") and "Wort0/NOUN Wort1/NOUN" in line
    assert r"Zero\u200bwidth/NOUN" in ran.out


def test_labels_that_the_task_lacks_are_listed_with_file_and_line(tags: Path) -> None:
    de = tags.with_name("de.conll")
    de.write_text("Hunde NOUN\nbellen VREB\n\nVögel NUON\nsingen VREB\n")
    ran = command("validate", tags)
    said = "is none of the task 'tags' and occurs {}; add it to 'labels', map it in 'label_map', or mend the data"
    assert ran.status == 2
    assert ran.err.removeprefix("error: ").splitlines() == [
        f"{de}:2: the label 'VREB' {said.format('2 times')}",
        f"{de}:4: the label 'NUON' {said.format('1 time')}",
    ]
    assert "en train" in " ".join(ran.out.split())


def test_other_problems_of_the_data_are_those_of_an_evaluation(tags: Path) -> None:
    tags.with_name("de.conll").write_text("Hunde NOUN\nbellen\n")
    tags.with_name("en.conll").unlink()
    ran = command("validate", tags)
    assert ran.status == 2
    lines = ran.err.removeprefix("error: ").splitlines()
    assert f"{tags.parent}/en.conll: no such file; put it there or correct 'source.test'" in lines
    assert f"{tags.parent}/de.conll:2: has 1 columns and not the 2 of 'names'; mend the line" in lines


TEXTS = {"text": "rain, again", "label": "weather", "pair": "wet", "question": "What fell?", "fo": "regn", "en": "rain"}
ANSWERS = {"text": ["rain"], "answer_start": [0]}
TASKS: dict[str, tuple[dict[str, Any], str]] = {
    "sequence_classification": (
        {"columns": {"text": "text", "text_pair": "pair", "label": "label"}, "labels": ["weather", "food"]},
        "weather: rain, again | wet",
    ),
    "question_answering": (
        {"columns": {"question": "question", "context": "text", "answers": "answers"}, "metric": "f1"},
        "What fell? | rain",
    ),
    "retrieval": (
        {"columns": {"text": "en", "text_pair": "fo"}, "text_language": "en", "configs": {"fo": "fo"}},
        "rain | regn",
    ),
    "language_modelling": ({"columns": {"text": "text"}, "metric": "compression"}, "rain, again"),
}


@pytest.mark.parametrize("task_type", TASKS)
def test_every_task_type_shows_its_first_example(tmp_path: Path, task_type: str) -> None:
    fields, example = TASKS[task_type]
    with gzip.open(tmp_path / "all.jsonl.gz", "wt") as file:
        file.write(json.dumps(TEXTS | {"answers": ANSWERS}) + "\n")
    source = {"kind": "files", "train": "all.jsonl.gz", "test": "all.jsonl.gz"}
    common = {"name": "mine", "title": "Mine", "licence": "none", "configs": {"en": "en", "fo": "fo"}}
    path = write_yaml(tmp_path / "mine.yaml", common | {"task_type": task_type, "source": source} | fields)
    ran = command("validate", path)
    assert (ran.status, ran.err) == (0, "")
    (row,) = (line for line in cells(ran.out) if line[:2] == ["fo", "test"])
    assert row == f"fo test 1 1 {example}".split()


def test_a_corpus_shows_its_pairs(tmp_path: Path) -> None:
    (tmp_path / "fo-en.en").write_text("a dog\nrain\n")
    (tmp_path / "fo-en.fo").write_text("ein hundur\nregn\n")
    corpus = {"name": "pairs", "title": "Pairs", "licence": "none", "config": "{source}-{target}", "pairs": 1}
    path = write_yaml(tmp_path / "pairs.yaml", corpus | {"source": {"kind": "files", "train": "{config}.{language}"}})
    ran = command("validate", path)
    assert (ran.status, ran.err) == (0, "")
    assert ["fo", "train", "2", "1", "a", "dog", "|", "ein", "hundur"] in cells(ran.out)
    (tmp_path / "fo-en.fo").write_text("ein hundur\n")
    ran = command("validate", path)
    assert ran.status == 2 and "fo-en.en has 2 lines and" in ran.err
    (tmp_path / "fo-en.en").unlink()
    (tmp_path / "fo-en.fo").unlink()
    ran = command("validate", path)
    assert (ran.status, ran.err) == (
        2,
        "error: corpus 'pairs': has no data that pair a language with 'en'; correct its source or config\n",
    )


def test_a_suite_shows_the_data_of_its_tasks_once(tags: Path) -> None:
    suite = write_suite(tags.parent, tasks=["tags", "phrases"], target_languages=["de"])
    ran = command("validate", suite, tags)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count("tags: 2 languages") == 1 and "phrases:" not in ran.out  # which are embedded
    assert ran.out.endswith(f"{tags}: a good task\n")


def test_data_that_are_not_on_this_machine_are_named_and_not_downloaded(tmp_path: Path) -> None:
    hub = {"kind": "hub", "dataset": "nobody/tags-that-are-nowhere"}
    path = write_yaml(tmp_path / "tags.yaml", TAGS | {"source": hub})
    ran = command("validate", path)
    assert (ran.status, ran.out) == (0, f"{path}: a good task\n")
    assert ran.err == (
        "tags: not opened, because the data are not on this machine: nobody/tags-that-are-nowhere. Fetch the suite, or "
        "name their folder with --data-root\n"
    )
    ran = command("validate", path, "--data-root", tmp_path)
    assert ran.status == 2 and "nobody/tags-that-are-nowhere: no such folder" in ran.err
