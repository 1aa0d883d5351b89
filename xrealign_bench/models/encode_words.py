"""From words to sub-words and back: windows of token ids that know where each word lies, and pooling over words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenizer import room_for_text, run_tokenizer
from xrealign_bench.models.windows import Window

_BATCH = 1024
_WORD_MARKERS = "▁Ġ"
"""What sentencepiece and byte-level vocabularies write for the space in front of a word: not text."""


def encode_words(
    tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sequence[str]], max_length: int, first_sentence: int = 0
) -> list[Window]:
    """Tokenise sentences that are already split into words.

    Each word is tokenised by itself and stands in exactly one window, in order. A sentence that does not fit is read
    in several windows, each filled with whole words; a sentence without words has no window.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        sentences: their words.
        max_length: sub-words of a window, special ones included.
        first_sentence: the number of the first one.

    Raises:
        UserError: `max_length` is too small for one sub-word or larger than the model takes.
    """
    prefix, suffix = _special_ids(tokenizer)
    room = room_for_text(tokenizer, max_length, len(prefix) + len(suffix))
    space = _space(tokenizer)
    marker = _markers(tokenizer)
    windows: list[Window] = []
    for begin in range(0, len(sentences), _BATCH):
        batch = [[space + word for word in words] for words in sentences[begin : begin + _BATCH]]
        windows += _encode_batch(tokenizer, batch, first_sentence + begin, room, marker, prefix, suffix)
    return windows


@lru_cache(maxsize=4)
def _markers(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """For each token id whether it is a marker of a word's beginning and nothing else."""
    vocabulary = tokenizer.get_vocab()
    markers = np.zeros(max(vocabulary.values()) + 1, dtype=bool)
    markers[[number for token, number in vocabulary.items() if not token.strip(_WORD_MARKERS)]] = True
    return markers


@lru_cache(maxsize=4)
def _space(tokenizer: PreTrainedTokenizerFast) -> str:
    """What a word given by itself must begin with to become the sub-words that it is in running text.

    Many vocabularies know the first sub-word of a word by the space in front of it. Some tokenizers add that to a
    word by themselves, others (those of byte-level vocabularies, and Gemma's) do not. Their own `add_prefix_space` is
    no help: with a splitting rule of their own, as newer ones have, it puts the space in front of every piece.
    """
    first, running = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "a a"))
    for space in ("", " "):
        words = tokenizer([space + "a"] * 2, is_split_into_words=True, add_special_tokens=False)
        second = [i for i, word in zip(words["input_ids"], words.word_ids(0), strict=True) if word == 1]
        if running[len(first) :] == second:
            return space
    return ""


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """What the tokenizer puts in front of and behind a sentence, learnt from one that holds only the padding token."""
    probe = tokenizer([tokenizer.pad_token], is_split_into_words=True, add_special_tokens=True)
    ids, words = probe["input_ids"], probe.word_ids(0)
    given = [position for position, word in enumerate(words) if word is not None]
    if not given:
        raise UserError(
            f"the tokenizer gives nothing for its own padding token {tokenizer.pad_token!r}; it can't be used"
        )
    return list(ids[: given[0]]), list(ids[given[-1] + 1 :])


def _encode_batch(
    tokenizer: PreTrainedTokenizerFast,
    sentences: list[list[str]],
    number: int,
    room: int,
    marker: np.ndarray,
    prefix: list[int],
    suffix: list[int],
) -> list[Window]:
    """Windows of some sentences, the first of which has this number; all sub-words of the batch are one flat array."""
    words_of = np.array([len(words) for words in sentences])
    first_word = np.concatenate([[0], np.cumsum(words_of)])
    total = int(first_word[-1])
    if total == 0:
        return []
    encodings = run_tokenizer(
        tokenizer,
        sentences,
        is_split_into_words=True,
        add_special_tokens=False,
        truncation=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    ids = np.array(list(chain.from_iterable(e.ids for e in encodings)), dtype=np.int64)
    word = np.array(list(chain.from_iterable(e.word_ids for e in encodings)), dtype=np.int64)
    owner = np.repeat(first_word[:-1], [len(e.ids) for e in encodings]) + word

    dropped = np.bincount(owner, minlength=total) == 0
    if dropped.any():
        if tokenizer.unk_token_id is None:
            raise UserError(
                "the tokenizer gives no token for some words and has no unknown token; use another checkpoint"
            )
        numbers = np.flatnonzero(dropped)
        place = np.searchsorted(owner, numbers)
        ids = np.insert(ids, place, tokenizer.unk_token_id)
        owner = np.insert(owner, place, numbers)

    size = np.bincount(owner, minlength=total)
    begin = np.cumsum(size) - size
    position = np.arange(len(ids))
    text = np.minimum.reduceat(np.where(marker[ids], len(ids), position), begin)
    text = np.where(text == len(ids), begin, text)  # a word that is nothing but the marker

    long = size > room
    if long.any():
        kept_from = np.where(long, text, begin)
        kept_to = np.minimum(begin + size, kept_from + room)
        kept = (position >= kept_from[owner]) & (position < kept_to[owner])
        text = text - kept_from  # counted in the word, for the moment
        ids, owner = ids[kept], owner[kept]
        size = kept_to - kept_from
        begin = np.cumsum(size) - size
        text = text + begin

    end = begin + size
    flat: list[int] = ids.tolist()
    windows = []
    for sentence, (low, high) in enumerate(zip(first_word[:-1].tolist(), first_word[1:].tolist(), strict=True)):
        for left, right in _cut(begin, end, low, high, room):
            offset = int(begin[left]) - len(prefix)
            windows.append(
                Window(
                    sentence=number + sentence,
                    first_word=left - low,
                    input_ids=[*prefix, *flat[begin[left] : end[right - 1]], *suffix],
                    starts=(text[left:right] - offset).tolist(),
                    ends=(end[left:right] - offset).tolist(),
                    without_token=int(dropped[left:right].sum()),
                    shortened=int(long[left:right].sum()),
                )
            )
    return windows


def _cut(begin: np.ndarray, end: np.ndarray, low: int, high: int, room: int) -> Iterator[tuple[int, int]]:
    """Ranges of words, each as many as fit into the room, that make up words low up to high."""
    while low < high:
        after = low + int(np.searchsorted(end[low:high], begin[low] + room, side="right"))
        yield low, after
        low = after
