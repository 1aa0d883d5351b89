"""Get everything that a suite reads onto this machine, hold it to the suite's lock, or write the lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tqdm import tqdm

import xrealign_bench
from xrealign_bench.data.lexicon import fetch_lexicon
from xrealign_bench.data.lock import (
    DataSpec,
    SuiteLock,
    SuiteSplit,
    corpora_of,
    disagreement,
    locate_suite,
    lock_file,
    pin,
    read_lock,
    write_lock,
)
from xrealign_bench.data.sources import DataLocation, content_sha256, fetch
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.specs import Corpus, LockedGold, LockedSplit, Suite, Task, find_in_suite, find_spec
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
    """The commit on the Hub; None: it lies below the data root."""
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


def fetch_suite(
    name_or_file: str,
    tasks: Sequence[str],
    languages: Sequence[str],
    data_root: Path | None,
    write: bool,
    on_progress: Callable[[int, int, str], None],
) -> Fetched:
    """Download and check every split of Hub data that a suite reads; below a data root they are only checked.

    Args:
        tasks, languages: only these of the suite; none: all.
        write: write the suite's lock from what is found, instead of checking it.
        on_progress: is told the number of splits that are done, of all, and the one that is next.

    Raises:
        UserError: everything that is missing, refused or not as the lock says, a line each; what could be fetched was.
    """
    path = _writable_lock(name_or_file, tasks, languages) if write else lock_file(name_or_file)
    suite = find_spec(name_or_file, Suite)
    found = [find_in_suite(name, Task, name_or_file) for name in select_items("task", tasks, suite.tasks)]
    targets = select_items("target language", [find(code).code for code in languages], suite.target_languages)
    corpora = {name: find_in_suite(name, Corpus, name_or_file) for name in corpora_of(suite)}
    lock, location = read_lock(name_or_file), DataLocation(data_root)
    problems: list[str] = []
    if lock is not None and not write:
        found = _pin(found, lock, location, problems)
        corpora = {corpus.name: corpus for corpus in _pin(list(corpora.values()), lock, location, problems)}
    splits, missing = locate_suite(suite, found, targets, corpora, location)
    problems += missing
    fetched = []
    for number, split in enumerate(splits):
        on_progress(number, len(splits), "/".join(split.key))
        try:
            fetched.append(_fetch(split, None if write else lock, problems))
        except UserError as error:
            problems.append(str(error))
    on_progress(len(splits), len(splits), "")
    lexicons = (
        []
        if location.root
        else [
            _fetch_lexicons(corpora[name], suite.source_language, [code for code in read if code in targets], problems)
            for name, read in corpora_of(suite).items()
            if name in corpora and corpora[name].lexicons_url
        ]
    )
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    if write:
        _write(path, fetched, lock, _read_gold(suite, found, location))
        fetched = [replace(split, state="verified") for split in fetched]
    return Fetched(suite.id, fetched, lexicons, path if path.is_file() else None)


def _writable_lock(name_or_file: str, tasks: Sequence[str], languages: Sequence[str]) -> Path:
    """Find out before the download whether a lock can be written."""
    if tasks or languages:
        raise UserError("--write-lock is about the whole suite; leave out --task and --language")
    path = lock_file(name_or_file)
    installed = path.resolve().is_relative_to(Path(xrealign_bench.__file__).resolve().parent)
    if installed or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path} can't be written to; copy the suite's YAML to a folder of yours and name that file")
    return path


def _pin(specs: Sequence[DataSpec], lock: SuiteLock, location: DataLocation, problems: list[str]) -> list[DataSpec]:
    """Those that can be pinned; the others are told."""
    pinned = []
    for spec in specs:
        try:
            pinned.append(pin(spec, lock, location))
        except UserError as error:
            problems.append(str(error))
    return pinned


def _fetch(split: SuiteSplit, lock: SuiteLock | None, problems: list[str]) -> FetchedSplit:
    located = split.located
    files = fetch(located, offline=False)
    sha256 = content_sha256(located, offline=False)
    if lock is not None and (problem := disagreement(lock, split, sha256)) is not None:
        problems.append(problem)
    size = sum(os.path.getsize(file) for file in files)
    return FetchedSplit(*split.key, len(files), size, located.revision, sha256, _state(split, sha256, lock))


def _fetch_lexicons(corpus: Corpus, source: str, targets: Sequence[str], problems: list[str]) -> FetchedLexicons:
    """No checksum of theirs is locked; results record what was read."""
    files, absent = [], []
    for target in targets:
        try:
            path = fetch_lexicon(corpus, source, target)
        except UserError as error:
            problems.append(str(error))
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
    return "pinned" if entry.revision is not None and split.located.revision is not None else "not pinned"


def _read_gold(suite: Suite, tasks: Sequence[Task], location: DataLocation) -> list[LockedGold]:
    """The gold of every test set of a suite."""
    from xrealign_bench.tasks.gold import read_gold  # loads metrics, which only this needs

    cells = [
        (suite.limit_test_examples(task), language)
        for task in tasks
        for language in (suite.source_language, *suite.target_languages)
        if language in task.languages
    ]
    locked = []
    for task, language in tqdm(cells, "reading gold labels", unit="test set", leave=False, disable=None):
        gold = read_gold(task, language, location)
        locked.append(LockedGold(task=task.name, language=language, examples=gold.examples, sha256=gold.sha256))
    return locked


def _write(path: Path, fetched: Sequence[FetchedSplit], old: SuiteLock | None, gold: Sequence[LockedGold]) -> None:
    """Local files know no commit: theirs is the old lock's, as long as their content is."""
    if not fetched:
        raise UserError("the suite reads embedded data only, which are part of the package; it needs no lock")
    entries = []
    for split in fetched:
        known = None if old is None else old.find((split.dataset, split.config, split.split))
        revision = split.revision or (known.revision if known and known.sha256 == split.sha256 else None)
        entries.append(
            LockedSplit(
                dataset=split.dataset, config=split.config, split=split.split, revision=revision, sha256=split.sha256
            )
        )
    write_lock(path, entries, gold)
