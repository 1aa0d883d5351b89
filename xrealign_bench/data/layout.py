"""Assign the files of a Hub data set to configs and splits, by the YAML in its README or by file names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xrealign_bench.errors import UserError
from xrealign_bench.specs.core_schema import read_yaml

Layout = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Config -> split -> paths relative to the data set's root, sorted."""

LARGEST_HEAD = 8 * 2**20
"""Characters; several times the largest published head, which lists thousands of configs."""

# `en/train-00000-of-00002.parquet`, `data/test-00000-of-00001-ab12.parquet`, `en/train/0000.parquet`, and
# `en/partial-train/0000.parquet` if the Hub's conversion was cut at 5 GB
_NAMED_AFTER_SPLIT = re.compile(
    r"(?:(?P<config>.+)/)?(?:partial-(?=[^/]+/\d))?(?P<split>[A-Za-z_][\w.]*?)"
    r"(?:-\d+-of-\d+(?:-[0-9a-f]+)?|/\d+)?\.parquet"
)
# `en/xnli-train.parquet`, `en/c4-train-00000-of-00002.parquet`: older conversions of the Hub
_NAMED_AFTER_DATA_SET = re.compile(
    r"(?P<config>.+)/[\w.-]+-(?P<split>train|validation|dev|test)(?:-\d+-of-\d+)?\.parquet"
)
_FOLDERS = ("data", "parquet")
"""Names of folders that hold a data set's files or the folders of its configs, and are no configs themselves."""
_SAME_SPLIT = ("validation", "dev", "valid", "val", "development")
"""Names of one split in different data sets."""
_PARQUET = ".parquet"
# Files of one set share the prefix before their number, and their count if the name has it.
_SHARD = re.compile(r"(?P<set>.*)-(?P<number>\d+)-of-(?P<count>\d+)(?!\d)[^/]*\.parquet")
_NUMBERED = re.compile(r"(?P<set>.*)/(?P<number>\d+)\.parquet")
_CONVERTED = re.compile(r".*/0\d{3}\.parquet")
"""Names that the Hub's Parquet conversion gives, numbered from 0000."""


def read_card(text: str, where: str) -> dict[str, Any]:
    """Return the YAML at the head of a data set's README, or an empty mapping without it.

    It is read in the core schema of YAML 1.2, so that the config `no` is Norwegian and not false. Since cards are
    written for PyYAML, aliases and merge keys are resolved and tags ignored.

    Raises:
        UserError: the head is too long, not YAML, or not a mapping.
    """
    head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if head is None:
        return {}
    if len(head[1]) > LARGEST_HEAD:
        raise UserError(f"{where}: the YAML at its head has more than {LARGEST_HEAD:,} characters; shorten it")
    try:
        card = read_yaml(head[1], where, first_line=2, foreign=True).content
    except UserError as error:
        raise UserError(f"{error}; the YAML at its head can't be read. Correct it or fetch the file again") from None
    if not isinstance(card, dict):
        raise UserError(f"{where}: the YAML at its head is not a mapping; correct it or fetch the file again")
    return card


def find_layout(files: Iterable[str], card: Mapping[str, Any], where: str) -> Layout:
    """Assign files to configs and splits: by the card's `configs` if it has them, else by name.

    By name, a file's folder is its config (`default` at the root, in `data/` or in `parquet/`), and its split is the
    start of its name or the name of the last folder (`en/train/0000.parquet`). A list of names in the card's `configs`
    does not assign files.

    Raises:
        UserError: the card's `configs` are malformed.

    >>> find_layout(["en/train-00000-of-00001.parquet", "README.md"], {}, "README.md")
    {'en': {'train': ('en/train-00000-of-00001.parquet',)}}
    """
    there = sorted(files)
    configs = card_configs(card)
    if not configs:
        return _by_name(there)
    try:
        names = [config["config_name"] for config in configs]
        if twice := _repeated(names):
            raise UserError(f"{where}: 'configs' has the config '{twice[0]}' more than once; keep one")
        return {config["config_name"]: _by_card(config, there, where) for config in configs}
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            f"{where}: 'configs' is malformed; each needs a config_name and data_files with split and path"
        ) from None


def default_config(layout: Layout, card: Mapping[str, Any]) -> str | None:
    """Return the data set's default config, or None if it has none."""
    if len(layout) == 1:
        return next(iter(layout))
    marked = [config["config_name"] for config in card_configs(card) if config.get("default")]
    return marked[0] if marked else "default" if "default" in layout else None


def card_configs(card: Mapping[str, Any]) -> list[Any]:
    """Return the entries of a card's `configs` that assign files; none if it is a list of names."""
    configs = card.get("configs") or []
    is_list_of_names = isinstance(configs, list) and all(isinstance(config, str) for config in configs)
    return [] if is_list_of_names else configs


def find_split(asked: str, splits: Collection[str]) -> str | None:
    """Return the split of that name, or the only one that data sets also call so (`validation`, `dev`), or None.

    >>> find_split("validation", ["train", "dev"])
    'dev'
    """
    if asked in splits or asked not in _SAME_SPLIT:
        return asked if asked in splits else None
    same = [name for name in _SAME_SPLIT if name in splits]
    return same[0] if len(same) == 1 else None


def _by_name(files: list[str]) -> Layout:
    layout: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in files:
        named = _named(file)
        if named:
            splits = layout.setdefault(_config_of(named["config"]), {})
            splits[named["split"]] = (*splits.get(named["split"], ()), file)
    return layout


def _named(file: str) -> re.Match[str] | None:
    return _NAMED_AFTER_SPLIT.fullmatch(file) or _NAMED_AFTER_DATA_SET.fullmatch(file)


def _config_of(folder: str | None) -> str:
    """Return the config that a folder is about.

    >>> [_config_of(folder) for folder in (None, "data", "parquet/en_ewt", "en/a")]
    ['default', 'default', 'en_ewt', 'en/a']
    """
    return "default" if folder in (None, *_FOLDERS) else str(folder).removeprefix("parquet/")


def check_whole(files: Sequence[str], unnamed: Sequence[str], named_by_card: bool, where: str) -> None:
    """Check that a split's files form one complete set, without missing, foreign or left-out files.

    Suffixes after `-i-of-n` may differ, since older versions of `datasets` gave each file its own.

    Args:
        files: files of the split.
        unnamed: Parquet files of the data set that belong to no split.
        named_by_card: the card lists the split's files, so they may form several sets.
        where: name of the split in messages.

    Raises:
        UserError: the set is not complete. The message names the files.
    """
    sets: dict[str, list[_File]] = defaultdict(list)
    for file in map(_File.named, files):
        sets[file.set].append(file)
    if len(sets) > 1 and not named_by_card:
        one, other = (own[0].path for own in list(sets.values())[:2])
        raise UserError(
            f"{where}: {one} and {other} do not form one set; remove those that don't belong, or list those that do in "
            "the 'configs' of the data set's README.md"
        )
    for own in sets.values():
        _check_set(own, where)
    if strays := [path for path in unnamed if any(_may_belong(path, own[0]) for own in sets.values())]:
        raise UserError(
            f"{where}: {strays[0]} is next to its files and may belong to them; remove it, or list it in the "
            "'configs' of the data set's README.md"
        )


def unnamed_files(layout: Layout, files: Iterable[str]) -> tuple[str, ...]:
    """Return the Parquet files that belong to no split, without hidden files."""
    named = {file for splits in layout.values() for own in splits.values() for file in own}
    parquet = [file for file in files if file.endswith(_PARQUET) and not file.rpartition("/")[2].startswith(".")]
    return tuple(file for file in parquet if file not in named)


@dataclass(frozen=True)
class _File:
    """File, with its set, number and count from its name."""

    path: str
    set: str
    """Path without number and suffix, shared by all files of a set."""
    number: str | None = None
    count: str | None = None
    """Number of files in the set; None if the name does not have it."""

    @staticmethod
    def named(path: str) -> _File:
        if named := _SHARD.fullmatch(path) or _NUMBERED.fullmatch(path):
            return _File(path, **named.groupdict())
        return _File(path, path.removesuffix(_PARQUET))

    def sibling(self, number: int) -> str:
        """Return the name of another file of the set, without a suffix that `datasets` may have added."""
        digits = f"{number:0{len(self.number or '')}}"
        return (
            f"{self.set}/{digits}{_PARQUET}" if self.count is None else f"{self.set}-{digits}-of-{self.count}{_PARQUET}"
        )


def _check_set(files: list[_File], where: str) -> None:
    """Check that the files of a set have each number once."""
    forms = {(file.number is None, file.count): file.path for file in files}
    if len(forms) > 1:
        one, other = list(forms.values())[:2]
        raise UserError(f"{where}: {one} and {other} belong to different sets; remove those that don't belong")
    if files[0].number is None:
        return
    numbers = [int(file.number or 0) for file in files]
    if twice := _repeated(numbers):
        one, other = [file.path for number, file in zip(numbers, files, strict=True) if number == twice[0]][:2]
        raise UserError(f"{where}: {one} and {other} have the same number; remove the one that doesn't belong")
    first, count = 0, max(numbers) + 1
    if files[0].count is not None:
        count = int(files[0].count)
        first = 1 if (min(numbers), max(numbers)) == (1, count) else 0  # some data sets count from 1
    elif min(numbers) > 0 and not _CONVERTED.fullmatch(files[0].path):
        return  # numbers such as years or months
    missing = [number for number in range(first, first + count) if number not in numbers]
    if missing or len(numbers) > count:
        what = f", without {files[0].sibling(missing[0])}" if missing else ""
        raise UserError(f"{where}: {len(numbers)} of {count} files are there{what}; fetch the data set again")


def _may_belong(path: str, file: _File) -> bool:
    """Return whether a file outside all splits is next to a split's file and not named like another split's."""
    beside = path.rpartition("/")[0] == file.path.rpartition("/")[0]
    return beside and (path.startswith(file.set) or _named(path) is None)


def _repeated(values: Sequence[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _by_card(config: Mapping[str, Any], files: list[str], where: str) -> dict[str, tuple[str, ...]]:
    """Return a config's splits. `data_files` is one or more patterns (for `train`), or a list of split and path."""
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
    if twice := _repeated([entry["split"] for entry in entries]):
        raise UserError(
            f"{where}: the config '{config['config_name']}' has the split '{twice[0]}' more than once; give it one "
            "list of paths"
        )
    return {entry["split"]: _matching(entry["path"], folder, inside) for entry in entries}


def _matching(patterns: str | list[str], folder: str, files: list[str]) -> tuple[str, ...]:
    matchers = [compile_glob(folder + pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)]
    return tuple(file for file in files if any(matcher.fullmatch(file) for matcher in matchers))


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob pattern: `*` and `?` match within a folder, `**` across folders."""
    spelled: dict[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts: list[str] = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    return re.compile("".join(spelled[part] if part in spelled else re.escape(part) for part in parts))
