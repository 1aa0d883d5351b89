"""Encode questions with their contexts as overlapping windows, and locate each sub-word in the text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenisation import LINE_BREAK, room_for_text, run_tokenizer
from xrealign_bench.models.windows import INTS, TokenBatch, collate_tokens, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.tasks.question_answering.data import QuestionData
from xrealign_bench.tasks.question_answering.metric import METRIC, gold_of

_QUESTIONS = pa.schema(
    {"example": pa.int32(), "language": pa.string(), "context": pa.int32(), "gold": METRIC.columns["gold"]}
)
_CONTEXTS = pa.schema({"text": pa.string(), "begins": INTS, "ends": INTS})


@dataclass(frozen=True, slots=True)
class SpanWindow:
    """A question and a part of its context, joined by the tokenizer's own template for pairs.

    `answer_start` and `answer_end` are positions in `input_ids`, both inclusive. Both are 0, the first token, if the
    window does not contain the whole answer.
    """

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        {
            "question": pa.int32(),
            "input_ids": INTS,
            "token_types": pa.list_(pa.int8()),
            "context_at": pa.int32(),
            "first": pa.int32(),
            "size": pa.int32(),
            "answer_start": pa.int32(),
            "answer_end": pa.int32(),
        }
    )
    question: int
    """Number of the question among those that were encoded."""
    input_ids: list[int]
    token_types: list[int]
    context_at: int
    """Position in `input_ids` of the first sub-word of the context."""
    first: int
    """Number of that sub-word in the context."""
    size: int
    """Number of sub-words of the context in the window."""
    answer_start: int
    answer_end: int

    @property
    def holds_answer(self) -> bool:
        """Whether the window contains the whole answer."""
        return self.answer_start >= self.context_at


@dataclass(frozen=True)
class SubWords:
    """A text in sub-words: token ids, and the characters of the text that each stands for, without surrounding space.

    `begins` equals `ends` if there is only white space (a bare `▁`).
    """

    ids: list[int]
    begins: list[int]
    ends: list[int]

    def covering(self, begin: int, end: int) -> tuple[int, int] | None:
        """Return the first and last sub-word with a character of text[begin:end], or None if there is none."""
        touching = [
            i for i, (b, e) in enumerate(zip(self.begins, self.ends, strict=True)) if b < e and b < end and e > begin
        ]
        return (touching[0], touching[-1]) if touching else None


def encode(
    task: Task, data: QuestionData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `windows`, `questions` with their gold answers as hashes, and the distinct `contexts`.

    If a question has several gold answers, the model is trained on the first.
    """
    texts = list(dict.fromkeys(data.contexts))
    number_of = {text: number for number, text in enumerate(texts)}
    numbers = [number_of[text] for text in data.contexts]
    contexts = tokenise(tokenizer, texts)
    windows, altered = encode_questions(
        tokenizer,
        data.questions,
        [contexts[number] for number in numbers],
        [(start, start + len(text)) for (text, start), *_ in data.answers],
        max_length=max_length,
        doc_stride=task.spans.doc_stride,
    )
    gold = gold_of(task, data)
    questions = {
        "example": gold["example"],
        "language": [data.language] * len(data),
        "context": numbers,
        "gold": gold["gold"],
    }
    passages = {"text": texts, "begins": [c.begins for c in contexts], "ends": [c.ends for c in contexts]}
    return {
        "windows": windows_table(windows, SpanWindow),
        "questions": pa.table(questions, schema=_QUESTIONS),
        "contexts": pa.table(passages, schema=_CONTEXTS),
    }, altered


def tokenise(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[SubWords]:
    """Return the sub-words of running text, without special tokens."""
    encodings = run_tokenizer(tokenizer, texts, add_special_tokens=False, truncation=False)
    return [_trimmed(text, each.ids, each.offsets) for text, each in zip(texts, encodings, strict=True)]


def encode_questions(
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    contexts: Sequence[SubWords],
    answers: Sequence[tuple[int, int]],
    *,
    max_length: int,
    doc_stride: int,
) -> tuple[list[SpanWindow], dict[str, int]]:
    """Encode questions with their contexts as in BERT's fine-tuning on SQuAD (Devlin et al., 2019).

    Every sub-word of a context is in at least one window. Consecutive windows share `doc_stride` sub-words, or half of
    the room if that is less. A question is truncated to half of a window.

    Args:
        tokenizer: from `load_tokenizer`.
        questions: texts.
        contexts: the context of each question, from `tokenise`.
        answers: the answer to train on, as its first character in the context and the character after its last.
        max_length: sub-words of a window, special tokens included.
        doc_stride: see above.

    Returns:
        The windows, and counts of `shortened` questions and of those whose whole answer is `in_no_window`.

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
            _window(template, number, ids, context, stretch, span)
            for stretch in _stretches(len(context.ids), room - len(ids), doc_stride)
        ]
        altered["shortened"] += len(ids) < len(question.ids)
        altered["in_no_window"] += not any(window.holds_answer for window in own)
        windows += own
    return windows, {reason: count for reason, count in altered.items() if count}


def collate_spans(windows: Sequence[SpanWindow], pad_id: int) -> TokenBatch:
    """Pad windows to the longest of them."""
    ids, types = [window.input_ids for window in windows], [window.token_types for window in windows]
    return collate_tokens(ids, pad_id, types)


def _trimmed(text: str, ids: list[int], offsets: Sequence[tuple[int, int]]) -> SubWords:
    """Correct the tokenizer's offsets.

    Tokenizers differ in whether the space in front of a word belongs to its first sub-word: here it never does. Those
    that compose characters (NFC, NFKC) leave out combining marks that were merged: here marks belong to the sub-word of
    their letter. Those that add a space in front of every word may take the word's first letter for it: here a letter
    that no other sub-word has belongs to its word.
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
    return SubWords(list(ids), begins, ends)


@dataclass(frozen=True)
class _Special:
    """Special tokens with their token types."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True)
class _Template:
    """The special tokens around and between two texts, and the token types of the texts."""

    prefix: _Special
    question_type: int
    middle: _Special
    context_type: int
    suffix: _Special

    @property
    def size(self) -> int:
        return len(self.prefix.ids) + len(self.middle.ids) + len(self.suffix.ids)


def _template(tokenizer: PreTrainedTokenizerFast) -> _Template:
    """Learn the template from a pair of texts that are only the padding token.

    If the tokenizer puts nothing between two texts, as those of many decoders, a line break stands there.
    """
    text = [str(tokenizer.pad_token)]
    probe = tokenizer(text, text, is_split_into_words=True, add_special_tokens=True).encodings[0]
    ids, types, sides = list(probe.ids), list(probe.type_ids), probe.sequence_ids
    if 0 not in sides or 1 not in sides:
        raise UserError(
            f"the tokenizer gives nothing for its own padding token {tokenizer.pad_token!r}; it can't be used"
        )
    last = len(sides) - 1
    question, context = sides.index(0), sides.index(1)
    question_end, context_end = (last - sides[::-1].index(side) + 1 for side in (0, 1))
    middle = _Special(ids[question_end:context], types[question_end:context])
    if not middle.ids:
        line_break = list(tokenizer(LINE_BREAK, add_special_tokens=False)["input_ids"])
        middle = _Special(line_break, [types[context]] * len(line_break))
    return _Template(
        prefix=_Special(ids[:question], types[:question]),
        question_type=types[question],
        middle=middle,
        context_type=types[context],
        suffix=_Special(ids[context_end:], types[context_end:]),
    )


def _stretches(length: int, room: int, doc_stride: int) -> Iterator[range]:
    """Yield the sub-words of a context in each window. An empty context has one empty window."""
    step = room - min(doc_stride, room // 2)
    first = 0
    while first + room < length:
        yield range(first, first + room)
        first += step
    yield range(first, length)


def _window(
    template: _Template,
    number: int,
    question: list[int],
    context: SubWords,
    stretch: range,
    span: tuple[int, int] | None,
) -> SpanWindow:
    prefix, middle, suffix = template.prefix, template.middle, template.suffix
    context_at = len(prefix.ids) + len(question) + len(middle.ids)
    start = end = 0
    if span is not None and stretch.start <= span[0] and span[1] < stretch.stop:
        start, end = (context_at + place - stretch.start for place in span)
    of_question, of_context = [template.question_type] * len(question), [template.context_type] * len(stretch)
    return SpanWindow(
        question=number,
        input_ids=[*prefix.ids, *question, *middle.ids, *context.ids[stretch.start : stretch.stop], *suffix.ids],
        token_types=[*prefix.types, *of_question, *middle.types, *of_context, *suffix.types],
        context_at=context_at,
        first=stretch.start,
        size=len(stretch),
        answer_start=start,
        answer_end=end,
    )
