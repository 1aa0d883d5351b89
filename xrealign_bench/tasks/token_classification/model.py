"""Tag words: fine-tune a classifier in the source language, predict in any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.pooling import pool_words
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.models.windows import Window, WindowBatch, collate, windows_of
from xrealign_bench.specs import Finetuning, Task
from xrealign_bench.tasks.finetuning import Batch, finetune
from xrealign_bench.tasks.heads import EncoderHead
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.token_classification.metric import METRIC


class TokenClassifier(EncoderHead):
    """Dropout and a linear layer on the first sub-word of each word.

    The layer starts from normal numbers of the model's own `initializer_range` (bias zero), drawn from torch's
    generator: call `seed_everything` first.

    Args:
        encoder: as `load_encoder` gives it.
        n_labels: outputs a word.
        dropout: share; None: the encoder's own setting for classifiers, else for hidden states, else 0.1.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor) -> Tensor:
        """Logits (batch, words, labels) of the words that begin at `starts` (batch, words).

        Where starts is -1 there is no word and the logits mean nothing.
        """
        hidden = self.encode(input_ids, attention_mask)
        return self.classify(pool_words(hidden, starts, starts, "first_subword"))


def new_model(encoder: nn.Module, task: Task) -> TokenClassifier:
    return TokenClassifier(encoder, len(task.labels))


def train(
    model: TokenClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    joint: JointLoss | None = None,
) -> FinetuningLog:
    """Fine-tune all parameters in place; dropout is on. The loss is the mean cross-entropy over a batch's words.

    Args:
        model: a fresh one, its encoder realigned or not.
        pad_id: the tokenizer's padding token.
        tables: of the training data, from `encode`; windows without a labelled word are left out.
        finetuning: steps, batch size (in windows) and the schedule of the learning rate, of which `default` is taken.
        seed: of the order of windows and of dropout.
        device: where to compute.
        progress: told after each step.
        joint: a second loss on the encoder, added in each step.

    Raises:
        UserError: no word has a label.
        TrainingError: the loss is not a finite number.
    """
    labels = tables["sentences"]["labels"]
    labelled = [(w, _labels_of(w, labels)) for w in windows_of(tables["windows"])]
    labelled = [(w, own) for w, own in labelled if any(label != NOT_LABELLED for label in own)]
    if not labelled:
        raise UserError(
            "the training data have no word with a label, so there is nothing to fine-tune on; give other data"
        )

    def read(chosen: list[int]) -> Batch:
        batch = collate([labelled[i][0] for i in chosen], pad_id).to(device)
        gold = _padded([labelled[i][1] for i in chosen], batch.starts.shape[1])
        labelled_words = int((gold != NOT_LABELLED).sum())  # before a GPU would be waited for
        return Batch(int(batch.attention_mask.sum()), labelled_words, partial(_loss, model, batch, gold.to(device)))

    texts = [window.input_ids for window, _ in labelled]
    return finetune(model, texts, pad_id, read, finetuning, seed=seed, device=device, progress=progress, joint=joint)


def predict(
    model: TokenClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    task: Task,
    *,
    device: torch.device,
) -> pa.Table:
    """The label number of every word, beside the right one.

    Args:
        model: a trained one.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: unused here; other kinds need it.
        device: where to compute.
    """
    sentences = tables["sentences"]
    gold = sentences["labels"]
    columns = {
        "example": sentences["example"],
        "gold": gold,
        "predicted": tag(model, pad_id, windows_of(tables["windows"]), [len(g) for g in gold], device=device),
        "scored": sentences["scored"],
        "group": sentences["groups"],
    }
    return pa.table(columns, schema=METRIC.schema)


def tag(
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
        UserError: a logit is not finite.
        ValueError: the windows don't cover every word once.
    """
    predicted = [np.full(count, NOT_LABELLED, dtype=np.int64) for count in words]
    covered = 0
    classifier.to(device).eval()
    with torch.inference_mode():
        for chosen in by_length([len(w.input_ids) for w in windows], tokens_per_batch):
            batch = [windows[number] for number in chosen]
            padded = collate(batch, pad_id).to(device)
            logits = classifier(padded.input_ids, padded.attention_mask, padded.starts)
            check_finite_outputs(logits[padded.starts >= 0], "logits of labels", classifier)
            found = logits.argmax(-1).cpu().numpy()
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


def _padded(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    out = torch.full((len(rows), width), NOT_LABELLED)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return out
