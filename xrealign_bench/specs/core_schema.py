"""Read and write YAML in the core schema of YAML 1.2: null, true, false, numbers and text, nothing else.

PyYAML follows YAML 1.1, where `no` is false, `1:30` is 90 and `2026-01-02` is a date. This module uses PyYAML's parser
with its own schema. Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import yaml

from xrealign_bench.errors import UserError, shorten

MAX_DEPTH = 40
"""Nesting levels of lists and mappings; shipped specs have 5."""
MAX_NUMBER = 64
"""Characters of a number."""
MAX_VALUES = 2_000_000
"""Values in a document, aliases expanded; the largest published data set cards have a few hundred thousand."""

Where = tuple[str, ...]
"""Path of a value in the file: `("schedule", "steps")`."""


class Written(NamedTuple):
    """Line and text of a value in the file."""

    line: int
    text: str | None
    """The text of a scalar; None for lists and mappings."""


class Document(NamedTuple):
    """Content of a YAML file, with the place of each value."""

    content: Any
    written: dict[Where, Written]
    twice: list[tuple[Where, int]]
    """Duplicate keys, with their lines."""


def read_yaml(text: str, file: str, *, first_line: int = 1, foreign: bool = False) -> Document:
    """Parse one YAML document in a single pass.

    Args:
        file: name of the file, for messages.
        first_line: line of the file on which the text begins.
        foreign: accept YAML written for PyYAML: aliases and merge keys are resolved, tags ignored.

    Raises:
        UserError: the text is not YAML, is nested too deeply, or uses tags or aliases. The message names the line.
    """
    try:
        return _Reader(text, foreign).read()
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore") if _C else text[: error.position]
        line = before.count("\n")
        raise UserError(f"{file}:{line + first_line}: is not YAML: {error.reason}; remove the character") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        raise UserError(f"{file}:{line + first_line}: is not YAML: {error.problem or error.context}") from None
    except _Refused as error:
        raise UserError(f"{file}:{error.line + first_line}: {error}") from None


def write_yaml(value: Any, **style: Any) -> str:
    """Write YAML that YAML 1.1 and 1.2 parsers read alike; `style` is passed on to `yaml.dump`."""
    text: str = yaml.dump(value, Dumper=_Dumper, **style)
    return text


class _Refused(Exception):
    """Valid YAML that this module refuses, with its line."""

    def __init__(self, event: yaml.Event, problem: str) -> None:
        super().__init__(problem)
        self.line = _line(event)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "null": (re.compile("~|null|Null|NULL|"), lambda _: None),
    "bool": (re.compile("true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    "int": (_INTEGER, lambda text: int(text, 0) if text[:2] in ("0o", "0x") else int(text)),
    "float": (_FLOAT, lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))),
}
"""Section 10.3.2 of YAML 1.2.2; the first match counts."""


def core_value(text: str, scalar_types: Iterable[str] = tuple(_SCALARS)) -> Any:
    """Convert an unquoted scalar to its value; text is returned unchanged.

    >>> [core_value(text) for text in ("no", "1:30", "0o17", "1e-5", "~", "1_000")]
    ['no', '1:30', 15, 1e-05, None, '1_000']
    """
    for scalar_type in scalar_types:
        pattern, convert = _SCALARS[scalar_type]
        if pattern.fullmatch(text):
            return convert(text[: MAX_NUMBER + 1])
    return text


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_C = _Loader is not yaml.SafeLoader


class _Reader:
    """Builder of values from the parser's events, which stops at the first construct that is refused."""

    def __init__(self, text: str, foreign: bool) -> None:
        self._events = _Loader(text)
        self._foreign = foreign
        self._anchors: dict[str, tuple[Any, int]] = {}
        """Name -> value, and the number of values inside it."""
        self._values = 0
        self._written: dict[Where, Written] = {}
        self._twice: list[tuple[Where, int]] = []

    def read(self) -> Document:
        self._events.get_event()  # the stream begins
        content = None
        if not self._ends(yaml.StreamEndEvent):
            self._events.get_event()  # the document begins
            content = self._value(())
            self._events.get_event()
            if not self._ends(yaml.StreamEndEvent):
                raise _Refused(self._events.peek_event(), "a second document begins here; keep one")
        return Document(content, self._written, self._twice)

    def _ends(self, end: type[yaml.Event]) -> bool:
        return bool(self._events.check_event(end))

    def _value(self, where: Where) -> Any:
        event, before = self._events.get_event(), self._values
        line = self._written[where].line if where in self._written else _line(event) + 1
        self._written[where] = Written(line, event.value if isinstance(event, yaml.ScalarEvent) else None)
        self._count(event, 1)
        if len(where) > MAX_DEPTH:
            raise _Refused(event, f"is nested more than {MAX_DEPTH} levels deep; write it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        tag = self._tag(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, tag)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(where)
        else:
            value = self._mapping(where)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._values - before
        return value

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:  # ten lines of aliases can expand to a billion
            raise _Refused(event, f"has more than {MAX_VALUES:,} values; write less")

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if not self._foreign:
            raise _Refused(event, f"the alias *{shorten(event.anchor)} is not read; write the value out")
        if event.anchor not in self._anchors:
            raise _Refused(event, f"the alias *{shorten(event.anchor)} has no value before it; write the value out")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return value

    def _tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> str | None:
        """Return an explicit tag of the core schema, or None."""
        if isinstance(event, yaml.ScalarEvent):
            allowed: tuple[str, ...] = (*_SCALARS, "str")
        else:
            allowed = ("seq",) if isinstance(event, yaml.SequenceStartEvent) else ("map",)
        if event.tag in (None, "!"):
            return None
        tag: str = event.tag.removeprefix(_TAG)
        if tag in allowed and event.tag.startswith(_TAG):
            return tag
        if self._foreign:
            return None
        raise _Refused(event, f"the tag '{shorten(event.tag.replace(_TAG, '!!'))}' is not read here; remove it")

    def _scalar(self, event: yaml.ScalarEvent, tag: str | None) -> Any:
        text: str = event.value
        if tag == "str" or (tag is None and event.style):
            return text
        value = core_value(text, [tag] if tag else _SCALARS)
        if not isinstance(value, str) and len(text) > MAX_NUMBER:
            raise _Refused(event, f"'{shorten(text)}' is too long for a number; put text in quotes")
        if isinstance(value, str) and tag and not self._foreign:
            raise _Refused(event, f"'{shorten(text)}' is no value of the tag '!!{tag}'; remove the tag")
        return value

    def _sequence(self, where: Where) -> list[Any]:
        content: list[Any] = []
        while not self._ends(yaml.SequenceEndEvent):
            content.append(self._value((*where, str(len(content)))))
        self._events.get_event()
        return content

    def _mapping(self, where: Where) -> dict[str, Any]:
        content: dict[str, Any] = {}
        while not self._ends(yaml.MappingEndEvent):
            key = self._events.get_event()
            if not isinstance(key, yaml.ScalarEvent):
                raise _Refused(key, "has a list, a mapping or an alias for a key; write a word")
            self._tag(key)
            below, line = (*where, key.value), _line(key) + 1
            if below in self._written:
                self._twice.append((below, line))
            self._written[below] = Written(line, None)
            content[key.value] = self._value(below)
        self._events.get_event()
        return _merge(content) if self._foreign else content


def _merge(content: dict[str, Any]) -> dict[str, Any]:
    """Resolve YAML 1.1's merge key `<<`. The mapping's own keys win, then those of earlier mappings."""
    named = content.get("<<")
    mappings = named if isinstance(named, list) else [named]
    if not all(isinstance(mapping, dict) for mapping in mappings):
        return content
    merged: dict[str, Any] = {}
    for mapping in reversed(mappings):
        merged |= mapping
    return merged | {key: value for key, value in content.items() if key != "<<"}


class _Dumper(yaml.SafeDumper):
    """Dumper that quotes text which YAML 1.1 or 1.2 would read as another type."""


for _name, (_pattern, _) in _SCALARS.items():
    _Dumper.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern.pattern})$"), None)
