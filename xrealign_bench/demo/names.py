"""What the names that training may contain look like in a language: their words, and a lexicon's entries."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from xrealign_bench.demo.cldr import tables
from xrealign_bench.demo.records import NAMES, RELATIVE, Item, open_names
from xrealign_bench.demo.render import Missing, Word, item_segments, words

# Between them these numbers call for every plural form of every language.
_COUNTS = (0, 1, 2, 3, 5, 11, 21)


def is_lexical(text: str) -> bool:
    """Whether a word has a letter and no digit."""
    return any(map(str.isalpha, text)) and not any(map(str.isdigit, text))


@functools.cache
def open_words(language: str) -> frozenset[str]:
    """The lower-cased words of everything that is not held out."""
    return frozenset(
        word.text.lower()
        for kind in ("weekday", "month", "relative", *NAMES)
        for item in _items(kind, _names(kind))
        for word in _words_of(item, language)
    )


@functools.cache
def common_words(language: str, frame: str) -> frozenset[str]:
    """The words that at least half of a kind's names share and that therefore tell none of them apart.

    Such are the "Tiếng" of Vietnamese languages, and the "in" of English times to come. `frame` is as
    `frame_of` gives it.
    """
    kind, sign = (frame[:-1], frame[-1]) if frame[-1] in "+-" else (frame, "")
    found: dict[str, set[str]] = defaultdict(set)
    for name in (name for name in _names(kind) if name.endswith(sign)):
        for item in _items(kind, [name]):
            for word in _words_of(item, language):
                if is_lexical(word.text) and word.tag not in ("NUMBER", "O"):
                    found[name].add(word.text.lower())
    counts = Counter(word for texts in found.values() for word in texts)
    return frozenset(word for word, count in counts.items() if 2 * count >= len(found) > 1)


def frame_of(word: Word, record: tuple[Item, ...]) -> str:
    """The names that a word's item is one of: its kind; times to come and past times are two."""
    item = record[word.item]
    if item.kind == "date":
        return word.tag.lower()
    return item.kind + item.name[-1] if item.kind == "relative" else item.kind


@functools.cache
def entries(language: str) -> dict[Item, str]:
    """The lexicon's words by meaning: names of one word."""
    found = {}
    for kind in ("weekday", "month", *NAMES):
        for item in _items(kind, _names(kind)):
            lexical = [word.text for word in _words_of(item, language) if word.tag not in ("NUMBER", "O")]
            if len(lexical) == 1 and is_lexical(lexical[0]):
                found[item] = lexical[0].lower()
    return found


def _names(kind: str) -> tuple[str, ...]:
    """The names of a kind; of weekdays and months their numbers, written out."""
    if kind == "relative":
        return RELATIVE
    numbers = {"weekday": range(7), "month": range(1, 13)}.get(kind)
    return open_names(kind) if numbers is None else tuple(map(str, numbers))


def _items(kind: str, names: Iterable[str]) -> Iterator[Item]:
    """The names as items, in all the forms that a language may have for them."""
    for name in names:
        if kind in ("weekday", "month"):
            yield Item(kind, number=int(name))
        elif kind in ("territory", "language"):
            yield Item(kind, name)
        else:
            yield from (Item(kind, name, count) for count in _COUNTS)


def _words_of(item: Item, language: str) -> tuple[Word, ...]:
    try:
        return words(item_segments(item, tables(language)), language)
    except Missing:
        return ()
