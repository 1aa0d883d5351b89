"""Fetch the data that a suite reads, check them against the suite's lock, or write the lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

import xrealign_bench
from xrealign_bench.data.lexicon import fetch_lexicon
from xrealign_bench.data.loaded_suite import LoadedSuite, development_part, load_suite
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.lock import (
    SuiteLock,
    SuiteSplit,
    disagreement,
    locate_suite,
    lock_file,
    pin,
    write_lock,
)
from xrealign_bench.data.sources import content_sha256, fetch
from xrealign_bench.data.split_uses import corpora_of
from xrealign_bench.errors import Problems, UserError
from xrealign_bench.languages import find
from xrealign_bench.specs import Corpus, LockedGold, LockedSplit
from xrealign_bench.specs.lock import Key
from xrealign_bench.specs.suite import select_items

State = Literal["verified", "pinned", "not pinned"]


@dataclass(frozen=True)
class FetchedSplit:
    dataset: str
    config: str
    split: str
    files: int
    bytes: int
    revision: str | None
    """The commit on the Hub or in the address; None: local files, or an address without one."""
    sha256: str
    """Of its content, as in a lock."""
    state: State
    """Verified: it has the content that the lock names. Pinned: by its commit alone."""


@dataclass(frozen=True)
class FetchedLexicons:
    corpus: str
    files: int
    bytes: int
    absent: list[str]
    """Target languages for which the server has none: the aligner `lexicon` leaves them out."""


@dataclass(frozen=True)
class Fetched:
    suite: str
    splits: list[FetchedSplit]
    lexicons: list[FetchedLexicons]
    lock: Path | None
    """The lock that they were held to, or that was written."""


@dataclass(frozen=True)
class _Fetching:
    """What is fetched, and the problems that were found."""

    loaded: LoadedSuite
    """With the tasks that are asked for."""
    languages: list[str]
    location: DataLocation
    lock: SuiteLock | None
    """The lock that the data are checked against; None while a lock is written."""
    is_whole: bool
    """No target languages are selected."""
    problems: Problems = field(default_factory=Problems)


def fetch_suite(
    name_or_file: str,
    tasks: Sequence[str],
    languages: Sequence[str],
    data_root: Path | None,
    write: bool,
    on_progress: Callable[[int, int, str], None],
) -> Fetched:
    """Download and check every split that a suite reads, with its development data; local data are only checked.

    Args:
        tasks, languages: only these of the suite; none: all.
        write: write the suite's lock from the data, instead of checking the data against it.
        on_progress: called with the number of splits done, of all splits, and the next split.

    Raises:
        UserError: data are missing, refused or not as locked, a line each; everything else was fetched.
    """
    path = _writable_lock(name_or_file, tasks, languages) if write else lock_file(name_or_file)
    loaded = load_suite(name_or_file)
    suite, old = loaded.suite, loaded.lock
    targets = select_items("target language", [find(code).code for code in languages], suite.target_languages)
    names = select_items("task", tasks, suite.tasks)
    loaded = replace(loaded, tasks=[task for task in loaded.tasks if task.name in names])
    job = _Fetching(loaded, targets, DataLocation(data_root), None if write else old, not languages)
    if job.lock is not None:
        job = replace(job, loaded=_pin(job, job.lock))
    splits = _fetch_splits(job, on_progress)
    lexicons = [] if job.location.root else _fetch_all_lexicons(job)
    job.problems.raise_if_any()
    if write:
        _write(path, splits, old, _read_gold(job))
        splits = [replace(split, state="verified") for split in splits]
    return Fetched(suite.id, splits, lexicons, path if path.is_file() else None)


def _fetch_splits(job: _Fetching, on_progress: Callable[[int, int, str], None]) -> list[FetchedSplit]:
    splits = _locate_splits(job)
    fetched = []
    for number, split in enumerate(splits):
        on_progress(number, len(splits), "/".join(split.key))
        fetched.append(job.problems.attempt(partial(_fetch, split, job)))
    on_progress(len(splits), len(splits), "")
    return [split for split in fetched if split is not None]


def _locate_splits(job: _Fetching) -> list[SuiteSplit]:
    """Locate the splits that evaluations read with and without `--development`."""
    parts = [(job.loaded, job.languages)]
    if (development := development_part(job.loaded)) is not None:
        further = development.suite.development_languages if job.is_whole else []
        codes = [code for code in development.suite.target_languages if code in (*job.languages, *further)]
        parts.append((development, codes))
    found: dict[Key, SuiteSplit] = {}
    for loaded, codes in parts:
        splits, missing = locate_suite(loaded, codes, job.location)
        job.problems.add(missing)
        found.update((split.key, split) for split in splits)
    return [found[key] for key in sorted(found)]


def _fetch_all_lexicons(job: _Fetching) -> list[FetchedLexicons]:
    corpora = job.loaded.corpora
    return [
        _fetch_lexicons(corpora[name], [code for code in read if code in job.languages], job)
        for name, read in corpora_of(job.loaded.suite).items()
        if name in corpora and corpora[name].lexicons_url
    ]


def _writable_lock(name_or_file: str, tasks: Sequence[str], languages: Sequence[str]) -> Path:
    """Return the path of a lock, after checking before the download that it can be written."""
    if tasks or languages:
        raise UserError("--write-lock is about the whole suite; leave out --task and --language")
    path = lock_file(name_or_file)
    installed = path.resolve().is_relative_to(Path(xrealign_bench.__file__).resolve().parent)
    if installed or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path} can't be written to; copy the suite's YAML to a folder of yours and name that file")
    return path


def _pin(job: _Fetching, lock: SuiteLock) -> LoadedSuite:
    """Return the suite without the tasks and corpora that can't be pinned, which are problems."""
    tasks = [job.problems.attempt(partial(pin, task, lock, job.location)) for task in job.loaded.tasks]
    corpora = [job.problems.attempt(partial(pin, corpus, lock, job.location)) for corpus in job.loaded.corpora.values()]
    return replace(
        job.loaded,
        tasks=[task for task in tasks if task is not None],
        corpora={corpus.name: corpus for corpus in corpora if corpus is not None},
    )


def _fetch(split: SuiteSplit, job: _Fetching) -> FetchedSplit:
    located, lock = split.located, job.lock
    files = fetch(located, offline=False)
    sha256 = content_sha256(located, offline=False)
    if lock is not None and (problem := disagreement(lock, split, sha256)) is not None:
        job.problems.add([problem])
    size = sum(os.path.getsize(file) for file in files)
    return FetchedSplit(*split.key, len(files), size, located.revision, sha256, _state(split, sha256, lock))


def _fetch_lexicons(corpus: Corpus, targets: Sequence[str], job: _Fetching) -> FetchedLexicons:
    """Fetch a corpus's lexicons. Their checksums are not locked; results record what was read."""
    files, absent = [], []
    for target in targets:
        try:
            path = fetch_lexicon(corpus, job.loaded.suite.source_language, target)
        except UserError as error:
            job.problems.add(str(error).splitlines())
            continue
        if path is None:
            absent.append(target)
        else:
            files.append(path)
    return FetchedLexicons(corpus.name, len(files), sum(path.stat().st_size for path in files), absent)


def _state(split: SuiteSplit, sha256: str, lock: SuiteLock | None) -> State:
    entry = None if lock is None else lock.find(split.key)
    if entry is None:
        return "not pinned"
    if entry.sha256 == sha256:
        return "verified"
    return "pinned" if entry.revision is not None and split.located.on_hub else "not pinned"


def _read_gold(job: _Fetching) -> list[LockedGold]:
    """Read the gold labels of every test set of a suite."""
    from xrealign_bench.tasks.gold import read_gold  # loads metrics, which only this needs

    suite, location = job.loaded.suite, job.location
    cells = [
        (task, language)
        for task in job.loaded.tasks
        for language in (suite.source_language, *suite.target_languages)
        if language in task.languages
    ]
    locked = []
    for task, language in tqdm(cells, "reading gold labels", unit="test set", leave=False, disable=None):
        gold = read_gold(task, language, location)
        locked.append(LockedGold(task=task.name, language=language, examples=gold.examples, sha256=gold.sha256))
    return locked


def _write(path: Path, fetched: Sequence[FetchedSplit], old: SuiteLock | None, gold: Sequence[LockedGold]) -> None:
    """Write the lock. Local files have no commit: they keep the old lock's if their content is the locked one."""
    if not fetched:
        raise UserError("the suite reads embedded data only, which are part of the package; it needs no lock")
    entries = []
    for split in fetched:
        known = None if old is None else old.find((split.dataset, split.config, split.split))
        revision = split.revision or (known.revision if known and known.sha256 == split.sha256 else None)
        is_on_hub = not split.dataset.startswith(("https:", "./"))
        entries.append(
            LockedSplit(
                dataset=split.dataset,
                config=split.config,
                split=split.split,
                revision=revision,
                sha256=split.sha256,
                bytes=None if is_on_hub else split.bytes,
            )
        )
    write_lock(path, entries, gold)
