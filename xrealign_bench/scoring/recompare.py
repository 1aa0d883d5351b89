"""Update stored results to the current scoring without training: languages' tiers and comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from xrealign_bench.errors import UserError
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.manifest import check_folder
from xrealign_bench.results.storage import (
    COMPARISON,
    HISTORY,
    find_results,
    read_comparison,
    read_history,
    read_result,
    write_comparison,
    write_history,
    write_result,
)
from xrealign_bench.scoring.compare import compare
from xrealign_bench.scoring.recompute import seal_unsealed


@dataclass(frozen=True)
class Recompared:
    """Numbers of verdicts of one comparison, before and after."""

    folder: Path
    suite: str
    before: tuple[int, int]
    """Languages helped and harmed."""
    after: tuple[int, int]


def recompare(root: Path) -> list[Recompared]:
    """Update the language records of every result below a folder, then recompute the comparisons that exist.

    A result of an earlier version without a manifest is rescored and gets one. Baseline, resamples and seed are kept.

    Raises:
        UserError: a result is damaged, can't be read or compared, or does not follow from its predictions.
    """
    folders = find_results(root)
    if not folders:
        raise UserError(f"{root}: no result.json in it or below; evaluate a recipe first")
    for folder in tqdm(folders, "reading results", unit="result", leave=False, disable=None):
        _update_languages(folder)
    compared = [folder for folder in folders if (folder / COMPARISON).is_file()]
    return [
        _update_comparison(folder) for folder in tqdm(compared, "comparing", unit="result", leave=False, disable=None)
    ]


def _update_languages(folder: Path) -> None:
    seal_unsealed(folder)
    # Writing below updates the manifest, which would hide damage.
    check_folder(folder)
    result, history = read_result(folder), read_history(folder)
    read_comparison(folder)
    described = [describe_language(result.suite, each.code, result.checkpoint.id) for each in result.languages]
    write_result(folder, result.model_copy(update={"languages": described}))
    if (folder / HISTORY).is_file():
        write_history(folder, history)


def _update_comparison(folder: Path) -> Recompared:
    old = read_comparison(folder)
    assert old is not None
    before = _verdicts(folder)
    again = compare(folder, folder / old.baseline, old.resamples, old.seed)
    write_comparison(folder, again)
    return Recompared(folder, read_result(folder).suite.id, before, _verdicts(folder))


def _verdicts(folder: Path) -> tuple[int, int]:
    """Count verdicts in the file, whatever its schema version."""
    content = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
    verdicts = [change["verdict"] for task in content["tasks"] for change in task["languages"]]
    return verdicts.count("helped"), verdicts.count("harmed")
