"""Fine-tune a tagger of words in the source language, and tag words in any language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.pooling import pool_words
from xrealign_bench.models.training import FinetuningLog
from xrealign_bench.models.windows import Window, WindowBatch, Windows, collate, pad
from xrealign_bench.specs import Task
from xrealign_bench.tasks.finetuning import Batch, FinetuningRun, finetune
from xrealign_bench.tasks.heads import EncoderHead, TransformersHead
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.token_classification.metric import METRIC


class TokenClassifier(EncoderHead):
    """A head that classifies the first sub-word of each word."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor) -> Tensor:
        """Return the logits (batch, words, labels) of the words that begin at `starts` (batch, words).

        If `starts` is -1 there is no word, and the logits are meaningless.
        """
        hidden = self.encode(input_ids, attention_mask)
        return self.classify(pool_words(hidden, starts, starts, "first_subword"))


class TransformersTokenClassifier(TransformersHead):
    """Transformers' own classifier of tokens, of which the first sub-word of each word is read."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor) -> Tensor:
        """Return the logits (batch, words, labels), as `TokenClassifier` does."""
        return pool_words(self.token_logits(input_ids, attention_mask), starts, starts, "first_subword")


Tagger = TokenClassifier | TransformersTokenClassifier


new_transformers_model = TransformersTokenClassifier


def new_model(encoder: nn.Module, task: Task) -> TokenClassifier:
    return TokenClassifier(encoder, len(task.labels))


def train(model: Tagger, pad_id: int, tables: Mapping[str, pa.Table], run: FinetuningRun) -> FinetuningLog:
    """Fine-tune all parameters in place, with dropout. The loss is the mean cross-entropy over a batch's words.

    Args:
        model: a new model; its encoder may be realigned.
        pad_id: the tokenizer's padding token.
        tables: training data, from `encode`; windows without a labelled word are left out.
        run: settings, seed and device; the batch size counts windows.

    Raises:
        UserError: no word has a label.
        TrainingError: the loss is not a finite number.
    """
    labels = tables["sentences"]["labels"].to_pylist()
    labelled = [(window, _labels_of(window, labels)) for window in Windows(tables["windows"], Window)]
    labelled = [(window, own) for window, own in labelled if any(label != NOT_LABELLED for label in own)]
    if not labelled:
        raise UserError(
            "the training data have no word with a label, so there is nothing to fine-tune on; give other data"
        )

    def read(numbers: list[int]) -> Batch:
        windows, gold_labels = zip(*(labelled[number] for number in numbers), strict=True)
        batch = collate(windows, pad_id).to(run.device)
        gold = pad(gold_labels, NOT_LABELLED)
        labelled_words = int((gold != NOT_LABELLED).sum())  # on the CPU: a GPU would have to be waited for
        return Batch(int(batch.attention_mask.sum()), labelled_words, partial(_loss, model, batch, gold.to(run.device)))

    texts = [window.input_ids for window, _ in labelled]
    return finetune(model, texts, pad_id, read, run)


def predict(
    model: Tagger, pad_id: int, tables: Mapping[str, pa.Table], task: Task, *, device: torch.device
) -> pa.Table:
    """Predict the label number of every word; NOT_LABELLED for words past the window of a truncated sentence.

    Args:
        model: a fine-tuned model.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: not used; part of the interface.
        device: where to compute.
    """
    sentences = tables["sentences"]
    words = [len(labels) for labels in sentences["labels"].to_pylist()]
    read = sentences["words_read"].to_pylist() if "words_read" in sentences.column_names else words
    windows = list(Windows(tables["windows"], Window))
    tagged = tag(model, pad_id, windows, read, device=device)
    columns = {
        "example": sentences["example"],
        "gold": sentences["labels"],
        "predicted": [row + [NOT_LABELLED] * (size - len(row)) for row, size in zip(tagged, words, strict=True)],
        "scored": sentences["scored"],
        "group": sentences["groups"],
    }
    return pa.table(columns, schema=METRIC.schema)


def tag(
    classifier: Tagger,
    pad_id: int,
    windows: Sequence[Window],
    words: Sequence[int],
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> list[list[int]]:
    """Return the predicted label number of every word, sentence by sentence.

    Args:
        classifier: a fine-tuned model.
        pad_id: the tokenizer's padding token.
        windows: the windows of all sentences.
        words: number of words of each sentence that are in windows.
        device: where to compute.
        tokens_per_batch: maximum sub-words in a batch, padding included.

    Raises:
        UserError: a logit is not finite.
        ValueError: the windows don't cover every word once.
    """
    predicted = [np.full(count, NOT_LABELLED, dtype=np.int64) for count in words]
    covered = 0
    classifier.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(window.input_ids) for window in windows], tokens_per_batch):
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


def _loss(classifier: Tagger, batch: WindowBatch, gold: Tensor) -> Tensor:
    """Return the mean cross-entropy over the batch's labelled words; gold is (batch, words)."""
    logits = classifier(batch.input_ids, batch.attention_mask, batch.starts)
    return functional.cross_entropy(logits.flatten(0, 1), gold.flatten(), ignore_index=NOT_LABELLED)


def _labels_of(window: Window, labels: Sequence[Sequence[int]]) -> list[int]:
    return list(labels[window.sentence][window.first_word : window.first_word + len(window.starts)])
