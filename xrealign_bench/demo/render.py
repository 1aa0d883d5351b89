"""Render a record in a language: segments from CLDR's patterns, split into tagged words."""

from __future__ import annotations

import datetime
import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from icu4py.breakers import WordBreaker

from xrealign_bench.demo.cldr import LocaleTables, load_locale
from xrealign_bench.demo.records import Item

TAGS = (
    "WEEKDAY", "MONTH", "DAY", "YEAR", "NUMBER", "UNIT", "CURRENCY", "TERRITORY", "LANGUAGE", "REL", "CONJ",
    "O",
)  # fmt: skip

# Languages without spaces between words: ICU segments them by dictionary.
UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})

NUMERIC = frozenset({"DAY", "YEAR", "NUMBER"})
_INVISIBLE = dict.fromkeys(map(ord, "\u200e\u200f\u061c\u00ad\ufeff\u2066\u2067\u2068\u2069"))
_INVISIBLE |= dict.fromkeys(map(ord, "\u00a0\u200b\u202f"), " ")
_DATE_FIELDS = re.compile(r"'((?:[^']|'')*)'|(M月|([A-Za-z])\3*)|[^A-Za-z']+")


class Segment(NamedTuple):
    """Text from one part of an item; `item` is the item's position in the record."""

    text: str
    tag: str
    item: int


class Word(NamedTuple):
    """Word with its tag and the position of its item (for CONJ: of the item after it; -1 for punctuation).

    `core` is the word without prefixes from another part, such as the Arabic "and" or the Hebrew "in".
    """

    text: str
    tag: str
    item: int
    core: str


class Missing(Exception):
    """CLDR has no name or pattern for an item in this locale; the message says which."""


@functools.lru_cache(maxsize=20_000)  # the source side of all pairs is one stream of records
def render(record: tuple[Item, ...], language: str, native_digits: bool = False) -> tuple[Word, ...]:
    """Render a record as words in a language.

    >>> from xrealign_bench.demo.records import Item
    >>> [word.text for word in render((Item("weekday", number=0), Item("territory", "DE")), "fr")]
    ['lundi', 'et', 'Allemagne']

    Raises:
        Missing: the locale lacks a name or pattern; nothing is left out silently.
    """
    locale = load_locale(language)
    items = [_with_position(item_segments(item, locale, native_digits), at) for at, item in enumerate(record)]
    return words(_joined(items, locale), language)


def item_segments(item: Item, locale: LocaleTables, native_digits: bool = False) -> list[Segment]:
    """Render one item as segments.

    Raises:
        Missing: the locale lacks its name or pattern.
    """
    if item.type == "weekday":
        return [_name(locale.weekdays_alone.get(item.number), "WEEKDAY", item)]
    if item.type == "month":
        return [_name(locale.months_alone.get(item.number), "MONTH", item)]
    if item.type == "territory":
        return [_name(locale.territories.get(item.name), "TERRITORY", item)]
    if item.type == "language":
        return [_name(locale.languages.get(item.name), "LANGUAGE", item)]
    digits = locale.digits if native_digits else "0123456789"
    if item.type == "date":
        return _date_segments(item, locale, digits)
    number = _digits(item.number, digits)
    if item.type == "unit":
        return _filled(_form(locale, locale.units.get(item.name), item), {"0": (number, "NUMBER")}, "UNIT")
    if item.type == "relative":
        return _filled(_form(locale, locale.relative.get(item.name), item), {"0": (number, "NUMBER")}, "REL")
    if item.type == "currency":
        name = _form(locale, locale.currencies.get(item.name), item)
        pattern = _form(locale, locale.currency_patterns, item)
        return _filled(pattern, {"0": (number, "NUMBER"), "1": (name, "CURRENCY")}, "CURRENCY")
    raise ValueError(f"unknown item type: {item.type}")


def words(segments: Sequence[Segment], language: str) -> tuple[Word, ...]:
    """Split segments into words, with punctuation marks as separate words."""
    pieces = _unspaced_pieces(segments, language) if language in UNSPACED else _spaced_pieces(segments)
    return tuple(word for piece in pieces for word in _without_punctuation(piece))


def _name(name: str | None, tag: str, item: Item) -> Segment:
    if not name:
        raise Missing(f"{item.type} {item.name or item.number}")
    return Segment(name, tag, 0)


def _form(locale: LocaleTables, forms: object, item: Item) -> str:
    form = locale.plural(forms, item.number) if forms else None  # type: ignore[arg-type]
    if not form:
        raise Missing(f"{item.type} {item.name}")
    return form


def _digits(number: int, digits: str) -> str:
    return "".join(digits[int(digit)] for digit in str(number))


def _date_segments(item: Item, locale: LocaleTables, digits: str) -> list[Segment]:
    date = datetime.date.fromordinal(item.number)
    pattern = locale.date_patterns.get(item.name)
    if pattern is None:
        raise Missing(f"date {item.name}")
    values: dict[str, tuple[str | None, str]] = {
        "EEEE": (locale.weekdays.get(date.weekday()), "WEEKDAY"),
        "cccc": (locale.weekdays_alone.get(date.weekday()), "WEEKDAY"),
        "MMMM": (locale.months.get(date.month), "MONTH"),
        "M月": (_digits(date.month, digits) + "月", "MONTH"),
        "LLLL": (locale.months_alone.get(date.month), "MONTH"),
        "d": (_digits(date.day, digits), "DAY"),
        "dd": (_digits(date.day, digits).rjust(2, digits[0]), "DAY"),
        "y": (_digits(date.year, digits), "YEAR"),
        "G": (locale.era, "O"),
    }
    segments = []
    for match in _DATE_FIELDS.finditer(pattern):
        if match[2] is None:
            literal = match[0] if match[1] is None else match[1].replace("''", "'") or "'"
            segments.append(Segment(literal, "O", 0))
            continue
        value, tag = values.get(match[0], (None, ""))
        if not value:
            raise Missing(f"date field {match[0]}")
        segments.append(Segment(value, tag, 0))
    return segments


def _filled(pattern: str, values: dict[str, tuple[str, str]], tag: str) -> list[Segment]:
    """Fill the placeholders of a pattern; its own text gets `tag`."""
    pieces = re.split(r"\{(\d)\}", pattern)
    filled = [Segment(*values[piece], 0) if at % 2 else Segment(piece, tag, 0) for at, piece in enumerate(pieces)]
    return [segment for segment in filled if segment.text]


def _with_position(segments: Sequence[Segment], item: int) -> list[Segment]:
    return [segment._replace(item=item) for segment in segments]


def _joined(items: Sequence[list[Segment]], locale: LocaleTables) -> list[Segment]:
    if len(items) == 1:
        return items[0]
    if locale.lists is None:
        raise Missing("list pattern")
    joined = items[0]
    for at, item in enumerate(items[1:], start=1):
        last = at == len(items) - 1
        place = "2" if len(items) == 2 else "end" if last else "start" if at == 1 else "middle"
        before, between, after = re.split(r"\{[01]\}", locale.lists[place])
        joined = [
            *_conjunction(before, at),
            *joined,
            *_conjunction(between, at),
            *item,
            *_conjunction(after, at),
        ]
    return joined


def _conjunction(text: str, joint: int) -> list[Segment]:
    return [Segment(text, "CONJ", joint)] if text else []


def _spaced_pieces(segments: Sequence[Segment]) -> Iterator[Word]:
    """Split at white space, and between a number and adjacent letters ("5킬로미터").

    Otherwise adjacent letters of two segments form one word (Arabic "و" before a name), tagged as the more specific
    segment.
    """
    run: list[Segment] = []
    for segment in segments:
        if run and (segment.tag in NUMERIC or run[-1].tag in NUMERIC):
            yield _fused(run)
            run = []
        for at, text in enumerate(_at_spaces(segment.text)):
            if at and run:
                yield _fused(run)
                run = []
            if text:
                run.append(Segment(text, segment.tag, segment.item))
    if run:
        yield _fused(run)


@functools.lru_cache(maxsize=100_000)
def _at_spaces(text: str) -> tuple[str, ...]:
    # Brackets are separate words even inside a word: Basque "(e)ko" after a year.
    return tuple(re.split(r"\s+", re.sub(r"([()])", r" \1 ", text.translate(_INVISIBLE))))


def _fused(run: Sequence[Segment]) -> Word:
    if len(run) == 1:
        return Word(*run[0], core=run[0].text)
    # An item's part takes precedence over a conjunction, a conjunction over a pattern's own text.
    rank = {"O": 0, "CONJ": 1}
    worth = [segment for segment in run if _peeled(segment.text)[1]] or run
    best = max(worth, key=lambda segment: rank.get(segment.tag, 2))
    return Word("".join(segment.text for segment in run), best.tag, best.item, best.text)


def _unspaced_pieces(segments: Sequence[Segment], language: str) -> Iterator[Word]:
    """Split each segment separately, so that no word spans two parts."""
    for segment in segments:
        for text in _icu_words(segment.text.translate(_INVISIBLE), language):
            yield Word(text, segment.tag, segment.item, text)


@functools.lru_cache(maxsize=100_000)
def _icu_words(text: str, language: str) -> tuple[str, ...]:
    return tuple(piece.strip() for piece in WordBreaker(text, language) if piece.strip())


def _without_punctuation(word: Word) -> Iterator[Word]:
    """Yield the word and, separately, the punctuation around it; marks inside ("Guinea-Bissau") stay."""
    before, text, after = _peeled(word.text)
    for mark in before:
        yield Word(mark, "O", -1, mark)
    if text:
        yield Word(text, word.tag, word.item, _peeled(word.core)[1])
    for mark in after:
        yield Word(mark, "O", -1, mark)


@functools.lru_cache(maxsize=100_000)
def _peeled(text: str) -> tuple[str, str, str]:
    start = next((at for at, character in enumerate(text) if not _is_mark(character)), len(text))
    end = next((at for at in range(len(text), start, -1) if not _is_mark(text[at - 1])), start)
    return text[:start], text[start:end], text[end:]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS" and character != "\u06fd"  # the Sindhi word for "and"
