"""Patterns of paths and addresses in a source: placeholders, and the files that they match."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xrealign_bench.data.layout import compile_glob, find_split
from xrealign_bench.errors import unknown
from xrealign_bench.specs import FilesData, HubData, UrlData
from xrealign_bench.specs.data import patterns

LANGUAGE = "{language}"
CONFIG = "{config}"


def pick_pattern(source: HubData | UrlData | FilesData, split: str, where: str) -> tuple[str, str]:
    """Return the name and the pattern of a split; see `find_split` for other names of a development split.

    Raises:
        UserError: the source does not have the split.
    """
    given = patterns(source)
    name = find_split(split, given)
    if name is None:
        raise unknown(f"split of {where}:", split, given)
    return name, given[name]


def fill(pattern: str, config: str | None) -> str:
    """Put the config into a pattern."""
    return pattern.replace(CONFIG, config or "default")


def match(pattern: str, files: Iterable[str]) -> dict[str, str | None]:
    """Return the files that match a pattern, each with its language or None if the pattern has no `{language}`.

    A final `.gz` is not part of a language.

    >>> match("data/en-fo.{language}", ["data/en-fo.en", "data/en-fo.fo", "data/README"])
    {'data/en-fo.en': 'en', 'data/en-fo.fo': 'fo'}
    """
    return _match(pattern, LANGUAGE, files)


def match_configs(pattern: str, files: Iterable[str]) -> set[str]:
    """Return the configs for which a file matches a pattern.

    >>> sorted(match_configs("{config}/test.tsv", ["en/test.tsv", "fo/test.tsv", "fo/train.tsv"]))
    ['en', 'fo']
    """
    found = _match(pattern.replace(LANGUAGE, "*"), CONFIG, files)
    return {config for config in found.values() if config is not None}


def _match(pattern: str, placeholder: str, files: Iterable[str]) -> dict[str, str | None]:
    before, found, after = pattern.partition(placeholder)
    rest = compile_glob(after.replace(placeholder, "*")).pattern
    capture = rf"(?P<value>[^/]+?){rest}(?:\.gz)?" if found else ""
    matcher = re.compile(compile_glob(before).pattern + capture)
    matches = [(file, matcher.fullmatch(file)) for file in sorted(files)]
    return {file: (hit["value"] if found else None) for file, hit in matches if hit}
