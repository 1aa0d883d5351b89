"""A suite with everything that it names."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xrealign_bench.data.lock import SuiteLock, read_lock
from xrealign_bench.errors import Problems, UserError
from xrealign_bench.languages import distances, tercile_cuts
from xrealign_bench.specs import Corpus, Part, Suite, Task, find_spec_file
from xrealign_bench.specs.core_schema import Where
from xrealign_bench.specs.yaml import Check, Data, collect_spec, file_in_suite, is_another_type, place_of, read_fields

MOST_NAMES = 100
"""Tasks, and corpora, that are looked up for a suite; a valid one has no more."""

_CUT_DECIMALS = 7
"""A cut is midway between two distances of six decimals."""

Place = Callable[[], str]
"""Returns the place that names a task or corpus, for messages."""


@dataclass(frozen=True)
class LoadedSuite:
    """A suite, its tasks, its parallel corpora and its lock."""

    name_or_file: str
    suite: Suite
    """With the cuts of its distance bands, unless a language is unknown."""
    tasks: list[Task]
    """With no more test examples than the suite allows."""
    corpora: Mapping[str, Corpus]
    """The suite's corpora, and those of recipes that are evaluated on it."""
    lock: SuiteLock | None

    @property
    def is_complete(self) -> bool:
        """Whether every task and corpus of the suite is here, under the name that the suite gives it."""
        tasks = [task.name for task in self.tasks]
        return tasks == self.suite.tasks and self.corpora.keys() >= {*self.suite.parallel.corpora}


def load_suite(name_or_file: str) -> LoadedSuite:
    """Load a suite, and the tasks and corpora that it names.

    Args:
        name_or_file: a shipped suite, or a YAML file.

    Raises:
        UserError: the suite, or any of these specs, is missing or wrong; a line each.
    """
    problems = Problems()
    loaded = collect_suite(name_or_file, problems)
    problems.raise_if_any()
    assert loaded is not None
    return loaded


def compute_cuts(suite: Suite) -> Suite:
    """Return the suite with the cuts of its distance bands: its own, or the terciles of its targets' distances.

    Targets without a distance count in no band. Fewer than three different distances have no terciles; all of them
    are in the middle band then.

    Raises:
        UserError: a language is unknown.
    """
    if suite.bands.cuts is not None:
        return suite
    found = distances(suite.source_language, suite.target_languages, suite.bands.distance).values()
    known = [distance for distance in found if distance is not None]
    cuts = tercile_cuts(known) if len(set(known)) >= 3 else (0.0, 1.0)
    rounded = round(cuts[0], _CUT_DECIMALS), round(cuts[1], _CUT_DECIMALS)
    return suite.model_copy(update={"bands": suite.bands.model_copy(update={"cuts": rounded})})


def development_part(loaded: LoadedSuite) -> LoadedSuite | None:
    """Return the suite with development data in place of test data, for choosing recipes without a board's test sets.

    A task is scored on its development split, and in the suite's development languages on its test split, since no
    board shows them. The source language, which is in no average, keeps its test split where a task has no other.
    None if no task has development data in a target language.
    """
    suite, further = loaded.suite, loaded.suite.development_languages
    tasks = [_development_task(task, {suite.source_language, *further}) for task in loaded.tasks]
    tasks = [task for task in tasks if set(task.languages) - {suite.source_language}]
    if not tasks:
        return None
    scored = {language for task in tasks for language in task.languages}
    names = [task.name for task in tasks]
    changes = {
        "is_development": True,
        "target_languages": [code for code in (*suite.target_languages, *further) if code in scored],
        "tasks": names,
        "finetuning_by_task": {name: each for name, each in suite.finetuning_by_task.items() if name in names},
        "test_examples_by_task": {name: n for name, n in suite.test_examples_by_task.items() if name in names},
    }
    return replace(loaded, suite=suite.model_copy(update=changes), tasks=tasks)


def _development_task(task: Task, by_test_split: Container[str]) -> Task:
    """Return a task that tests on development data; without a development split, in some languages only."""

    def in_part(part: Task | Part) -> dict[str, Any]:
        if part.development_split is not None:
            return {"test_split": part.development_split}
        return {"configs": {code: config for code, config in part.configs.items() if code in by_test_split}}

    also = [part.model_copy(update=in_part(part)) for part in task.also]
    return task.model_copy(update={**in_part(task), "also": [part for part in also if part.configs]})


def collect_suite(
    name_or_file: str,
    problems: Problems,
    *,
    check: Check = lambda path, model, fields: (),
    corpora: Mapping[str, Place] | None = None,
) -> LoadedSuite | None:
    """Load a suite with every task and corpus that can be read, and add the problems of all of these files.

    A suite that is invalid still has its tasks and corpora checked, if their names can be read.

    Args:
        name_or_file: a shipped suite, or a YAML file.
        problems: where to add problems, a line each.
        check: finds problems of each file beyond those of the schema.
        corpora: corpora to load besides the suite's -> the place that names them, for messages.

    Returns:
        The suite without the tasks and corpora that are missing or invalid, or None if it is invalid itself.
    """
    path = problems.attempt(partial(find_spec_file, name_or_file, Suite))
    fields = None if path is None else problems.attempt(partial(read_fields, path))
    if path is None or fields is None:
        return None
    suite = collect_spec(path, Suite, problems, check)
    if suite is None and is_another_type(fields, Suite):
        return None

    def collect(names: Mapping[str, Place], model: type[Data]) -> Iterator[Data]:
        for name, place in names.items():
            try:
                file = file_in_suite(name, model, name_or_file)
            except UserError as error:
                problems.add([f"{place()}: {error}"])
                continue
            spec = collect_spec(file, model, problems, check)
            if spec is not None:
                yield spec

    tasks = list(collect(_places(path, _task_names(fields)), Task))
    of_suite = _places(path, _corpus_names(fields))
    found = {corpus.name: corpus for corpus in collect({**(corpora or {}), **of_suite}, Corpus)}
    lock = problems.attempt(partial(read_lock, name_or_file))
    if suite is None:
        return None
    with suppress(UserError):  # `check` finds unknown languages, with their lines
        suite = compute_cuts(suite)
    return LoadedSuite(name_or_file, suite, [suite.limit_test_examples(task) for task in tasks], found, lock)


def _places(path: Path, fields: Iterable[tuple[Where, Any]]) -> dict[str, Place]:
    """Return the names with their places in the suite's file; values that can't be names are left to the schema."""
    names = [(name, field) for field, name in fields if isinstance(name, str) and name and "/" not in name]
    return {name: partial(place_of, path, field) for name, field in names[:MOST_NAMES]}


def _task_names(fields: Mapping[str, Any]) -> Iterator[tuple[Where, Any]]:
    tasks = fields.get("tasks")
    for number, name in enumerate(tasks if isinstance(tasks, list) else []):
        yield ("tasks", str(number)), name


def _corpus_names(fields: Mapping[str, Any]) -> Iterator[tuple[Where, Any]]:
    parallel = fields.get("parallel")
    if isinstance(parallel, dict):
        yield ("parallel", "corpus"), parallel.get("corpus")
        additional = parallel.get("additional_corpora")
        for number, name in enumerate(additional if isinstance(additional, list) else []):
            yield ("parallel", "additional_corpora", str(number)), name
        others = parallel.get("other_corpora")
        for name in others if isinstance(others, dict) else {}:
            yield ("parallel", "other_corpora", name), name
