"""Sources of data: formats by suffix, and fields that don't go together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from xrealign_bench.specs import DataSource, FilesData

SOURCE: TypeAdapter[Any] = TypeAdapter(DataSource)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/{config}.conllu", "conllu"), ("a.JSONL.gz", "jsonl"), ("a.tsv", "tsv"), ("a.txt", "text"),
        ("{config}.{language}", "text"), ("a.tmx.gz", "tmx"), ("words", None), ("a.xlsx", None),
    ],
)  # fmt: skip
def test_formats_by_suffix(path: str, expected: str | None) -> None:
    assert FilesData(kind="files", test=path).format_of(path) == expected
    assert FilesData(kind="files", test="x", format="csv").format_of(path) == "csv"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "files"}, "a source of kind 'files' needs one of train, validation, test"),
        ({"kind": "hub", "dataset": "a/b", "format": "tsv"}, "format is for files that train, validation, test name"),
        (
            {"kind": "files", "test": "a.jsonl", "names": ["a"]},
            "names has an effect for the formats csv, tsv, conll only",
        ),
        (
            {"kind": "files", "test": "a.conll", "delimiter": ";"},
            "delimiter has an effect for the formats csv, tsv only",
        ),
        ({"kind": "files", "test": "a", "format": "tmx", "quoting": "none"}, "quoting has an effect for"),
        ({"kind": "files", "test": "a.jsonl", "lines": "all"}, "lines has an effect for"),
        ({"kind": "hub", "dataset": "a/b", "lines": "all"}, "lines has an effect for"),
        ({"kind": "files", "test": "a.{language}", "format": "csv"}, "{language} is for plain lines"),
        (
            {"kind": "url", "test": "https://a/b.zip", "member": "a", "first_lines": 1},
            "first_lines is for plain or gzipped files",
        ),
        ({"kind": "files", "test": "{split}.csv"}, "has {split}; only {config} and {language} are filled in"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SOURCE.validate_python(fields)
    assert message in str(caught.value)


def test_fields_that_go_together() -> None:
    for fields in (
        {"kind": "files", "test": "a.csv", "train": "b.jsonl", "delimiter": ";"},
        {"kind": "files", "test": "a", "names": ["x"]},
        {"kind": "url", "test": "https://a/b.zip", "member": "{config}.{language}"},
        {"kind": "hub", "dataset": "a/b", "test": "data/{config}/test.tsv", "quoting": "none"},
    ):
        SOURCE.validate_python(fields)


@pytest.mark.parametrize(
    ("path", "is_outside"),
    [("data/a", False), ("a/../b", False), ("./a", False), ("../a", True), ("a/../../b", True), ("/etc/passwd", True)],
)
def test_paths_that_leave_the_folder(path: str, is_outside: bool) -> None:
    assert (FilesData(kind="files", test=path).outside == [path]) == is_outside
