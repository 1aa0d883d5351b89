"""Texts with one per line, and TMX (Translation Memory eXchange)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from xrealign_bench.data.formats.lines import open_bytes, read_lines
from xrealign_bench.data.rows import Line
from xrealign_bench.errors import UserError, first_line

_LANGUAGE = ("{http://www.w3.org/XML/1998/namespace}lang", "lang")
"""Attributes with a variant's language, in TMX 1.4 and before."""
_CODES = ("bpt", "ept", "it", "ph", "ut")
"""Inline elements that contain markup of the original document and no text."""


def read_text(path: str, column: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield each line of a file as a row with one column."""
    for number, text in read_lines(path):
        yield number, {column: text.rstrip("\r\n")}


def read_tmx(path: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the translation units of a TMX file: language -> text, of the first variant in each language.

    Raises:
        UserError: the file is not XML, or declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    with open_bytes(path) as file:
        try:
            for _, element in iterparse(file, forbid_entities=True):
                if element.tag == "tu":
                    yield None, _variants(element)
                    element.clear()
        except DefusedXmlException:
            raise UserError(
                f"{path}: declares XML entities, which are not read because they could expand to any size; remove "
                "its '<!ENTITY ...>' declarations"
            ) from None
        except ParseError as error:
            raise UserError(f"{path}:{error.position[0]}: is not XML ({first_line(error)}); mend it") from None


def _variants(unit: Element) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for variant in unit.iter("tuv"):
        language = next((variant.attrib[name] for name in _LANGUAGE if name in variant.attrib), None)
        segment = variant.find("seg")
        if language is not None and segment is not None:
            row.setdefault(language, " ".join(_text_of(segment).split()))
    return row


def _text_of(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        parts += ["" if child.tag in _CODES else _text_of(child), child.tail or ""]
    return "".join(parts)
