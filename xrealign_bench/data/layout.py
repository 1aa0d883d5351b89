"""Which files of a Hub data set make up its configs and splits: from its README's YAML, or by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from xrealign_bench.errors import UserError
from xrealign_bench.specs.core_schema import read_yaml

Layout = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Config -> split -> paths relative to the data set's root, sorted."""

LARGEST_HEAD = 8 * 2**20
"""Characters: several times the largest published ones, which list thousands of configs."""

# `en/train-00000-of-00002.parquet`, `data/test-00000-of-00001-ab12.parquet`, `en/train/0000.parquet`
_NAMED_AFTER_SPLIT = re.compile(
    r"(?:(?P<config>.+)/)?(?P<split>[A-Za-z_][\w.]*?)(?:-\d+-of-\d+(?:-[0-9a-f]+)?|/\d+)?\.parquet"
)


def read_card(text: str, where: str) -> dict[str, Any]:
    """Return the YAML at the head of a data set's README; empty if there is none.

    It is read by the core schema of YAML 1.2, so that the config `no` is Norwegian and not false. Cards are written for
    PyYAML: aliases and merge keys are followed, and tags ignored, since most of a card is of no concern here.

    Raises:
        UserError: it is too long, not YAML, or not a mapping.
    """
    head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if head is None:
        return {}
    if len(head[1]) > LARGEST_HEAD:
        raise UserError(f"{where}: the YAML at its head has more than {LARGEST_HEAD:,} characters; shorten it")
    try:
        card = read_yaml(head[1], where, first_line=2, foreign=True).content
    except UserError as error:
        raise UserError(f"{error}; the YAML at its head can't be read, mend it or fetch the file again") from None
    if not isinstance(card, dict):
        raise UserError(f"{where}: the YAML at its head is no mapping; mend it or fetch the file again")
    return card


def find_layout(files: Iterable[str], card: Mapping[str, Any], where: str) -> Layout:
    """Assign files to configs and splits: by the card's `configs` if it has them, else by name.

    By name, a file belongs to the config of its folder (`default` at the root or in `data/`) and to the split
    that begins its own name, or that its folder is called after (`en/train/0000.parquet`).

    Raises:
        UserError: the card's `configs` are malformed.

    >>> find_layout(["en/train-00000-of-00001.parquet", "README.md"], {}, "README.md")
    {'en': {'train': ('en/train-00000-of-00001.parquet',)}}
    """
    there = sorted(files)
    configs = card.get("configs")
    if not configs:
        return _by_name(there)
    try:
        return {config["config_name"]: _by_card(config, there) for config in configs}
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            f"{where}: 'configs' is malformed; each needs a config_name and data_files with split and path"
        ) from None


def default_config(layout: Layout, card: Mapping[str, Any]) -> str | None:
    """The config that is meant when none is named; None: the data set has none."""
    if len(layout) == 1:
        return next(iter(layout))
    marked = [config["config_name"] for config in card.get("configs") or [] if config.get("default")]
    return marked[0] if marked else "default" if "default" in layout else None


def _by_name(files: list[str]) -> Layout:
    layout: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in files:
        named = _NAMED_AFTER_SPLIT.fullmatch(file)
        if named:
            config = "default" if named["config"] in (None, "data") else named["config"]
            splits = layout.setdefault(config, {})
            splits[named["split"]] = (*splits.get(named["split"], ()), file)
    return layout


def _by_card(config: Mapping[str, Any], files: list[str]) -> dict[str, tuple[str, ...]]:
    """A config's splits; `data_files` is one or more patterns (of `train`), or a list of split and path."""
    folder = config["data_dir"].strip("/") + "/" if "data_dir" in config else ""
    inside = [file for file in files if file.startswith(folder)]
    if "data_files" not in config:
        splits: dict[str, tuple[str, ...]] = {}
        for found in _by_name([file.removeprefix(folder) for file in inside]).values():
            for split, names in found.items():
                splits[split] = (*splits.get(split, ()), *(folder + name for name in names))
        return splits
    given = config["data_files"]
    entries: list[Any] = [given] if isinstance(given, str) else given
    if all(isinstance(entry, str) for entry in entries):
        entries = [{"split": "train", "path": entries}]
    return {entry["split"]: _matching(entry["path"], folder, inside) for entry in entries}


def _matching(patterns: str | list[str], folder: str, files: list[str]) -> tuple[str, ...]:
    matchers = [_glob(folder + pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)]
    return tuple(file for file in files if any(matcher.fullmatch(file) for matcher in matchers))


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within a folder, `**` does not."""
    spelled: dict[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts: list[str] = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    return re.compile("".join(spelled[part] if part in spelled else re.escape(part) for part in parts))
