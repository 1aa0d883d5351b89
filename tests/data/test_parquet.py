"""The one reader of columns: values and types by hand, in every encoding that a Parquet file can hold."""

import json
import os
import re
from pathlib import Path
from unittest.mock import ANY

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

from tests.data.hub_folder import LABELS, make_task, row, write_rows
from tests.data.test_parallel import columns_corpus, pair_corpus
from xrealign_bench.data import load_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.read import count_rows, read_rows
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import locate
from xrealign_bench.errors import UserError
from xrealign_bench.specs import HubData, Task
from xrealign_bench.tasks.labelled_texts import load as load_texts
from xrealign_bench.tasks.token_classification.data import load as load_words

SOURCE = HubData(kind="hub", dataset="org/tags")
SIDES = columns_corpus(config="en-de", columns={"en": "en", "de": "de"})


def write(root: Path, *tables: pa.Table, row_group_size: int = 3) -> list[Path]:
    """Write tables as the files of a split."""
    folder = root / "org" / "tags" / "en"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"test-{n:05}-of-{len(tables):05}.parquet" for n in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path, row_group_size=row_group_size)
    return paths


def read(root: Path, *columns: str, choose=range) -> Rows:
    return read_rows(locate(SOURCE, None, "test", DataLocation(root, offline=True)), columns or ["x"], True, choose)


STRING = pa.dictionary(pa.int8(), pa.string())


@pytest.mark.parametrize(
    ("kind", "values", "feature"),
    [
        (pa.string(), ["a", "", None, "ü"], Value("string")),
        (pa.large_string(), ["a", "", None, "ü"], Value("string")),
        (pa.string_view(), ["a", "", None, "ü"], Value("string")),
        (STRING, ["a", "b", None, "a"], Value("string")),
        (pa.list_(STRING), [["a", "b"], [], None, ["a"]], List(Value("string"))),
        (pa.large_list(pa.large_string()), [["a", None], [], None, ["ü"]], List(Value("string"))),
        (pa.list_view(pa.string_view()), [["a", "b"], [], None, ["ü"]], List(Value("string"))),
        (pa.large_list_view(pa.string()), [["a", "b"], [], None, ["ü"]], List(Value("string"))),
        (pa.list_(pa.string(), 2), [["a", "b"], ["c", "d"], None, ["e", "f"]], List(Value("string"))),
        (pa.uint8(), [1, 2, None, 255], Value("int64")),
    ],
    ids=str,
)
def test_every_encoding_gives_the_same_values(tmp_path, kind, values, feature):
    write(tmp_path, pa.table({"x": pa.array(values, kind), "y": [0] * 4}))
    whole = read(tmp_path)
    assert (whole.columns, whole.features, list(whole.numbers)) == ({"x": values}, {"x": feature}, [0, 1, 2, 3])
    some = read(tmp_path, choose=lambda there: [1, there - 1])
    assert (some.columns["x"], some.numbers) == ([values[1], values[3]], [1, 3])


def test_rows_are_chosen_over_files_and_row_groups(tmp_path):
    numbers = list(range(20))
    write(tmp_path, *(pa.table({"x": numbers[a:b]}) for a, b in ((0, 7), (7, 8), (8, 20))), row_group_size=4)
    assert read(tmp_path).columns["x"] == numbers
    for chosen in ([], [0], [19], [6, 7, 8], [3, 4, 11, 12, 15, 16], range(2, 20, 3)):
        assert read(tmp_path, choose=lambda _, chosen=chosen: chosen).columns["x"] == list(chosen)


def test_class_labels_keep_their_names_whatever_holds_them(tmp_path):
    features = Features({"x": List(ClassLabel(names=LABELS))})
    for kind in (pa.list_(pa.int64()), pa.large_list(pa.int8())):
        footer = {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}
        schema = pa.schema({"x": kind}, metadata=footer)
        write(tmp_path, pa.table({"x": [[0, 2], [1]]}, schema=schema))
        assert read(tmp_path).features == features
    write(tmp_path, pa.table({"x": [["NOUN"]]}, schema=pa.schema({"x": pa.list_(pa.string())}, metadata=footer)))
    assert read(tmp_path).features == {"x": List(Value("string"))}  # names, where the footer says numbers


def test_a_column_of_nulls_in_one_file_is_of_the_others_type(tmp_path):
    write(tmp_path, pa.table({"x": pa.nulls(2)}), pa.table({"x": ["a"]}), pa.table({"x": pa.nulls(1)}))
    assert read(tmp_path) == Rows({"x": Value("string")}, {"x": [None, None, "a", None]}, range(4), ANY)


CARD = "---\ndataset_info:\n  features:\n  - name: x\n    dtype:\n      class_label:\n        names: {}\n---\n"


def test_labels_that_mean_different_things_are_refused(tmp_path):
    def labelled(*names: str) -> pa.Table:
        schema = Features({"x": ClassLabel(names=list(names))}).arrow_schema
        return pa.table({"x": [0, 1]}, schema=schema)

    write(tmp_path, labelled("NOUN", "VERB"), labelled("VERB", "NOUN"))
    with pytest.raises(
        UserError, match=r"test-00001-of-00002\.parquet: column 'x' holds .*VERB.*, and in .*test-00000"
    ):
        read(tmp_path)
    for path in (tmp_path / "org/tags/en").iterdir():
        path.unlink()
    write(tmp_path, labelled("NOUN", "VERB"))
    card = tmp_path / "org/tags/README.md"
    card.write_text(
        CARD.format("{'0': VERB, '1': NOUN}").replace("dataset_info:\n", "dataset_info:\n  config_name: en\n")
    )
    with pytest.raises(
        UserError, match=r"labels of column 'x' are \['NOUN', 'VERB'\] in the file's footer and \['VERB"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"x": ["a"]}, {"x": [1]}], r"test-00001-of-00002\.parquet: column 'x' holds .*int64.*, and in .*string"),
        ([{"x": ["a"]}, {"y": ["a"]}], "unknown column of .*: 'x'; .*known: y"),
        ([{"x": pa.array([], pa.string())}], "en/test: has no rows; fetch it again"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, tables, message):
    write(tmp_path, *map(pa.table, tables))
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_a_column_that_stands_there_twice_is_refused(tmp_path):
    write(tmp_path, pa.table([pa.array(["a"]), pa.array(["b"])], names=["x", "x"]))
    with pytest.raises(UserError, match="more than one column 'x'"):
        read(tmp_path)


# --- bytes that are no UTF-8 ----------------------------------------------------------------------------------------

BAD = pa.array([b"good", b"K\xf6ln", b"good"], pa.binary())


def as_text(array: pa.Array) -> pa.Array:
    """The same bytes as a string column, unchecked: as a careless writer leaves them."""
    return pa.Array.from_buffers(pa.string(), len(array), array.buffers())


def bad_words() -> pa.Array:
    return pa.ListArray.from_arrays([0, 1, 3], as_text(BAD))


TAGS: dict = {"tags": [["NOUN"], ["NOUN", "VERB"]]}


@pytest.mark.parametrize("limit", [None, 2])
def test_invalid_utf8_is_refused_with_file_column_and_row(tmp_path, limit):
    (path,) = write(tmp_path, pa.table({"x": as_text(BAD)}), row_group_size=1)
    said = re.escape(f"{path}, column 'x', row 1: 'K\\xf6ln' is not UTF-8")
    with pytest.raises(UserError, match=said):
        read(tmp_path, choose=lambda there: range(limit or there))
    assert read(tmp_path, choose=lambda _: [0, 2]).columns == {"x": ["good", "good"]}


def test_invalid_utf8_is_refused_in_every_kind_of_text(tmp_path):
    """Words, labels, texts, and the two layouts of parallel text."""
    (path,) = write(tmp_path, pa.table({"tokens": bad_words()} | TAGS))
    tagging = make_task(configs={"en": "en"})
    with pytest.raises(UserError, match=f"{re.escape(str(path))}, column 'tokens', row 1: "):
        load_words(tagging, "en", "test", DataLocation(tmp_path, offline=True))
    write(tmp_path, pa.table({"tokens": [["a"], ["b", "c"]], "tags": bad_words()}))
    with pytest.raises(UserError, match="column 'tags', row 1: "):
        load_words(tagging, "en", "test", DataLocation(tmp_path, offline=True))

    columns = {"task_type": "sequence_classification", "columns": {"text": "text", "label": "label"}}
    texts = Task.model_validate(tagging.model_dump() | columns)
    write(tmp_path, pa.table({"text": as_text(BAD), "label": ["NOUN", "VERB", "NOUN"]}))
    with pytest.raises(UserError, match="column 'text', row 1: "):
        load_texts(texts, "en", "test", DataLocation(tmp_path, offline=True))

    write(tmp_path, pa.table({"en": ["a", "b", "c"], "de": as_text(BAD)}))
    with pytest.raises(UserError, match="column 'de', row 1: "):
        load_pairs(SIDES.model_copy(update={"config": "en"}), "en", "de", DataLocation(tmp_path, offline=True))
    sides = pa.StructArray.from_arrays([pa.array(["a", "b", "c"]), as_text(BAD)], names=["en", "de"])
    (path,) = write(tmp_path, pa.table({"translation": sides}))
    path.parent.rename(path.parents[1] / "en-de")
    with pytest.raises(UserError, match="column 'translation', row 1: "):
        load_pairs(pair_corpus(), "en", "de", DataLocation(tmp_path, offline=True))


@pytest.mark.parametrize(
    ("corpus", "table", "message"),
    [
        (SIDES, {"en": ["a"], "de": [5]}, "column 'de' holds .*int64.* and not texts"),
        (pair_corpus(), {"translation": [{"en": "a", "de": 5}]}, "column 'de' holds .*int64.* and not texts"),
        (pair_corpus(), {"translation": ["a"]}, "column 'translation' holds .* instead of one text per language"),
    ],
)
def test_parallel_columns_that_hold_no_texts_are_refused(tmp_path, corpus, table, message):
    (path,) = write(tmp_path, pa.table(table))
    path.parent.rename(path.parents[1] / "en-de")
    with pytest.raises(UserError, match=message):
        load_pairs(corpus, "en", "de", DataLocation(tmp_path, offline=True))


def test_a_pair_that_is_null_is_dropped_as_empty(tmp_path):
    (path,) = write(tmp_path, pa.table({"translation": [None, {"en": "dogs", "de": "Hunde"}]}))
    path.parent.rename(path.parents[1] / "en-de")
    text = load_pairs(pair_corpus(), "en", "de", DataLocation(tmp_path, offline=True))
    assert (text.target_words, text.dropped) == ([["Hunde"]], {"empty": 1})


# --- the files that were found, and no others -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data[1]", "data*", "data?", "{data,other}", "a:b", "lang=de", "http:", "50%20"])
def test_a_path_is_a_path(tmp_path, name):
    """A neighbour whose name fits the path read as a pattern has other rows."""
    for neighbour, word in (("data1", "wrong"), ("data", "wrong"), ("datas", "wrong"), (name, "right")):
        for config in ("en_x", name):
            write_rows(tmp_path / neighbour, config, "test", [row(word, [0])])
    for config in ("en_x", name):
        located = locate(SOURCE, config, "test", DataLocation(tmp_path / name, offline=True))
        assert read_rows(located, ["tokens", "tags"], offline=True).columns == {"tokens": [["right"]], "tags": [[0]]}


def test_files_that_change_while_they_are_read_are_refused(tmp_path):
    (path,) = write(tmp_path, pa.table({"x": ["a", "b"]}))
    located = locate(SOURCE, None, "test", DataLocation(tmp_path, offline=True))
    write(tmp_path, pa.table({"x": ["c", "d"]}))
    os.utime(path, ns=(0, 0))
    with pytest.raises(UserError, match="en/test: its files changed while they were read; run the command again"):
        read_rows(located, ["x"], offline=True)


def card_with(rows: object) -> str:
    return f"---\ndataset_info:\n- config_name: en\n  splits:\n  - name: test\n    num_examples: {rows}\n---\n"


def test_rows_that_the_card_does_not_count_are_refused(tmp_path):
    write(tmp_path, pa.table({"x": ["a"]}), pa.table({"x": ["b", "c"]}))
    before = locate(SOURCE, None, "test", DataLocation(tmp_path, offline=True))
    card = tmp_path / "org/tags/README.md"
    card.write_text(card_with(3))
    located = locate(SOURCE, None, "test", DataLocation(tmp_path, offline=True))
    assert located.fingerprint == before.fingerprint  # a number in the card is no part of the content
    assert (read(tmp_path).columns["x"], count_rows(located, True)) == (["a", "b", "c"], 3)
    card.write_text(card_with(4))
    located = locate(SOURCE, None, "test", DataLocation(tmp_path, offline=True))
    for ask in (lambda: read(tmp_path), lambda: count_rows(located, True)):
        with pytest.raises(UserError, match=r"en/test: has 3 rows, and the data set's card says 4 \(num_examples\)"):
            ask()
