"""Fine-tune a classifier of starts and ends on answers in the source language, and find answers in any language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.errors import UserError
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.training import FinetuningLog
from xrealign_bench.models.windows import TokenBatch, Windows
from xrealign_bench.specs import Spans, Task
from xrealign_bench.tasks.finetuning import Batch, FinetuningRun, finetune
from xrealign_bench.tasks.heads import EncoderHead, TransformersHead
from xrealign_bench.tasks.question_answering.encoding import SpanWindow, collate_spans
from xrealign_bench.tasks.question_answering.metric import METRIC, hashed_tokens

Logits = NDArray[np.float32]


class SpanClassifier(EncoderHead):
    """A head that scores every sub-word as the start and as the end of the answer.

    Args:
        encoder: from `load_encoder`.
        dropout: as in `EncoderHead`.
    """

    def __init__(self, encoder: nn.Module, dropout: float | None = None) -> None:
        super().__init__(encoder, 2, dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the logits (batch, tokens, 2) of start and end.

        Raises:
            UserError: there are more tokens or more token types than the model has.
        """
        return self.classify(self.encode(input_ids, attention_mask, token_type_ids))


class TransformersSpanClassifier(TransformersHead):
    """Transformers' own classifier of starts and ends: for most models one linear layer without dropout."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the logits (batch, tokens, 2) of start and end."""
        return self.token_logits(input_ids, attention_mask, token_type_ids)


AnswerFinder = SpanClassifier | TransformersSpanClassifier


new_transformers_model = TransformersSpanClassifier


def new_model(encoder: nn.Module, task: Task) -> SpanClassifier:
    return SpanClassifier(encoder)


def train(model: AnswerFinder, pad_id: int, tables: Mapping[str, pa.Table], run: FinetuningRun) -> FinetuningLog:
    """Fine-tune all parameters in place, with dropout. The loss is the mean cross-entropy of starts and ends.

    For a window without the answer the target is its first token, as in BERT's fine-tuning on SQuAD (Devlin et al.,
    2019), so that logits can be compared between the windows of a question.

    Args:
        model: a new model; its encoder may be realigned.
        pad_id: the tokenizer's padding token.
        tables: training data, from `encode`.
        run: settings, seed and device; the batch size counts windows.

    Raises:
        UserError: no window contains an answer.
        TrainingError: the loss is not a finite number.
    """
    windows = list(Windows(tables["windows"], SpanWindow))
    if not any(window.holds_answer for window in windows):
        raise UserError(
            "no window of the training data holds a whole answer, so there is nothing to fine-tune on; "
            "give other data or a larger max_length"
        )

    def read(numbers: list[int]) -> Batch:
        chosen = [windows[number] for number in numbers]
        batch = collate_spans(chosen, pad_id).to(run.device)
        gold = torch.tensor([[window.answer_start, window.answer_end] for window in chosen], device=run.device)
        return Batch(int(batch.attention_mask.sum()), len(chosen), partial(_loss, model, batch, gold))

    texts = [window.input_ids for window in windows]
    return finetune(model, texts, pad_id, read, run)


def predict(
    model: AnswerFinder, pad_id: int, tables: Mapping[str, pa.Table], task: Task, *, device: torch.device
) -> pa.Table:
    """Predict the answer to every question. Predicted and gold answers are hashes of their normalised tokens.

    Args:
        model: a fine-tuned model.
        pad_id: the tokenizer's padding token.
        tables: test data, from `encode`.
        task: the task, for its `spans`.
        device: where to compute.
    """
    questions = tables["questions"]
    texts = answer(model, pad_id, tables, task.spans, device=device)
    columns = {
        "example": questions["example"],
        "gold": questions["gold"],
        "predicted": [
            hashed_tokens(text, task.spans.normalisation, language)
            for text, language in zip(texts, questions["language"].to_pylist(), strict=True)
        ],
    }
    return pa.table(columns, schema=METRIC.schema)


def answer(
    model: AnswerFinder,
    pad_id: int,
    tables: Mapping[str, pa.Table],
    spans: Spans,
    *,
    device: torch.device,
    tokens_per_batch: int = 4096,
) -> list[str]:
    """Return the answer to every question as text of its context, or "" if no window has an allowed one.

    Args:
        model: a fine-tuned model.
        pad_id: the tokenizer's padding token.
        tables: from `encode`.
        spans: limits of the search.
        device: where to compute.
        tokens_per_batch: maximum sub-words in a batch, padding included.

    Raises:
        UserError: a logit is not finite.
    """
    contexts = {name: tables["contexts"][name].to_pylist() for name in ("text", "begins", "ends")}
    context_of = tables["questions"]["context"].to_pylist()
    windows = list(Windows(tables["windows"], SpanWindow))
    best = [(-np.inf, 0, 0)] * len(context_of)
    for window, logits in zip(windows, _logits(model, windows, pad_id, device, tokens_per_batch), strict=True):
        context = context_of[window.question]
        found = best_span(window, logits, contexts["begins"][context], contexts["ends"][context], spans)
        if found is not None and found[0] > best[window.question][0]:
            best[window.question] = found
    return [contexts["text"][context][begin:end] for context, (_, begin, end) in zip(context_of, best, strict=True)]


def best_span(
    window: SpanWindow, logits: Logits, begins: Sequence[int], ends: Sequence[int], spans: Spans
) -> tuple[float, int, int] | None:
    """Return the answer of one window with the highest sum of a start's and an end's logit.

    Candidates are the sub-words of the context that carry text: the `n_best` starts, each with those of the `n_best`
    ends that make an answer of 1 to `max_answer_length` sub-words. Of equal sums, the earlier answer wins.

    Args:
        window: a question and a part of its context.
        logits: (tokens, 2), of start and end.
        begins, ends: characters of all sub-words of the context.
        spans: limits of the search.

    Returns:
        The sum, the first character of the answer in the context, and the one after its last; None if no pair is
        allowed.
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


def _loss(model: AnswerFinder, batch: TokenBatch, gold: Tensor) -> Tensor:
    """Return the mean cross-entropy of starts and ends over the tokens of each window; gold is (batch, 2)."""
    logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    logits = logits.masked_fill(batch.attention_mask.unsqueeze(-1) == 0, -torch.inf)
    return functional.cross_entropy(logits, gold)


def _logits(
    model: AnswerFinder, windows: Sequence[SpanWindow], pad_id: int, device: torch.device, tokens_per_batch: int
) -> list[Logits]:
    """Return the logits (tokens, 2) of each window."""
    out: list[Logits] = [np.empty((0, 2), dtype=np.float32)] * len(windows)
    model.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(window.input_ids) for window in windows], tokens_per_batch):
            batch = collate_spans([windows[number] for number in chosen], pad_id).to(device)
            logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).float().cpu().numpy()
            for number, row in zip(chosen, logits, strict=True):
                out[number] = row[: len(windows[number].input_ids)]
                check_finite_outputs(out[number], "logits of answers", model)
    return out
