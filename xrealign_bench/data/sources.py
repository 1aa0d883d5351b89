"""Locate and fetch splits of any source, without reading rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xrealign_bench.data import hub, local_files, url_files
from xrealign_bench.data.located import (
    DataLocation,
    LocatedSplit,
    MissingConfigError,
    digest_files,
    digest_own_files,
)
from xrealign_bench.data.patterns import fill
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs import DataSource, FilesData, HubData, UrlData
from xrealign_bench.specs.data import patterns


def locate(source: DataSource, config: str | Sequence[str] | None, split: str, location: DataLocation) -> LocatedSplit:
    """Locate one split without reading rows.

    Args:
        source: a Hub data set or the file of a URL is searched only below the location's root, if there is one.
        config: several: alternatives, of which the first that exists is located. None: the data set's default config.
            For embedded data, a language.
        split: name of the split; see `find_split` for other names of a development split.
        location: place to search.

    Raises:
        UserError: there is no such data set, config or split (the message lists the known ones), files of the split
            are missing or may not belong to it, or the Hub refuses access.
    """
    if config is None or isinstance(config, str):
        return _locate(source, config, split, location)
    problems = []
    for name in config:
        try:
            return _locate(source, name, split, location)
        except MissingConfigError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise MissingConfigError(f"none of {', '.join(config)}: {problems[0]}", problems[0].near)


def _locate(source: DataSource, config: str | None, split: str, location: DataLocation) -> LocatedSplit:
    if isinstance(source, HubData):
        return hub.locate_on_hub(source, config, split, location)
    if isinstance(source, FilesData):
        return local_files.locate_files(source, config, split)
    if isinstance(source, UrlData):
        return url_files.locate_url(source, config, split, location)
    if config is not None and config not in phrases.LANGUAGES:
        raise unknown("language of the embedded data:", config, phrases.LANGUAGES)
    return LocatedSplit("embedded", config, split, None, phrases.fingerprint(), ())


def list_configs(source: DataSource, split: str, location: DataLocation) -> Collection[str]:
    """Return the configs of a source that can be listed.

    Raises:
        UserError: the data set is not available.
    """
    if isinstance(source, FilesData):
        return local_files.list_configs(source, split)
    assert isinstance(source, HubData)
    return hub.list_configs(source, split, location)


def dataset_name(source: DataSource, located: LocatedSplit) -> str:
    """Return what a lock calls the data set of a split: its Hub id, address, or path relative to the YAML."""
    if isinstance(source, HubData):
        return source.dataset
    assert isinstance(source, UrlData | FilesData)
    name = fill(patterns(source)[located.split], located.config)
    return name if isinstance(source, UrlData) else f"./{name.removeprefix('./')}"


def fetch(located: LocatedSplit, offline: bool) -> list[str]:
    """Return paths of a split's files, downloading them to the Hub's cache if needed."""
    paths = hub.download(located, offline) if located.on_hub else located.local_paths
    return [str(path) for path in paths]


def content_sha256(located: LocatedSplit, offline: bool) -> str:
    """Return the sha256 (hex) of a split's files and label names, downloading them if needed."""
    if not located.on_hub:
        return located.fingerprint
    return digest_files(hub.download(located, offline), located.info)


def check_unchanged(located: LocatedSplit) -> None:
    """Check that local files have not changed since they were located; files at a commit of the Hub never change.

    Raises:
        UserError: a file was replaced, changed or removed.
    """
    if located.on_hub:
        return
    files = located.local_paths
    is_hub_folder = located.title is None
    if (digest_files(files, located.info) if is_hub_folder else digest_own_files(files)) != located.fingerprint:
        raise UserError(f"{located}: its files changed while they were read; run the command again")
