"""Find answers in contexts: fine-tune a classifier of starts and ends in the source language, predict in any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.finite import check_finite_outputs
from xrealign_bench.models.length_bucketing import by_length
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.specs import Finetuning, Spans, Task
from xrealign_bench.tasks.finetuning import Batch, finetune
from xrealign_bench.tasks.heads import EncoderHead
from xrealign_bench.tasks.question_answering.encoding import (
    SpanBatch,
    SpanWindow,
    collate_spans,
    holds_answer,
    span_windows_of,
)
from xrealign_bench.tasks.question_answering.metric import METRIC, hashed_tokens


class SpanClassifier(EncoderHead):
    """Dropout and a linear layer on every sub-word: how well the answer begins, and how well it ends there.

    Args:
        encoder: as `load_encoder` gives it.
        dropout: as in `TokenClassifier`; the layer starts as there, too.
    """

    def __init__(self, encoder: nn.Module, dropout: float | None = None) -> None:
        super().__init__(encoder, 2, dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Logits (batch, tokens, 2) of start and end.

        Raises:
            UserError: more tokens or more token types than the model has.
        """
        hidden = self.encode(input_ids, attention_mask, token_type_ids)
        return self.classify(hidden)


Logits = NDArray[np.float32]


def new_model(encoder: nn.Module, task: Task) -> SpanClassifier:
    return SpanClassifier(encoder)


def train(
    model: SpanClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    finetuning: Finetuning,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    joint: JointLoss | None = None,
) -> FinetuningLog:
    """Fine-tune all parameters in place; dropout is on. The loss is the mean cross-entropy of starts and ends.

    A window that does not hold the answer is trained towards its first token, as in BERT's own fine-tuning on SQuAD
    (Devlin et al., 2019): so the logits of a question's windows can be compared with one another.

    Args:
        model: a fresh one, its encoder realigned or not.
        pad_id: the tokenizer's padding token.
        tables: of the training data, from `encode`.
        finetuning: steps, batch size (in windows) and the schedule of the learning rate, of which `default` is taken.
        seed: of the order of windows and of dropout.
        device: where to compute.
        progress: told after each step.
        joint: a second loss, of realignment, beside that of the task.

    Raises:
        UserError: no window holds an answer.
        TrainingError: the loss is not a finite number.
    """
    windows = span_windows_of(tables["windows"])
    if not any(holds_answer(window) for window in windows):
        raise UserError(
            "no window of the training data holds a whole answer, so there is nothing to fine-tune on; "
            "give other data or a larger max_length"
        )

    def read(chosen: list[int]) -> Batch:
        batch = collate_spans([windows[i] for i in chosen], pad_id).to(device)
        gold = torch.tensor([[windows[i].answer_start, windows[i].answer_end] for i in chosen], device=device)
        return Batch(int(batch.attention_mask.sum()), len(chosen), partial(_loss, model, batch, gold))

    texts = [window.input_ids for window in windows]
    return finetune(model, texts, pad_id, read, finetuning, seed=seed, device=device, progress=progress, joint=joint)


def predict(
    model: SpanClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    task: Task,
    *,
    device: torch.device,
) -> pa.Table:
    """The answer to every question, beside the right ones, as hashes of their normalised tokens.

    Args:
        model: a trained one.
        pad_id: the tokenizer's padding token.
        tables: of the test data, from `encode`.
        task: says how answers are searched for and compared.
        device: where to compute.
    """
    questions = tables["questions"]
    texts = answer(model, pad_id, tables, task.spans, device=device)
    columns = {
        "example": questions["example"],
        "gold": questions["gold"],
        "predicted": [
            hashed_tokens(text, task.spans.normalisation, language)
            for text, language in zip(texts, questions["language"], strict=True)
        ],
    }
    return pa.table(columns, schema=METRIC.schema)


def answer(
    model: SpanClassifier,
    pad_id: int,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    spans: Spans,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> list[str]:
    """The answer to every question, cut out of its context; empty where no window has a legal one.

    Args:
        model: a trained one.
        pad_id: the tokenizer's padding token.
        tables: from `encode`.
        spans: how answers are searched for.
        device: where to compute.
        tokens_per_batch: sub-words of a batch at most, padding included.

    Raises:
        UserError: a logit is not finite.
    """
    questions, contexts = tables["questions"], tables["contexts"]
    windows = span_windows_of(tables["windows"])
    best = [(-np.inf, 0, 0)] * len(questions["context"])
    for window, logits in zip(windows, _logits(model, windows, pad_id, device, tokens_per_batch), strict=True):
        context = questions["context"][window.question]
        begins, ends = (contexts[side][context] for side in ("begins", "ends"))
        found = best_span(window, logits, begins, ends, spans)
        if found is not None and found[0] > best[window.question][0]:
            best[window.question] = found
    own = (contexts["text"][number] for number in questions["context"])
    return [text[begin:end] for text, (_, begin, end) in zip(own, best, strict=True)]


def best_span(
    window: SpanWindow, logits: Logits, begins: Sequence[int], ends: Sequence[int], spans: Spans
) -> tuple[float, int, int] | None:
    """The best answer in one window: the highest sum of a start's and an end's logit.

    Of the sub-words of the context that carry text, the `n_best` starts are tried with the `n_best` ends that are not
    before them and make no longer an answer than `max_answer_length`. Of equal sums the earlier one counts.

    Args:
        window: a question and a stretch of its context.
        logits: (tokens, 2) of its start and end.
        begins, ends: characters of all sub-words of the context.
        spans: the limits.

    Returns:
        The sum, and from and up to which character of the context the answer stands; None: no pair is legal.
    """
    legal = [i for i in range(window.size) if begins[window.first + i] < ends[window.first + i]]
    places = np.array(legal, dtype=np.int64)
    rows = logits[window.context_at + places].astype(np.float64)
    starts, stops = (np.argsort(-rows[:, side], kind="stable")[: spans.n_best] for side in (0, 1))
    length = places[stops][None, :] - places[starts][:, None] + 1
    sums = rows[starts, 0][:, None] + rows[stops, 1][None, :]
    allowed = (length >= 1) & (length <= spans.max_answer_length)
    if not allowed.any():
        return None
    # Ordered by sum, then start, then end.
    pairs = [(-sums[i, j], int(places[starts[i]]), int(places[stops[j]])) for i, j in np.argwhere(allowed)]
    total, start, stop = min(pairs)
    return -total, begins[window.first + start], ends[window.first + stop]


def _loss(model: SpanClassifier, batch: SpanBatch, gold: Tensor) -> Tensor:
    """Mean cross-entropy of starts and ends over the tokens of each window; gold is (batch, 2)."""
    logits = model(batch.input_ids, batch.attention_mask, batch.token_types)
    logits = logits.masked_fill(batch.attention_mask.unsqueeze(-1) == 0, -torch.inf)
    return functional.cross_entropy(logits, gold)


def _logits(
    model: SpanClassifier, windows: Sequence[SpanWindow], pad_id: int, device: torch.device, tokens_per_batch: int
) -> list[Logits]:
    """(tokens, 2) of each window."""
    out: list[Logits] = [np.empty((0, 2), dtype=np.float32)] * len(windows)
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in by_length([len(w.input_ids) for w in windows], tokens_per_batch):
            batch = collate_spans([windows[i] for i in chosen], pad_id).to(device)
            logits = model(batch.input_ids, batch.attention_mask, batch.token_types).float().cpu().numpy()
            for i, row in zip(chosen, logits, strict=True):
                out[i] = row[: len(windows[i].input_ids)]
                check_finite_outputs(out[i], "logits of answers", model)
    return out
