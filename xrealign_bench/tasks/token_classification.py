"""Tag words: fine-tune a classifier in the source language, predict in any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xrealign_bench.data import NOT_LABELLED
from xrealign_bench.errors import UserError
from xrealign_bench.models.device import seed_everything
from xrealign_bench.models.heads import TokenClassifier
from xrealign_bench.models.text import Window, WindowBatch, collate
from xrealign_bench.models.training import Progress, optimise
from xrealign_bench.specs import Finetuning


@dataclass(frozen=True)
class FinetuningLog:
    losses: list[float]
    """One a step."""
    tokens: int
    """Sub-words read, padding not counted."""


def train(
    classifier: TokenClassifier,
    pad_id: int,
    windows: Sequence[Window],
    labels: Sequence[Sequence[int]],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> FinetuningLog:
    """Fine-tune all parameters in place; dropout is on. The loss is the mean cross-entropy over a batch's words.

    Args:
        classifier: a fresh one, its encoder realigned or not.
        pad_id: the tokenizer's padding token.
        windows: the training sentences'; windows without a labelled word are left out.
        labels: label numbers of each sentence's words; NOT_LABELLED: none.
        finetuning: steps, batch size (in windows) and the schedule of the learning rate, of which `default` is taken.
        seed: of the order of windows and of dropout.
        device: where to compute.
        progress: told after each step.

    Raises:
        UserError: no word has a label.
        TrainingError: the loss is not a finite number.
    """
    labelled = [(w, _labels_of(w, labels)) for w in windows]
    labelled = [(w, own) for w, own in labelled if any(label != NOT_LABELLED for label in own)]
    if not labelled:
        raise UserError(
            "the training data have no word with a label, so there is nothing to fine-tune on; give other data"
        )
    classifier.to(device).train().requires_grad_(True)
    seed_everything(seed)
    tokens = 0

    def losses() -> Iterator[Callable[[], Tensor]]:
        nonlocal tokens
        for chosen in _shuffled(len(labelled), finetuning.batch_size, finetuning.steps, seed):
            batch = collate([labelled[i][0] for i in chosen], pad_id).to(device)
            gold = _padded([labelled[i][1] for i in chosen], batch.starts.shape[1]).to(device)
            tokens += int(batch.attention_mask.sum())
            yield partial(_loss, classifier, batch, gold)

    history = optimise(
        classifier.parameters(),
        losses(),
        steps=finetuning.steps,
        learning_rate=finetuning.learning_rate["default"],
        schedule=finetuning.lr_schedule,
        warmup=finetuning.warmup,
        progress=progress,
    )
    classifier.eval()
    return FinetuningLog(history, tokens)


def predict(
    classifier: TokenClassifier,
    pad_id: int,
    windows: Sequence[Window],
    words: Sequence[int],
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> list[list[int]]:
    """The label number of every word.

    Args:
        classifier: a trained one.
        pad_id: the tokenizer's padding token.
        windows: those of all sentences.
        words: how many each sentence has.
        device: where to compute.
        tokens_per_batch: sub-words of a batch at most, padding included.

    Returns:
        As many labels a sentence as it has words.

    Raises:
        ValueError: the windows don't cover every word once.
    """
    predicted = [np.full(count, NOT_LABELLED, dtype=np.int64) for count in words]
    covered = 0
    classifier.to(device).eval()
    with torch.inference_mode():
        for batch in _by_length(windows, tokens_per_batch):
            padded = collate(batch, pad_id).to(device)
            found = classifier(padded.input_ids, padded.attention_mask, padded.starts).argmax(-1).cpu().numpy()
            for window, row in zip(batch, found, strict=True):
                count = len(window.starts)
                predicted[window.sentence][window.first_word : window.first_word + count] = row[:count]
                covered += count
    if covered != sum(words) or any((row == NOT_LABELLED).any() for row in predicted):
        raise ValueError("the windows don't cover every word of the sentences once")
    return [row.tolist() for row in predicted]


def _loss(classifier: TokenClassifier, batch: WindowBatch, gold: Tensor) -> Tensor:
    """Mean cross-entropy over the batch's labelled words; gold is (batch, words)."""
    logits = classifier(batch.input_ids, batch.attention_mask, batch.starts)
    return functional.cross_entropy(logits.flatten(0, 1), gold.flatten(), ignore_index=NOT_LABELLED)


def _labels_of(window: Window, labels: Sequence[Sequence[int]]) -> list[int]:
    return list(labels[window.sentence][window.first_word : window.first_word + len(window.starts)])


def _shuffled(size: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Batches of one random order after the other; what is left over at the end of one is its last, smaller batch."""
    random, step = np.random.default_rng(seed), 0
    while True:
        order = random.permutation(size).tolist()
        for begin in range(0, size, batch_size):
            if step == steps:
                return
            yield order[begin : begin + batch_size]
            step += 1


def _by_length(windows: Sequence[Window], tokens: int) -> Iterator[list[Window]]:
    """Windows of about equal length together, the longest first, so that memory is short at once or never."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda w: -len(w.input_ids)):
        if batch and (len(batch) + 1) * len(batch[0].input_ids) > tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    out = torch.full((len(rows), width), NOT_LABELLED)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return out
