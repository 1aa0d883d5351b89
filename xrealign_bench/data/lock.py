"""Check a suite's data against its lock file, and write lock files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xrealign_bench.data.hub import COMMIT, open_data_set
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.parallel import corpus_languages
from xrealign_bench.data.sources import dataset_name
from xrealign_bench.data.split_uses import list_uses
from xrealign_bench.errors import UserError
from xrealign_bench.files import write_atomically
from xrealign_bench.specs import (
    Corpus,
    DataSource,
    EmbeddedData,
    HubData,
    Lock,
    LockedGold,
    LockedSplit,
    Suite,
    Task,
    find_spec_file,
    load_spec,
)
from xrealign_bench.specs.core_schema import write_yaml
from xrealign_bench.specs.lock import LOCK_SUFFIX, Key
from xrealign_bench.specs.yaml import entry_lines

if TYPE_CHECKING:
    from xrealign_bench.data.loaded_suite import LoadedSuite

DataSpec = TypeVar("DataSpec", Task, Corpus)
T = TypeVar("T")

REWRITE = "'xrealign-bench fetch --suite SUITE --write-lock'"

HEADER = f"""\
# The data that the suite beside this file is about, a line a split; written by
# {REWRITE}.
# revision: the commit on the Hub or in the address; null: not pinned yet. sha256: of the content at that commit, or,
# without one, of the copy that the suite was measured on. gold: of each task's test examples and their right labels;
# null: nobody has read these data for this lock, so the gold labels of results can't be checked.
"""


@dataclass(frozen=True)
class SuiteLock:
    """Lock of a suite, with its file."""

    path: Path
    lock: Lock

    def find(self, key: Key) -> LockedSplit | None:
        return next((split for split in self.lock.splits if split.key == key), None)

    def place(self, entry: LockedSplit) -> str:
        """Return `file:line` of an entry."""
        return f"{self.path}:{entry_lines(self.path, 'splits')[self.lock.splits.index(entry)]}"


@dataclass(frozen=True)
class SuiteSplit:
    """Split that a suite reads and that is not embedded."""

    dataset: str
    """See `dataset_name`."""
    located: LocatedSplit

    @property
    def key(self) -> Key:
        return self.dataset, self.located.config or "default", self.located.split


def lock_file(suite: str) -> Path:
    """Return the path of a suite's lock file, whether or not it exists."""
    return find_spec_file(suite, Suite).with_suffix(LOCK_SUFFIX)


def read_lock(suite: str) -> SuiteLock | None:
    """Read the lock of a suite (name or file), or return None without one.

    Raises:
        UserError: the lock is invalid. The message has one line per problem.
    """
    path = lock_file(suite)
    return SuiteLock(path, load_spec(path, Lock)) if path.is_file() else None


def pin(spec: DataSpec, lock: SuiteLock, location: DataLocation) -> DataSpec:
    """Return a task or corpus pinned to the commits in its suite's lock.

    For data that the lock does not pin, it is the Hub's current commit. The suite's digest covers it, so that results
    on data of different commits are never compared.

    Raises:
        UserError: the spec names another commit, or the Hub refuses access.
    """
    source = _pin_source(spec.source, spec.name, lock, location)
    if isinstance(spec, Corpus):
        return spec.model_copy(update={"source": source})
    parts = [
        part.model_copy(update={"source": _pin_source(part.source, spec.name, lock, location)}) for part in spec.also
    ]
    training = spec.training_data
    if training is not None:
        pinned = _pin_source(training.source, spec.name, lock, location)
        training = training.model_copy(update={"source": pinned})
    return spec.model_copy(update={"source": source, "also": parts, "training_data": training})


def locate_suite(
    loaded: LoadedSuite, languages: Sequence[str], location: DataLocation
) -> tuple[list[SuiteSplit], list[str]]:
    """Locate every split that a suite reads, except embedded ones, without reading rows.

    Args:
        loaded: the suite with the tasks and corpora to locate; its corpora are read for all of its targets.
        languages: target languages of the tasks.

    Returns:
        The splits, sorted, and one message for each that can't be found.
    """
    found: dict[Key, SuiteSplit] = {}
    problems: dict[str, None] = {}
    opened: dict[HubData, bool] = {}

    def attempt(find: Callable[[], T]) -> T | None:
        try:
            return find()
        except UserError as error:
            problems[str(error)] = None
            return None

    def opens(source: DataSource) -> bool:
        """Open each Hub data set once, since every split would fail on an unreachable Hub."""
        if isinstance(source, HubData) and source not in opened:
            opened[source] = attempt(lambda: open_data_set(source, location)) is not None
        return opened[source] if isinstance(source, HubData) else not isinstance(source, EmbeddedData)

    def paired(corpus: Corpus) -> Collection[str]:
        if not opens(corpus.source):
            return ()
        return attempt(partial(corpus_languages, corpus, loaded.suite.source_language, location)) or ()

    for use in list_uses(loaded, languages, paired):
        if opens(use.source) and (located := attempt(partial(use.locate, location))) is not None:
            split = SuiteSplit(dataset_name(use.source, located), located)
            found[split.key] = split
    return [found[key] for key in sorted(found)], list(problems)


def check_lock(loaded: LoadedSuite, languages: Sequence[str], location: DataLocation) -> None:
    """Check that everything a suite reads is in its lock, and that local files have the lock's content.

    Data on the Hub are identified by their commit, so they are not downloaded for this; files at URLs are.

    Args:
        loaded: as for `locate_suite`; a suite without a lock passes.
        languages: as for `locate_suite`.
        location: where the data are.

    Raises:
        UserError: splits can't be found, are not in the lock or differ from it, a line each.
    """
    lock = loaded.lock
    if lock is None:
        return
    splits, missing = locate_suite(loaded, languages, location)
    if missing:
        raise UserError(missing[0])  # as planning does; `fetch` tells all
    problems = []
    for split in splits:
        content = None if split.located.on_hub else split.located.fingerprint
        if (problem := disagreement(lock, split, content)) is not None:
            problems.append(problem)
    if problems:
        raise UserError("\n".join(problems))


def disagreement(lock: SuiteLock, split: SuiteSplit, content: str | None) -> str | None:
    """Return a message about a split that the lock lacks or whose content differs, or None.

    Args:
        lock: the suite's lock.
        split: the split to check.
        content: sha256 of its content; None: check only that the lock has it.
    """
    name, entry = "/".join(split.key), lock.find(split.key)
    if entry is None:
        return f"{lock.path}: has no line for {name}, which the suite reads; write the lock again with {REWRITE}"
    located = split.located
    if content is None or entry.sha256 in (None, content) or (located.on_hub and entry.revision is None):
        return None
    is_cached = split.dataset.startswith("https:")
    return (
        f"{lock.place(entry)}: {name} has the sha256 {content} and not the lock's {entry.sha256}; "
        f"{f'delete {located.local_paths[0]} and ' if is_cached else ''}fetch the data "
        f"again, or, if these are meant, give the suite a new version and write its lock with {REWRITE}"
    )


def write_lock(path: Path, splits: Sequence[LockedSplit], gold: Sequence[LockedGold]) -> None:
    """Write a lock file atomically, sorted, with one line per split and per task and language.

    Comments at the head of an existing file are kept.
    """
    header = HEADER
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        first = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
        header = "".join(lines[:first])
    text = header + "splits:\n" + "".join(map(_line, sorted(splits, key=lambda split: split.key)))
    text += "gold:\n" + "".join(map(_line, sorted(gold, key=lambda each: (each.task, each.language))))
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}") from None


def _line(entry: LockedSplit | LockedGold) -> str:
    fields = entry.model_dump(exclude_defaults=True)
    return "- " + write_yaml(fields, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)


def _pin_source(source: DataSource, owner: str, lock: SuiteLock, location: DataLocation) -> DataSource:
    if not isinstance(source, HubData) or source.dataset not in lock.lock.revisions:
        return source
    commit = lock.lock.revisions[source.dataset]
    if commit is None:
        return (
            source
            if location.root
            else source.model_copy(update={"revision": open_data_set(source, location).revision})
        )
    own = source.revision
    if own is not None and COMMIT.fullmatch(own) and own != commit:
        entry = next(split for split in lock.lock.splits if split.dataset == source.dataset)
        raise UserError(
            f"{lock.place(entry)}: pins '{source.dataset}' to the commit {commit}, and '{owner}' names the revision "
            f"{own}; take it out of '{owner}', or write the lock again with {REWRITE}"
        )
    return source.model_copy(update={"revision": commit})
