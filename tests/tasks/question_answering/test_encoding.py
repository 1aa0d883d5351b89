"""Questions and contexts in windows. Truth: the tokenizer's own windows, and the characters of the text itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import LINES, SPECIAL
from xrealign_bench.errors import UserError
from xrealign_bench.models.windows import Windows, windows_table
from xrealign_bench.tasks.question_answering.encoding import (
    SpanWindow,
    SubWords,
    collate_spans,
    encode_questions,
    tokenise,
)

QUESTION = "When were euros paid?"
CONTEXT = "On Monday the 17th of March twelve euros and fifty cents were paid.  Der Montag kostet zwölf Euro. " * 2
TEXTS = {
    "Latin": CONTEXT,
    "Thai": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย และเป็นเมืองที่ใหญ่ที่สุด",
    "Arabic": "القاهرة هي عاصمة جمهورية مصر العربية، وتقع على نهر النيل.",
    "emoji": "Cats 🐈‍⬛ sleep 👩🏽‍🚀 and 🇫🇷🇩🇪 wave ½ ﬁ.",
    "marks": "Cafe\u0301 न्यूयॉर्क में था। A\u030angstro\u0308m",
    "Chinese": "北京大学位于中国北京市海淀区。2003年3月17日，星期一",
    "spaces": "  a\u00a0b\u3000c \n\n d\t e ",
}


@pytest.fixture(params=["wordpiece", "unigram", "bytes"])
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> PreTrainedTokenizerFast:
    return tokenizers[request.param]


def encode(
    tokenizer: PreTrainedTokenizerFast,
    text: str,
    span: tuple[int, int] = (0, 1),
    question: str = QUESTION,
    **settings: int,
) -> tuple[list[SpanWindow], SubWords, dict[str, int]]:
    [context] = tokenise(tokenizer, [text])
    limits = {"max_length": 64, "doc_stride": 16} | settings
    windows, altered = encode_questions(tokenizer, [question], [context], [span], **limits)
    return windows, context, altered


@pytest.mark.parametrize(("max_length", "doc_stride"), [(64, 8), (64, 1), (50, 5)])
def test_windows_are_the_tokenizer_s_own(tokenizer: PreTrainedTokenizerFast, max_length: int, doc_stride: int) -> None:
    question = "euros and cents"
    theirs: Any = tokenizer(
        question, CONTEXT, max_length=max_length, stride=doc_stride, truncation="only_second",
        return_overflowing_tokens=True, return_token_type_ids=True,
    )  # fmt: skip
    windows, _, altered = encode(tokenizer, CONTEXT, question=question, max_length=max_length, doc_stride=doc_stride)
    assert [w.input_ids for w in windows] == theirs["input_ids"]
    # In further windows the library forgets the types of a template that gives both texts type 0.
    assert windows[0].token_types == theirs["token_type_ids"][0]
    assert all(set(w.token_types) == {0} for w in windows)
    assert len(windows) > 1 and altered == {}


def test_the_types_are_the_template_s(tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Any) -> None:
    tokenizers["wordpiece"].save_pretrained(tmp_path)
    bert = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    special = [(token, bert.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    bert.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1", special_tokens=special
    )
    theirs: Any = bert("euros", "Montag März", return_token_type_ids=True)
    [window], _, _ = encode(bert, "Montag März", question="euros")
    assert (window.input_ids, window.token_types) == (theirs["input_ids"], theirs["token_type_ids"])
    assert set(window.token_types) == {0, 1}
    windows, _, _ = encode(bert, CONTEXT, question="euros", max_length=20)
    assert len(windows) > 1
    assert all(w.token_types == [0] * w.context_at + [1] * (len(w.input_ids) - w.context_at) for w in windows)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("max_length", "doc_stride"), [(64, 16), (24, 128), (9, 3)])
def test_every_sub_word_of_the_context_is_in_a_window(
    tokenizer: PreTrainedTokenizerFast, text: str, max_length: int, doc_stride: int
) -> None:
    windows, context, _ = encode(tokenizer, text, max_length=max_length, doc_stride=doc_stride)
    seen: set[int] = set()
    for before, window in zip([None, *windows], windows, strict=False):
        assert len(window.input_ids) <= max_length
        place = slice(window.context_at, window.context_at + window.size)
        assert window.input_ids[place] == context.ids[window.first : window.first + window.size]
        if before is not None:
            room = max_length - len(window.input_ids) + window.size
            assert before.size == room
            assert before.first + before.size - window.first == min(doc_stride, room // 2)
        seen |= set(range(window.first, window.first + window.size))
    assert seen == set(range(len(context.ids)))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_offsets_are_of_the_exact_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    [context] = tokenise(tokenizer, [text])
    covered: set[int] = set()
    for begin, end in zip(context.begins, context.ends, strict=True):
        assert 0 <= begin <= end <= len(text)
        assert text[begin:end] == text[begin:end].strip()
        covered |= set(range(begin, end))
    # Bert's normalizer drops format characters.
    unread = {text[i] for i in range(len(text)) if i not in covered and not text[i].isspace()}
    assert unread <= {"\u200d"}
    assert context.begins == sorted(context.begins)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_answer_comes_back_from_the_training_positions(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """Every stretch of words: the sub-words that are trained on cover it, and no sub-word that they do without."""
    words = text.split()
    for first in range(len(words)):
        answer = words[first]
        begin = text.index(answer)
        end = begin + len(answer)
        windows, context, altered = encode(tokenizer, text, (begin, end), max_length=48)
        holding = [w for w in windows if w.holds_answer]
        assert ("in_no_window" in altered) == (not holding)
        for window in windows:
            inside = range(window.first, window.first + window.size)
            touching = [
                i for i in range(len(context.ids)) if context.begins[i] < end and context.ends[i] > begin
                and context.begins[i] < context.ends[i]
            ]  # fmt: skip
            whole = touching[0] in inside and touching[-1] in inside
            assert window.holds_answer == whole
            if not whole:
                assert (window.answer_start, window.answer_end) == (0, 0)
                continue
            start, stop = (p - window.context_at + window.first for p in (window.answer_start, window.answer_end))
            assert text[context.begins[start] : context.ends[stop]] == answer


def test_marks_that_the_tokenizer_composes_belong_to_their_letter(
    tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    for kind in ("unigram", "bytes"):
        text = "Cafe\u0301 ok"
        [context] = tokenise(tokenizers[kind], [text])
        start, stop = context.covering(0, 5) or (0, 0)
        assert text[context.begins[start] : context.ends[stop]] == "Cafe\u0301"


@pytest.mark.parametrize("first", [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
def test_words_keep_their_first_letter_where_a_space_is_put_in_front_of_each(first: Any) -> None:
    """As in RobBERT's tokenizer, whose offsets leave out a letter for a space that is not in the text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence([first, pre_tokenizers.ByteLevel(), pre_tokenizers.Punctuation()])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = list(SPECIAL.values())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(LINES * 5, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 3), ("<s>", 2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **SPECIAL)
    text = "Der Montag, 17. März 2003, kostet zwölf Euro."
    [context] = tokenise(tokenizer, [text])
    for answer in ("Montag", "März", "zwölf Euro", "2003"):
        start, stop = context.covering(text.index(answer), text.index(answer) + len(answer)) or (0, 0)
        assert text[context.begins[start] : context.ends[stop]] == answer


def test_an_answer_inside_a_sub_word_is_that_sub_word() -> None:
    context = SubWords([7, 8, 9], [0, 5, 6], [5, 5, 9])
    assert context.covering(1, 3) == (0, 0)
    assert context.covering(4, 7) == (0, 2)
    assert context.covering(5, 6) is None  # a space, and a sub-word of nothing else


def test_long_questions_are_read_to_half_of_a_window(tokenizer: PreTrainedTokenizerFast) -> None:
    [whole] = tokenise(tokenizer, [CONTEXT])
    windows, context, altered = encode(tokenizer, "Montag März", question=CONTEXT, max_length=33)
    assert windows[0].input_ids[1 : windows[0].context_at - 1] == whole.ids[:15]
    assert altered["shortened"] == 1
    assert {i for w in windows for i in range(w.first, w.first + w.size)} == set(range(len(context.ids)))


def test_an_answer_longer_than_a_window_is_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    windows, _, altered = encode(tokenizer, CONTEXT, (0, len(CONTEXT)), max_length=32)
    assert altered["in_no_window"] == 1 and not any(window.holds_answer for window in windows)


def test_batches_do_not_matter(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [CONTEXT[:n] for n in range(1, 30)]
    whole = tokenise(tokenizer, texts)
    monkeypatch.setattr("xrealign_bench.models.tokenisation.TEXTS_PER_BATCH", 7)
    assert tokenise(tokenizer, texts) == whole


@pytest.mark.parametrize(("max_length", "message"), [(4, "leaves no room"), (65, "more than the 64")])
def test_impossible_lengths_are_refused(tokenizer: PreTrainedTokenizerFast, max_length: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(tokenizer, CONTEXT, max_length=max_length)


def test_windows_survive_their_table(tokenizer: PreTrainedTokenizerFast) -> None:
    windows, _, _ = encode(tokenizer, CONTEXT, (3, 9), max_length=30)
    assert list(Windows(windows_table(windows, SpanWindow), SpanWindow)) == windows


def test_collate_by_hand() -> None:
    long = SpanWindow(0, [2, 7, 3, 8, 3], [0, 0, 0, 1, 1], 3, 0, 1, 3, 3)
    short = SpanWindow(1, [2, 3, 9, 3], [0, 0, 1, 1], 2, 0, 1, 0, 0)
    batch = collate_spans([short, long], pad_id=5)
    assert batch.input_ids.tolist() == [[2, 3, 9, 3, 5], [2, 7, 3, 8, 3]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.token_type_ids)} == {torch.long}
