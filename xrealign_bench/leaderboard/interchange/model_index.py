"""Scores as `model-index` metadata of a model card, as the Hub shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xrealign_bench.leaderboard.assembly import distinct_slugs, hub_data_sets
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.interchange.seed_means import model_name, scores_by_language
from xrealign_bench.specs import TaskType

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

PIPELINES: dict[TaskType, str] = {
    "token_classification": "token-classification",
    "sequence_classification": "text-classification",
    "question_answering": "question-answering",
    "retrieval": "sentence-similarity",
    "prompted_classification": "text-generation",
    "language_modelling": "text-generation",
    "translation": "translation",
}
"""Task type -> the Hub's name for it."""
UNKNOWN_TYPE = "other"
"""For the task type of a plugin that is not registered here."""
METRICS = {"entity_f1": "f1"}
"""Our metric -> the Hub's, where the names differ."""


def render(stored: StoredResult) -> dict[str, str]:
    """Return a model card of metadata only, by its path. Scores are means over seeds, from 0 to 1."""
    from huggingface_hub import ModelCardData

    result, name = stored.result, model_name(stored)
    (slug,) = distinct_slugs([name])
    base = result.checkpoint.id if "/" in result.checkpoint.id else None
    card = ModelCardData(model_name=name, base_model=base, eval_results=list(_eval_results(stored)))
    return {f"{result.suite.id}/{slug}/README.md": f"---\n{card.to_yaml()}\n---\n"}


def _eval_results(stored: StoredResult) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for each in scores_by_language(stored.result):
        task, data_sets = each.task, hub_data_sets(each.task)
        yield EvalResult(
            task_type=PIPELINES.get(task.base_type, UNKNOWN_TYPE),
            dataset_type=data_sets[0] if len(data_sets) == 1 else task.name,
            dataset_name=f"{task.title} ({each.language})",
            dataset_config=each.config,
            dataset_split=task.part(each.language).test_split,
            dataset_revision=each.revision,
            metric_type=METRICS.get(task.metric, task.metric),
            metric_name=f"{task.metric}, mean of {len(each.scores)} seeds",
            metric_value=each.metrics[task.metric],
        )
