"""Migrate files of earlier schema versions, one function per version.

A step takes the JSON content of one version and returns that of the next. It keeps what is still valid, drops the rest
and never computes a new figure. Files of newer versions are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xrealign_bench import __version__
from xrealign_bench.errors import UserError

Content = dict[str, Any]
Step = Callable[[Content], Content]


def _result_1_to_2(content: Content) -> Content:
    """Add the ddof of the standard deviations.

    Reported scores before version 2 were AlignFreeze's (ddof 0). Reported means without scores were the low-resource
    study's (ddof 1).
    """
    return content | {"ddof": 0 if content.get("reported") is not None and content.get("scores") else 1}


def _result_2_to_3(content: Content) -> Content:
    """Rename `numerics` to `compute_settings`, null if reported, and `kind` to `stage_type` and `task_type`."""
    renamed = {key: value for key, value in content.items() if key != "numerics"}
    stages = [_renamed(stage, "kind", "stage_type") for stage in content["stages"]]
    tasks = [_renamed(task, "kind", "task_type") for task in content["tasks"]]
    return renamed | {"compute_settings": content["numerics"] or None, "stages": stages, "tasks": tasks}


def _history_1_to_2(content: Content) -> Content:
    """Rename `same_numerics` of an event to `same_compute_settings`."""
    events = [_renamed(event, "same_numerics", "same_compute_settings") for event in content["events"]]
    return content | {"events": events}


def _renamed(content: Content, old: str, new: str) -> Content:
    return {(new if key == old else key): value for key, value in content.items()}


def _comparison_1_to_2(content: Content) -> Content:
    """Add the numbers of languages that change by AlignFreeze's rule, without intervals."""
    tasks = [task | {"one_std": _count_one_std(task["languages"])} for task in content["tasks"]]
    changes = [change for task in tasks for change in task["languages"]]
    return content | {"tasks": tasks, "one_std": _count_one_std(changes)}


def _count_one_std(changes: list[Content]) -> Content:
    signs = [change["one_std"] for change in changes]
    return {name: {"count": signs.count(name), "low": None, "high": None} for name in ("helped", "harmed")}


def _comparison_2_to_3(content: Content) -> Content:
    """Drop intervals, p-values and verdicts, because the percentile bootstrap does not reach its nominal coverage."""
    tasks = [
        task
        | {
            "gains": {name: _without_interval(gain) for name, gain in task["gains"].items()},
            "languages": [
                _without_interval(change) | {"p_value": None, "verdict": "untested"} for change in task["languages"]
            ],
        }
        for task in content["tasks"]
    ]
    gains = {name: _without_interval(gain) for name, gain in content["gains"].items()}
    return content | {"scoring": 1, "prior": None, "ddof": 0, "gains": gains, "tasks": tasks}


def _without_interval(content: Content) -> Content:
    return content | {"low": None, "high": None}


MIGRATIONS: Mapping[str, Mapping[int, Step]] = {
    "Result": {1: _result_1_to_2, 2: _result_2_to_3},
    "History": {1: _history_1_to_2},
    "Comparison": {1: _comparison_1_to_2, 2: _comparison_2_to_3},
}
"""Model -> version to start from -> step."""


def read_version(content: Any, model: str, version: int, path: Path) -> Content:
    """Return the content of a file in a schema version, migrated if it is older.

    Raises:
        UserError: the file has a newer or unknown version, or breaks the schema of its own.
    """
    found = content.get("schema_version") if isinstance(content, dict) else None
    try:
        migrated = migrate(content, model, version) if isinstance(content, dict) else {}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: breaks the schema of version {found!r} ({error!r}). Restore the file") from None
    if migrated.get("schema_version") != version:
        raise UserError(
            f"{path}: schema_version is {found!r}, but xrealign-bench {__version__} reads versions up to {version}. "
            "Install a newer xrealign-bench, or restore the file"
        )
    return migrated


def migrate(content: Content, model: str, version: int) -> Content:
    """Migrate the content of a file to a schema version, step by step.

    Args:
        content: with its `schema_version`.
        model: name of the model. Without an entry in `MIGRATIONS` nothing is migrated.
        version: the version to reach.

    Returns:
        Content of that version, or of the last version that can be reached.
    """
    steps = MIGRATIONS.get(model, {})
    while (found := content.get("schema_version")) != version and isinstance(found, int) and found in steps:
        content = steps[found](content) | {"schema_version": found + 1}
    return content
