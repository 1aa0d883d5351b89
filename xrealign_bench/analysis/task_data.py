"""Measure a model by block on a task's data: the task probe, calibration, and errors of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from xrealign_bench.analysis.calibration import expected_calibration_error
from xrealign_bench.analysis.error_rates import error_rates, frequency_bands
from xrealign_bench.analysis.probes import FOLDS, cross_validated_accuracy, fit_probe
from xrealign_bench.analysis.scored_words import find_word_forms, scored_words
from xrealign_bench.analysis.table import Form, Row
from xrealign_bench.analysis.vectors import Pooling, Vectors, read_vectors
from xrealign_bench.models.windows import Window, Windows
from xrealign_bench.specs import Task
from xrealign_bench.tasks.heads import EncoderHead
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.sequence_classification.model import text_pooling

Tables = Mapping[str, pa.Table]

READABLE = ("token_classification", "sequence_classification")
"""Task types whose labels a probe can read off the vector of a word or text."""
PROBE_TRAINING = 400
"""Sentences or texts in the source language that a probe is trained on."""
PROBE_TEST = 200
"""Sentences or texts of each language that it is scored on."""


@dataclass(frozen=True)
class Labelled:
    """Vectors that the task's head would read, by entry of `BlockVectors`, with their labels."""

    vectors: list[Vectors]
    """(items, dim) each."""
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    """(items,): the sentence or text of each."""

    def of_labels(self, known: NDArray[np.int64]) -> Labelled:
        """Return the items whose label is among these."""
        kept = np.isin(self.labels, known)
        return Labelled([own[kept] for own in self.vectors], self.labels[kept], self.groups[kept])


def read_labelled(
    encoder: nn.Module, tables: Tables, task: Task, most: int, pad_id: int, device: torch.device
) -> Labelled:
    """Read the vectors of labelled words, or of texts, at most those of `most` sentences or texts."""
    if task.base_type == "token_classification":
        windows = [window for window in Windows(tables["windows"], Window) if window.sentence < most]
        sentences = tables["sentences"]["labels"].to_pylist()
        gold = [
            label
            for window in windows
            for label in sentences[window.sentence][window.first_word : window.first_word + len(window.starts)]
        ]
        groups = [window.sentence for window in windows for _ in window.starts]
    else:
        examples = tables["examples"].slice(0, most)
        windows = [_window_of_text(encoder, ids, n) for n, ids in enumerate(examples["input_ids"].to_pylist())]
        gold, groups = examples["label"].to_pylist(), list(range(len(windows)))
    pooling = Pooling(words="first_subword" if task.base_type == "token_classification" else "mean")
    read = read_vectors(encoder, windows, pad_id, pooling=pooling, word_texts=range(len(windows)), device=device)
    labels = np.array(gold, np.int64)
    kept = labels != NOT_LABELLED
    return Labelled([own[kept] for own in read.words], labels[kept], np.array(groups, np.int64)[kept])


def _window_of_text(encoder: Any, ids: list[int], number: int) -> Window:
    """Return a window whose only word is what the head reads: the first token, the last one, or all."""
    first, last = {"first_token": (0, 1), "last_token": (len(ids) - 1, len(ids)), "mean": (0, len(ids))}[
        text_pooling(encoder)
    ]
    return Window(number, 0, ids, [first], [last])


def probe_rows(form: Form, source: str, training: Labelled, tests: Mapping[str, Labelled]) -> Iterator[Row]:
    """Yield the accuracy of probes for the task's label, trained on source-language data, by block.

    In the source language it is cross-validated on the training data, sentence by sentence; in other languages the
    probe of all training data is scored on test data. Labels without training data are left out.
    """
    labels, counts = np.unique(training.labels, return_counts=True)
    training = training.of_labels(labels[counts >= FOLDS])
    known = np.unique(training.labels)
    if len(known) < 2 or len(np.unique(training.groups)) < FOLDS:
        return
    for entry, vectors in enumerate(training.vectors):
        accuracy = cross_validated_accuracy(vectors, training.labels.tolist(), training.groups.tolist())
        yield Row(form, source, entry - 1, "task_probe", "", accuracy, len(vectors))
        probe = fit_probe(vectors, training.labels.tolist())
        for language, test in tests.items():
            own = test.of_labels(known)
            if language != source and len(own.labels):
                score = float(probe.score(own.vectors[entry], own.labels))
                yield Row(form, language, entry - 1, "task_probe", "", score, len(own.labels))


def calibration_rows(form: Form, model: Any, tests: Mapping[str, Labelled]) -> Iterator[Row]:
    """Yield the calibration error of a fine-tuned model in each language, if its head is the linear layer.

    The vectors are those that the probe reads after the last block, so the model is not run again.
    """
    if not isinstance(model, EncoderHead):
        return
    for language, test in tests.items():
        if not len(test.labels):
            continue
        with torch.inference_mode():
            device = model.classifier.weight.device
            logits = model.classifier(torch.from_numpy(test.vectors[-1]).to(device)).float().cpu()
        best = logits.softmax(-1).max(-1)
        right = best.indices.numpy() == test.labels
        error = expected_calibration_error(best.values.numpy(), right)
        yield Row(form, language, None, "calibration_error", "", error, len(right))


def error_rows(form: Form, language: str, task: Task, predictions: pa.Table, test: Tables) -> Iterator[Row]:
    """Yield error rates by gold label and, for words, by how often the word occurs in the language's test data."""
    gold, predicted, words = _items(task, predictions, test)
    for measure, groups in (("error_by_label", [task.labels[label] for label in gold]), ("error_by_frequency", words)):
        if groups:
            for item, (rate, n) in error_rates(gold, predicted, groups).items():
                yield Row(form, language, None, measure, item, rate, n)


def _items(task: Task, predictions: pa.Table, test: Tables) -> tuple[list[int], list[int], list[str]]:
    """Return gold and predicted labels of all scored items, and the frequency bands of words."""
    if task.base_type != "token_classification":
        return predictions["gold"].to_pylist(), predictions["predicted"].to_pylist(), []
    forms = find_word_forms(test)
    bands = dict(zip(forms, frequency_bands(list(forms.values())), strict=True))
    words = scored_words(predictions, forms)
    return [word.gold for word in words], [word.predicted for word in words], [bands[word.place] for word in words]
