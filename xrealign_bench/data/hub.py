"""Locate data sets of the Hub, on the Hub or in a folder of the same layout, without reading rows."""

from __future__ import annotations

import functools
import glob
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from xrealign_bench.data.download import BUSY, seconds_to_wait
from xrealign_bench.data.layout import (
    Layout,
    card_configs,
    check_whole,
    default_config,
    find_layout,
    find_split,
    read_card,
    unnamed_files,
)
from xrealign_bench.data.located import (
    DataLocation,
    LocatedSplit,
    MissingConfigError,
    MissingFileError,
    MissingRevisionError,
    MissingSplitError,
    combine_digests,
    digest_files,
    sha256_text,
)
from xrealign_bench.data.patterns import fill, match, match_configs, pick_pattern
from xrealign_bench.errors import UserError, describe_os_error, first_line, nearest, unknown
from xrealign_bench.files import cached_sha256
from xrealign_bench.specs import HubData, canonical_json
from xrealign_bench.specs.data import SUFFIXES, patterns

CARD = "README.md"
COMMIT = re.compile("[0-9a-f]{40}")
T = TypeVar("T")

_ATTEMPTS = 3
_OTHER_SOURCES = (
    "name the files of each split in the spec (such as 'test: \"{config}/test.tsv\"'), or the Hub's own conversion "
    "with 'revision: refs/convert/parquet'"
)


@dataclass(frozen=True)
class DataSet:
    """Files of a data set, by config and split."""

    place: str
    revision: str | None
    layout: Layout
    card: Mapping[str, Any]
    files: tuple[str, ...]
    """All files, sorted."""
    unnamed: tuple[str, ...] = ()
    """Parquet files of a local folder that belong to no split."""


def locate_on_hub(source: HubData, config: str | None, split: str, location: DataLocation) -> LocatedSplit:
    """Locate one split of a Hub data set; see `sources.locate`."""
    data_set = open_data_set(source, location)
    if patterns(source):
        return _locate_by_pattern(source, data_set, config, split)
    where = data_set.place
    name = _find_config(data_set, config)
    split = find_split(split, data_set.layout[name]) or split
    files = _find_files(data_set, name, split)
    info = _config_info(data_set.card, name, where)
    # Use the card of the same commit: another one may state another number.
    rows = _rows_in_card(data_set.card, name, split, where)
    located = LocatedSplit(where, name, split, data_set.revision, "", files, info, rows)
    return _with_fingerprint(located, source.dataset)


def _locate_by_pattern(source: HubData, data_set: DataSet, config: str | None, split: str) -> LocatedSplit:
    """Locate the files that a pattern of the spec names."""
    split, pattern = pick_pattern(source, split, data_set.place)
    found = match(fill(pattern, config), data_set.files)
    if not found:
        raise _missing_file_error(data_set, config, split, pattern)
    located = LocatedSplit(
        data_set.place, config, split, data_set.revision, "", tuple(found),
        reading=source, columns=tuple(language for language in found.values() if language is not None),
    )  # fmt: skip
    return _with_fingerprint(located, source.dataset)


def _missing_file_error(data_set: DataSet, config: str | None, split: str, pattern: str) -> MissingConfigError:
    """Make the error for a pattern without files, with files of the same config or similar configs that are there."""
    wanted = fill(pattern, config)
    what = f"{data_set.place}: has no file {wanted}"
    remedy = f"correct 'source.{split}' or the config"
    of_config = re.compile(rf"(?<!\w){re.escape(config or '')}(?!\w)")
    if files := nearest(wanted, filter(of_config.search, data_set.files)):
        return MissingFileError(f"{what}, but {files[0]}; {remedy}", files)
    if configs := nearest(config or "", match_configs(pattern, data_set.files)):
        return MissingConfigError(f"{what}; did you mean the config {' or '.join(configs)}? If not, {remedy}", configs)
    return MissingFileError(f"{what}; {remedy}")


def _with_fingerprint(located: LocatedSplit, dataset: str) -> LocatedSplit:
    if located.revision is None:
        return replace(located, fingerprint=digest_files(located.local_paths, located.info))
    return replace(
        located,
        on_hub=True,
        fingerprint=sha256_text(f"{dataset}@{located.revision}/{located.config}/{located.split}"),
    )


def list_configs(source: HubData, split: str, location: DataLocation) -> Collection[str]:
    """Return the configs of a data set."""
    data_set = open_data_set(source, location)
    if patterns(source):
        return match_configs(pick_pattern(source, split, data_set.place)[1], data_set.files)
    return data_set.layout


def download(located: LocatedSplit, offline: bool) -> list[Path]:
    """Download a split's files to the Hub's cache unless they are there; return their paths."""
    assert located.revision is not None
    with _asking_hub(located.folder_or_id, located.revision, offline) as snapshot:
        folder = snapshot(list(located.files))
    return [folder / file for file in located.files]


def stored_sha256(located: LocatedSplit) -> str | None:
    """Return the sha256 (hex) of a split's content, as in a lock, by the Hub's own checksums.

    Returns:
        None if the Hub does not have checksums of all files, which it has of large ones only.

    Raises:
        UserError: the Hub can't be reached.
    """
    checksums = _checksums(located.folder_or_id, str(located.revision))
    digests = [checksums[file] for file in located.files if file in checksums]
    return combine_digests(digests, located.info) if len(digests) == len(located.files) else None


@functools.cache
def _checksums(dataset: str, commit: str) -> Mapping[str, str]:
    """Return the sha256 of each file in large file storage. The client's cache of listings does not keep them."""
    from huggingface_hub import HfApi, RepoFile

    with _asking_hub(dataset, commit, offline=False):
        tree = list(HfApi().list_repo_tree(dataset, recursive=True, revision=commit, repo_type="dataset"))
    return {file.path: file.lfs.sha256 for file in tree if isinstance(file, RepoFile) and file.lfs is not None}


def file_size(located: LocatedSplit, file: str) -> int:
    """Return the size of a file on the Hub in bytes."""
    return _sizes(located.folder_or_id, str(located.revision))[file]


def read_bytes(located: LocatedSplit, file: str, start: int, end: int) -> bytes:
    """Read a range of a file on the Hub and download no more of it.

    Raises:
        UserError: the Hub refuses access, can't be reached or sends less.
    """
    return _read_bytes(located.folder_or_id, str(located.revision), file, start, end)


@functools.lru_cache(maxsize=32)
def _read_bytes(dataset: str, commit: str, file: str, start: int, end: int) -> bytes:
    from huggingface_hub import HfFileSystem

    with _asking_hub(dataset, commit, offline=False):
        content: bytes = _retry_if_busy(
            lambda: HfFileSystem().cat_file(
                f"datasets/{dataset}/{file}",
                start,
                end,
                revision=commit,
                cache_type="none",
                size=_sizes(dataset, commit)[file],
            )
        )
    if len(content) != end - start:
        raise UserError(f"{dataset}/{file}: the Hub sent {len(content):,} of {end - start:,} bytes; try again later")
    return content


def open_data_set(source: HubData, location: DataLocation) -> DataSet:
    """List a data set's files by config and split.

    Raises:
        UserError: there is no such data set, or the Hub refuses access or can't be reached.
    """
    if location.root is not None:
        return _open_folder(location.root / source.dataset, source.dataset)
    return _open_hub(source.dataset, source.revision or "main", location.offline)


def _find_config(data_set: DataSet, config: str | None) -> str:
    """Return the config of that name, or the default one for None."""
    where = data_set.place
    if not data_set.layout:
        raise _no_parquet_error(data_set)
    name = default_config(data_set.layout, data_set.card) if config is None else config
    if name is None:
        raise UserError(
            f"{where}: has several configs and no default; name one of {', '.join(sorted(data_set.layout))}"
        )
    if name not in data_set.layout:
        if (Path(where) / name).is_file():
            raise UserError(
                f"{Path(where) / name}: is a file and not the folder of a config; if git wrote a link as a text file "
                "there, clone the data set again with core.symlinks=true"
            )
        near = _nearest_configs(name, data_set.layout)
        raise MissingConfigError(str(unknown(f"config of {where}:", name, data_set.layout, near=near)), near)
    return name


def _nearest_configs(name: str, configs: Iterable[str]) -> list[str]:
    """Return at most three configs of the same language (`fi_tdt` for `fi_pud`), or else those with similar names."""
    language, separator, _ = name.partition("_")
    same = sorted(config for config in configs if config.startswith(language + separator)) if separator else []
    return same[:3] or nearest(name, configs)


def _no_parquet_error(data_set: DataSet) -> UserError:
    script = f"{PurePosixPath(data_set.place).name}.py"
    if script in data_set.files:
        what = f"is a loading script ({script}), which is not run, without Parquet files"
    else:
        known = [file for file in data_set.files if PurePosixPath(file.removesuffix(".gz")).suffix in SUFFIXES]
        what = f"has no Parquet files{f', but {known[0]}' if known else ''}"
    return UserError(f"{data_set.place}: {what}; {_OTHER_SOURCES}")


def _find_files(data_set: DataSet, config: str, split: str) -> tuple[str, ...]:
    """Return the files of a split, which must be one complete set of Parquet files."""
    where, splits = data_set.place, data_set.layout[config]
    if split not in splits:
        raise MissingSplitError(str(unknown(f"split of {where}, config '{config}':", split, splits)))
    files = splits[split]
    if not files:
        raise UserError(f"{where}: config '{config}' has no files for the split '{split}'; fetch the data set again")
    foreign = [file for file in files if not file.endswith(".parquet")]
    if foreign:
        raise UserError(f"{where}: {foreign[0]} is not Parquet; {_OTHER_SOURCES}")
    named_by_card = bool(card_configs(data_set.card))
    check_whole(files, data_set.unnamed, named_by_card, f"{where}, config '{config}', split '{split}'")
    return files


def _config_info(card: Mapping[str, Any], config: str, where: str) -> Mapping[str, Any] | None:
    infos = _infos(card, config, where)
    found = next(({"features": info["features"]} for info in infos if "features" in info), None)
    try:
        canonical_json(found)
    except ValueError:
        raise UserError(
            f"{where}/{CARD}: the 'features' of '{config}' contain a number that is not finite; correct the card"
        ) from None
    return found


def _rows_in_card(card: Mapping[str, Any], config: str, split: str, where: str) -> int | None:
    infos = _infos(card, config, where)
    splits = [each for info in infos for each in _as_list(info.get("splits")) if isinstance(each, dict)]
    numbers = [each.get("num_examples") for each in splits if each.get("name") == split]
    return next((number for number in numbers if isinstance(number, int)), None)


def _infos(card: Mapping[str, Any], config: str, where: str) -> list[Mapping[str, Any]]:
    """Return the `dataset_info` entries of a config; a valid card has at most one.

    Raises:
        UserError: `dataset_info` is not a mapping or list of mappings.
    """
    infos = _as_list(card.get("dataset_info"))
    if not all(isinstance(info, dict) for info in infos):
        raise UserError(f"{where}/{CARD}: 'dataset_info' is malformed; each entry needs a config_name and features")
    return [info for info in infos if info.get("config_name", "default") == config]


def _as_list(value: Any) -> list[Any]:
    """Return a list unchanged, None as an empty list, and any other value as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _open_folder(folder: Path, dataset: str) -> DataSet:
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; put the data set '{dataset}' there in its Hub layout, "
            "or leave out the data root to read it from the Hub"
        )
    try:
        files = tuple(sorted(_files_below(str(folder))))
        digest = cached_sha256(folder / CARD) if CARD in files else None
    except OSError as error:
        raise UserError(
            f"{folder}: can't be read: {describe_os_error(error)}; correct its permissions or fetch it again"
        ) from None
    card = _card_of(folder / CARD, digest) if digest else {}
    layout, unnamed = _layout_of(files, folder / CARD, digest)
    return DataSet(str(folder), None, layout, card, files, unnamed)


def _files_below(folder: str, inside: str = "", above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """Yield relative paths of all files, following links to folders except those to a parent folder.

    It runs for every language; `rglob` with a stat of each file would take several times as long.
    """
    state = os.stat(folder)
    identity = (state.st_dev, state.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files_below(entry.path, f"{inside}{entry.name}/", above | {identity})
            else:
                yield inside + entry.name


@functools.lru_cache(maxsize=64)
def _layout_of(files: tuple[str, ...], card: Path, digest: str | None) -> tuple[Layout, tuple[str, ...]]:
    """Find a layout and the files outside it, cached: it is slow and runs for every language."""
    layout = find_layout(files, _card_of(card, digest) if digest else {}, str(card))
    return layout, unnamed_files(layout, files)


@functools.lru_cache(maxsize=64)
def _card_of(path: Path, digest: str) -> dict[str, Any]:
    """Read a card, cached: those of large data sets take seconds."""
    try:
        return read_card(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 ({error}); fetch it again") from None


@functools.cache
def _open_hub(dataset: str, revision: str, offline: bool) -> DataSet:
    with _asking_hub(dataset, revision, offline) as snapshot:
        folder = snapshot([CARD])
        files = tuple(sorted(_sizes(dataset, folder.name)))
    card = _card_of(folder / CARD, cached_sha256(folder / CARD)) if (folder / CARD).is_file() else {}
    return DataSet(dataset, folder.name, find_layout(files, card, f"{dataset}/{CARD}"), card, files)


@functools.cache
def _sizes(dataset: str, commit: str) -> Mapping[str, int]:
    """Return the files of a data set at a commit, from the listing that its download left in the cache."""
    from huggingface_hub import get_cached_repo_tree

    return {file.path: file.size for file in get_cached_repo_tree(dataset, repo_type="dataset", revision=commit)}


@contextmanager
def _asking_hub(dataset: str, revision: str, offline: bool) -> Iterator[Callable[[list[str]], Path]]:
    """Yield a function that downloads files of a data set and returns the folder named after its commit.

    Errors of the Hub client are converted to a UserError.
    """
    from huggingface_hub import constants, errors
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    # Connection errors: the base class differs between HTTP libraries of the client.
    http_error: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    is_offline = offline or constants.HF_HUB_OFFLINE
    had_progress_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield functools.partial(_snapshot, dataset, revision, is_offline)
    except errors.GatedRepoError:
        raise UserError(
            f"the data set '{dataset}' is gated: accept its terms at {constants.ENDPOINT}/datasets/{dataset} "
            "and log in with 'hf auth login'"
        ) from None
    except errors.RevisionNotFoundError:
        raise MissingRevisionError(
            f"the data set '{dataset}' has no revision '{revision}' on {constants.ENDPOINT}; {_name_newest(dataset)}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{constants.ENDPOINT} has no data set '{dataset}', or it is private: "
            "correct the id or log in with 'hf auth login'"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.CachedRepoTreeNotFoundError) as error:
        if not is_offline:
            raise UserError(
                f"the data set '{dataset}' could not be fetched from {constants.ENDPOINT}: {error}"
            ) from error
        raise UserError(
            f"the data set '{dataset}' (revision '{revision}') is missing or incomplete in the "
            f"cache {constants.HF_HUB_CACHE}, and offline mode is on: run once "
            "without offline mode, or name a data root that has it"
        ) from None
    except (http_error, OSError) as error:
        raise UserError(
            f"the data set '{dataset}' could not be fetched from {constants.ENDPOINT} ({first_line(error)}); "
            "check the connection, or name a data root that has it"
        ) from error
    finally:
        if had_progress_bars:
            enable_progress_bars()


def _name_newest(dataset: str) -> str:
    """Return the remedy for a missing revision, with the newest commit if the Hub tells it."""
    from huggingface_hub import HfApi, errors

    http_error: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    try:
        newest = f" (the newest is {HfApi().dataset_info(dataset).sha})"
    except http_error:
        newest = ""
    return f"name another in 'source.revision' or in the lock{newest}"


def _snapshot(dataset: str, revision: str, offline: bool, files: list[str]) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    # Ask first: without a connection, snapshot_download silently returns the cached revision.
    is_known = offline or COMMIT.fullmatch(revision)
    commit = None if is_known else _retry_if_busy(lambda: HfApi().dataset_info(dataset, revision=revision).sha)
    folder = Path(
        _retry_if_busy(
            lambda: snapshot_download(
                dataset,
                repo_type="dataset",
                revision=revision,
                allow_patterns=[glob.escape(file) for file in files],
                local_files_only=offline,
            )
        )
    )
    if commit not in (None, folder.name):
        raise UserError(
            f"the revision '{revision}' of '{dataset}' changed while it was downloaded; run the command again"
        )
    return folder


def _retry_if_busy(ask: Callable[[], T]) -> T:
    """Ask the Hub, and ask again a few times if it is busy, since its client does so for some requests only."""
    from huggingface_hub import errors

    for attempt in range(1, _ATTEMPTS):
        try:
            return ask()
        except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
            cause = error if isinstance(error, errors.HfHubHTTPError) else error.__cause__
            response = getattr(cause, "response", None)
            if response is None or response.status_code not in BUSY:
                raise
            time.sleep(seconds_to_wait(response.headers, attempt))
    return ask()
