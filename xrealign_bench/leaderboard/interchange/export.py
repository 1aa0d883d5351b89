"""Write the scores of results in the formats of other programs (the command `leaderboard export`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from xrealign_bench.errors import UserError, convert_os_errors
from xrealign_bench.leaderboard.assembly import read_results
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.interchange import lm_eval, model_index, mteb
from xrealign_bench.results.history import trust_level
from xrealign_bench.results.storage import write_text
from xrealign_bench.results.tidy import score_rows

Format = Literal["mteb", "lm-eval", "hf-evals", "csv", "parquet"]
FOLDERS: dict[Format, Callable[[StoredResult], dict[str, str]]] = {
    "mteb": mteb.render,
    "lm-eval": lm_eval.render,
    "hf-evals": model_index.render,
}
"""Format -> function that returns the files of a result, by their paths. The other formats are one table."""


def export(results: Path, file_format: Format, output: Path) -> list[Path]:
    """Write the scores of all results below a folder, and return the files.

    A table has published results too, told apart by the column `trust`. Files of another program have only what this
    package computed.

    Args:
        output: a new or empty folder; for `csv` and `parquet`, a new file, or a folder in which to write `scores.csv`.

    Raises:
        UserError: there is nothing to export, the output exists, or a result is damaged.
    """
    stored = read_results(results)
    if file_format not in FOLDERS:
        return [_write_table(stored, results, file_format, output)]
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: is not an empty folder; remove it or name another --output")
    render = FOLDERS[file_format]
    files = {path: text for each in stored if each.result.reported is None for path, text in render(each).items()}
    if not files:
        raise UserError(f"{results}: has no computed result to export; reported ones are in --format csv and parquet")
    with convert_os_errors(str(output), "name another --output"):
        return [write_text(output / path, text) for path, text in files.items()]


def _rows(stored: Iterator[StoredResult], results: Path) -> Iterator[dict[str, Any]]:
    for each in stored:
        about = {
            "revision": each.result.checkpoint.revision,
            "trust": trust_level(each.result, each.history),
            "result": each.folder.relative_to(results).as_posix(),
        }
        yield from (row | about for row in score_rows(each.result))


def _write_table(stored: Iterator[StoredResult], results: Path, file_format: Format, output: Path) -> Path:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if output.is_dir() or not output.suffix:
        output /= f"scores.{file_format}"
    if output.exists():
        raise UserError(f"{output}: exists already; remove it or name another --output")
    table = pa.Table.from_pylist(list(_rows(stored, results)), schema=_schema())
    if not len(table):
        raise UserError(f"{results}: has no score to export; name a folder of results")
    with convert_os_errors(str(output), "name another --output"):
        output.parent.mkdir(parents=True, exist_ok=True)
        if file_format == "csv":
            csv.write_csv(table, output)
        else:
            parquet.write_table(table, output)
    return output


def _schema() -> Any:
    import pyarrow as pa

    text = ("suite", "version", "checkpoint", "recipe", "task", "language", "tier")
    return pa.schema(
        [
            *((name, pa.string()) for name in text),
            ("seed", pa.int64()),
            ("metric", pa.string()),
            ("value", pa.float64()),
            ("examples", pa.int64()),
            ("limit", pa.int64()),
            ("revision", pa.string()),
            ("trust", pa.string()),
            ("result", pa.string()),
        ]
    )
