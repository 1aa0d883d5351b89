"""Read and write result folders: `result.json`, predictions, `comparison.json` and `history.json`.

Writes are atomic. JSON has one form only (sorted keys, one space of indent, a newline at the end), so equal content is
equal bytes and a change is a readable diff. A write ends with the folder's manifest; a read checks the manifest first.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems
from xrealign_bench.files import sha256_file, write_atomically
from xrealign_bench.results.comparison import Comparison, contradictions
from xrealign_bench.results.history import History
from xrealign_bench.results.manifest import (
    MANIFEST,
    Manifest,
    check_folder,
    read_manifest,
    read_sealed,
    schema_problems,
    seal,
)
from xrealign_bench.results.migrations import read_version
from xrealign_bench.results.records import PredictionRecord
from xrealign_bench.results.result import Result
from xrealign_bench.results.strict_json import parse_json
from xrealign_bench.specs import Task

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = "result.json"
COMPARISON = "comparison.json"
HISTORY = "history.json"

Stored = TypeVar("Stored", Result, Comparison, History)


def write_predictions(folder: Path, task: str, table: pa.Table) -> PredictionRecord:
    """Write one task's predictions. Returns the record for `Result.predictions`."""
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    path = write_atomically(folder / f"predictions-{task}.parquet", content.getvalue())
    return PredictionRecord(task=task, file=path.name, sha256=sha256_file(path), rows=table.num_rows)


def write_result(folder: Path, result: Result) -> Path:
    """Write `result.json`. The predictions that it names must exist.

    Raises:
        FileNotFoundError: a predictions file does not exist.
    """
    for record in result.predictions:
        if not (folder / record.file).is_file():
            raise FileNotFoundError(f"{folder / record.file}: does not exist. Write the predictions first")
    return _write_sealed(folder / RESULT, result)


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write `comparison.json` next to its result."""
    return _write_sealed(folder / COMPARISON, comparison)


def write_history(folder: Path, history: History) -> Path:
    """Write `history.json` next to its result."""
    return _write_sealed(folder / HISTORY, history)


def read_result(folder: Path) -> Result:
    """Read the `result.json` of a folder.

    Raises:
        UserError: the file is missing, differs from the manifest, has an unknown schema version or breaks the schema
            (one line per problem).
    """
    return _read_model(folder, RESULT, Result)


def read_checked(folder: Path) -> Result:
    """Check all files of a folder against its manifest, then read its result.

    Raises:
        UserError: files are missing, added or changed (one line each), the predictions are not the result's; or as for
            `read_result`.
    """
    check_folder(folder)
    result = read_result(folder)
    for record in result.predictions:
        _check_digest(folder, read_manifest(folder), record)
    return result


def read_comparison(folder: Path) -> Comparison | None:
    """Read the `comparison.json` of a folder. Returns None if the result has not been compared.

    Raises:
        UserError: as for `read_result`, or figures of the comparison contradict each other.
    """
    if not _has_file(folder, COMPARISON):
        return None
    comparison, path = _read_model(folder, COMPARISON, Comparison), folder / COMPARISON
    if problems := list(contradictions(comparison)):
        lines = [f"{path}: {problem}. Restore the file or evaluate again" for problem in problems[:MOST_PROBLEMS]]
        raise UserError("\n".join([*lines, *count_further_problems(str(path), len(problems))]))
    return comparison


def read_history(folder: Path) -> History:
    """Read the `history.json` of a folder. Returns an empty history if the file does not exist.

    Raises:
        UserError: as for `read_result`.
    """
    return _read_model(folder, HISTORY, History) if _has_file(folder, HISTORY) else History()


def read_predictions(folder: Path, record: PredictionRecord, task: Task) -> pa.Table:
    """Read the predictions of one task, checked against the manifest and the result.

    Returns:
        A table with the columns listed in `results.records`, one row per (language, seed, example).

    Raises:
        UserError: the file is missing, is not the one that the scores were computed from, or does not hold predictions
            of the task.
    """
    import pyarrow as pa

    from xrealign_bench.tasks.prediction_tables import read_table

    path = folder / record.file
    content = read_sealed(folder, record.file)
    _check_digest(folder, read_manifest(folder), record)
    try:
        table = read_table(content, task)
    except (ValueError, pa.ArrowException, OSError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: holds no predictions of {task.name}: {reason}. Evaluate again") from None
    if table.num_rows != record.rows:
        raise UserError(f"{path}: has {table.num_rows} rows, but {RESULT} says {record.rows}. Evaluate again")
    return table


def find_results(root: Path) -> list[Path]:
    """Find result folders below `root` (or `root` itself), sorted by path.

    Damaged results and links to folders are included, so that reading them reports the problem.

    Raises:
        UserError: `root` is not a folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of results")
    links = {path for path in root.rglob("*") if path.is_symlink() and path.is_dir()}
    return sorted({path.parent for name in (RESULT, MANIFEST) for path in root.rglob(name)} | links)


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically."""
    return write_atomically(path, text.encode())


def _write_sealed(path: Path, model: Result | Comparison | History) -> Path:
    """Write a model, then the folder's manifest."""
    content = model.model_dump(mode="json")
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")
    seal(path.parent)
    return path


def _has_file(folder: Path, name: str) -> bool:
    """Return whether a folder has a file, or its manifest lists it."""
    return (folder / name).exists() or read_manifest(folder).find(name) is not None


def _check_digest(folder: Path, manifest: Manifest, record: PredictionRecord) -> None:
    """Check that a predictions file, as listed in the manifest, is the one that the result was computed from.

    Raises:
        UserError: it is another file.
    """
    sealed = manifest.find(record.file)
    if sealed is None or sealed.sha256 != record.sha256:
        raise UserError(
            f"{folder / record.file}: is not the file that the scores in {RESULT} were computed from. Restore it or "
            "evaluate again"
        )


def _read_model(folder: Path, name: str, model: type[Stored]) -> Stored:
    path = folder / name
    known = model.model_fields["schema_version"].default
    content = read_version(parse_json(read_sealed(folder, name), str(path)), model.__name__, known, path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(schema_problems(path, error, model))) from None
