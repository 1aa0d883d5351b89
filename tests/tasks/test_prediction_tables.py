"""Tables of predictions, as others may have written them. Truth: what was written, and one thing spoilt in it."""

from __future__ import annotations

import io
import resource
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.scoring.builder import make_task
from xrealign_bench.specs import Task, TaskType
from xrealign_bench.tasks import prediction_tables as tables
from xrealign_bench.tasks.prediction_tables import CELL, read_table
from xrealign_bench.tasks.registry import TASK_TYPES

KEYS: dict[str, list[Any]] = {"language": ["de", "de"], "seed": [1, 1], "example": [0, 1]}
ROWS: dict[TaskType, dict[str, list[Any]]] = {
    "token_classification": {
        "gold": [[1, -100], [0]],
        "predicted": [[1, 0], [1]],
        "scored": [[True, False], [True]],
        "group": [["A", "B"], None],
    },
    "sequence_classification": {"gold": [1, 0], "predicted": [1, 1]},
    "prompted_classification": {"gold": [1, 0], "predicted": [1, 1]},
    "retrieval": {"forward": [1, 0], "backward": [0, 1]},
    "question_answering": {"gold": [[[2**62, -(2**62)]], [[3], []]], "predicted": [[2**62], []]},
    "language_modelling": {"bits": [3.5, 0.0], "bytes": [2, 1], "tokens": [1, 1]},
    "translation": {
        "target": ["de", "de"],
        "forward_reference": [[3, 2, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]],
        "backward_reference": [[2, 1, 0, 0, 0, 0], [0] * 6],
        "reference_language": ["de", "de"],
        "forward_answer": [[5, 4, 3, 0, 0, 0, 3, 2, 1, 0, 0, 0], [0] * 12],
        "forward_language": ["de", "de"],
        "backward_answer": [[1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [0] * 12],
        "backward_language": ["de", "de"],
    },
}


def task_of(task_type: TaskType) -> Task:
    return make_task().model_copy(update={"task_type": task_type})


def written(task_type: TaskType, types: dict[str, pa.DataType] | None = None, **changed: list[Any]) -> pa.Table:
    """A table of the task type, with other values or types in some columns."""
    known = {**CELL, **TASK_TYPES[task_type].metric.columns, **(types or {})}
    values = {**KEYS, **ROWS[task_type], **changed}
    return pa.table({name: pa.array(values[name], known[name]) for name in values})


def stored(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("task_type", ROWS)
def test_written_predictions_are_read_back(task_type: TaskType) -> None:
    table = written(task_type)
    for options in ({}, {"use_dictionary": False}, {"store_schema": False}):
        read = read_table(stored(table, **options), task_of(task_type))
        assert read.schema.equals(table.schema) and read.to_pylist() == table.to_pylist()
    nothing = read_table(stored(table.slice(0, 0)), task_of(task_type))
    assert nothing.num_rows == 0 and nothing.schema.equals(table.schema)


def test_a_table_of_many_parts_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_ROWS", 1)
    table = written("token_classification", language=["de", "sw"])
    assert read_table(stored(table), task_of("token_classification")).to_pylist() == table.to_pylist()


def test_groups_that_are_all_missing_are_read() -> None:
    table = written("token_classification", {"group": pa.null()}, group=[None, None])
    read = read_table(stored(table), task_of("token_classification"))
    assert read["group"].to_pylist() == [None, None] and read.schema.field("group").type == pa.list_(pa.string())


@pytest.mark.parametrize("task_type", ROWS)
def test_other_columns_are_refused(task_type: TaskType) -> None:
    table = written(task_type)
    for name in table.column_names:
        with pytest.raises(ValueError, match=r"has the columns .* and not language, seed, example"):
            read_table(stored(table.drop_columns([name])), task_of(task_type))
    for other in (
        table.append_column("text", pa.array(["secret"] * 2)),
        table.select(table.column_names[::-1]),
        table.rename_columns(["Language", *table.column_names[1:]]),
        pa.table([*table.columns, table["seed"]], [*table.column_names, "seed"]),
    ):
        with pytest.raises((ValueError, pa.ArrowException)):
            read_table(stored(other), task_of(task_type))


OTHER_TYPES: dict[pa.DataType, list[tuple[pa.DataType, list[Any]]]] = {
    pa.string(): [(pa.int32(), [1, 2]), (pa.binary(), [b"de", b"de"]), (pa.large_string(), ["de", "de"])],
    pa.int64(): [(pa.int32(), [1, 1]), (pa.float64(), [1.0, 1.0]), (pa.string(), ["1", "1"])],
    pa.int32(): [(pa.int64(), [2**40, 1]), (pa.float64(), [1.0, 0.0]), (pa.null(), [None, None])],
    pa.int16(): [(pa.int64(), [2**40, 1]), (pa.uint16(), [1, 1]), (pa.list_(pa.int16()), [[1], [1]])],
    pa.float64(): [(pa.float32(), [1.0, 1.0]), (pa.int64(), [1, 1]), (pa.string(), ["1", "1"])],
    pa.list_(pa.int16()): [(pa.list_(pa.int64()), [[2**40, 1], [1]]), (pa.int16(), [1, 1]), (pa.null(), [None] * 2)],
    pa.list_(pa.bool_()): [(pa.list_(pa.int16()), [[1, 0], [1]]), (pa.bool_(), [True, False])],
    pa.list_(pa.int32()): [(pa.list_(pa.int64()), [[2**40] * 6, [1] * 6]), (pa.int32(), [1, 1])],
    pa.list_(pa.string()): [(pa.list_(pa.int16()), [[1], [1]]), (pa.string(), ["A", "B"])],
    pa.list_(pa.int64()): [(pa.list_(pa.int32()), [[1], [1]]), (pa.int64(), [1, 1])],
    pa.list_(pa.list_(pa.int64())): [(pa.list_(pa.int64()), [[1], [1]])],
}
"""Type -> others that hold something alike."""


@pytest.mark.parametrize("task_type", ROWS)
def test_another_type_is_refused_with_the_columns_name(task_type: TaskType) -> None:
    """Also where every value would fit: 2^40 in 64 bits would be another label in 16."""
    for name, right in {**CELL, **TASK_TYPES[task_type].metric.columns}.items():
        for other, values in OTHER_TYPES[right]:
            content = stored(written(task_type, {name: other}, **{name: values}))
            if other == pa.large_string():  # Parquet has one type of strings
                assert read_table(content, task_of(task_type)).to_pylist() == written(task_type).to_pylist()
                continue
            with pytest.raises(ValueError, match=f"^column '{name}' holds .* and not "):
                read_table(content, task_of(task_type))


@pytest.mark.parametrize("task_type", ROWS)
def test_a_null_is_refused_but_for_a_group(task_type: TaskType) -> None:
    for name in written(task_type).column_names:
        values = [None, {**KEYS, **ROWS[task_type]}[name][1]]
        content = stored(written(task_type, **{name: values}))
        if name == "group":
            assert read_table(content, task_of(task_type))["group"].null_count == 2
            continue
        with pytest.raises(ValueError, match=f"^column '{name}' has nulls"):
            read_table(content, task_of(task_type))


@pytest.mark.parametrize(
    ("task_type", "name", "values"),
    [
        ("token_classification", "gold", [[1, None], [0]]),
        ("token_classification", "predicted", [[None, 0], [1]]),
        ("token_classification", "scored", [[True, None], [True]]),
        ("question_answering", "gold", [[None], [[3]]]),
        ("question_answering", "gold", [[[None]], [[3]]]),
        ("question_answering", "predicted", [[None], [3]]),
    ],
)
def test_a_null_within_a_list_is_refused(task_type: TaskType, name: str, values: list[Any]) -> None:
    with pytest.raises(ValueError, match=f"^column '{name}' has nulls"):
        read_table(stored(written(task_type, **{name: values})), task_of(task_type))


@pytest.mark.parametrize("task_type", ["token_classification", "sequence_classification", "prompted_classification"])
@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("gold", 2),
        ("gold", 32767),
        ("gold", -1),
        ("gold", -32768),
        ("predicted", 2),
        ("predicted", -1),
        ("predicted", -100),
    ],
)
def test_a_label_that_the_task_does_not_have_is_refused(task_type: TaskType, name: str, label: int) -> None:
    values = [[label, 0], [1]] if task_type == "token_classification" else [label, 0]
    if (name, label, task_type) == ("predicted", -100, "token_classification"):  # words that the model did not read
        assert read_table(stored(written(task_type, **{name: values})), task_of(task_type))[name].to_pylist() == values
        return
    with pytest.raises(ValueError, match=f"column '{name}' has the label {label}, and the task has 2"):
        read_table(stored(written(task_type, **{name: values})), task_of(task_type))


@pytest.mark.parametrize(
    ("task_type", "name", "values"),
    [
        *(("language_modelling", "bits", [value, 1.0]) for value in (float("nan"), float("inf"), -float("inf"), -0.5)),
        ("language_modelling", "bytes", [-1, 1]),
        ("language_modelling", "tokens", [1, -1]),
        ("retrieval", "forward", [-1, 0]),
        ("retrieval", "backward", [0, -2]),
        ("retrieval", "example", [-1, 0]),
    ],
)
def test_a_number_that_is_negative_or_not_finite_is_refused(task_type: TaskType, name: str, values: list[Any]) -> None:
    with pytest.raises(ValueError, match=f"^column '{name}' has values that are negative or not finite"):
        read_table(stored(written(task_type, **{name: values})), task_of(task_type))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("forward_reference", [[3, 2, 1, 0, 0], [1, 0, 0, 0, 0, 0]], "has rows without 6 counts"),
        ("backward_answer", [[0] * 12, [0] * 13], "has rows without 12 counts"),
        ("forward_answer", [[5, 4, 3, 0, 0, 0, 4, 2, 1, 0, 0, 0], [0] * 12], "matches more n-grams than an answer or"),
        ("forward_answer", [[2, 2, 3, 0, 0, 0, 3, 2, 1, 0, 0, 0], [0] * 12], "matches more n-grams than an answer or"),
        ("backward_answer", [[0] * 12, [0] * 11 + [-1]], "matches more n-grams than an answer or"),
    ],
)
def test_impossible_counts_of_n_grams_are_refused(name: str, values: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^column '{name}' {message}"):
        read_table(stored(written("translation", **{name: values})), task_of("translation"))


def test_a_long_name_is_refused() -> None:
    for name, values in (("language", ["x" * 81, "de"]), ("group", [["A", "x" * 81], ["A"]])):
        with pytest.raises(ValueError, match=f"^column '{name}' has a name of 81 bytes, more than 80"):
            read_table(stored(written("token_classification", **{name: values})), task_of("token_classification"))


@pytest.mark.parametrize("name", ["language", "group"])
def test_a_small_file_that_would_fill_the_memory_is_refused(name: str) -> None:
    """A dictionary of one long text that every row repeats: a few kilobytes stored, 20 GB if each were laid out."""
    rows, text = 20_000, "x" * 2**20
    values: dict[str, pa.Array] = {
        "language": pa.array(["de"] * rows),
        "seed": pa.array([1] * rows, pa.int64()),
        "example": pa.array(range(rows), pa.int32()),
        "gold": pa.array([[0]] * rows, pa.list_(pa.int16())),
        "predicted": pa.array([[0]] * rows, pa.list_(pa.int16())),
        "scored": pa.array([[True]] * rows, pa.list_(pa.bool_())),
        "group": pa.nulls(rows, pa.list_(pa.string())),
    }
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    offsets = pa.array(range(rows + 1), pa.int32())
    values[name] = repeated if name == "language" else pa.ListArray.from_arrays(offsets, repeated)
    content = stored(pa.table(values), compression="zstd", store_schema=False, write_statistics=False)
    assert len(content) < 150_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"has a name of 1,048,576 bytes|has more than"):
        read_table(content, task_of("token_classification"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In lists within lists too, of which a row may have any number."""
    content = stored(written("question_answering"))
    monkeypatch.setattr(tables, "MOST_VALUES", 6 + 3 + 1)
    assert read_table(content, task_of("question_answering")).num_rows == 2
    monkeypatch.setattr(tables, "MOST_VALUES", 6 + 3 + 0)
    with pytest.raises(ValueError, match="has more than 9 values"):
        read_table(content, task_of("question_answering"))
    monkeypatch.undo()
    monkeypatch.setattr(tables, "LARGEST_TABLE", 10)
    with pytest.raises(ValueError, match="or 10 bytes"):
        read_table(content, task_of("question_answering"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"not Parquet at all"])
def test_files_other_than_parquet_are_refused(content: bytes) -> None:
    with pytest.raises((ValueError, pa.ArrowException, OSError)):
        read_table(content, task_of("retrieval"))


def test_every_cut_and_many_flips_are_refused_or_read_as_a_sound_table() -> None:
    whole = stored(written("retrieval"))
    for length in range(0, len(whole), 7):
        with pytest.raises((ValueError, pa.ArrowException, OSError)):
            read_table(whole[:length], task_of("retrieval"))
    for place in range(0, len(whole), 5):
        content = bytearray(whole)
        content[place] ^= 0x55
        try:
            read = read_table(bytes(content), task_of("retrieval"))
        except (ValueError, pa.ArrowException, OSError, MemoryError):
            continue
        assert read.column_names == ["language", "seed", "example", "forward", "backward"]
