"""Results on disk: a folder with `result.json`, predictions and comparison, each file whole or absent.

JSON has one form only (sorted keys, one space of indent, a newline at the end), so equal content is equal
bytes and a change is a readable diff. Every write ends with the folder's manifest, and every read begins with it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from xrealign_bench import __version__
from xrealign_bench.errors import MOST_PROBLEMS, UserError, count_further_problems, shorten
from xrealign_bench.files import sha256_file, write_atomically
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.history import History
from xrealign_bench.results.manifest import MANIFEST, check_folder, read_manifest, read_sealed, seal
from xrealign_bench.results.migrations import migrate
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
    """Write one task's predictions; the record that comes back belongs into `Result.predictions`."""
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    path = write_atomically(folder / f"predictions-{task}.parquet", content.getvalue())
    return PredictionRecord(task=task, file=path.name, sha256=sha256_file(path), rows=table.num_rows)


def write_result(folder: Path, result: Result) -> Path:
    """Write `result.json`, after the predictions that it names.

    Raises:
        FileNotFoundError: a file of predictions is not there yet.
    """
    for record in result.predictions:
        if not (folder / record.file).is_file():
            raise FileNotFoundError(f"{folder / record.file} is named in the result: write the predictions first")
    return _write_sealed(folder / RESULT, result)


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write `comparison.json` beside the result that it is about."""
    return _write_sealed(folder / COMPARISON, comparison)


def read_result(folder: Path) -> Result:
    """Read the `result.json` of a folder.

    Raises:
        UserError: there is none, it is not the one in the manifest, its schema version is unknown, or it breaks the
            schema (every problem on a line).
    """
    return _read_model(folder, RESULT, Result)


def read_checked(folder: Path) -> Result:
    """Read the result of a folder all of whose files are those of its manifest, and its predictions those it names.

    Raises:
        UserError: everything that is missing, added or changed, one line each; or as for `read_result`.
    """
    check_folder(folder)
    result, manifest = read_result(folder), read_manifest(folder)
    for record in result.predictions:
        sealed = manifest.find(record.file)
        if sealed is None or sealed.sha256 != record.sha256:
            raise UserError(
                f"{folder / record.file}: is not the file that the scores in {RESULT} were computed from; restore it "
                "or evaluate again"
            )
    return result


def read_comparison(folder: Path) -> Comparison | None:
    """Read the `comparison.json` of a folder; None where the result has not been compared.

    Raises:
        UserError: as for `read_result`.
    """
    return _read_model(folder, COMPARISON, Comparison) if _has(folder, COMPARISON) else None


def write_history(folder: Path, history: History) -> Path:
    """Write `history.json` beside the result that it is about."""
    return _write_sealed(folder / HISTORY, history)


def read_history(folder: Path) -> History:
    """Read the `history.json` of a folder; nothing has happened where there is none.

    Raises:
        UserError: as for `read_result`.
    """
    return _read_model(folder, HISTORY, History) if _has(folder, HISTORY) else History()


def read_predictions(folder: Path, record: PredictionRecord, task: Task) -> pa.Table:
    """Read the predictions of one task, checked against the manifest and the digest that the result gives for them.

    Returns:
        A table with the columns that `results.schema` describes, one row a (language, seed, example).

    Raises:
        UserError: the file is missing, is not the one that the result was computed from, or is no table of predictions
            of the task.
    """
    import pyarrow as pa

    from xrealign_bench.tasks.prediction_tables import read_table

    path = folder / record.file
    content = read_sealed(folder, record.file)
    found = hashlib.sha256(content).hexdigest()
    if found != record.sha256:
        raise UserError(
            f"{path}: its sha256 is {found[:12]}..., the result says {record.sha256[:12]}...; "
            "this is not the file that the scores were computed from: restore it or evaluate again"
        )
    try:
        table = read_table(content, task)
    except (ValueError, pa.ArrowException, OSError, MemoryError) as error:
        raise UserError(f"{path}: holds no predictions of {task.name}: {' '.join(str(error).split())[:200]}") from None
    if table.num_rows != record.rows:
        raise UserError(f"{path}: has {table.num_rows} rows and not the {record.rows} that the result says")
    return table


def find_results(root: Path) -> list[Path]:
    """Folders below `root` (or `root` itself) that hold a result or what is left of one, in the order of their paths.

    Links to folders are among them: `check_folder` refuses them by name.

    Raises:
        UserError: `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of results")
    links = {path for path in root.rglob("*") if path.is_symlink() and path.is_dir()}
    return sorted({path.parent for name in (RESULT, MANIFEST) for path in root.rglob(name)} | links)


def write_text(path: Path, text: str) -> Path:
    """Write a file so that it is whole or as it was before."""
    return write_atomically(path, text.encode())


def _write_sealed(path: Path, model: Result | Comparison | History) -> Path:
    """Write a model, and the folder's manifest anew."""
    content = model.model_dump(mode="json")
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")
    seal(path.parent)
    return path


def _has(folder: Path, name: str) -> bool:
    """Whether a folder has a file, or its manifest says that it had."""
    return (folder / name).exists() or read_manifest(folder).find(name) is not None


def _read_model(folder: Path, name: str, model: type[Stored]) -> Stored:
    path = folder / name
    content = parse_json(read_sealed(folder, name), str(path))
    version = content.get("schema_version") if isinstance(content, dict) else None
    known = model.model_fields["schema_version"].default
    try:
        content = migrate(content, model.__name__, known) if isinstance(content, dict) else content
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: breaks the schema of version {version!r} ({error!r}); restore the file") from None
    if not isinstance(content, dict) or content.get("schema_version") != known:
        raise UserError(
            f"{path}: schema_version is {version!r}; xrealign-bench {__version__} reads versions up to {known}. "
            "Install a newer xrealign-bench, or restore the file"
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_problems(path, error))) from None


def _problems(path: Path, error: ValidationError) -> list[str]:
    told = [f"{path}: {line}" for line in islice(_sentences(error), MOST_PROBLEMS)]
    return [*told, *count_further_problems(str(path), error.error_count())]


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        if problem["type"] == "missing":
            yield f"{where}: is required and missing"
        elif problem["type"] == "extra_forbidden":
            yield f"{where}: no such field; remove it"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], (dict, list)) else f" (given: {shorten(repr(problem['input']))})"
            yield f"{where}: {message[:200]}{given}"
