"""The versioned table of languages, and look-up of a language by any of its codes."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xrealign_bench.errors import LONGEST_VALUE, UserError, shorten

INVENTORY_VERSION = "2"
"""Raise it with every change of inventory.csv. No suite, stage key or digest depends on it."""

# Language code with optional script and region, as in locales and config names.
_TAG = re.compile(r"(?P<language>[a-z]{2,3})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Row of the inventory. Sources and licences: README.md in this folder.

    ``None`` and ``""`` mean "unknown", never zero.
    """

    code: str
    """The project's code: ISO 639-1 where it exists, else ISO 639-3."""
    iso639_3: str | None
    """Code of the individual language that represents a macrolanguage; None for the collective codes nah and oto."""
    glottocode: str
    name: str
    script: str
    """ISO 15924 code of the script in commonly used data sets."""
    family: str
    """Top-level family after Glottolog; "Constructed" for constructed languages."""
    branch: str
    speakers: int | None
    """Estimated number of speakers, often including second-language speakers."""
    joshi_class: int | None
    """Resource class from 0 (none) to 5 (most), Joshi et al. (2020); None if the taxonomy does not list the language,
    or if its class contradicts the amount of data (README.md, "Classes: decisions")."""
    seen_by: frozenset[str]
    """Pre-training data sets that include it: "mbert", "xlmr"."""
    aliases: tuple[str, ...]
    """All other codes of this language."""
    uriel_features: str | None
    """URIEL's code for syntax, phonology and inventory."""
    uriel_family: str | None
    uriel_geography: str | None


@cache
def inventory() -> Mapping[str, Language]:
    """Return all languages by their code, in the order of the codes.

    >>> inventory()["sw"].name, inventory()["sw"].iso639_3
    ('Swahili', 'swh')
    """
    text = Path(__file__).with_name("inventory.csv").read_text(encoding="utf-8")
    return MappingProxyType({row["code"]: _language(row) for row in csv.DictReader(text.splitlines())})


def find(code_or_alias: str) -> Language:
    """Return the language of a code, alias or locale; script and region are ignored.

    The codes of a macrolanguage and of its individual language find the same row. Case does not matter, nor ``_`` or
    ``-``:

    >>> [find(code).code for code in ("swa", "swh_Latn", "zho_Hans", "pt-BR", "NB")]
    ['sw', 'sw', 'zh', 'pt', 'no']

    Raises:
        UserError: no language has this code. The message suggests the nearest codes and names.
    """
    tag = _TAG.fullmatch(code_or_alias.strip().lower().replace("_", "-"))
    code = _codes().get(tag["language"]) if tag else None
    if code is None:
        raise _unknown(code_or_alias)
    return inventory()[code]


def check_codes(codes: Iterable[str]) -> None:
    """Check that all codes are the inventory's own.

    Raises:
        UserError: a code is unknown or an alias.
    """
    for code in codes:
        if (own := find(code).code) != code:
            raise UserError(f"the language '{code}' is called '{own}' here; write that")


@cache
def _codes() -> Mapping[str, str]:
    """Return a map from every code and alias to the inventory's code."""
    rows = inventory().values()
    return {name: language.code for language in rows for name in (language.code, *language.aliases)}


def _unknown(wanted: str) -> UserError:
    """Make the error for an unknown language, with the nearest ones instead of hundreds of codes."""
    start = wanted.strip().lower()[:LONGEST_VALUE]
    near = [f"{code} ({inventory()[code].name})" for code in dict.fromkeys(_near(start))]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    known = f"`xrealign-bench list languages` shows all {len(inventory())}"
    return UserError(f"unknown language '{shorten(wanted)}'; {hint}{known}")


def _near(wanted: str) -> Iterator[str]:
    """Yield the codes of languages with a similar name, then of those with a similar code."""
    names = {language.name.lower(): language.code for language in inventory().values()}
    for name in difflib.get_close_matches(wanted, names, n=2, cutoff=0.7):
        yield names[name]
    for code in difflib.get_close_matches(re.split("[-_]", wanted)[0], _codes(), n=3, cutoff=0.6):
        yield _codes()[code]


def _language(row: Mapping[str, str]) -> Language:
    return Language(
        code=row["code"],
        iso639_3=row["iso639_3"] or None,
        glottocode=row["glottocode"],
        name=row["name"],
        script=row["script"],
        family=row["family"],
        branch=row["branch"],
        speakers=int(row["speakers"]) if row["speakers"] else None,
        joshi_class=int(row["joshi_class"]) if row["joshi_class"] else None,
        seen_by=frozenset(row["seen_by"].split()),
        aliases=tuple(row["aliases"].split()),
        uriel_features=row["uriel_features"] or None,
        uriel_family=row["uriel_family"] or None,
        uriel_geography=row["uriel_geography"] or None,
    )
