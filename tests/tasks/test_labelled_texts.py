"""Labelled texts from a small data set in the Hub's layout: what comes out by hand, and what is refused."""

import pytest
from datasets import ClassLabel, Features, Value

from tests.data.hub_folder import make_task, write_rows
from xrealign_bench.data.located import DataLocation
from xrealign_bench.errors import UserError
from xrealign_bench.tasks.labelled_texts import load as load_texts

NAMES = ["yes", "no"]
"""As the data have them: in another order than the task."""
SINGLE = Features({"text": Value("string"), "label": ClassLabel(names=NAMES)})
PAIRS = Features({"one": Value("string"), "two": Value("string"), "label": ClassLabel(names=NAMES)})


def single(text, label):
    return {"text": text, "label": label}


def pair(one, two, label):
    return {"one": one, "two": two, "label": label}


def load(root, language="en", split="test", limit=None, pairs=False, **changes):
    columns = {"text": "one", "text_pair": "two"} if pairs else {"text": "text"}
    fields = {
        "task_type": "sequence_classification",
        "labels": ["no", "yes"],
        "columns": columns | {"label": "label"},
    }
    task = make_task(**(fields | changes))
    return load_texts(task, language, split, DataLocation(root, offline=True), limit=limit)


def test_labels_are_mapped_by_name(root):
    write_rows(root, "en_x", "test", [single("a b", 0), single("c", 1), single("d", 0)], SINGLE)
    data = load(root)
    assert (data.text, data.text_pair, data.labels) == (["a b", "c", "d"], None, [1, 0, 1])
    assert (data.dropped, len(data), data.language) == ({}, 3, "en")
    assert (data.located.config, data.located.split) == ("en_x", "test")


def test_pairs(root):
    write_rows(root, "en_x", "test", [pair("a", "b", 0), pair("c", "d", 1)], PAIRS)
    data = load(root, pairs=True)
    assert (data.text, data.text_pair, data.labels) == (["a", "c"], ["b", "d"], [1, 0])


def test_training_data_may_come_from_another_data_set(root):
    write_rows(root, "en_x", "test", [single("a", 0)], SINGLE)
    other = Features({"sentence": Value("string"), "label": ClassLabel(names=["NO", "YES"])})
    rows = [{"sentence": "b", "label": 0}, {"sentence": "c", "label": 1}]
    write_rows(root, "all", "train", rows, other, dataset="org/more")
    training = {
        "source": {"kind": "hub", "dataset": "org/more"},
        "config": "all",
        "columns": {"text": "sentence", "label": "label"},
        "label_map": {"NO": "no", "YES": "yes"},
    }
    train, test = (load(root, split=split, training_data=training) for split in ("train", "test"))
    assert (train.text, train.labels, train.located.config) == (["b", "c"], [0, 1], "all")
    assert (test.text, test.labels, test.located.config) == (["a"], [1], "en_x")


def test_examples_without_text_or_label_are_dropped_and_counted(root):
    bad = [pair("", "b", 0), pair("a", " \n", 1), pair("a", "b", -1), pair("c", "d", None)]
    write_rows(root, "en_x", "test", [pair("a", "b", 0), *bad, pair("e", "f", 1)], PAIRS)
    data = load(root, pairs=True)
    assert (data.rows, data.text, data.text_pair, data.labels) == ([0, 5], ["a", "e"], ["b", "f"], [1, 0])
    assert data.dropped == {"empty": 2, "unlabelled": 2}


@pytest.mark.parametrize(
    ("limit", "test_examples", "texts"),
    [(1, None, "a"), (None, 2, "ac"), (2, 3, "ac"), (3, None, "abc"), (9, None, "abcd")],
)
def test_some_of_the_examples_are_spread_over_the_data(root, limit, test_examples, texts):
    write_rows(root, "en_x", "test", [single(word, 0) for word in "abcd"], SINGLE)
    data = load(root, limit=limit, test_examples=test_examples)
    assert data.text == list(texts)
    assert data.rows == ["abcd".index(text) for text in texts]


def test_every_label_of_sorted_data_is_read_in_proportion(root):
    write_rows(root, "en_x", "test", [single(str(row), int(row >= 70)) for row in range(100)], SINGLE)
    assert sorted(load(root, limit=10).labels) == [0] * 3 + [1] * 7  # the task's first label is the data's second


def test_a_bad_example_is_named_by_its_row_in_the_data(root):
    write_rows(root, "en_x", "test", [single("a", 0), single("b", 0), single(None, 0), single("d", 0)], SINGLE)
    with pytest.raises(UserError, match="test, row 2: 'text' is null"):
        load(root, limit=2)


def test_string_labels_and_a_map(root):
    strings = Features({"text": Value("string"), "label": Value("string")})
    write_rows(root, "en_x", "test", [single("a", "no"), single("b", "oui"), single("c", None)], strings)
    data = load(root, label_map={"oui": "yes"})
    assert (data.labels, data.dropped) == ([0, 1], {"unlabelled": 1})
    with pytest.raises(UserError, match=r"row 1: the label 'oui' is none of the task 'tags' \(no, yes\)"):
        load(root)


def test_label_names_may_stand_in_the_card_alone(root):
    plain = Features({"text": Value("string"), "label": Value("int64")})
    write_rows(root, "en_x", "test", [single("a", 0)], plain)
    assert load(root).labels == [0]  # a position in the task's list
    (root / "org/tags/README.md").write_text(
        "---\ndataset_info:\n- config_name: en_x\n  features:\n  - name: text\n    dtype: string\n  - name: label\n"
        "    dtype:\n      class_label:\n        names:\n          '0': 'yes'\n          '1': 'no'\n---\n"
    )
    assert load(root).labels == [1]


def test_numbers_without_names_are_positions_in_the_tasks_list_or_its_own_numbers(root):
    plain = Features({"text": Value("string"), "label": Value("int64")})
    write_rows(root, "en_x", "test", [single("a", 1), single("b", 2), single("c", -1), single("d", 7)], plain)
    with pytest.raises(UserError, match=r"row 1: the label 2 is none .* \(no, yes\), and so for 1 more of these data"):
        load(root)
    data = load(root, labels=["2", "1", "7"])
    assert (data.labels, data.dropped) == ([1, 0, 2], {"unlabelled": 1})
    assert load(root, labels=list("abcdefgh")).labels == [1, 2, 7]


def test_numbers_without_names_are_named_by_the_map(root):
    plain = Features({"text": Value("string"), "label": Value("int64")})
    write_rows(root, "en_x", "test", [single("a", 1), single("b", 5), single("c", -1), single("d", 1)], plain)
    data = load(root, label_map={"5": "no", "1": "yes"})
    assert (data.rows, data.labels, data.dropped) == ([0, 1, 3], [1, 0, 1], {"unlabelled": 1})
    with pytest.raises(UserError, match="row 1: the label 5 is none of the task"):
        load(root, label_map={"0": "no", "1": "yes"})
    with pytest.raises(UserError, match=r"holds .*int64.* without names, .* or the task a label_map of whole numbers"):
        load(root, label_map={"one": "yes"})


def test_a_part_has_columns_and_a_map_of_its_own(root):
    other = Features({"premise": Value("string"), "gold": ClassLabel(names=["ja", "nein"])})
    write_rows(root, "de_y", "test", [{"premise": "a", "gold": 1}, {"premise": "b", "gold": 0}], other)
    part = {
        "source": {"kind": "hub", "dataset": "org/tags"},
        "configs": {"de": "de_y"},
        "columns": {"text": "premise", "label": "gold"},
        "label_map": {"ja": "yes", "nein": "no"},
    }
    data = load(root, "de", configs={"en": "en_x"}, also=[part])
    assert (data.text, data.labels) == (["a", "b"], [0, 1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([pair("a", "b", 0), pair(None, "b", 0)], "test, row 1: 'one' is null"),
        ([pair("a", None, 0)], "test, row 0: 'two' is null"),
        ([pair("", "b", 0), pair("a", "b", -1)], r"no text with a label \(1 empty, 1 unlabelled\)"),
    ],
)
def test_bad_rows_are_refused(root, rows, message):
    write_rows(root, "en_x", "test", rows, PAIRS)
    with pytest.raises(UserError, match=message):
        load(root, pairs=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["no", "maybe"]}, "the data have yes and the task does not; the task has maybe"),
        ({"label_map": {"ja": "yes"}}, "label_map names ja"),
        ({"columns": {"text": "txt", "label": "label"}}, r"'txt'; did you mean text\?"),
        ({"columns": {"text": "label", "label": "label"}}, "column 'label' holds .* and not texts"),
        ({"columns": {"text": "text", "label": "text"}}, "the label 'a' is none of the task"),
        ({"source": {"kind": "embedded"}, "configs": {"en": "en"}}, "the embedded data are tagged words"),
    ],
)
def test_data_that_break_the_task_are_refused(root, changes, message):
    write_rows(root, "en_x", "test", [single("a", 0)], SINGLE)
    with pytest.raises(UserError, match=message):
        load(root, **changes)


def test_an_unknown_language_is_refused(root):
    with pytest.raises(UserError, match="unknown language of the task 'tags': 'fr'; known: de, en"):
        load(root, "fr")
