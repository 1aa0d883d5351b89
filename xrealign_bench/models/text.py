"""From words to sub-words and back: windows of token ids that know where each word lies, and pooling over words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Encoding
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError

LINE_BREAK = "\n"
"""Between two texts where the tokenizer's own rule for pairs puts nothing."""
_BATCH = 1024
_NO_EMBEDDING = "tokens_without_embedding"
"""Where a tokenizer keeps the tokens, by id, that its model lacks."""
_WORD_MARKERS = "▁Ġ"
"""What sentencepiece and byte-level vocabularies write for the space in front of a word: not text."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of whole words of one sentence, as the model reads it.

    `starts` and `ends` are positions in `input_ids`: word w of the window is sub-words starts[w] up to, not
    including, ends[w]; a marker of a word's beginning that stands alone (a bare `▁`) is not part of it.
    """

    sentence: int
    """Number of the sentence among those that were given."""
    first_word: int
    """The window's first word, counted in the sentence."""
    input_ids: list[int]
    starts: list[int]
    ends: list[int]
    without_token: int = 0
    """Words that the tokenizer drops altogether; the model reads the unknown token in their place."""
    shortened: int = 0
    """Words longer than a whole window, of which only the first sub-words are read."""


_INTS = pa.list_(pa.int32())
_WINDOWS = pa.schema(
    {
        "sentence": pa.int32(),
        "first_word": pa.int32(),
        "input_ids": _INTS,
        "starts": _INTS,
        "ends": _INTS,
        "without_token": pa.int32(),
        "shortened": pa.int32(),
    }
)


class Windows(Sequence[Window]):
    """Windows as columns of numbers, a tenth of the memory that they take one by one.

    Args:
        table: from `windows_table`.
    """

    def __init__(self, table: pa.Table) -> None:
        columns = [table.column(name).combine_chunks() for name in _WINDOWS.names]
        self._columns = [
            (column.offsets.to_numpy(), column.values.to_numpy()) if column.type == _INTS else (None, column.to_numpy())
            for column in columns
        ]
        self._size = len(table)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, number: int) -> Window: ...
    @overload
    def __getitem__(self, number: slice) -> list[Window]: ...
    def __getitem__(self, number: int | slice) -> Window | list[Window]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._size))]
        if not -self._size <= number < self._size:
            raise IndexError(number)
        place = number % self._size
        fields: list[Any] = [
            int(values[place]) if offsets is None else values[offsets[place] : offsets[place + 1]].tolist()
            for offsets, values in self._columns
        ]
        return Window(*fields)


@dataclass(frozen=True)
class WindowBatch:
    """Windows of a batch, padded: all torch.long."""

    input_ids: Tensor
    """(batch, tokens)"""
    attention_mask: Tensor
    """(batch, tokens), 1 where there is a token"""
    starts: Tensor
    """(batch, words), -1 where there is no word"""
    ends: Tensor
    """(batch, words), likewise"""

    def to(self, device: torch.device) -> WindowBatch:
        return WindowBatch(
            self.input_ids.to(device), self.attention_mask.to(device), self.starts.to(device), self.ends.to(device)
        )


def limit_vocabulary(tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    """Let a tokenizer give no id that the model's table of embeddings lacks.

    Special tokens beyond the table, such as Gemma 3's for an image, are no token of a text that does not spell them
    out; `run_tokenizer` refuses one that does.

    Args:
        tokenizer: is changed in place.
        size: number of embeddings.

    Raises:
        UserError: ordinary text, or what the tokenizer puts around it, may be a token beyond the table.
    """
    spelt = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    spelt -= {*tokenizer("a", "a")["input_ids"], tokenizer.unk_token_id}
    lacking = {number: token for token, number in tokenizer.get_vocab().items() if number >= size}
    if given := sorted(lacking.keys() - spelt):
        raise UserError(
            f"its tokenizer gives tokens up to number {given[-1]} ({lacking[given[-1]]!r}), but the model has only "
            f"{size} embeddings; use the tokenizer that the model was trained with"
        )
    setattr(tokenizer, _NO_EMBEDDING, lacking)


def has_embedding(tokenizer: PreTrainedTokenizerFast, number: int) -> bool:
    """Return whether the model has an embedding for the token with this id."""
    return number not in getattr(tokenizer, _NO_EMBEDDING, {})


def run_tokenizer(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[Any], pairs: Sequence[Any] | None = None, **options: Any
) -> list[Encoding]:
    """Tokenise texts without padding. Every id of a data set's text is made here.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        texts: strings, or lists of words.
        pairs: as many second texts, or None.
        options: as transformers' tokenizers take them.

    Raises:
        UserError: a text spells out a token for which the model has no embedding.
    """
    encodings: list[Encoding] = tokenizer(texts, pairs, padding=False, verbose=False, **options).encodings or []
    lacking: Mapping[int, str] = getattr(tokenizer, _NO_EMBEDDING, {})
    for number, encoding in enumerate(encodings if lacking else []):
        if found := sorted(lacking.keys() & set(encoding.ids)):
            parts = [texts[number], *([] if pairs is None else [pairs[number]])]
            words = " ".join(part if isinstance(part, str) else " ".join(part) for part in parts).split()
            text = " ".join(words)[:80]
            raise UserError(
                f"the text '{text}' holds {lacking[found[0]]!r}, a token for which the model has no embedding; take it "
                "out of the text"
            )
    return encodings


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


def room_for_text(tokenizer: PreTrainedTokenizerFast, max_length: int, special: int) -> int:
    """Sub-words that fit between so many special ones.

    Raises:
        UserError: none do, or `max_length` is more than the model takes.
    """
    if max_length <= special:
        raise UserError(f"max_length {max_length} leaves no room beside the tokenizer's special tokens; give more")
    if max_length > tokenizer.model_max_length:
        raise UserError(f"max_length {max_length} is more than the {tokenizer.model_max_length} that the model takes")
    return max_length - special


def collate(windows: Sequence[Window], pad_id: int) -> WindowBatch:
    """Pad windows to the longest of them."""
    ids = _padded([w.input_ids for w in windows], pad_id)
    lengths = torch.tensor([len(w.input_ids) for w in windows])
    return WindowBatch(
        input_ids=ids,
        attention_mask=(torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        starts=_padded([w.starts for w in windows], -1),
        ends=_padded([w.ends for w in windows], -1),
    )


def windows_table(windows: Sequence[Window]) -> pa.Table:
    """Windows as rows, to be stored."""
    columns = {name: [getattr(window, name) for window in windows] for name in _WINDOWS.names}
    return pa.table(columns, schema=_WINDOWS)


def windows_of(rows: Mapping[str, Sequence[Any]]) -> list[Window]:
    """The windows that `windows_table` was made of, from its columns."""
    return [Window(*row) for row in zip(*(rows[name] for name in _WINDOWS.names), strict=True)]


def altered(windows: Sequence[Window]) -> dict[str, int]:
    """How many words the model does not read as they are, by reason."""
    counts = {name: sum(getattr(w, name) for w in windows) for name in ("without_token", "shortened")}
    return {name: count for name, count in counts.items() if count}


def pool_words(hidden: Tensor, starts: Tensor, ends: Tensor, pooling: Literal["first_subword", "mean"]) -> Tensor:
    """One vector a word: that of its first sub-word (AlignFreeze, section 3.1), or the mean of all of them.

    Args:
        hidden: (batch, tokens, dim).
        starts: (batch, words), -1 where there is no word; there the result is zero.
        ends: (batch, words), exclusive.
        pooling: which of the two.

    Returns:
        (batch, words, dim), in hidden's type; the mean is taken in float32.

    >>> hidden = torch.tensor([[[9.0], [1.0], [2.0], [4.0], [9.0]]])
    >>> starts, ends = torch.tensor([[1, 2, -1]]), torch.tensor([[2, 4, -1]])
    >>> pool_words(hidden, starts, ends, "first_subword").flatten().tolist()
    [1.0, 2.0, 0.0]
    >>> pool_words(hidden, starts, ends, "mean").flatten().tolist()
    [1.0, 3.0, 0.0]
    """
    if pooling == "first_subword":
        index = starts.clamp(min=0).unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
        return hidden.gather(1, index) * (starts >= 0).unsqueeze(-1)
    position = torch.arange(hidden.shape[1], device=hidden.device)
    inside = ((position >= starts.unsqueeze(-1)) & (position < ends.unsqueeze(-1))).float()
    # A product with the membership matrix, not a difference of running sums: those lose digits late in a sentence.
    mean = inside @ hidden.float() / inside.sum(-1, keepdim=True).clamp(min=1)
    return mean.to(hidden.dtype)


def pool_sentences(hidden: Tensor, starts: Tensor, ends: Tensor, pooling: Literal["mean", "as_run"]) -> Tensor:
    """One vector a sentence (Nguyen et al. 2025, "Rethinking what Matters").

    `mean` averages the sub-words of all words of the window: special tokens, padding and markers of a word's beginning
    that stand alone are left out. `as_run` averages, of a sentence of n words, the first n positions, whatever is
    there: the special token in front, then the sub-words of the first words, as the paper's released code ran (which
    has deleted lone markers before).

    Args:
        hidden: (batch, tokens, dim).
        starts: (batch, words), -1 where there is no word; each row has at least one.
        ends: (batch, words), exclusive.
        pooling: which of the two.

    Returns:
        (batch, dim), in hidden's type; the mean is taken in float32.

    >>> hidden = torch.tensor([[[9.0], [1.0], [2.0], [6.0], [9.0]]])
    >>> starts, ends = torch.tensor([[1, 2, -1]]), torch.tensor([[2, 4, -1]])
    >>> pool_sentences(hidden, starts, ends, "mean").tolist(), pool_sentences(hidden, starts, ends, "as_run").tolist()
    ([[3.0]], [[5.0]])
    """
    position = torch.arange(hidden.shape[1], device=hidden.device)
    if pooling == "mean":
        inside = ((position >= starts.unsqueeze(-1)) & (position < ends.unsqueeze(-1))).any(1)
    else:
        inside = position < (starts >= 0).sum(-1, keepdim=True)
    weights = inside.float() / inside.sum(-1, keepdim=True)
    return (weights.unsqueeze(1) @ hidden.float()).squeeze(1).to(hidden.dtype)


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


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    out = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(out)
