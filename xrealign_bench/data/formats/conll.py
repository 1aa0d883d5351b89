"""CoNLL-U and CoNLL's columns: one word per line, with a blank line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from xrealign_bench.data.formats.lines import read_lines
from xrealign_bench.data.rows import Line
from xrealign_bench.errors import UserError, shorten
from xrealign_bench.specs.data import ConlluLines

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_WORD = re.compile("[0-9]+")
_NO_WORD = re.compile(r"[0-9]+-[0-9]+|[0-9]+\.[0-9]+")
"""Ids of multiword tokens, whose parts follow, and of empty nodes, which are not in the text."""
_METADATA = re.compile(r"#\s*(sent_id|text)\s*=\s*(.*)")
_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile("[ \t]+")
"""Other spaces, such as no-break ones, are part of words."""

_Block = list[tuple[int, str]]
"""Lines of a sentence, with their numbers."""


def read_conllu(path: str, lines: ConlluLines = "words") -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the sentences of a CoNLL-U file: a list of words per column, `sent_id` and `text`.

    Args:
        path: the file.
        lines: `all`: the lines of multiword tokens and of empty nodes are words too.

    Raises:
        UserError: a line does not have ten columns or has no valid id.
    """
    for block in _read_blocks(path):
        row: dict[str, Any] = {"sent_id": None, "text": None}
        words: list[list[str]] = []
        numbers = []
        for number, text in block:
            if text.startswith("#"):
                if found := _METADATA.match(text):
                    row[found[1]] = found[2].strip()
                continue
            fields = text.split("\t")
            if len(fields) != len(CONLLU_COLUMNS):
                raise UserError(
                    f"{path}:{number}: has {len(fields)} columns and not the {len(CONLLU_COLUMNS)} of CoNLL-U, which "
                    "tabs separate; mend the line, or put `format: conll` into the source if the file has other columns"
                )
            if not (_WORD.fullmatch(fields[0]) or _NO_WORD.fullmatch(fields[0])):
                raise UserError(f"{path}:{number}: '{shorten(fields[0])}' is not an id of CoNLL-U; mend the line")
            if lines == "all" or _WORD.fullmatch(fields[0]):
                numbers.append(number)
                words.append(fields)
        if numbers:
            yield numbers, row | dict(zip(CONLLU_COLUMNS, map(list, zip(*words, strict=True)), strict=True))


def read_conll(path: str, names: Sequence[str]) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the sentences of a file with one word per line: a list of words per column.

    Columns are separated by tabs or, in lines without a tab, by spaces. Lines that begin with `#` and have another
    number of columns are comments. `-DOCSTART-` lines are skipped.

    Args:
        path: the file.
        names: names of the columns; empty: "0", "1", ...

    Raises:
        UserError: lines differ in their number of columns.
    """
    columns = list(names)
    for block in _read_blocks(path):
        if not columns:
            first = next((_split(text) for _, text in block if not text.startswith(("#", _DOCUMENT))), [])
            columns = [str(number) for number in range(len(first))]
        words: list[list[str]] = []
        lines = []
        for number, text in block:
            fields = _split(text)
            is_comment = text.startswith("#") and len(fields) != len(columns)
            if is_comment or fields[0] == _DOCUMENT:
                continue
            if len(fields) != len(columns):
                expected = f"the {len(columns)} of 'names'" if names else f"{len(columns)} as the lines before"
                raise UserError(f"{path}:{number}: has {len(fields)} columns and not {expected}; mend the line")
            lines.append(number)
            words.append(fields)
        if lines:
            yield lines, {name: [fields[place] for fields in words] for place, name in enumerate(columns)}


def _split(text: str) -> list[str]:
    return text.split("\t") if "\t" in text else _BLANKS.split(text.strip(" "))


def _read_blocks(path: str) -> Iterator[_Block]:
    block: _Block = []
    for number, text in read_lines(path):
        text = text.rstrip("\r\n")
        if text.strip(" \t"):
            block.append((number, text))
        elif block:
            yield block
            block = []
    if block:
        yield block
