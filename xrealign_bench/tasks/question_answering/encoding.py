"""Questions with their contexts as the model reads them: overlapping windows that know each sub-word's characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenizer import LINE_BREAK, room_for_text, run_tokenizer
from xrealign_bench.specs import Task
from xrealign_bench.tasks.question_answering.data import QuestionData
from xrealign_bench.tasks.question_answering.metric import gold_of

_BATCH = 1024
_INTS = pa.list_(pa.int32())


@dataclass(frozen=True, slots=True)
class SpanWindow:
    """A question and a stretch of its context, put together by the tokenizer's own rule for pairs.

    `answer_start` and `answer_end` are positions in `input_ids`, both inclusive; both 0, the first token, where the
    window does not hold the whole answer.
    """

    question: int
    """Number of the question among those that were given."""
    input_ids: list[int]
    token_types: list[int]
    context_at: int
    """Position in `input_ids` of the first sub-word of the context."""
    first: int
    """Number of that sub-word in the context."""
    size: int
    """How many sub-words of the context there are."""
    answer_start: int
    answer_end: int


_WINDOWS = pa.schema(
    {
        "question": pa.int32(),
        "input_ids": _INTS,
        "token_types": pa.list_(pa.int8()),
        "context_at": pa.int32(),
        "first": pa.int32(),
        "size": pa.int32(),
        "answer_start": pa.int32(),
        "answer_end": pa.int32(),
    }
)


@dataclass(frozen=True)
class Subwords:
    """A text in sub-words: token ids, and the characters that each stands for, without white space around them.

    Where `begins` equals `ends` there is nothing but white space (a bare `▁`).
    """

    ids: list[int]
    begins: list[int]
    ends: list[int]

    def covering(self, begin: int, end: int) -> tuple[int, int] | None:
        """First and last sub-word that have a character of text[begin:end]; None: there is none."""
        touching = [
            i for i, (b, e) in enumerate(zip(self.begins, self.ends, strict=True)) if b < e and b < end and e > begin
        ]
        return (touching[0], touching[-1]) if touching else None


@dataclass(frozen=True)
class SpanBatch:
    """Windows of a batch, padded: all torch.long and (batch, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    token_types: Tensor

    def to(self, device: torch.device) -> SpanBatch:
        return SpanBatch(self.input_ids.to(device), self.attention_mask.to(device), self.token_types.to(device))


@dataclass(frozen=True)
class _Template:
    """What the tokenizer puts around and between two texts, and the type of each token."""

    prefix: list[int]
    middle: list[int]
    suffix: list[int]
    types: tuple[list[int], int, list[int], int, list[int]]
    """Of prefix, question, middle, context, suffix."""

    @property
    def size(self) -> int:
        return len(self.prefix) + len(self.middle) + len(self.suffix)


def tokenise(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Subwords]:
    """Sub-words of running text, without special ones."""
    found = []
    for begin in range(0, len(texts), _BATCH):
        batch = list(texts[begin : begin + _BATCH])
        encodings = run_tokenizer(tokenizer, batch, add_special_tokens=False, truncation=False)
        found += [_trimmed(text, e.ids, e.offsets) for text, e in zip(batch, encodings, strict=True)]
    return found


def encode_questions(
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    contexts: Sequence[Subwords],
    answers: Sequence[tuple[int, int]],
    *,
    max_length: int,
    doc_stride: int,
) -> tuple[list[SpanWindow], dict[str, int]]:
    """Windows of questions with their contexts, as in BERT's fine-tuning on SQuAD (Devlin et al., 2019).

    Every sub-word of a context stands in at least one window, and two windows that follow one another share
    `doc_stride` of them, or half of the room where that is less. A question longer than half of a window is read up
    to there.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        questions: their texts.
        contexts: one a question, from `tokenise`.
        answers: characters of the context from which and up to which, exclusive, the answer to train on stands.
        max_length: sub-words of a window, special ones included.
        doc_stride: see above.

    Returns:
        The windows, and counts: `shortened` questions, and those whose answer is whole `in_no_window`.

    Raises:
        UserError: `max_length` leaves no room for a question and a context, or is larger than the model takes.
    """
    template = _template(tokenizer)
    room = room_for_text(tokenizer, max_length, template.size + 1) + 1  # at least one for each of the two
    windows: list[SpanWindow] = []
    altered = {"shortened": 0, "in_no_window": 0}
    asked = tokenise(tokenizer, questions)
    for number, (question, context, answer) in enumerate(zip(asked, contexts, answers, strict=True)):
        ids = question.ids[: room // 2]
        span = context.covering(*answer)
        own = [
            _window(template, number, ids, context, first, size, span)
            for first, size in _stretches(len(context.ids), room - len(ids), doc_stride)
        ]
        altered["shortened"] += len(ids) < len(question.ids)
        altered["in_no_window"] += not any(holds_answer(window) for window in own)
        windows += own
    return windows, {reason: count for reason, count in altered.items() if count}


def holds_answer(window: SpanWindow) -> bool:
    """Whether the whole answer is in the window."""
    return window.answer_start >= window.context_at


def collate_spans(windows: Sequence[SpanWindow], pad_id: int) -> SpanBatch:
    """Pad windows to the longest of them."""
    ids, types = ([getattr(window, name) for window in windows] for name in ("input_ids", "token_types"))
    lengths = np.array([len(row) for row in ids])
    mask = np.arange(lengths.max()) < lengths[:, None]
    return SpanBatch(_padded(ids, mask, pad_id), torch.from_numpy(mask.astype(np.int64)), _padded(types, mask, 0))


def span_windows_table(windows: Sequence[SpanWindow]) -> pa.Table:
    """Windows as rows, to be stored."""
    columns = {name: [getattr(window, name) for window in windows] for name in _WINDOWS.names}
    return pa.table(columns, schema=_WINDOWS)


def span_windows_of(rows: Mapping[str, Sequence[Any]]) -> list[SpanWindow]:
    """The windows that `span_windows_table` was made of, from its columns."""
    return [SpanWindow(*row) for row in zip(*(rows[name] for name in _WINDOWS.names), strict=True)]


def _trimmed(text: str, ids: list[int], offsets: Sequence[tuple[int, int]]) -> Subwords:
    """Tokenizers differ in whether the space in front of a word belongs to its first sub-word: here it never does.

    Those that compose characters (NFC, NFKC) forget the marks that went into one: here they belong to it. Those that
    put a space in front of every word by themselves may take the word's first letter for it: here that letter, which
    no other sub-word has, belongs to the word.
    """
    begins, ends = [], []
    for begin, end in offsets:
        piece = text[begin:end]
        begins.append(begin + len(piece) - len(piece.lstrip()))
        ends.append(max(begins[-1], begin + len(piece.rstrip())))
    for number, after in enumerate([*begins[1:], len(text)]):
        while begins[number] < ends[number] < after and unicodedata.category(text[ends[number]]).startswith("M"):
            ends[number] += 1
    read = 0
    for number, end in enumerate(ends):
        while read < begins[number] < end and unicodedata.category(text[begins[number] - 1])[0] in "LNPS":
            begins[number] -= 1
        read = max(read, end)
    return Subwords(list(ids), begins, ends)


def _template(tokenizer: PreTrainedTokenizerFast) -> _Template:
    """Learnt from a pair of texts that hold only the padding token.

    Where the tokenizer puts nothing between two texts, as those of many decoders do, a line break stands there.
    """
    text = [str(tokenizer.pad_token)]
    probe = tokenizer(text, text, is_split_into_words=True, add_special_tokens=True).encodings[0]
    ids, types, sides = list(probe.ids), list(probe.type_ids), probe.sequence_ids
    if 0 not in sides or 1 not in sides:
        raise UserError(
            f"the tokenizer gives nothing for its own padding token {tokenizer.pad_token!r}; it can't be used"
        )
    last = len(sides) - 1
    one, two = sides.index(0), sides.index(1)
    one_end, two_end = (last - sides[::-1].index(side) + 1 for side in (0, 1))
    middle, between = ids[one_end:two], types[one_end:two]
    if not middle:
        middle = list(tokenizer(LINE_BREAK, add_special_tokens=False)["input_ids"])
        between = [types[two]] * len(middle)
    return _Template(
        prefix=ids[:one],
        middle=middle,
        suffix=ids[two_end:],
        types=(types[:one], types[one], between, types[two], types[two_end:]),
    )


def _stretches(length: int, room: int, doc_stride: int) -> Iterator[tuple[int, int]]:
    """First sub-word and number of sub-words of each window of a context; one empty window of an empty context."""
    step = room - min(doc_stride, room // 2)
    first = 0
    while first + room < length:
        yield first, room
        first += step
    yield first, length - first


def _window(
    template: _Template,
    number: int,
    question: list[int],
    context: Subwords,
    first: int,
    size: int,
    span: tuple[int, int] | None,
) -> SpanWindow:
    before, of_question, between, of_context, after = template.types
    at = len(template.prefix) + len(question) + len(template.middle)
    inside = span is not None and first <= span[0] and span[1] < first + size
    start, end = (place - first + at for place in span) if span is not None and inside else (0, 0)
    return SpanWindow(
        question=number,
        input_ids=[
            *template.prefix, *question, *template.middle, *context.ids[first : first + size], *template.suffix
        ],
        token_types=[*before, *[of_question] * len(question), *between, *[of_context] * size, *after],
        context_at=at,
        first=first,
        size=size,
        answer_start=start,
        answer_end=end,
    )  # fmt: skip


def _padded(rows: Sequence[Sequence[int]], mask: np.ndarray, fill: int) -> Tensor:
    out = np.full(mask.shape, fill, dtype=np.int64)
    out[mask] = np.concatenate(rows)
    return torch.from_numpy(out)


_ANSWERS = pa.list_(pa.list_(pa.int64()))


_QUESTIONS = pa.schema({"example": pa.int32(), "language": pa.string(), "context": pa.int32(), "gold": _ANSWERS})


_CONTEXTS = pa.schema({"text": pa.string(), "begins": pa.list_(pa.int32()), "ends": pa.list_(pa.int32())})


def encode(
    task: Task, data: QuestionData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`windows`; `questions` with their right answers as hashes; and `contexts`, each once, in which answers are found.

    Where a question has several right answers, the first is trained on.
    """
    texts = list(dict.fromkeys(data.contexts))
    number = {text: place for place, text in enumerate(texts)}
    contexts = tokenise(tokenizer, texts)
    first = [(start, start + len(text)) for (text, start), *_ in data.answers]
    windows, altered = encode_questions(
        tokenizer,
        data.questions,
        [contexts[number[text]] for text in data.contexts],
        first,
        max_length=max_length,
        doc_stride=task.spans.doc_stride,
    )
    gold = gold_of(task, data)
    questions = {
        "example": gold["example"],
        "language": [data.language] * len(data),
        "context": [number[text] for text in data.contexts],
        "gold": gold["gold"],
    }
    passages = {"text": texts, "begins": [c.begins for c in contexts], "ends": [c.ends for c in contexts]}
    return {
        "windows": span_windows_table(windows),
        "questions": pa.table(questions, schema=_QUESTIONS),
        "contexts": pa.table(passages, schema=_CONTEXTS),
    }, altered
