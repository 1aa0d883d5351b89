"""Scores in the files of MTEB's results repository: `results/MODEL/REVISION/TASK.json`, from MTEB 1.11 on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xrealign_bench.languages import find
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.interchange.report import (
    ForeignScore,
    Report,
    known_tasks,
    read_json_object,
    take,
    text_or_none,
)
from xrealign_bench.leaderboard.interchange.seed_means import LanguageScores, model_name, scores_by_language
from xrealign_bench.results.result import Result
from xrealign_bench.specs import Task

DIGITS = 6
"""MTEB rounds scores to six decimals."""
UNKNOWN_REVISION = "no_revision_available"
"""MTEB's own word."""
METRICS = {"accuracy": "accuracy", "f1": "f1"}
"""Our metric -> MTEB's."""


def render(stored: StoredResult) -> dict[str, str]:
    """Return one file per task and `model_meta.json`, by their paths."""
    result, name = stored.result, model_name(stored)
    checkpoint = result.checkpoint
    revision = checkpoint.revision or checkpoint.weights_sha256[:12] or UNKNOWN_REVISION
    folder = f"{result.suite.id}/results/{name.replace('/', '__')}/{revision.replace('/', '__')}"
    meta = {
        "name": name, "revision": revision, "release_date": None, "languages": None,
        "n_parameters": checkpoint.parameters, "memory_usage_mb": None, "max_tokens": None, "embed_dim": None,
        "license": None, "open_weights": None, "public_training_code": None, "public_training_data": None,
        "framework": ["PyTorch"], "reference": None, "similarity_fn_name": None, "use_instructions": None,
        "training_datasets": None, "adapted_from": checkpoint.id, "superseded_by": None, "modalities": ["text"],
        "loader": None,
    }  # fmt: skip
    scores: dict[str, list[LanguageScores]] = {}
    for each in scores_by_language(result):
        scores.setdefault(each.task.name, []).append(each)
    tasks = [task for task in result.tasks if task.name in scores]
    files = {f"{task.name}.json": _task_file(result, task, scores[task.name]) for task in tasks}
    return {f"{folder}/{file}": _dump(content) for file, content in (files | {"model_meta.json": meta}).items()}


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _task_file(result: Result, task: Task, scores: list[LanguageScores]) -> dict[str, Any]:
    splits: dict[str, list[dict[str, Any]]] = {}
    for each in scores:
        splits.setdefault(task.part(each.language).test_split, []).append(_entry(result, each))
    return {
        "dataset_revision": next((each.revision for each in scores if each.revision), UNKNOWN_REVISION),
        "task_name": task.name,
        "mteb_version": None,
        "scores": splits,
        "evaluation_time": round(sum(stage.seconds for stage in result.stages), DIGITS),
        "kg_co2_emissions": None,
        "date": result.created.timestamp(),
    }


def _entry(result: Result, each: LanguageScores) -> dict[str, Any]:
    metrics = {name: round(value, DIGITS) for name, value in each.metrics.items()}
    codes = [each.language] if each.task.tests_source else [each.language, result.suite.source_language]
    return {
        "scores_per_experiment": [
            {name: round(score.metrics[name] or 0.0, DIGITS) for name in metrics} for score in each.scores
        ],
        **metrics,
        "main_score": metrics[each.task.metric],
        "hf_subset": each.config,
        "languages": [_language_and_script(code) for code in codes],
    }


def _language_and_script(code: str) -> str:
    """Return a code as MTEB writes it.

    >>> _language_and_script("de")
    'deu-Latn'
    """
    language = find(code)
    return f"{language.iso639_3 or language.code}-{language.script}"


def read(path: Path) -> Report:
    """Read a task's file, and the model's name and revision from `model_meta.json` beside it, if that exists.

    Raises:
        UserError: the file is no result of MTEB, or its task has no counterpart here.
    """
    content = read_json_object(path)
    name = take(content, "task_name", str, path, "MTEB")
    known = known_tasks("mteb", name, path)
    scores = []
    for split, entries in take(content, "scores", dict, path, "MTEB").items():
        for entry in entries if isinstance(entries, list) else [entries]:
            subset = take(entry, "hf_subset", str, path, "MTEB")
            codes = [str(code).partition("-")[0] for code in take(entry, "languages", list, path, "MTEB")]
            metrics = {ours: entry.get(theirs) for ours, theirs in METRICS.items()}
            scores.append(ForeignScore(name, known.data_set, subset, tuple(codes), split, metrics, known.differs))
    version, meta = text_or_none(content.get("mteb_version")), path.with_name("model_meta.json")
    model = read_json_object(meta) if meta.is_file() else {}
    program = f"MTEB {version}" if version else "MTEB"
    return Report(program, text_or_none(model.get("name")), text_or_none(model.get("revision")), scores)
