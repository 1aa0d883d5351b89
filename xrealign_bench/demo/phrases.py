"""Multilingual phrases from Unicode CLDR: tagging examples, translation pairs with gold links, a lexicon.

A random record of one to three items (a date, a quantity, a country ...) is rendered in a language by CLDR's
patterns, and each word keeps the tag of its part. The same record in two languages gives a translation pair whose
words are aligned by construction. Word order, inflection and adpositions differ as in the languages themselves.

**Links.** A part (the month of the second item, the "and" before the third) gives a link if it is one word in both
languages. In a part of several words, those shared by most names of its type (Vietnamese "Tiếng" in names of
languages, English "ago") are separated from those that distinguish the names. Each group gives a link if it is one
word in both languages: "3 days ago" and "vor 3 Tagen" have three links. Other words have none: the order does not
align "Estados Unidos" with "United States", and a wrong gold link is worse than none.

**Held out.** Two fifths of the territories, languages, currencies and units never occur in
`task_rows(..., "train")`, in `lexicon_rows`, or in `parallel_rows` unless asked for. A word counts as held out if it
occurs only in such names: the "Islands" of a held-out archipelago were seen in training, and so were the "hours" of
"3 hours ago" in "3 hours". There are few other items (seven weekdays), so a short test phrase without a name can also
occur in training; the random streams differ.

**Reproducible.** The same arguments give the same rows on every machine with the same `fingerprint()`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from babel.core import get_global
from icu4py import icu_version

from xrealign_bench.demo.cldr import LocaleTables, load_locale
from xrealign_bench.demo.names import common_words, is_lexical, lexicon_entries, name_frame, training_words
from xrealign_bench.demo.records import (
    NAMES,
    RELATIVE,
    Item,
    is_held_out,
    random_count,
    random_item,
    random_records,
    training_names,
)
from xrealign_bench.demo.render import TAGS, Missing, Word, render
from xrealign_bench.errors import UserError, unknown

__all__ = [
    "LANGUAGES",
    "TAGS",
    "Coverage",
    "PairRow",
    "PhraseRow",
    "coverage",
    "fingerprint",
    "lexicon_rows",
    "parallel_rows",
    "pretraining_lines",
    "task_rows",
]

# Raise this whenever the same arguments give other rows.
VERSION = 1

# ISO 639-1 codes, or 639-3 without one.
LANGUAGES = tuple(
    """
    af am ar as ast az be bew bg bn br bs ca ccp chr cs cv cy da de dsb el en es et eu fa fi fo fr frr ga gd
    gl gu ha he hi hr hsb hu hy ia id is it ja jv ka kab kgp km kn ko ky lb lij lo lt lv mk ml mr ms
    my ne nl nn no or pa pcm pl ps pt ro ru sc sd si sk sl sq sr sv sw ta te th ti tk tl tr uk ur uz
    vec vi yrl yue zh
    """.split()  # noqa: SIM905
)

_CLOSED = frozenset({"WEEKDAY", "MONTH", "REL", "CONJ"})
_NAMED = {"UNIT": "unit", "CURRENCY": "currency", "TERRITORY": "territory", "LANGUAGE": "language"}


@dataclass(frozen=True)
class PhraseRow:
    """Tagging example.

    `record` is the record's number in its random stream: rows of two languages with the same number, split and seed
    are translations. Skipped numbers are records that the language cannot express.
    """

    record: int
    words: list[str]
    labels: list[str]
    # "closed", "seen" or "held_out"; "other" for the label O and for words without a letter or with a digit
    groups: list[str]


@dataclass(frozen=True)
class PairRow:
    """Translation pair with its gold links (position in the source, position in the target)."""

    record: int
    source_words: list[str]
    target_words: list[str]
    links: list[tuple[int, int]]


@dataclass(frozen=True)
class Coverage:
    """Number of records that a language can express, and what the others lack."""

    rendered: int
    missing: Counter[str]


def task_rows(
    language: str, split: Literal["train", "test"], size: int, seed: int = 0, native_digits: bool = False
) -> list[PhraseRow]:
    """Return `size` tagging examples from the split's stream of records.

    >>> row = task_rows("de", "train", 1)[0]
    >>> len(row.words) == len(row.labels) == len(row.groups)
    True
    """
    _check(language)
    if split not in ("train", "test"):
        raise unknown("split", split, ["train", "test"])
    names = {item_type: training_names(item_type) for item_type in NAMES} if split == "train" else NAMES
    rows: list[PhraseRow] = []
    for at, record in enumerate(random_records(f"{VERSION}/{split}/{seed}", names)):
        if len(rows) >= size:
            break
        _give_up(language, at, len(rows))
        try:
            rendered = render(record, language, native_digits)
        except Missing:
            continue
        rows.append(
            PhraseRow(
                record=at,
                words=[word.text for word in rendered],
                labels=[word.tag for word in rendered],
                groups=[_group(word, record, language) for word in rendered],
            )
        )
    return rows


def parallel_rows(source: str, target: str, size: int, seed: int = 0, *, held_out: bool = False) -> list[PairRow]:
    """Return `size` translation pairs with gold links: without held-out names, or each with at least one of them.

    >>> row = parallel_rows("en", "de", 1)[0]
    >>> all(s < len(row.source_words) and t < len(row.target_words) for s, t in row.links)
    True
    """
    _check(source)
    _check(target)
    names = NAMES if held_out else {item_type: training_names(item_type) for item_type in NAMES}
    records = random_records(f"{VERSION}/parallel{'-held-out' * held_out}/{seed}", names)
    if held_out:
        records = filter(_has_held_out_name, records)
    rows: list[PairRow] = []
    for at, record in enumerate(records):
        if len(rows) >= size:
            break
        _give_up(f"{source}-{target}", at, len(rows))
        try:
            left, right = render(record, source), render(record, target)
        except Missing:
            continue
        rows.append(
            PairRow(
                at,
                [word.text for word in left],
                [word.text for word in right],
                _links(record, left, right, source, target),
            )
        )
    return rows


def lexicon_rows(source: str, target: str) -> list[tuple[str, str]]:
    """Return a bilingual lexicon in MUSE's form: pairs of lower-cased single words, without held-out names.

    >>> ("april", "huhtikuu") in lexicon_rows("en", "fi")
    True
    """
    _check(source)
    _check(target)
    left, right = lexicon_entries(source), lexicon_entries(target)
    return sorted({(left[key], right[key]) for key in left if key in right})


def coverage(language: str, size: int = 1000, seed: int = 0) -> Coverage:
    """Count which of the test split's first `size` records the language can express, and what the rest lack."""
    _check(language)
    missing: Counter[str] = Counter()
    stream = random_records(f"{VERSION}/test/{seed}", NAMES)
    for _ in range(size):
        try:
            render(next(stream), language)
        except Missing as lack:
            missing[str(lack)] += 1
    return Coverage(size - missing.total(), missing)


def pretraining_lines(language: str, size: int, seed: int = 0) -> list[str]:
    """Return lines of one language for masked-language-model pre-training, with words separated by spaces.

    They use every name that CLDR has in the language. Half of the records have a theme, a country with its languages
    and its currency, so that related names occur together in every language.
    """
    _check(language)
    locale = load_locale(language)
    names = {
        "unit": tuple(sorted(locale.units)),
        "currency": tuple(sorted(locale.currencies)),
        "territory": tuple(sorted(locale.territories)),
        "language": tuple(sorted(locale.languages)),
    }
    chance = random.Random(f"{VERSION}/pretraining/{language}/{seed}")
    lines: list[str] = []
    tried = 0
    while len(lines) < size:
        _give_up(language, tried, len(lines))
        tried += 1
        count = chance.choices((1, 2, 3, 4), (1, 4, 3, 2))[0]
        if chance.random() < 0.5:
            record = _themed(chance, locale, count)
        else:
            record = tuple(random_item(chance, names) for _ in range(count))
        try:
            lines.append(" ".join(word.text for word in render(record, language)))
        except Missing:
            continue
    return lines


@functools.cache
def fingerprint() -> str:
    """Return a hash of the versions that determine the rows: this generator, babel's CLDR and ICU."""
    versions = (
        str(VERSION),
        importlib.metadata.version("babel"),
        str(get_global("cldr")["version"]),
        icu_version,
    )
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]


def _has_held_out_name(record: tuple[Item, ...]) -> bool:
    return any(item.type in NAMES and is_held_out(item.type, item.name) for item in record)


def _check(language: str) -> None:
    if language not in LANGUAGES:
        raise unknown("demo language", language, LANGUAGES)


def _give_up(language: str, tried: int, found: int) -> None:
    if tried > 1000 and found * 4 < tried:
        raise UserError(f"{language}: CLDR can express only {found} of {tried} records; choose another language")


def _group(word: Word, record: tuple[Item, ...], language: str) -> str:
    if word.tag == "O" or not is_lexical(word.text):
        return "other"
    if word.tag in _CLOSED:
        return "closed"
    item = record[word.item]
    new = is_held_out(_NAMED[word.tag], item.name) and word.core.lower() not in training_words(language)
    return "held_out" if new else "seen"


def _links(
    record: tuple[Item, ...], left: Sequence[Word], right: Sequence[Word], source: str, target: str
) -> list[tuple[int, int]]:
    sources, targets = _places(record, left, source), _places(record, right, target)
    pairs = [(at, targets[part]) for part, at in sources.items() if part in targets]
    # Never align a month's name with its number ("March", "3").
    return sorted(pair for pair in pairs if is_lexical(left[pair[0]].text) == is_lexical(right[pair[1]].text))


def _places(record: tuple[Item, ...], rendered: Sequence[Word], language: str) -> dict[tuple[str, int, bool], int]:
    """Return the position of each part's distinguishing word (True in the key) and shared word, if it is one word."""
    parts: dict[tuple[str, int], list[int]] = defaultdict(list)
    for at, word in enumerate(rendered):
        if word.tag != "O":
            parts[word.tag, word.item].append(at)
    places: dict[tuple[str, int, bool], list[int]] = defaultdict(list)
    for (tag, item), positions in parts.items():
        for at in positions:
            alone = len(positions) == 1 or tag == "CONJ"
            common = frozenset() if alone else common_words(language, name_frame(rendered[at], record))
            places[tag, item, rendered[at].text.lower() not in common].append(at)
    return {part: positions[0] for part, positions in places.items() if len(positions) == 1}


def _themed(chance: random.Random, locale: LocaleTables, count: int) -> tuple[Item, ...]:
    """Draw a record about one country: its name, languages and currency in any order, and perhaps a time."""
    territory = chance.choice(sorted(locale.territories))
    spoken, money = _world().get(territory, ((), ()))
    items = [Item("territory", territory)]
    items += [Item("language", name) for name in spoken if name in locale.languages]
    items += [Item("currency", code, random_count(chance)) for code in money if code in locale.currencies]
    items.append(Item("relative", chance.choice(RELATIVE), random_count(chance)))
    return tuple(chance.sample(items, min(count, len(items))))


@functools.cache
def _world() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return each territory's three most spoken languages and its current currencies."""
    spoken = get_global("territory_languages")
    money = get_global("territory_currencies")
    return {
        territory: (
            tuple(sorted(people, key=lambda name: (-people[name]["population_percent"], name))[:3]),
            tuple(code for code, _, end, tender in money.get(territory, ()) if end is None and tender),
        )
        for territory, people in spoken.items()
    }
