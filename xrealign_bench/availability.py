"""Check whether every split that a suite reads is available and has the expected columns and labels.

Only listings, footers and first kilobytes are downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from xrealign_bench.data.examples import STRINGS, check_strings
from xrealign_bench.data.first_rows import read_first_rows
from xrealign_bench.data.hub import open_data_set, stored_sha256
from xrealign_bench.data.loaded_suite import LoadedSuite, development_part, load_suite
from xrealign_bench.data.located import (
    DataLocation,
    LocatedSplit,
    MissingConfigError,
    MissingFileError,
    MissingRevisionError,
    MissingSplitError,
    is_offline,
)
from xrealign_bench.data.lock import REWRITE, DataSpec, SuiteLock, SuiteSplit, disagreement, pin
from xrealign_bench.data.parallel import check_pair_columns, corpus_languages, pair_columns
from xrealign_bench.data.read import pick_column
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import dataset_name
from xrealign_bench.data.split_uses import SplitUse, list_uses
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.specs import Columns, Corpus, DataSource, EmbeddedData, HubData, Part, Task, UrlData
from xrealign_bench.specs.lock import Key
from xrealign_bench.specs.suite import select_items
from xrealign_bench.tasks.labels import UNSPECIFIED, label_numbers, refuse_label

State = Literal["there", "differs from the lock", "renamed", "moved", "not readable"]
"""`renamed`: there is no such config, but a similar one. `moved`: another split, file or revision is there instead."""

_SEVERITY: tuple[State, ...] = ("there", "differs from the lock", "renamed", "moved", "not readable")
_TEXTS = ("text", "text_pair", "question", "context")
"""Columns of tasks that hold one string per row."""


@dataclass(frozen=True)
class CheckedSplit:
    """What is known of a split without downloading it."""

    dataset: str
    config: str
    split: str
    state: State
    read_by: tuple[str, ...]
    """Tasks and corpora."""
    columns: tuple[str, ...] = ()
    """Those that are read; empty if only the whole file shows them."""
    labels: str = ""
    """How the data's labels relate to the task's."""
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.dataset, self.config, self.split


@dataclass(frozen=True)
class Availability:
    """The checked splits of a suite, sorted."""

    suite: str
    splits: list[CheckedSplit]

    @property
    def there(self) -> int:
        """The number of splits that can be read."""
        return sum(split.state == "there" for split in self.splits)


def check_availability(
    name_or_file: str,
    tasks: Sequence[str],
    languages: Sequence[str],
    data_root: Path | None,
    on_progress: Callable[[int, int, str], None],
) -> Availability:
    """Check every split that a suite reads, for evaluations with and without `--development`.

    Args:
        name_or_file: a shipped suite, or a YAML file.
        tasks, languages: only these of the suite; none: all.
        data_root: folder to read data sets from instead of the Hub.
        on_progress: called with the number of checks done, of all checks, and the next split.

    Raises:
        UserError: the suite is invalid, or has no such task or language.
    """
    loaded = load_suite(name_or_file)
    suite = loaded.suite
    targets = select_items("target language", [find(code).code for code in languages], suite.target_languages)
    names = select_items("task", tasks, suite.tasks)
    loaded = replace(loaded, tasks=[task for task in loaded.tasks if task.name in names])
    checker = _Checker(loaded.lock, DataLocation(data_root, starts_only=True))
    uses = checker.list_uses(loaded, targets)
    if (development := development_part(loaded)) is not None:
        further = [code for code in development.suite.target_languages if code in targets or not languages]
        uses += checker.list_uses(development, further) if further else []
    uses = list({(use.spec.name, use.language, use.expected_key): use for use in uses}.values())
    for number, use in enumerate(uses):
        on_progress(number, len(uses), "/".join(use.expected_key))
        checker.check(use)
    on_progress(len(uses), len(uses), "")
    if not tasks and not languages:
        checker.check_lock_is_read()
    return Availability(suite.id, checker.splits)


class _Checker:
    """Checks of splits, merged if several tasks or languages read the same split."""

    def __init__(self, lock: SuiteLock | None, location: DataLocation) -> None:
        self._lock = lock
        self._location = location
        self._splits: dict[Key, CheckedSplit] = {}
        self._conflicts: dict[str, str] = {}
        """Task or corpus -> why it can't be pinned as in the lock."""
        self._refused: dict[HubData, UserError | None] = {}
        """Source -> why its data set can't be opened, so that an unreachable Hub is asked once."""

    @property
    def splits(self) -> list[CheckedSplit]:
        return [self._splits[key] for key in sorted(self._splits)]

    def list_uses(self, loaded: LoadedSuite, languages: Sequence[str]) -> list[SplitUse]:
        """List what tasks and corpora read in some languages, pinned as in the lock."""
        loaded = replace(
            loaded,
            tasks=[self._pin(task) for task in loaded.tasks],
            corpora={name: self._pin(corpus) for name, corpus in loaded.corpora.items()},
        )

        def paired(corpus: Corpus) -> Collection[str]:
            try:
                self._open(corpus.source)
                return corpus_languages(corpus, loaded.suite.source_language, self._location)
            except UserError as error:
                self._add_unlisted(corpus, loaded.suite.source_language, languages, error)
                return ()

        uses = list_uses(loaded, languages, paired)
        return [
            use
            for use in uses
            if not isinstance(use.source, EmbeddedData) and (isinstance(use.spec, Task) or use.language in languages)
        ]

    def check(self, use: SplitUse) -> None:
        """Check one use of a split."""
        key = use.expected_key
        try:
            self._open(use.source)
            located = use.locate(self._location)
            split = SuiteSplit(dataset_name(use.source, located), located)
            key = split.key
            differs = self._conflicts.get(use.spec.name) or self._compare(split)
            columns, labels = _check_rows(use, located, self._location)
        except UserError as error:
            self._add(self._failure(use, key, error))
            return
        state: State = "there" if differs is None else "differs from the lock"
        problems = () if differs is None else (differs,)
        self._add(CheckedSplit(*key, state, (use.spec.name,), columns, labels, problems))

    def _add_unlisted(self, corpus: Corpus, source: str, languages: Sequence[str], error: UserError) -> None:
        """Add the splits of a corpus whose configs can't be listed: those in the lock, or else one per language."""
        uses = [SplitUse(corpus, language, source_language=source) for language in languages]
        dataset = uses[0].expected_key[0]
        locked = [entry.key for entry in (self._lock.lock.splits if self._lock else ()) if entry.dataset == dataset]
        for key in locked or [use.expected_key for use in uses]:
            self._add(self._failure(uses[0], key, error))

    def check_lock_is_read(self) -> None:
        """Add the lock's splits that the suite does not read, which may have disappeared from a listing."""
        if self._lock is None:
            return
        for entry in self._lock.lock.splits:
            if entry.key not in self._splits:
                problem = (
                    f"{self._lock.place(entry)}: {'/'.join(entry.key)} is not among the data that the suite finds; if "
                    f"it is no longer meant to be, write the lock again with {REWRITE}"
                )
                self._add(CheckedSplit(*entry.key, "differs from the lock", (), problems=(problem,)))

    def _open(self, source: DataSource) -> None:
        if not isinstance(source, HubData):
            return
        if source not in self._refused:
            try:
                open_data_set(source, self._location)
                self._refused[source] = None
            except UserError as error:
                self._refused[source] = error
        if (refusal := self._refused[source]) is not None:
            raise refusal

    def _pin(self, spec: DataSpec) -> DataSpec:
        if self._lock is None:
            return spec
        try:
            return pin(spec, self._lock, self._location)
        except UserError as error:
            self._conflicts[spec.name] = str(error)
            return spec

    def _compare(self, split: SuiteSplit) -> str | None:
        """Return a message if a split is not the lock's, as far as is known without downloading it."""
        if self._lock is None:
            return None
        located, entry = split.located, self._lock.find(split.key)
        if located.is_start:
            size, locked = located.bytes_at_url, entry.bytes if entry else None
            is_cut = isinstance(located.reading, UrlData) and located.reading.first_lines is not None
            if size is None or is_cut or locked in (None, size):
                return disagreement(self._lock, split, None)
            assert entry is not None
            return f"{self._lock.place(entry)}: {located} has {size:,} bytes and not the lock's {locked:,}"
        if not located.on_hub:
            return disagreement(self._lock, split, located.fingerprint)
        is_comparable = entry is not None and entry.revision is not None and not is_offline(self._location)
        return disagreement(self._lock, split, stored_sha256(located) if is_comparable else None)

    def _failure(self, use: SplitUse, key: Key, error: UserError) -> CheckedSplit:
        pinned = self._lock.lock.revisions.get(key[0]) if self._lock else None
        state: State = "not readable"
        if isinstance(error, MissingRevisionError):
            state = "moved" if pinned is None else "differs from the lock"
        elif isinstance(error, MissingSplitError) or (isinstance(error, MissingFileError) and error.near):
            state = "moved"
        elif isinstance(error, MissingConfigError) and error.near:
            state = "renamed"
        return CheckedSplit(*key, state, (use.spec.name,), problems=(str(error),))

    def _add(self, split: CheckedSplit) -> None:
        other = self._splits.setdefault(split.key, split)
        self._splits[split.key] = replace(
            max(split, other, key=lambda each: _SEVERITY.index(each.state)),
            read_by=_union(other.read_by, split.read_by),
            columns=_union(other.columns, split.columns),
            labels=other.labels or split.labels,
            problems=_union(other.problems, split.problems),
        )


def _union(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _check_rows(use: SplitUse, located: LocatedSplit, location: DataLocation) -> tuple[tuple[str, ...], str]:
    """Check the columns that are read, and return them and how the labels relate to the task's."""
    if isinstance(use.spec, Task):
        task, part = use.spec, use.spec.part(use.language, use.split)
        columns = part.columns or task.columns
        rows = read_first_rows(located, partial(_pick_columns, columns, located), location)
        if rows is None:
            return (), ""
        for name in _TEXTS:
            if (written := getattr(columns, name)) is not None:
                check_strings(rows.features, pick_column(written, list(rows.features), located), located)
        return tuple(rows.features), _check_labels(task, part, columns, located, rows)
    corpus, pair = use.spec, (use.source_language, use.language)
    rows = read_first_rows(located, partial(pair_columns, corpus, pair, located), location)
    if rows is None:
        return (), ""
    check_pair_columns(corpus, pair, located, rows.features)
    return tuple(rows.features), ""


def _pick_columns(columns: Columns, located: LocatedSplit, there: Sequence[str]) -> list[str]:
    """Return the columns that a task reads."""
    written = columns.model_dump(exclude_none=True).values()
    return [pick_column(name, there, located) for name in written]


def _check_labels(task: Task, part: Part, columns: Columns, located: LocatedSplit, rows: Rows) -> str:
    """Check the names of the data's labels, or the labels of the first rows, and describe them."""
    column = columns.labels or columns.label
    if column is None:
        return ""
    feature = rows.features[column]
    feature = getattr(feature, "feature", feature) if columns.labels else feature
    numbers = label_numbers(feature, column, task, part.label_map, located)
    for position, value in enumerate(rows.columns[column]):
        for label in (value or []) if columns.labels else [value]:
            if label not in numbers and label not in (None, -1):
                refuse_label(rows.place(position), label, task)
    names = getattr(feature, "names", None)
    if names is None:
        return "names in rows" if getattr(feature, "dtype", "") in STRINGS else "numbers"
    mapped = dict.fromkeys(part.label_map.get(name, name) for name in names if name != UNSPECIFIED)
    in_order = list(mapped) == [label for label in task.labels if label != UNSPECIFIED]
    return "as in the task" if in_order else "in another order, read by name"
