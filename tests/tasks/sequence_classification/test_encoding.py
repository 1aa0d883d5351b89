"""Texts and pairs. Truth: the tokenizer called one by one, and truncation token by token from the longer side."""

from __future__ import annotations

import random

import pytest
import torch
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import train_tokenizer
from xrealign_bench.errors import UserError
from xrealign_bench.models.windows import collate_tokens
from xrealign_bench.tasks.sequence_classification.encoding import encode_texts

WORDS = ["Montag", "17.", "März", "euros", "fifty", "понедельник", "मार्च", "星期一", "வியாழன்", "zz"]


@pytest.fixture(params=["wordpiece", "unigram", "bytes"])
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> PreTrainedTokenizerFast:
    return tokenizers[request.param]


@pytest.fixture
def typed() -> PreTrainedTokenizerFast:
    """As BERT's: the second text and its end are of another type."""
    tokenizer = train_tokenizer("wordpiece")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")],
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


def random_texts(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.choice([1, 2, 5, 12, 30]))) for _ in range(count)]


def cut(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Take the last token of the longer side away until both fit; of two equally long ones, of the first."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) >= len(second) else second).pop()
    return first, second


@pytest.mark.parametrize("max_length", [4, 16, 64])
def test_single_texts_are_what_the_tokenizer_makes_of_each(tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    texts = random_texts(max_length, 40)
    encoded = encode_texts(tokenizer, texts, None, max_length)
    plain = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    front, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert encoded.input_ids == [[front, *ids[: max_length - 2], end] for ids in plain]
    assert encoded.token_type_ids is None
    assert encoded.altered.get("truncated", 0) == sum(len(ids) > max_length - 2 for ids in plain)


@pytest.mark.parametrize("max_length", [5, 6, 17, 64])
def test_pairs_are_cut_from_the_longer_side(tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    count = 40 if max_length > 6 else 10  # tokenizers takes long for long pairs that are cut into many pieces
    texts, pairs = random_texts(1, count), random_texts(2, count)
    encoded = encode_texts(tokenizer, texts, pairs, max_length)
    front, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    truncated = 0
    for text, pair, ids in zip(texts, pairs, encoded.input_ids, strict=True):
        one, two = (tokenizer.encode(side, add_special_tokens=False) for side in (text, pair))
        first, second = cut(one, two, max_length - 3)
        lengths = ids.index(end) - 1, len(ids) - ids.index(end) - 2
        # An odd room leaves one token to either side where both are cut.
        assert sorted(lengths) == sorted((len(first), len(second)))
        assert ids == [front, *one[: lengths[0]], end, *two[: lengths[1]], end]
        assert ids == tokenizer(text, pair, truncation=True, max_length=max_length)["input_ids"]
        truncated += len(one) + len(two) > max_length - 3
    assert encoded.altered.get("truncated", 0) == truncated


def test_token_types_are_given_where_the_tokenizer_gives_them(typed: PreTrainedTokenizerFast) -> None:
    encoded = encode_texts(typed, ["Montag März", "euros"], ["zz", "Montag 17."], 64)
    assert encoded.token_type_ids is not None
    for ids, types in zip(encoded.input_ids, encoded.token_type_ids, strict=True):
        border = ids.index(typed.sep_token_id) + 1
        assert types == [0] * border + [1] * (len(ids) - border)
    assert encode_texts(typed, ["Montag"], None, 64).token_type_ids == [[0] * len(encoded_one(typed, "Montag"))]


def encoded_one(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def test_batches_do_not_matter(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, pairs = random_texts(3, 20), random_texts(4, 20)
    whole = encode_texts(tokenizer, texts, pairs, 16)
    monkeypatch.setattr("xrealign_bench.models.tokenisation.TEXTS_PER_BATCH", 7)
    assert encode_texts(tokenizer, texts, pairs, 16) == whole


def test_texts_of_which_nothing_is_left_are_counted(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    wordpiece = tokenizers["wordpiece"]
    assert encode_texts(wordpiece, ["\u200b", "Montag"], None, 16).altered == {"without_token": 1}
    assert encode_texts(wordpiece, ["\u200b", "Montag"], ["März", "\u200b"], 16).altered == {"without_token": 2}
    assert encode_texts(wordpiece, ["Montag"], ["März"], 16).altered == {}


@pytest.mark.parametrize(
    ("pairs", "max_length", "message"),
    [
        (None, 2, "leaves no room"),
        (["b"], 4, "leaves no room"),
        (None, 65, "more than the 64 that the model takes"),
    ],
)
def test_impossible_lengths_are_refused(
    tokenizer: PreTrainedTokenizerFast, pairs: list[str] | None, max_length: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        encode_texts(tokenizer, ["a"], pairs, max_length)


def test_a_line_break_sets_texts_apart_where_the_tokenizer_puts_nothing() -> None:
    tokenizer = train_tokenizer("bytes")
    break_of = tokenizer("\n", add_special_tokens=False)["input_ids"]
    one, two = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("Montag", "Euro"))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B")
    assert encode_texts(tokenizer, ["Montag"], ["Euro"], 64).input_ids == [[*one, *break_of, *two]]
    assert encode_texts(tokenizer, [""], None, 64).input_ids == [[tokenizer.pad_token_id]]


def test_collate_by_hand() -> None:
    batch = collate_tokens([[2, 7, 8, 3], [2, 9]], 5, [[0, 0, 1, 1], [0, 1]])
    assert batch.input_ids.tolist() == [[2, 7, 8, 3], [2, 9, 5, 5]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.token_type_ids is not None and batch.token_type_ids.tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.token_type_ids)} == {torch.long}
    assert collate_tokens([[2, 7]], pad_id=5).token_type_ids is None
