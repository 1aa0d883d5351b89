"""Scores in the JSON of lm-evaluation-harness 0.4: `MODEL/results_DATE.json`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from xrealign_bench.leaderboard.assembly import hub_data_sets
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.interchange.report import ForeignScore, Report, read_json_object, take, text_or_none
from xrealign_bench.leaderboard.interchange.seed_means import LanguageScores, model_name, scores_by_language

METRICS = {"accuracy": "acc", "f1": "f1", "entity_f1": "f1"}
"""Our metric -> lm-eval's."""
LOWER_IS_BETTER = ("perplexity", "bits_per_byte")
_UNSAFE = re.compile(r'["<>:/|\\?*\[\]]+')
"""Characters that lm-eval replaces by two underscores in the name of a model's folder."""


def render(stored: StoredResult) -> dict[str, str]:
    """Return the file of a result, by its path. Each language of a task is a task, and the task is their group."""
    result, name = stored.result, model_name(stored)
    scores = {f"{each.task.name}_{each.language}": each for each in scores_by_language(result)}
    group_subtasks: dict[str, list[str]] = {}
    for task, each in scores.items():
        group_subtasks.setdefault(each.task.name, []).append(task)
    checkpoint, settings = result.checkpoint, result.known_compute_settings
    content = {
        "results": {task: _metrics(task, each) for task, each in scores.items()},
        "group_subtasks": group_subtasks,
        "configs": {task: _config(task, each, result.suite.version) for task, each in scores.items()},
        "versions": dict.fromkeys(scores, result.suite.version),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {
            task: {_name(metric): metric not in LOWER_IS_BETTER for metric in each.metrics}
            for task, each in scores.items()
        },
        "n-samples": {
            task: {"original": each.scores[0].examples, "effective": each.scores[0].examples}
            for task, each in scores.items()
        },
        "config": {
            "model": "xrealign-bench",
            "model_args": f"pretrained={name}",
            "model_num_parameters": checkpoint.parameters,
            "model_revision": checkpoint.revision,
            "model_sha": checkpoint.revision,
            "batch_size": result.suite.finetuning.batch_size,
            "device": settings.device,
            "limit": result.limit,
            "random_seed": result.seeds,
        },
        "git_hash": None,
        "date": result.created.timestamp(),
        "transformers_version": result.packages.get("transformers"),
        "task_hashes": {},
        "model_source": "xrealign-bench",
        "model_name": name,
        "model_name_sanitized": _UNSAFE.sub("__", name),
        "total_evaluation_time_seconds": str(sum(stage.seconds for stage in result.stages)),
    }
    date = result.created.replace(tzinfo=None).isoformat().replace(":", "-")
    path = f"{result.suite.id}/{content['model_name_sanitized']}/results_{date}.json"
    return {path: json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"}


def _name(metric: str) -> str:
    return METRICS.get(metric, metric)


def _metrics(task: str, each: LanguageScores) -> dict[str, Any]:
    """Return a task's figures as lm-eval writes them: `METRIC,FILTER`, and the standard error, here over seeds."""
    found: dict[str, Any] = {"name": task, "alias": task, "sample_len": each.scores[0].examples}
    for metric, value in each.metrics.items():
        found[f"{_name(metric)},none"] = value
        found[f"{_name(metric)}_stderr,none"] = each.standard_errors.get(metric, "N/A")
    return found


def _config(task: str, each: LanguageScores, version: str) -> dict[str, Any]:
    data_sets = hub_data_sets(each.task)
    return {
        "task": task,
        "dataset_path": data_sets[0] if len(data_sets) == 1 else each.task.name,
        "dataset_name": each.config,
        "test_split": each.task.part(each.language).test_split,
        "num_fewshot": 0,
        "metric_list": [
            {"metric": _name(metric), "aggregation": "mean", "higher_is_better": metric not in LOWER_IS_BETTER}
            for metric in each.metrics
        ],
        "metadata": {"version": version},
    }


def read(path: Path) -> Report:
    """Read a file of results. Groups of tasks are left out: their means are over other languages than a suite's.

    Raises:
        UserError: the file is no result of lm-eval.
    """
    content = read_json_object(path)
    configs = take(content, "configs", dict, path, "lm-eval")
    shots = content.get("n-shot")
    scores = []
    for task, figures in take(content, "results", dict, path, "lm-eval").items():
        config = configs.get(task)
        if not isinstance(config, dict) or not isinstance(figures, dict) or not config.get("dataset_name"):
            continue
        data_set, subset = str(config.get("dataset_path")), str(config["dataset_name"])
        split = str(config.get("test_split") or config.get("validation_split") or "unknown")
        metrics = {ours: _first_filter(figures, theirs) for ours, theirs in METRICS.items()}
        examples = shots.get(task) if isinstance(shots, dict) else config.get("num_fewshot")
        differs = f"not fine-tuned, prompted with {examples or 0} examples"
        name = task.removesuffix(f"_{subset.rpartition('.')[2]}")
        scores.append(ForeignScore(name, data_set, subset, (subset,), split, metrics, differs))
    version, settings = text_or_none(content.get("lm_eval_version")), content.get("config")
    program = f"lm-eval {version}" if version else "lm-eval"
    settings = settings if isinstance(settings, dict) else {}
    return Report(program, _checkpoint(content, settings), text_or_none(settings.get("model_sha")), scores)


def _first_filter(figures: dict[str, Any], metric: str) -> Any:
    """Return the value of a metric under the first filter that has it."""
    return next((value for key, value in figures.items() if key.partition(",")[0] == metric), None)


def _checkpoint(content: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """Return the model's name, which older files have in the arguments only, as text or as a mapping."""
    if (name := text_or_none(content.get("model_name"))) is not None:
        return name
    given = settings.get("model_args")
    if isinstance(given, dict):
        return text_or_none(given.get("pretrained"))
    found = re.search(r"(?:^|,)pretrained=([^,]+)", str(given))
    return found[1] if found else None
