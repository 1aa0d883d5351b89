"""Field types: visible text of limited length, and bounded numbers.

Submitted values end up in tables, spreadsheets, web pages and file names, so each type limits characters and size.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from xrealign_bench.errors import is_visible, shorten

HTML = re.compile(r"<\s*[/!?a-zA-Z]")
FORMULA = ("=", "+", "-", "@")
"""First characters of a spreadsheet formula."""
_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and many Indic languages need."""


def _check_plain(text: str, allowed: str = "") -> str:
    looked_at = "" if text.isascii() and text.isprintable() else text  # most texts: saves a tenth of a stored run
    if hidden := next((c for c in looked_at if not is_visible(c) and c not in allowed), None):
        raise ValueError(f"has the invisible character U+{ord(hidden):04X}; remove it")
    if text and not text.strip():
        raise ValueError("is blank; write something or leave the field out")
    if markup := HTML.search(text):
        raise ValueError(f"has HTML in it ('{shorten(text[markup.start() :])}'); remove the markup")
    return text


def _check_shown(text: str) -> str:
    _check_plain(text)
    if text != text.strip():
        raise ValueError("begins or ends with a space; remove it")
    if text.startswith(FORMULA):
        raise ValueError(f"begins with '{text[0]}', which a spreadsheet takes for a formula; begin with a word")
    return text


def _check_read_by_models(text: str) -> str:
    return _check_plain(text, allowed=f"\n\t{_JOINERS}")


def _check_placeholders(text: str) -> str:
    for name in re.findall(r"\{([^{}]*)\}", text):
        if name not in ("config", "language"):
            raise ValueError(f"has {{{shorten(name)}}}; only {{config}} and {{language}} are filled in")
    return text


def _parse_date(value: object) -> object:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _parse_time(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


Name = Annotated[
    str,
    Field(
        description="lower-case letters, digits, '-' and '.', 80 at most",
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        max_length=80,
    ),
]
"""Name of a recipe, task, suite, corpus or aligner; also its file name."""
Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_shown)]
"""One line of visible text without HTML or spreadsheet formulas."""
Sentence = Annotated[str, Field(max_length=500), AfterValidator(_check_shown)]
"""Longer `Title`, such as a description or citation; may be empty."""
DataName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_plain)]
"""Name of a config, split, column or label in a data set: one line of visible text without HTML."""
ModelText = Annotated[str, Field(max_length=2000), AfterValidator(_check_read_by_models)]
"""Model input such as a prompt: line breaks, tabs and zero-width joiners are allowed; may be empty."""
LanguageCode = Annotated[
    str,
    Field(
        description="a language code such as sw, swh_Latn or pt-BR",
        pattern=r"^[A-Za-z][A-Za-z0-9]{1,2}([_-][A-Za-z0-9]{2,8}){0,3}$",
    ),
]
"""Well-formed language code, alias or locale (`sw`, `swh_Latn`, `pt-BR`), not checked against the inventory."""
ModelType = Annotated[
    str, Field(description="a model type such as bert", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)
]
"""Model type in a checkpoint's config.json."""
HubId = Annotated[
    str,
    Field(
        description="a Hub id, owner/name",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$",
    ),
]
"""Data set or model on the Hub, `owner/name`; also its folder below a data root."""
Revision = Annotated[
    str, Field(description="a branch, tag or commit", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$", max_length=200)
]
"""Branch, tag or commit on the Hub."""
Url = Annotated[
    str,
    Field(
        description="an address that begins with https:// or http://",
        pattern=r"^https?://[^\s<>\"'`\\]+$",
        max_length=500,
    ),
    AfterValidator(_check_plain),
]
Folder = Annotated[
    str,
    Field(
        description="a folder's path without '..', such as a/b",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        max_length=200,
    ),
]
"""Relative path of a folder, without `..`."""
FilePattern = Annotated[
    str, Field(min_length=1, max_length=500), AfterValidator(_check_plain), AfterValidator(_check_placeholders)
]
"""Path or glob pattern of files, with `{config}` and `{language}` to fill in."""
HttpsAddress = Annotated[
    str,
    Field(
        description="an address that begins with https://",
        pattern=r"^https://[^\s<>\"'`\\]+$",
        max_length=1000,
    ),
    AfterValidator(_check_plain),
]
HttpsPattern = Annotated[HttpsAddress, AfterValidator(_check_placeholders)]
"""Address of files, with `{config}` to fill in."""
LocalPath = Annotated[
    str,
    Field(description="a path that begins with ./", pattern=r"^\./.", max_length=1000),
    AfterValidator(_check_plain),
]
"""Path of a local file, distinguished from a Hub id by `./`."""
Commit = Annotated[str, Field(description="a whole commit, 40 digits and letters a to f", pattern="^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(description="a sha256, 64 digits and letters a to f", pattern="^[0-9a-f]{64}$")]

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Integer that every JSON reader represents exactly."""
Examples = Annotated[int, Field(gt=0, le=10**9)]
ByteLimit = Annotated[int, Field(gt=0, le=2**50)]
Steps = Annotated[int, Field(gt=0, le=10**7)]
"""Optimiser steps."""
BatchSize = Annotated[int, Field(gt=0, le=10**5)]
SequenceLength = Annotated[int, Field(gt=2, le=10**6)]
"""Sub-words, including special tokens."""
BlockNumber = Annotated[int, Field(ge=0, le=10**4)]
LayerName = Literal["last", "penultimate", "middle"]
"""The middle block is the last of the lower half: of 32 blocks, the 16th."""
"""A transformer block, from 0 at the bottom."""
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""Seed that both NumPy and PyTorch accept."""
Share = Annotated[float, Field(ge=0, le=1)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
Weight = Annotated[float, Field(gt=0, le=10**6)]
"""Factor of a loss."""

Day = Annotated[date, BeforeValidator(_parse_date)]
"""Date, in JSON as ISO 8601 text, which strict models would otherwise refuse."""
Moment = Annotated[datetime, BeforeValidator(_parse_time)]
"""Date and time, in JSON as ISO 8601 text."""
