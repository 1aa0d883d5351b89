"""A suite with everything that it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from xrealign_bench.data.lock import SuiteLock, read_lock
from xrealign_bench.errors import Problems
from xrealign_bench.specs import Corpus, Suite, Task, find_in_suite, find_spec


@dataclass(frozen=True)
class LoadedSuite:
    """A suite, its tasks, its parallel corpora and its lock."""

    name_or_file: str
    suite: Suite
    tasks: list[Task]
    """With no more test examples than the suite allows."""
    corpora: Mapping[str, Corpus]
    """The suite's corpora, and those of recipes that are evaluated on it."""
    lock: SuiteLock | None


def load_suite(name_or_file: str, corpora: Iterable[str] = ()) -> LoadedSuite:
    """Load a suite, and the tasks and corpora that it names.

    Args:
        name_or_file: a shipped suite, or a YAML file.
        corpora: corpora to load besides the suite's.

    Raises:
        UserError: the suite, or any of these specs, is missing or wrong; a line each.
    """
    suite = find_spec(name_or_file, Suite)
    problems = Problems()
    tasks = [problems.attempt(partial(find_in_suite, name, Task, name_or_file)) for name in suite.tasks]
    names = sorted({*suite.parallel.corpora, *corpora})
    found = [problems.attempt(partial(find_in_suite, name, Corpus, name_or_file)) for name in names]
    lock = problems.attempt(partial(read_lock, name_or_file))
    problems.raise_if_any()
    capped = [suite.limit_test_examples(task) for task in tasks if task is not None]
    return LoadedSuite(name_or_file, suite, capped, {corpus.name: corpus for corpus in found if corpus}, lock)
