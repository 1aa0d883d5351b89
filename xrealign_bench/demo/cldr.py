"""Names and patterns of a locale, read from the CLDR files inside ``babel``.

The files are read directly, and only a locale's own values are used, for two reasons. Babel falls back to CLDR's
root values (``M04`` for April, ``+3 d`` for "in 3 days"), which are placeholders. It also writes resolved aliases
into dictionaries shared by all locales, so its answers depend on which locales were loaded before. This module
resolves the few aliases it needs: stand-alone month and weekday names, and long unit names.

CLDR data: Copyright 2004-2025 Unicode, Inc., licence Unicode-3.0.
"""

from __future__ import annotations

import functools
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babel import localedata
from babel.core import get_global

# Languages whose ISO code differs from the CLDR locale's name.
LOCALE_NAMES = {"no": "nb", "tl": "fil"}

RELATIVE_FIELDS = ("year", "month", "week", "day", "hour", "minute", "second")

# Code point of the digit zero in each numbering system that a locale uses as its default or native one.
DIGIT_ZERO = {
    "arab": 0x0660, "arabext": 0x06F0, "beng": 0x09E6, "deva": 0x0966, "gujr": 0x0AE6, "guru": 0x0A66,
    "khmr": 0x17E0, "knda": 0x0CE6, "laoo": 0x0ED0, "mlym": 0x0D66, "mymr": 0x1040, "orya": 0x0B66,
    "tamldec": 0x0BE6, "telu": 0x0C66, "thai": 0x0E50, "tibt": 0x0F20,
}  # fmt: skip

PluralForms = Mapping[str, str]


@dataclass(frozen=True)
class LocaleTables:
    """Names and patterns of one locale, without values that CLDR inherits from its root."""

    locale: str
    weekdays: Mapping[int, str]  # as used in a date; Monday is 0
    weekdays_alone: Mapping[int, str]
    months: Mapping[int, str]  # as used in a date, often inflected; January is 1
    months_alone: Mapping[int, str]
    era: str | None
    date_patterns: Mapping[str, str]  # "full", "long" and "month_year"
    lists: Mapping[str, str] | None  # "2", "start", "middle" and "end"
    units: Mapping[str, PluralForms]
    currencies: Mapping[str, PluralForms]
    currency_patterns: PluralForms
    territories: Mapping[str, str]
    languages: Mapping[str, str]
    relative: Mapping[str, PluralForms]  # "day+" is "in 3 days", "day-" is "3 days ago"
    plural_rule: Any
    digits: str  # the ten native digits

    def plural(self, forms: PluralForms, number: int) -> str | None:
        """Return the plural form for `number`, or the form `other` as CLDR prescribes."""
        found = forms.get(self.plural_rule(number))
        return found if found is not None else forms.get("other")


@functools.cache
def load_locale(language: str) -> LocaleTables:
    """Load the names and patterns of a language."""
    locale = LOCALE_NAMES.get(language, language)
    data = _own_data(locale)
    days, months = data.get("days", {}), data.get("months", {})
    weekdays, weekdays_alone = _wide_names(days, 7)
    months_in_date, months_alone = _wide_names(months, 12)
    units = _units(data.get("unit_patterns", {}))
    return LocaleTables(
        locale=locale,
        weekdays=weekdays,
        weekdays_alone=weekdays_alone,
        months=months_in_date,
        months_alone=months_alone,
        era=_era(data.get("eras", {})),
        date_patterns=_date_patterns(data),
        lists=_lists(data.get("list_patterns", {}).get("standard", {})),
        units=units,
        currencies=_currencies(data),
        # Root's "{0} {1}" is a real pattern that locales inherit intentionally.
        currency_patterns={"other": "{0} {1}", **data.get("currency_unit_patterns", {})},
        territories=_names(data.get("territories", {}), re.compile("[A-Z]{2}")),
        languages=_names(data.get("languages", {}), re.compile("[a-z]{2,3}")),
        relative=_relative(data.get("date_fields", {}), units),
        plural_rule=functools.cache(data["plural_form"]) if "plural_form" in data else lambda _: "other",
        digits=_digits(data),
    )


@functools.cache
def _own_data(locale: str) -> Mapping[str, Any]:
    """Return the locale's file merged over those of its parents, without CLDR's root. The result is shared; do not
    modify it."""
    parent = get_global("parent_exceptions").get(locale)
    with open(localedata.resolve_locale_filename(locale), "rb") as file:
        own: Mapping[str, Any] = pickle.load(file)
    return _merged(_own_data(parent), own) if parent else own


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def _wide_names(data: Mapping[str, Any], count: int) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """Return the names used in dates and the stand-alone names; if one set is missing, the other replaces it."""
    in_date = data.get("format", {}).get("wide", {})
    alone = data.get("stand-alone", {}).get("wide", {})
    return (
        in_date if len(in_date) == count else alone if len(alone) == count else {},
        # A few locales list only the stand-alone names that differ.
        {**in_date, **alone} if len({**in_date, **alone}) == count else {},
    )


def _era(eras: Mapping[str, Any]) -> str | None:
    era = eras.get("abbreviated", {}).get(1)
    return era if isinstance(era, str) else None


def _date_patterns(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the date patterns that spell out the month; medium and short ones use numbers."""
    formats, skeletons = data.get("date_formats", {}), data.get("datetime_skeletons", {})
    found = {
        "full": formats.get("full"),
        "long": formats.get("long"),
        # Locales with their own full patterns inherit root's "y MMMM" intentionally.
        "month_year": skeletons.get("yMMMM", "y MMMM" if "long" in formats else None),
    }
    patterns = {style: getattr(text, "pattern", text) for style, text in found.items() if text is not None}
    # Chinese and Japanese patterns write the month's name as "M月".
    return {style: text for style, text in patterns.items() if re.search("MMMM|LLLL|M月", text)}


def _lists(data: Mapping[str, str]) -> dict[str, str] | None:
    """Return the list patterns, or None for a locale without its own pattern for two items, which lacks its "and".

    Most locales inherit root's comma between the first items intentionally.
    """
    if "2" not in data:
        return None
    return {"start": "{0}, {1}", "middle": "{0}, {1}", "end": "{0}, {1}", **data}


@functools.cache
def _english_symbols() -> Mapping[str, str]:
    patterns = _own_data("en")["unit_patterns"]
    return {unit: lengths["short"].get("other", "") for unit, lengths in patterns.items() if "short" in lengths}


def _units(data: Mapping[str, Any]) -> dict[str, PluralForms]:
    """Unit patterns with the unit's name written out. CLDR leaves the long form out where it equals the short
    one ("3 gün" for days in Turkish); an international symbol ("3 km") is no name."""
    units: dict[str, PluralForms] = {}
    for unit, lengths in data.items():
        long = _plural_forms(lengths.get("long", {}))
        short = _plural_forms(lengths.get("short", {}))
        symbol = _letters(_english_symbols().get(unit, ""))
        forms = long if "other" in long else {} if _letters(short.get("other", "")) == symbol else {**short, **long}
        if "other" in forms and all(_letters(form) for form in forms.values()):
            units[unit] = forms
    return units


def _plural_forms(forms: Mapping[str, str]) -> dict[str, str]:
    return {form: text for form, text in forms.items() if form in ("zero", "one", "two", "few", "many", "other")}


def _letters(pattern: str) -> str:
    return "".join(character for character in pattern.replace("{0}", "") if character.isalpha())


def _currencies(data: Mapping[str, Any]) -> dict[str, PluralForms]:
    plurals = data.get("currency_names_plural", {})
    return {
        code: {"other": name, **plurals.get(code, {})}
        for code, name in data.get("currency_names", {}).items()
        if name != code and _letters(name)
    }


def _names(data: Mapping[str, str], code: re.Pattern[str]) -> dict[str, str]:
    return {key: name for key, name in data.items() if code.fullmatch(key) and name != key and _letters(name)}


def _relative(data: Mapping[str, Any], units: Mapping[str, PluralForms]) -> dict[str, PluralForms]:
    """Relative times in words.

    Left out are forms that no one could tell from a quantity (Somali "3 maalmood" is both "in 3 days" and
    "3 days") and those with a sign, which may be root's placeholders (Sindhi "+3 min", Chuvash "+3 кунтан").
    """
    relative: dict[str, PluralForms] = {}
    for field in RELATIVE_FIELDS:
        for direction, sign in (("future", "+"), ("past", "-")):
            forms = _plural_forms(data.get(field, {}).get(direction, {}))
            quantity = units.get(f"duration-{field}", {})
            spelled_out = "other" in forms and not any(form.startswith(("+", "-")) for form in forms.values())
            if spelled_out and not set(forms.values()) & set(quantity.values()):
                relative[field + sign] = forms
    return relative


def _digits(data: Mapping[str, Any]) -> str:
    system = data.get("default_numbering_system", "latn")
    if system not in DIGIT_ZERO:
        system = data.get("numbering_systems", {}).get("native", "latn")
    zero = DIGIT_ZERO.get(system, ord("0"))
    return "".join(chr(zero + digit) for digit in range(10))
