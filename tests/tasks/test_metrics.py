"""Metrics write nothing, so that a user needs no home. Truth: the file system, and values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evaluate
import pytest

from xrealign_bench.tasks import label_metric as classes
from xrealign_bench.tasks.language_modelling import metric as likelihoods
from xrealign_bench.tasks.metrics import compute
from xrealign_bench.tasks.question_answering import metric as answers
from xrealign_bench.tasks.retrieval import metric as pairs
from xrealign_bench.tasks.token_classification import entity_metric as entities
from xrealign_bench.tasks.token_classification import word_metric as words

COMPUTED: list[tuple[Any, dict[str, Any], str, float]] = [
    # metric, columns, one of its values by hand
    (answers.AnswerOverlap, {"predictions": [[1, 2]], "references": [[[1, 2]]]}, "exact_match", 1.0),
    (classes.TextClassification, {"predictions": [0, 1], "references": [0, 0]}, "accuracy", 0.5),
    (entities.EntityTagging, {"predictions": [["B-PER"]], "references": [["B-PER"]]}, "entity_f1", 1.0),
    (likelihoods.TextLikelihood, {"predictions": [6.0], "references": [3], "tokens": [2]}, "bits_per_byte", 2.0),
    (pairs.PairRetrieval, {"forward": [0, 1], "backward": [0, 1], "references": [0, 1]}, "accuracy", 1.0),
    (words.WordTagging, {"predictions": [[0, 1]], "references": [[0, 0]]}, "accuracy", 0.5),
]


@pytest.mark.parametrize(("metric", "columns", "name", "value"), COMPUTED, ids=lambda v: getattr(v, "__name__", ""))
def test_no_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: Any, columns: dict[str, Any], name: str, value: float
) -> None:
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path / "cache"))
    assert compute(metric, **columns)[name] == value
    assert not (tmp_path / "cache").exists()
    metric(keep_in_memory=True)
    assert (tmp_path / "cache").exists()  # what evaluate does by itself
