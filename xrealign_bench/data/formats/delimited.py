"""CSV and TSV."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from xrealign_bench.data.formats.lines import read_lines
from xrealign_bench.data.rows import Line
from xrealign_bench.errors import UserError, shorten
from xrealign_bench.specs.data import FileFormat

_DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
"""Delimiter -> how YAML has it."""
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,17})")

csv.field_size_limit(2**30)


def read_delimited(path: str, reading: FileFormat, default: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the rows of a CSV or TSV file; values are strings.

    Args:
        path: the file.
        reading: its column names, delimiter and quoting.
        default: delimiter if `reading` has none.

    Raises:
        UserError: quotation marks don't match, rows differ in their number of fields, or the header has another
            delimiter or a name twice.
    """
    delimiter = reading.delimiter or default
    names = list(reading.names)
    for line, fields in _read_records(path, delimiter, reading.quoting):
        if not fields:
            continue
        if not names:
            names = fields
            _check_header(f"{path}:{line}", names, delimiter)
            continue
        if len(fields) != len(names):
            source = "'names'" if reading.names else "the header"
            hint = _hint_at_delimiter(fields, delimiter)
            raise UserError(
                f"{path}:{line}: has {len(fields)} field{'s' * (len(fields) > 1)} and {source} {len(names)}; "
                f"{hint or 'mend the line'}"
            )
        yield line, dict(zip(names, fields, strict=True))


def integers(values: list[Any]) -> list[Any]:
    """Convert a column of strings to integers if each of them is a whole number.

    >>> integers(["0", "12"]), integers(["0", "a"])
    ([0, 12], ['0', 'a'])
    """
    if all(isinstance(value, str) and _INTEGER.fullmatch(value) for value in values):
        return [int(value) for value in values]
    return values


def _read_records(path: str, delimiter: str, quoting: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line of each record, and its fields."""
    if quoting == "none":  # `csv` would refuse a carriage return inside a field, which texts from the web have
        for number, text in read_lines(path):
            record = text.rstrip("\r\n")
            yield number, record.split(delimiter) if record else []
        return
    reader = csv.reader((text for _, text in read_lines(path)), delimiter=delimiter, strict=True)
    first = 1
    try:
        for fields in reader:
            yield first, fields
            first = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}:{first}: can't be split into fields ({error}); mend its quotation marks, or set 'quoting: none' "
            "if they are part of the text"
        ) from None


def _check_header(where: str, names: list[str], delimiter: str) -> None:
    if hint := _hint_at_delimiter(names, delimiter):
        raise UserError(f"{where}: the header is one field, '{shorten(names[0])}'; {hint}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{where}: the header names '{shorten(twice[0])}' twice; rename one, or give 'names'")


def _hint_at_delimiter(fields: list[str], delimiter: str) -> str | None:
    """Return a remedy if a record is a single field that contains another delimiter."""
    others = [other for other in _DELIMITERS if other != delimiter and len(fields) == 1 and other in fields[0]]
    if not others:
        return None
    likely = max(others, key=fields[0].count)
    return (
        f"if its fields are separated by {_DELIMITERS[likely]}, put `delimiter: {_DELIMITERS[likely]}` into the source"
    )
