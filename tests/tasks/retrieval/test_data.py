"""Sentence pairs of retrieval tasks. Truth: rows written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Features, Value

from tests.data.hub_folder import write_rows
from xrealign_bench.data.located import DataLocation
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.tasks.retrieval.data import load as load_translations

TEXTS = Features({"english": Value("string"), "other": Value("string"), "swahili": Value("string")})
ROWS: list[tuple[str | None, ...]] = [
    ("one", "eins", "moja"),
    ("two", "zwei", "mbili"),
    ("three", " ", "tatu"),
    ("two ", "doppelt", "mara mbili"),
    ("four", None, "nne"),
    ("five", "eins", "tano"),
    ("six", "sechs", "sita"),
]


def make_task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "pairs",
        "title": "Pairs",
        "licence": "none",
        "task_type": "retrieval",
        "source": {"kind": "hub", "dataset": "org/tags"},
        "configs": {"de": "all", "sw": "all"},
        "columns": {"text": "english", "text_pair": {"de": "other", "sw": "swahili | swh"}},
        "text_language": "en",
    }
    return Task.model_validate(fields | changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = [dict(zip(TEXTS, row, strict=True)) for row in ROWS]
    write_rows(tmp_path, "all", "test", rows, TEXTS)
    return tmp_path


def test_empty_and_repeated_sides_are_dropped_and_counted(root: Path) -> None:
    data = load_translations(make_task(), "de", "test", DataLocation(root, offline=True))
    assert (data.text, data.text_pair) == (["one", "two", "six"], ["eins", "zwei", "sechs"])
    assert data.dropped == {"empty": 2, "duplicate": 2}
    assert len(data) == 3
    assert data.rows == [0, 1, 6]


def test_each_language_has_its_column(root: Path) -> None:
    data = load_translations(make_task(), "sw", "test", DataLocation(root, offline=True))
    assert data.text == ["one", "two", "three", "four", "five", "six"]
    assert data.text_pair == ["moja", "mbili", "tatu", "nne", "tano", "sita"]
    assert data.dropped == {"duplicate": 1}


@pytest.mark.parametrize(
    ("changes", "limit", "text"),
    [
        ({"test_examples": 2}, None, ["one", "two "]),
        ({"skip_examples": 1}, None, ["two", "three", "four", "five", "six"]),
        ({"skip_examples": 1, "test_examples": 3}, None, ["two", "five"]),
        ({"skip_examples": 5, "test_examples": 9}, 1, ["five"]),
    ],
)
def test_examples_are_spread_behind_those_that_are_skipped(
    root: Path, changes: dict[str, Any], limit: int | None, text: list[str]
) -> None:
    data = load_translations(make_task(**changes), "sw", "test", DataLocation(root, offline=True), limit=limit)
    assert data.text == text
    assert [ROWS[row][0] for row in data.rows] == text


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "column": ({"columns": {"text": "englsh", "text_pair": "other"}}, "de", "'englsh'; did you mean english"),
    "language": ({}, "fr", "unknown language of the task 'pairs': 'fr'"),
    "all skipped": ({"skip_examples": 7}, "sw", "no pair with text on both sides behind the first 7"),
}


@pytest.mark.parametrize(("changes", "language", "message"), BAD.values(), ids=BAD.keys())
def test_missing_data_are_named_in_the_error(root: Path, changes: dict[str, Any], language: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_translations(make_task(**changes), language, "test", DataLocation(root, offline=True))


def test_numbers_are_no_text(tmp_path: Path) -> None:
    features = Features({"english": Value("string"), "other": Value("int64")})
    write_rows(tmp_path, "all", "test", [{"english": "one", "other": 1}], features)
    task = make_task(columns={"text": "english", "text_pair": "other"})
    with pytest.raises(UserError, match=r"column 'other' holds .* and not text"):
        load_translations(task, "de", "test", DataLocation(tmp_path, offline=True))
