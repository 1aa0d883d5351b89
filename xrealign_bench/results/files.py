"""Results on disk: a folder with `result.json`, predictions and comparison, each file whole or absent.

JSON has one form only (sorted keys, one space of indent, a newline at the end), so equal content is equal
bytes and a change is a readable diff. `result.json` is written last: a folder that has one has everything
that it names.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from xrealign_bench import __version__
from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file, write_whole
from xrealign_bench.results.migrations import migrate
from xrealign_bench.results.schema import Comparison, History, PredictionRecord, Result

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
    path = write_whole(folder / f"predictions-{task}.parquet", content.getvalue())
    return PredictionRecord(task=task, file=path.name, sha256=sha256_file(path), rows=table.num_rows)


def write_result(folder: Path, result: Result) -> Path:
    """Write `result.json`, after the predictions that it names.

    Raises:
        FileNotFoundError: a file of predictions is not there yet.
    """
    for record in result.predictions:
        if not (folder / record.file).is_file():
            raise FileNotFoundError(f"{folder / record.file} is named in the result: write the predictions first")
    return _write_model(folder / RESULT, result)


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write `comparison.json` beside the result that it is about."""
    return _write_model(folder / COMPARISON, comparison)


def read_result(folder: Path) -> Result:
    """Read the `result.json` of a folder.

    Raises: UserError: there is none, its schema version is unknown, or it breaks the schema (every problem on
        a line).
    """
    return _read_model(folder / RESULT, Result)


def read_comparison(folder: Path) -> Comparison | None:
    """Read the `comparison.json` of a folder; None where the result has not been compared.

    Raises:
        UserError: as for `read_result`.
    """
    path = folder / COMPARISON
    return _read_model(path, Comparison) if path.exists() else None


def write_history(folder: Path, history: History) -> Path:
    """Write `history.json` beside the result that it is about."""
    return _write_model(folder / HISTORY, history)


def read_history(folder: Path) -> History:
    """Read the `history.json` of a folder; nothing has happened where there is none.

    Raises:
        UserError: as for `read_result`.
    """
    path = folder / HISTORY
    return _read_model(path, History) if path.exists() else History()


def read_predictions(folder: Path, record: PredictionRecord) -> pa.Table:
    """Read the predictions of one task, checked against the digest that the result gives for them.

    Returns:
        A table with the columns that `results.schema` describes, one row a (language, seed, example).

    Raises:
        UserError: the file is missing, is not the one that the result was computed from, or is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / record.file
    if not path.is_file():
        raise UserError(f"{path}: missing; the result's scores can't be checked or compared without its predictions")
    found = sha256_file(path)
    if found != record.sha256:
        raise UserError(
            f"{path}: its sha256 is {found[:12]}..., the result says {record.sha256[:12]}...; "
            "this is not the file that the scores were computed from: restore it or evaluate again"
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: can't be read as Parquet: {' '.join(str(error).split())}") from None
    if table.num_rows != record.rows:
        raise UserError(f"{path}: has {table.num_rows} rows and not the {record.rows} that the result says")
    return table


def find_results(root: Path) -> list[Path]:
    """Folders below `root` (or `root` itself) that hold a result, in the order of their paths.

    Raises:
        UserError: `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of results")
    return sorted(path.parent for path in root.rglob(RESULT))


def write_text(path: Path, text: str) -> Path:
    """Write a file so that it is whole or as it was before."""
    return write_whole(path, text.encode())


def _write_model(path: Path, model: Result | Comparison | History) -> Path:
    content = model.model_dump(mode="json")
    return write_text(path, json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _read_model(path: Path, model: type[Stored]) -> Stored:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: no {path.name} in it; results lie below OUTPUT/results/SUITE/CHECKPOINT"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON that can be read: {error}") from None
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
        raise UserError("\n".join(f"{path}: {line}" for line in _sentences(error))) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        if problem["type"] == "missing":
            yield f"{where}: is required and missing"
        elif problem["type"] == "extra_forbidden":
            yield f"{where}: no such field; remove it"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], (dict, list)) else f" (given: {problem['input']!r})"
            yield f"{where}: {message}{given}"
