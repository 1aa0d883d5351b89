"""Every task type on files of one's own. Truth: the files written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xrealign_bench.data.located import DataLocation
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.tasks.registry import TASK_TYPES


def load(folder: Path, task_type: str, columns: dict[str, Any], test: str, **fields: Any) -> Any:
    source = {"kind": "files", "test": test} | fields.pop("source", {})
    task = Task.model_validate(
        {
            "name": "mine",
            "title": "Mine",
            "licence": "none",
            "task_type": task_type,
            "source": source,
            "configs": {"en": "en", "fo": "fo"},
            "columns": columns,
        }
        | fields,
        context={"folder": folder},
    )
    return TASK_TYPES[task.task_type].load(task, "fo", "test", DataLocation())


def test_entities_in_two_columns(tmp_path):
    (tmp_path / "fo.txt").write_text("Anna\tI-PER\nbýr\tO\n\ní\tO\nTórshavn\tB-LOC\n", encoding="utf-8")
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    fields = {"labels": labels, "metric": "entity_f1", "source": {"format": "conll"}}
    data = load(tmp_path, "token_classification", {"words": "0", "labels": "1"}, "{config}.txt", **fields)
    assert (data.words, data.labels) == ([["Anna", "býr"], ["í", "Tórshavn"]], [[1, 0], [0, 3]])
    assert data.repaired == {"i_without_b": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fo.csv", 'one,two,label\n"Ja, ja",b,1\nc,d,0\n'),
        ("fo.tsv", "one\ttwo\tlabel\nJa, ja\tb\tno\nc\td\tyes\n"),
        ("fo.jsonl", '{"one": "Ja, ja", "two": "b", "label": 1}\n{"label": 0, "two": "d", "one": "c"}\n'),
    ],
)
def test_labelled_pairs(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    columns = {"text": "one", "text_pair": "two", "label": "label"}
    data = load(tmp_path, "sequence_classification", columns, name, labels=["yes", "no"])
    assert (data.text, data.text_pair, data.labels) == (["Ja, ja", "c"], ["b", "d"], [1, 0])


def test_a_label_that_the_task_lacks_is_named_by_its_line(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,yes\nb,maybe\nc,perhaps\n")
    columns = {"text": "text", "label": "label"}
    with pytest.raises(UserError, match=r"a\.csv:3: the label 'maybe' is none of .*, and so for 1 more of these data"):
        load(tmp_path, "sequence_classification", columns, "a.csv", labels=["yes", "no"])


def test_questions(tmp_path):
    asked = {"id": "1", "question": "Hvar?", "answers": [{"text": "her", "answer_start": 3}]}
    content = {"data": [{"title": "t", "paragraphs": [{"context": "Er her", "qas": [asked]}]}]}
    (tmp_path / "fo.json").write_text(json.dumps(content))
    columns = {name: name for name in ("question", "context", "answers")}
    data = load(tmp_path, "question_answering", columns, "{config}.json", metric="f1")
    assert (data.questions, data.contexts, data.answers) == (["Hvar?"], ["Er her"], [[("her", 3)]])


def test_translations_to_retrieve(tmp_path):
    (tmp_path / "t.en").write_text("one\ntwo\n")
    (tmp_path / "t.fo").write_text("eitt\ntvey\n")
    columns = {"text": "en", "text_pair": {"fo": "fo", "en": "en"}}
    data = load(tmp_path, "retrieval", columns, "t.{language}", text_language="en")
    assert (data.text, data.text_pair) == (["one", "two"], ["eitt", "tvey"])


def test_plain_texts(tmp_path):
    (tmp_path / "fo.txt").write_text("Ein\n\n12\n")
    data = load(tmp_path, "language_modelling", {"text": "text"}, "{config}.txt", metric="compression")
    assert (data.text, data.rows, data.dropped) == (["Ein", "12"], [0, 2], {"empty": 1})
