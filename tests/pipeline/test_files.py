"""Files that stages leave for one another. Truth: what was put in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from xrealign_bench.pipeline import files
from xrealign_bench.pipeline.files import read_rows, rows_in_parts, table_in_parts, write_table

ROWS = {"words": [["a", "b"], [], ["c"], ["d"], ["e", "f", "g"]], "number": [1, 2, 3, 4, 5]}


def test_rows_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_ROWS_IN_MEMORY", 2)
    write_table(tmp_path / "rows.parquet", pa.table(ROWS))
    parts = list(rows_in_parts(tmp_path / "rows.parquet", ["words"]))
    assert [part["words"] for part in parts] == [ROWS["words"][:2], ROWS["words"][2:4], ROWS["words"][4:]]
    assert {name for part in parts for name in part} == {"words"}


def test_a_table_in_parts_is_the_table(tmp_path: Path) -> None:
    with table_in_parts(tmp_path / "parts.parquet") as add:
        for begin, end in ((0, 2), (2, 5)):
            add(pa.table({name: values[begin:end] for name, values in ROWS.items()}))
    assert read_rows(tmp_path / "parts.parquet") == ROWS


def test_one_part_is_the_file_that_is_written_at_once(tmp_path: Path) -> None:
    with table_in_parts(tmp_path / "parts.parquet") as add:
        add(pa.table(ROWS))
    write_table(tmp_path / "whole.parquet", pa.table(ROWS))
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
