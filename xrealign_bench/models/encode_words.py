"""Encode sentences of words as windows of sub-words in which the position of each word is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenisation import TEXTS_PER_BATCH, room_for_text, run_tokenizer
from xrealign_bench.models.windows import Window
from xrealign_bench.specs.suite import LoneWordMarkers, LongSentences

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_WORD_MARKERS = "▁Ġ"
"""Characters for the space in front of a word in SentencePiece and byte-level vocabularies: they are not text."""
_LONE_MARKER = "▁"
"""The token that `lone_word_markers: delete` deletes."""


def encode_words(
    tokenizer: PreTrainedTokenizerFast,
    sentences: Sequence[Sequence[str]],
    max_length: int,
    first_sentence: int = 0,
    *,
    long_sentences: LongSentences = "windows",
    lone_word_markers: LoneWordMarkers = "keep",
) -> list[Window]:
    """Tokenise sentences that are already split into words.

    Each word is tokenised by itself. By default it belongs to exactly one window, in order: a sentence that does not
    fit is split into several windows, each filled with whole words. A sentence without words has no window.

    Args:
        tokenizer: from `load_tokenizer`.
        sentences: the words of each sentence.
        max_length: sub-words of a window, special tokens included.
        first_sentence: number of the first sentence.
        long_sentences: `truncate`: a sentence has one window, and the words after it are in none. Its last word may
            keep only its first sub-words.
        lone_word_markers: `delete`: delete the token `▁` from words with other tokens, after windows have been filled
            (as in the code of AlignFreeze): windows with deleted tokens are shorter than `max_length`.

    Raises:
        UserError: `max_length` is too small for one sub-word or larger than the model takes.
    """
    special = _special_ids(tokenizer)
    room = room_for_text(tokenizer, max_length, sum(map(len, special)))
    space = _space(tokenizer)
    windows: list[Window] = []
    for begin in range(0, len(sentences), TEXTS_PER_BATCH):
        batch = [[space + word for word in words] for words in sentences[begin : begin + TEXTS_PER_BATCH]]
        if any(batch):
            words = _shorten(_tokenise_words(tokenizer, batch), room)
            fill = _fill if long_sentences == "windows" else _truncate
            windows += _cut(words, batch, partial(fill, room=room), special, first_sentence + begin)
    marker = tokenizer.backend_tokenizer.token_to_id(_LONE_MARKER)
    if lone_word_markers == "keep" or marker is None:
        return windows
    return [_without(marker, window) for window in windows]


# The sub-words of a batch of sentences are one flat array, and so are its words. For the sentences "A tall ▁tree" and
# "Oh", a room of 3 sub-words and the vocabulary of XLM-R:
#
#   sub-words  ids    ▁A  ▁  ta  ll  ▁tree  ▁Oh
#              owner  0   1  1   1   2      3       number of the word in the batch
#   words      begin  0   1          4      5       first sub-word
#              text   0   2          4      5       first sub-word that is more than a word marker
#              end    1   4          5      6
#   windows           |A| |tall|     |tree| |Oh|    as many whole words as fit into the room
#
# 1. `_tokenise_words` makes `ids` and `owner`. A word without a token gets the unknown token.
# 2. `_shorten` finds `begin`, `text` and `end`. A word longer than the room keeps the first sub-words of its text.
# 3. `_cut` fills windows with the words of each sentence: with as many whole words as fit (`_fill`), or one window with
#    as many sub-words as fit (`_truncate`).
# 4. `_without` deletes lone markers (here the second sub-word of the second window) if they are not kept.


@dataclass(frozen=True)
class _SubWords:
    ids: Ints
    owner: Ints
    dropped: Bools
    """(words,): the tokenizer returns no token for the word."""
    marker: Bools
    """(sub-words,): a word marker and nothing else."""


@dataclass(frozen=True)
class _Words:
    ids: list[int]
    text: Ints
    begin: Ints
    end: Ints
    dropped: Bools
    long: Bools
    """(words,): longer than the room, and shortened."""


def _tokenise_words(tokenizer: PreTrainedTokenizerFast, sentences: list[list[str]]) -> _SubWords:
    total = sum(map(len, sentences))
    options: dict[str, Any] = {"is_split_into_words": True, "add_special_tokens": False, "truncation": False}
    options |= {"return_attention_mask": False, "return_token_type_ids": False}
    all_ids, all_owners, first_word = [], [], 0
    for words, encoding in zip(sentences, run_tokenizer(tokenizer, sentences, **options), strict=True):
        all_ids.append(np.array(encoding.ids, dtype=np.int64))
        all_owners.append(np.array(encoding.word_ids, dtype=np.int64) + first_word)
        first_word += len(words)
    ids, owner = np.concatenate(all_ids), np.concatenate(all_owners)
    dropped = np.bincount(owner, minlength=total) == 0
    if dropped.any():
        if tokenizer.unk_token_id is None:
            raise UserError(
                "the tokenizer gives no token for some words and has no unknown token; use another checkpoint"
            )
        numbers = np.flatnonzero(dropped)
        places = np.searchsorted(owner, numbers)
        ids, owner = np.insert(ids, places, tokenizer.unk_token_id), np.insert(owner, places, numbers)
    return _SubWords(ids, owner, dropped, _markers(tokenizer)[ids])


def _shorten(sub_words: _SubWords, room: int) -> _Words:
    ids, owner = sub_words.ids, sub_words.owner
    size = np.bincount(owner, minlength=len(sub_words.dropped))
    begin = np.cumsum(size) - size
    position = np.arange(len(ids))
    text = np.minimum.reduceat(np.where(sub_words.marker, len(ids), position), begin)
    text = np.where(text == len(ids), begin, text)  # the word is a marker and nothing else
    long = size > room
    if long.any():
        kept_from = np.where(long, text, begin)
        kept_to = np.minimum(begin + size, kept_from + room)
        kept = (position >= kept_from[owner]) & (position < kept_to[owner])
        text_in_word = text - kept_from
        ids = ids[kept]
        size = kept_to - kept_from
        begin = np.cumsum(size) - size
        text = begin + text_in_word
    return _Words(ids.tolist(), text, begin, begin + size, sub_words.dropped, long)


_Fill = Callable[[_Words, int, int], Iterator[tuple[int, int, int]]]
"""Yields windows of the words from a number up to another: their first word, the word after their last one, and the
sub-word after their last one."""


def _cut(
    words: _Words, sentences: list[list[str]], fill: _Fill, special: tuple[list[int], list[int]], first_sentence: int
) -> list[Window]:
    prefix, suffix = special
    first_word = np.cumsum([0, *map(len, sentences)]).tolist()
    windows = []
    for sentence, (low, high) in enumerate(pairwise(first_word), first_sentence):
        for left, right, end in fill(words, low, high):
            begin = int(words.begin[left])
            offset = begin - len(prefix)
            windows.append(
                Window(
                    sentence=sentence,
                    first_word=left - low,
                    input_ids=[*prefix, *words.ids[begin:end], *suffix],
                    starts=(words.text[left:right] - offset).tolist(),
                    ends=(np.minimum(words.end[left:right], end) - offset).tolist(),
                    without_token=int(words.dropped[left:right].sum()),
                    shortened=int((words.long[left:right] | (words.end[left:right] > end)).sum()),
                )
            )
    return windows


def _fill(words: _Words, low: int, high: int, room: int) -> Iterator[tuple[int, int, int]]:
    """Yield windows that cover words low up to high, each with as many whole words as fit into the room."""
    while low < high:
        after = low + int(np.searchsorted(words.end[low:high], words.begin[low] + room, side="right"))
        yield low, after, int(words.end[after - 1])
        low = after


def _truncate(words: _Words, low: int, high: int, room: int) -> Iterator[tuple[int, int, int]]:
    """Yield the window of the first sub-words; a word is in it if the first sub-word of its text is."""
    if low < high:
        stop = words.begin[low] + room
        after = low + int(np.searchsorted(words.text[low:high], stop))
        yield low, after, int(min(stop, words.end[after - 1]))


def _without(marker: int, window: Window) -> Window:
    """Delete the lone word markers of a window, except those of words that are nothing else."""
    if marker not in window.input_ids:
        return window
    kept = np.array(window.input_ids) != marker
    starts, ends = np.array(window.starts), np.array(window.ends)
    kept[starts] = True  # a word's text starts at its marker only if it has no other token
    place = np.cumsum(kept) - kept
    return replace(
        window,
        input_ids=[token for token, keep in zip(window.input_ids, kept.tolist(), strict=True) if keep],
        starts=place[starts].tolist(),
        ends=(place[ends - 1] + kept[ends - 1]).tolist(),
    )


@lru_cache(maxsize=4)
def _markers(tokenizer: PreTrainedTokenizerFast) -> Bools:
    """Return, for each token id, whether it is a word marker and nothing else."""
    vocabulary = tokenizer.get_vocab()
    markers = np.zeros(max(vocabulary.values()) + 1, dtype=bool)
    markers[[number for token, number in vocabulary.items() if not token.strip(_WORD_MARKERS)]] = True
    return markers


@lru_cache(maxsize=4)
def _space(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the prefix with which a single word is tokenised as it is in running text.

    Many vocabularies mark the first sub-word of a word by the space in front of it. Some tokenizers add that space to a
    single word; others (byte-level ones, and Gemma's) do not. Their `add_prefix_space` does not help: with a custom
    pre-tokenizer, as newer ones have, it puts the space in front of every piece.
    """
    first, running = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "a a"))
    for space in ("", " "):
        words = tokenizer([space + "a"] * 2, is_split_into_words=True, add_special_tokens=False)
        second = [i for i, word in zip(words["input_ids"], words.word_ids(0), strict=True) if word == 1]
        if running[len(first) :] == second:
            return space
    return ""


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a sentence, learnt from one that is only the padding token."""
    probe = tokenizer([tokenizer.pad_token], is_split_into_words=True, add_special_tokens=True)
    ids, words = probe["input_ids"], probe.word_ids(0)
    given = [position for position, word in enumerate(words) if word is not None]
    if not given:
        raise UserError(
            f"the tokenizer gives nothing for its own padding token {tokenizer.pad_token!r}; it can't be used"
        )
    return list(ids[: given[0]]), list(ids[given[-1] + 1 :])
