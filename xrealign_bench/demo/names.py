"""Words of the names that training may contain, and lexicon entries, by language."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from xrealign_bench.demo.cldr import load_locale
from xrealign_bench.demo.records import NAMES, RELATIVE, Item, training_names
from xrealign_bench.demo.render import Missing, Word, item_segments, words

# These numbers cover every plural form of every language.
_COUNTS = (0, 1, 2, 3, 5, 11, 21)


def is_lexical(text: str) -> bool:
    """Return whether a word has a letter and no digit."""
    return any(map(str.isalpha, text)) and not any(map(str.isdigit, text))


@functools.cache
def training_words(language: str) -> frozenset[str]:
    """Return the lower-cased words of all names that are not held out."""
    return frozenset(
        word.text.lower()
        for item_type in ("weekday", "month", "relative", *NAMES)
        for item in _items(item_type, _names(item_type))
        for word in _words_of(item, language)
    )


@functools.cache
def common_words(language: str, frame: str) -> frozenset[str]:
    """Return the words shared by at least half of the names of a frame, which do not distinguish names.

    Examples are "Tiếng" in Vietnamese names of languages, and "in" of English future times. See `name_frame` for
    `frame`.
    """
    item_type, sign = (frame[:-1], frame[-1]) if frame[-1] in "+-" else (frame, "")
    found: dict[str, set[str]] = defaultdict(set)
    for name in (name for name in _names(item_type) if name.endswith(sign)):
        for item in _items(item_type, [name]):
            for word in _words_of(item, language):
                if is_lexical(word.text) and word.tag not in ("NUMBER", "O"):
                    found[name].add(word.text.lower())
    counts = Counter(word for texts in found.values() for word in texts)
    return frozenset(word for word, count in counts.items() if 2 * count >= len(found) > 1)


def name_frame(word: Word, record: tuple[Item, ...]) -> str:
    """Return the group of names that a word's item belongs to: its type, with future and past times apart."""
    item = record[word.item]
    if item.type == "date":
        return word.tag.lower()
    return item.type + item.name[-1] if item.type == "relative" else item.type


@functools.cache
def lexicon_entries(language: str) -> dict[Item, str]:
    """Return the lexicon entries of a language: item -> its name, for names of one word."""
    found = {}
    for item_type in ("weekday", "month", *NAMES):
        for item in _items(item_type, _names(item_type)):
            lexical = [word.text for word in _words_of(item, language) if word.tag not in ("NUMBER", "O")]
            if len(lexical) == 1 and is_lexical(lexical[0]):
                found[item] = lexical[0].lower()
    return found


def _names(item_type: str) -> tuple[str, ...]:
    """Return the names of an item type; for weekdays and months, their numbers as text."""
    if item_type == "relative":
        return RELATIVE
    numbers = {"weekday": range(7), "month": range(1, 13)}.get(item_type)
    return training_names(item_type) if numbers is None else tuple(map(str, numbers))


def _items(item_type: str, names: Iterable[str]) -> Iterator[Item]:
    """Yield the names as items, with numbers for every plural form."""
    for name in names:
        if item_type in ("weekday", "month"):
            yield Item(item_type, number=int(name))
        elif item_type in ("territory", "language"):
            yield Item(item_type, name)
        else:
            yield from (Item(item_type, name, count) for count in _COUNTS)


def _words_of(item: Item, language: str) -> tuple[Word, ...]:
    try:
        return words(item_segments(item, load_locale(language)), language)
    except Missing:
        return ()
