"""A split of a data set with its files, and digests of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from xrealign_bench.errors import UserError, describe_os_error
from xrealign_bench.files import cached_sha256
from xrealign_bench.specs import canonical_json
from xrealign_bench.specs.data import FileFormat


class MissingConfigError(UserError):
    """The data set has no such config."""

    def __init__(self, message: str, near: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.near = tuple(near)
        """Names of similar configs, or of similar files."""


class MissingFileError(MissingConfigError):
    """The data set has no file that the spec names."""


class MissingSplitError(UserError):
    """The config has other splits only."""


class MissingRevisionError(UserError):
    """The data set has no such revision."""


@dataclass(frozen=True)
class DataLocation:
    """Place that data sets are read from."""

    root: Path | None = None
    """Folder with data sets by Hub id (`mteb/NTREX/...`) and files of URLs by HOST/PATH; None: the Hub and the web."""
    offline: bool = False
    """Read data of the Hub and of URLs only from the local cache."""
    starts_only: bool = False
    """Download only the start of files at URLs, enough for the first rows."""


def is_offline(location: DataLocation) -> bool:
    """Return whether nothing may be downloaded."""
    return location.offline or constants.HF_HUB_OFFLINE


@dataclass(frozen=True)
class LocatedSplit:
    """One split of a config: its files, and a fingerprint of its content."""

    folder_or_id: str
    """Local folder, Hub id, or `embedded`."""
    config: str | None
    split: str
    revision: str | None
    """Commit on the Hub or in the URL; None: local or embedded."""
    fingerprint: str
    """Sha256 (hex) of local files; of id, commit, config and split on the Hub; or the generator's fingerprint."""
    files: tuple[str, ...]
    """Paths relative to the folder or to the root of the Hub repository."""
    info: Mapping[str, Any] | None = None
    """The config's `dataset_info` in the data set's card."""
    rows_in_card: int | None = None
    """Number of rows according to the card; None: not stated."""
    on_hub: bool = False
    """The files are read from the Hub's cache."""
    title: str | None = None
    """Address or path to show in messages; None: folder or id, config and split."""
    reading: FileFormat | None = None
    """How to read the files; None: Parquet with label names from the card."""
    columns: tuple[str, ...] = ()
    """Column that each file is, if there is one file per language; empty: all files have the same columns."""
    is_start: bool = False
    """The files hold only the start of a file at a URL, so the fingerprint is not that of its content."""
    bytes_at_url: int | None = None
    """Size of that file, if the server states it."""

    def __str__(self) -> str:
        return self.title or "/".join(part for part in (self.folder_or_id, self.config, self.split) if part)

    @property
    def local_paths(self) -> list[Path]:
        """The paths of files that are not on the Hub."""
        return [Path(self.folder_or_id, file) for file in self.files]


def sha256_text(text: str) -> str:
    """Return the sha256 (hex) of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_files(files: Sequence[Path], info: Mapping[str, Any] | None) -> str:
    """Hash files and the card's info on the config, since label names may occur only in the card."""
    try:
        return combine_digests([cached_sha256(file) for file in files], info)
    except OSError as error:
        raise UserError(f"{describe_os_error(error)}; fetch the data set again") from None


def combine_digests(digests: Sequence[str], info: Mapping[str, Any] | None) -> str:
    """Return the sha256 (hex) of a split from those of its files and the card's info on the config."""
    return sha256_text(canonical_json({"files": digests, "info": info}))


def digest_own_files(files: Sequence[Path]) -> str:
    """Return the sha256 (hex) of a file, or the digest of several."""
    try:
        return cached_sha256(files[0]) if len(files) == 1 else digest_files(files, None)
    except OSError as error:
        raise UserError(f"{describe_os_error(error)}; correct its permissions or put it there again") from None
