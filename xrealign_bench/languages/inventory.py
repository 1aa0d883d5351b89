"""The frozen table of languages and the lookup of a language by any of its codes."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xrealign_bench.errors import LONGEST_VALUE, UserError, shown

INVENTORY_VERSION = "2"
"""Raise it with every change of inventory.csv. No suite, stage key or digest contains it."""

# A language, then what a locale or a data set's configuration adds: a script, a region.
_TAG = re.compile(r"(?P<language>[a-z]{2,3})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One row of the inventory. Sources and licences: README.md in this folder.

    ``None`` and ``""`` mean "not known", never zero.
    """

    code: str
    """The project's code: ISO 639-1 where it exists, else ISO 639-3."""
    iso639_3: str | None
    """The individual language that stands for a macrolanguage; None for the collective codes nah and oto."""
    glottocode: str
    name: str
    script: str
    """ISO 15924, of the data sets in common use."""
    family: str
    """Top-level family after Glottolog; "Constructed" for constructed languages."""
    branch: str
    speakers: int | None
    """An estimate, second-language speakers often included."""
    joshi_class: int | None
    """0 (no resources) to 5 (the most), Joshi et al. (2020); None if the taxonomy does not list the language, or if its
    class does not describe the amount of data (README.md, "Classes: decisions")."""
    seen_by: frozenset[str]
    """Checkpoints whose pre-training data held it: "mbert", "xlmr"."""
    aliases: tuple[str, ...]
    """Every other code that means this language."""
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
    """Return the language that a code, an alias or a locale names; script and region are passed over.

    Macrolanguage and individual code find the same row, case and ``_`` or ``-`` do not matter:

    >>> [find(code).code for code in ("swa", "swh_Latn", "zho_Hans", "pt-BR", "NB")]
    ['sw', 'sw', 'zh', 'pt', 'no']

    Raises:
        UserError: no language has this code; the nearest codes and names are offered.
    """
    tag = _TAG.fullmatch(code_or_alias.strip().lower().replace("_", "-"))
    code = _codes().get(tag["language"]) if tag else None
    if code is None:
        raise _unknown(code_or_alias)
    return inventory()[code]


def check_codes(codes: Iterable[str]) -> None:
    """Refuse codes under which results would not find their language.

    Raises:
        UserError: a code is unknown, or an alias: a language has one code here.
    """
    for code in codes:
        if (own := find(code).code) != code:
            raise UserError(f"the language '{code}' is called '{own}' here; write that")


@cache
def _codes() -> Mapping[str, str]:
    """Every code and alias -> the project's code."""
    rows = inventory().values()
    return {name: language.code for language in rows for name in (language.code, *language.aliases)}


def _unknown(wanted: str) -> UserError:
    """Offer what is near instead of some hundreds of codes."""
    start = wanted.strip().lower()[:LONGEST_VALUE]
    near = [f"{code} ({inventory()[code].name})" for code in dict.fromkeys(_near(start))]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    known = f"`xrealign-bench list languages` shows all {len(inventory())}"
    return UserError(f"unknown language '{shown(wanted)}'; {hint}{known}")


def _near(wanted: str) -> Iterator[str]:
    """Yield the codes of languages with a like name, then of those with a like code."""
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
