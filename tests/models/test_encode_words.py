"""Words to windows and back. Truth: the tokenizers library called word by word, plain loops, and properties that hold
for any text."""

from __future__ import annotations

import copy
import os
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.models.sentences import random_sentences
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.windows import Window

TYPES = ["wordpiece", "unigram", "bytes"]
XLMR = Path(os.environ.get("XREALIGN_BENCH_XLMR", "nowhere"))
"""A checkpoint with XLM-R's vocabulary."""


@pytest.fixture(params=TYPES)
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> PreTrainedTokenizerFast:
    return tokenizers[request.param]


def sub_words(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    """A word by itself, as it stands in running text: behind a space."""
    kind = " " if "ByteLevel" in str(tokenizer.backend_tokenizer.pre_tokenizer) else ""
    return tokenizer.backend_tokenizer.encode(kind + word, add_special_tokens=False).ids or [tokenizer.unk_token_id]


@pytest.mark.parametrize("max_length", [3, 5, 16, 64])
def test_every_word_is_in_one_window_whole_and_in_order(tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    sentences = random_sentences(max_length, 60)
    windows = encode_words(tokenizer, sentences, max_length)
    seen = [(w.sentence, w.first_word + n) for w in windows for n in range(len(w.starts))]
    assert seen == [(s, n) for s, words in enumerate(sentences) for n in range(len(words))]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    for w in windows:
        assert len(w.input_ids) <= max_length
        assert (w.input_ids[0], w.input_ids[-1]) == (cls, sep)
        assert len(w.starts) == len(w.ends) > 0
        position, shortened = 1, 0
        for n, (start, end) in enumerate(zip(w.starts, w.ends, strict=True)):
            expected = sub_words(tokenizer, sentences[w.sentence][w.first_word + n])
            if len(expected) > max_length - 2:
                shortened += 1
                assert len(w.starts) == 1
                text = [i for i in expected if tokenizer.convert_ids_to_tokens(i) not in "▁Ġ"] or expected
                expected = expected[expected.index(text[0]) :][: max_length - 2]
            assert position <= start < end
            assert w.input_ids[position:end] == expected
            assert all(tokenizer.convert_ids_to_tokens(i) in "▁Ġ" for i in w.input_ids[position:start])
            position = end
        assert position == len(w.input_ids) - 1
        assert shortened == w.shortened


def test_windows_are_filled(tokenizer: PreTrainedTokenizerFast) -> None:
    """The next window's first word would not have fitted."""
    sentences = random_sentences(9, 60)
    windows = encode_words(tokenizer, sentences, 16)
    for one, after in pairwise(windows):
        if one.sentence == after.sentence:
            assert len(one.input_ids) + after.ends[0] - 1 > 16


def test_short_sentences_are_read_as_the_tokenizer_reads_them(tokenizer: PreTrainedTokenizerFast) -> None:
    sentence = ["Montag", "17.", "März"]
    [window] = encode_words(tokenizer, [sentence], 64)
    lead = " " if "ByteLevel" in str(tokenizer.backend_tokenizer.pre_tokenizer) else ""
    assert window.input_ids == tokenizer(lead + " ".join(sentence))["input_ids"]


SCRIPTS = {
    "Latn": "März Donnerstag", "Cyrl": "понедельник март", "Grek": "Δευτέρα Μάρτιος", "Arab": "الاثنين مارس",
    "Hebr": "יום שני", "Deva": "सोमवार मार्च", "Beng": "সোমবার মার্চ", "Taml": "திங்கள் மார்ச்", "Thai": "วันจันทร์ มีนาคม",
    "Geor": "ორშაბათი მარტი", "Armn": "երկուշաբթի մարտ", "Ethi": "ሰኞ ማርች", "Hang": "월요일 삼월", "Hans": "星期一 三月",
    "Khmr": "ចន្ទ មីនា", "Mymr": "တနင်္လာ မတ်",
}  # fmt: skip


def text_of(tokens: list[str], kind: str) -> str:
    """What tokens of a byte-level or sentencepiece vocabulary stand for, by the alphabets' definitions."""
    if kind in ("llama", "gemma"):
        parts = [bytes([int(t[3:5], 16)]) if t.startswith("<0x") else t.encode() for t in tokens]
        return b"".join(parts).decode().replace("▁", " ")
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [number for number in range(256) if number not in printable]
    byte_of = {chr(n): n for n in printable} | {chr(256 + place): n for place, n in enumerate(others)}
    return bytes(byte_of[char] for token in tokens for char in token).decode()


@pytest.mark.parametrize("kind", ["bytes", "gpt", "llama", "gemma"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_first_sub_word_of_a_word_is_found_in_every_script(
    tokenizers: dict[str, PreTrainedTokenizerFast], kind: str, script: str
) -> None:
    """The sub-words of a word spell it, behind a space at most, and all are those of running text."""
    words = SCRIPTS[script].split()
    tokenizer = copy.deepcopy(tokenizers[kind])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.model_max_length = 256
    [window] = encode_words(tokenizer, [words], 256)
    tokens = tokenizer.convert_ids_to_tokens(window.input_ids)
    first = place = len(tokenizer("", add_special_tokens=True)["input_ids"][:1])
    for word, start, end in zip(words, window.starts, window.ends, strict=True):
        assert all(token in "▁Ġ" for token in tokens[place:start]) and tokens[start] not in "▁Ġ"
        assert text_of(tokens[start:end], kind).strip() == unicodedata.normalize("NFC", word)
        place = end
    lead, running = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " ".join(["a", *words])))
    assert window.input_ids[first:place] == running[len(lead) :]


def test_batches_do_not_matter(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = random_sentences(3, 50)
    whole = encode_words(tokenizer, sentences, 16)
    monkeypatch.setattr("xrealign_bench.models.encode_words.TEXTS_PER_BATCH", 7)
    assert encode_words(tokenizer, sentences, 16) == whole


def test_sentences_may_come_in_parts(tokenizer: PreTrainedTokenizerFast) -> None:
    sentences = random_sentences(4, 40)
    parts = [encode_words(tokenizer, sentences[:15], 16), encode_words(tokenizer, sentences[15:], 16, 15)]
    assert [window for part in parts for window in part] == encode_words(tokenizer, sentences, 16)


def test_words_that_the_tokenizer_drops_become_unknown(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    wordpiece = tokenizers["wordpiece"]
    [window] = encode_words(wordpiece, [["Montag", "", "\u0007", "März"]], 64)
    assert window.without_token == 2
    assert [window.input_ids[s] for s in window.starts[1:3]] == [wordpiece.unk_token_id] * 2
    assert [e - s for s, e in zip(window.starts[1:3], window.ends[1:3], strict=True)] == [1, 1]


@pytest.mark.parametrize("word", ["\u00ad", "\u200b", "\u200d", "\ufe0f", "\ufeff", "\u0085", "\u2060"])
def test_an_invisible_word_keeps_its_position(tokenizer: PreTrainedTokenizerFast, word: str) -> None:
    """Soft hyphens, joiners, variation selectors: the labels behind them stay those of their words."""
    [window] = encode_words(tokenizer, [["Montag", word, "März"]], 64)
    assert len(window.starts) == 3 and window.starts == sorted(set(window.starts))
    places = zip(window.starts[::2], window.ends[::2], strict=True)
    tokens = [window.input_ids[start:end] for start, end in places]
    marker = {tokenizer.convert_tokens_to_ids(token) for token in "▁Ġ"} - {tokenizer.unk_token_id}
    assert tokens == [[i for i in sub_words(tokenizer, w) if i not in marker] for w in ("Montag", "März")]


def test_the_first_sub_word_carries_text(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    for kind, marker in (("unigram", "▁"), ("bytes", "Ġ")):
        [window] = encode_words(tokenizers[kind], [["星期一", "Montag"]], 64)
        tokens = tokenizers[kind].convert_ids_to_tokens(window.input_ids)
        assert tokens[1] == marker and window.starts[0] == 2
        assert all(tokens[start] != marker for start in window.starts)


def test_a_tokenizer_that_truncates_and_pads_by_itself_does_not_here(tmp_path: Path, tokenizers) -> None:  # type: ignore[no-untyped-def]
    tokenizers["wordpiece"].save_pretrained(tmp_path)
    other = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    other.backend_tokenizer.enable_truncation(4)
    other.backend_tokenizer.enable_padding(length=50)
    sentences = random_sentences(5, 20)
    assert encode_words(other, sentences, 16) == encode_words(tokenizers["wordpiece"], sentences, 16)


@pytest.mark.parametrize(
    ("max_length", "message"), [(2, "leaves no room"), (65, "more than the 64 that the model takes")]
)
def test_impossible_lengths_are_refused(tokenizer: PreTrainedTokenizerFast, max_length: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode_words(tokenizer, [["a"]], max_length)


def test_sentences_without_words_have_no_window(tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode_words(tokenizer, [], 16) == encode_words(tokenizer, [[], []], 16) == []


def test_xlmr_vocabulary() -> None:
    """The hand-checked pieces of XLM-R's own vocabulary."""
    if not (XLMR / "tokenizer.json").is_file():
        pytest.skip("XREALIGN_BENCH_XLMR names no checkpoint with XLM-R's vocabulary")
    tokenizer = load_tokenizer(resolve_checkpoint(str(XLMR)))
    [window] = encode_words(tokenizer, [["Hello", "中", "文", "！"]], 96)
    tokens = tokenizer.convert_ids_to_tokens(window.input_ids)
    assert tokens == ["<s>", "▁Hello", "▁", "中", "▁", "文", "▁!", "</s>"]
    assert [tokens[s:e] for s, e in zip(window.starts, window.ends, strict=True)] == [
        ["▁Hello"],
        ["中"],
        ["文"],
        ["▁!"],
    ]


VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁A", "ta", "ll", "▁tree", "▁Oh", "so"]


@pytest.fixture
def by_hand() -> PreTrainedTokenizerFast:
    """XLM-R's kind of tokenizer with eleven tokens: `tall` is `▁ ta ll`, `so` is `▁ so`, a lone `▁` is a word."""
    backend = Tokenizer(models.Unigram([(token, -1.0) for token in VOCABULARY], unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", model_max_length=64,
    )  # fmt: skip


def read(tokenizer: PreTrainedTokenizerFast, window: Window) -> tuple[str, list[str]]:
    """The tokens of a window, and those of each of its words."""
    tokens = tokenizer.convert_ids_to_tokens(window.input_ids)
    words = [" ".join(tokens[start:end]) for start, end in zip(window.starts, window.ends, strict=True)]
    return " ".join(tokens), words


SENTENCE = ["A", "tall", "tree", "so", "so"]
"""▁A | ▁ ta ll | ▁tree | ▁ so | ▁ so: nine sub-words."""
READ: list[tuple[str, str, int, list[tuple[str, list[str]]]]] = [
    ("windows", "keep", 64, [("<s> ▁A ▁ ta ll ▁tree ▁ so ▁ so </s>", ["▁A", "ta ll", "▁tree", "so", "so"])]),
    ("windows", "delete", 64, [("<s> ▁A ta ll ▁tree so so </s>", ["▁A", "ta ll", "▁tree", "so", "so"])]),
    # A room of 5 holds "A tall tree"; deleted markers leave no room for another word.
    ("windows", "keep", 7, [
        ("<s> ▁A ▁ ta ll ▁tree </s>", ["▁A", "ta ll", "▁tree"]), ("<s> ▁ so ▁ so </s>", ["so", "so"]),
    ]),
    ("windows", "delete", 7, [
        ("<s> ▁A ta ll ▁tree </s>", ["▁A", "ta ll", "▁tree"]), ("<s> so so </s>", ["so", "so"]),
    ]),
    ("truncate", "keep", 7, [("<s> ▁A ▁ ta ll ▁tree </s>", ["▁A", "ta ll", "▁tree"])]),
    ("truncate", "delete", 7, [("<s> ▁A ta ll ▁tree </s>", ["▁A", "ta ll", "▁tree"])]),
    # A room of 3 cuts "tall".
    ("truncate", "keep", 5, [("<s> ▁A ▁ ta </s>", ["▁A", "ta"])]),
    ("truncate", "delete", 5, [("<s> ▁A ta </s>", ["▁A", "ta"])]),
    ("truncate", "delete", 64, [("<s> ▁A ta ll ▁tree so so </s>", ["▁A", "ta ll", "▁tree", "so", "so"])]),
]  # fmt: skip


@pytest.mark.parametrize(("long_sentences", "lone_word_markers", "max_length", "expected"), READ)
def test_lone_markers_and_long_sentences_by_hand(
    by_hand: PreTrainedTokenizerFast,
    long_sentences: Any,
    lone_word_markers: Any,
    max_length: int,
    expected: list[tuple[str, list[str]]],
) -> None:
    options: Any = {"long_sentences": long_sentences, "lone_word_markers": lone_word_markers}
    windows = encode_words(by_hand, [SENTENCE, [], ["Oh"]], max_length, **options)
    assert [read(by_hand, window) for window in windows] == [*expected, ("<s> ▁Oh </s>", ["▁Oh"])]
    assert [window.sentence for window in windows] == [0] * len(expected) + [2]
    assert sum(window.shortened for window in windows) == (max_length == 5)


def test_a_word_of_which_only_the_marker_fits_is_not_in_the_window(by_hand: PreTrainedTokenizerFast) -> None:
    """A room of 3 holds ▁A, ▁tree and the marker of "tall"."""
    [window] = encode_words(by_hand, [["A", "tree", "tall"]], 5, long_sentences="truncate")
    assert read(by_hand, window) == ("<s> ▁A ▁tree </s>", ["▁A", "▁tree"])
    assert window.shortened == 0


def test_a_word_that_is_only_a_marker_keeps_it(by_hand: PreTrainedTokenizerFast) -> None:
    [window] = encode_words(by_hand, [["so", "▁", "so"]], 64, lone_word_markers="delete")
    assert read(by_hand, window) == ("<s> so ▁ so </s>", ["so", "▁", "so"])


@pytest.mark.parametrize("max_length", [5, 9, 16, 64])
def test_deletion_follows_the_tokenizer(tokenizers: dict[str, PreTrainedTokenizerFast], max_length: int) -> None:
    """Truth: the rule of AlignFreeze's code restated: tokenise and truncate, then drop `▁`; a word is where the first
    of its remaining sub-words is."""
    tokenizer = tokenizers["unigram"]
    marker = tokenizer.convert_tokens_to_ids("▁")
    sentences = [words for words in random_sentences(7, 80) if words]
    options: Any = {"long_sentences": "truncate", "lone_word_markers": "delete"}
    windows = encode_words(tokenizer, sentences, max_length, **options)
    room, checked = max_length - 2, 0
    for words, window in zip(sentences, windows, strict=True):
        pieces = [sub_words(tokenizer, word) for word in words]
        if any(len(piece) > room or set(piece) == {marker} for piece in pieces):
            continue  # shortened from their text on; kept
        owners = [(number, token) for number, piece in enumerate(pieces) for token in piece][:room]
        left = [(number, token) for number, token in owners if token != marker]
        numbers = [number for number, _ in left]
        assert window.starts == [1 + numbers.index(number) for number in dict.fromkeys(numbers)]
        assert window.ends == [1 + len(left) - numbers[::-1].index(number) for number in dict.fromkeys(numbers)]
        assert window.input_ids == [tokenizer.cls_token_id, *(token for _, token in left), tokenizer.sep_token_id]
        checked += len(owners) > len(left)
    assert checked > (0 if max_length == 5 else 10)


def test_vocabularies_without_the_marker_are_not_changed(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    sentences = random_sentences(8, 30)
    for kind in ("wordpiece", "bytes"):
        whole = encode_words(tokenizers[kind], sentences, 16)
        assert encode_words(tokenizers[kind], sentences, 16, lone_word_markers="delete") == whole
