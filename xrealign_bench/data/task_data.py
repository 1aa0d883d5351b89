"""The labelled sentences of a task in one language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xrealign_bench.data.rows import read_rows
from xrealign_bench.data.sources import Located, locate
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs import EmbeddedData, Task

NOT_LABELLED = -100
"""Label of a word that neither trains nor counts."""

UNSPECIFIED = "_"
"""CoNLL-U's mark of a value that is not given, a label of the Hub's Universal Dependencies: such words stay
in the sentence and are not labelled."""

Split = Literal["train", "test"]


@dataclass(frozen=True)
class TaskData:
    """Sentences of one language, column by column."""

    language: str
    words: list[list[str]]
    labels: list[list[int]]
    """Positions in the task's list of labels; NOT_LABELLED: none."""
    groups: list[list[str]] | None
    """A group name a word, where the task has groups."""
    dropped: dict[str, int]
    """Rule -> how many sentences it dropped."""
    located: Located

    @property
    def fingerprint(self) -> str:
        return self.located.fingerprint


def locate_task(task: Task, language: str, split: Split, data_root: Path | None, offline: bool) -> Located:
    """Find the data of a task in one language; no row is read.

    Raises:
        UserError: the task has no data in that language, or they are not there.
    """
    if language not in task.configs:
        raise unknown(f"language of the task '{task.name}':", language, task.configs)
    name = task.train_split if split == "train" else task.test_split
    return locate(task.source, task.configs[language], name, data_root, offline)


def load_task(
    task: Task, language: str, split: Split, data_root: Path | None, offline: bool, limit: int | None = None
) -> TaskData:
    """Read the first sentences of a task in one language, and check them.

    Args:
        limit: read at most so many examples, even where the task allows more.

    Raises:
        UserError: no such language, no data, labels that the task does not list, words and labels of unequal
            number, or nothing left.
    """
    located = locate_task(task, language, split, data_root, offline)
    allowed = task.train_examples if split == "train" else task.test_examples
    size = min((n for n in (limit, allowed) if n is not None), default=None)
    groups: list[list[str]] | None
    if isinstance(task.source, EmbeddedData):
        words, names, groups = _generate(task, located, split, size)
        numbers: Mapping[Any, int] = _numbers(phrases.TAGS, task, located)
    else:
        columns = [c for c in (task.columns.words, task.columns.labels, task.columns.groups) if c is not None]
        data = read_rows(located, columns, size, offline)
        numbers = _numbers_of(data.features, task, located)
        read = data[:]
        words, names = read[task.columns.words], read[task.columns.labels]
        groups = read[task.columns.groups] if task.columns.groups else None
    return _checked(task, language, located, words, names, groups, numbers)


def _generate(
    task: Task, located: Located, split: Split, size: int | None
) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    if size is None:
        raise UserError(f"task '{task.name}': embedded data have no end; set {split}_examples")
    rows = phrases.task_rows(str(located.config), split, size)
    return [row.words for row in rows], [row.labels for row in rows], [row.groups for row in rows]


def _numbers_of(features: Mapping[str, Any], task: Task, located: Located) -> Mapping[Any, int]:
    """The data's label values -> positions in the task's list, after a look at the columns' types."""
    words = _item_type(features, task.columns.words, located)
    if getattr(words, "dtype", None) not in ("string", "large_string"):
        raise UserError(
            f"{located}: column '{task.columns.words}' holds {words} and not words; name another in 'columns'"
        )
    labels = _item_type(features, task.columns.labels, located)
    names = getattr(labels, "names", None)
    if names is not None:
        by_name = _numbers(names, task, located)
        return {value: by_name[name] for value, name in enumerate(names)}
    if getattr(labels, "dtype", None) in ("string", "large_string"):
        return {name: number for number, name in enumerate(task.labels)} | _unspecified(task)
    raise UserError(
        f"{located}: column '{task.columns.labels}' holds {labels} without names, so nothing says what they "
        "mean; the data need a ClassLabel or strings"
    )


def _item_type(features: Mapping[str, Any], column: str, located: Located) -> Any:
    inner = getattr(features[column], "feature", None)
    if inner is None:
        raise UserError(
            f"{located}: column '{column}' is no list with an entry for each word; name another in 'columns'"
        )
    return inner


def _numbers(names: Sequence[str], task: Task, located: Located) -> dict[str, int]:
    """The data's label names -> positions in the task's list; both must know the same names."""
    mine = {name: number for number, name in enumerate(task.labels)} | _unspecified(task)
    foreign = [name for name in names if name not in mine]
    absent = [name for name in task.labels if name not in names]
    if foreign or absent:
        sides = [f"the data have {', '.join(foreign)} and the task does not"] if foreign else []
        sides += [f"the task has {', '.join(absent)} and the data do not"] if absent else []
        raise UserError(f"task '{task.name}', {located}: labels differ: {'; '.join(sides)}; mend 'labels'")
    return mine


def _unspecified(task: Task) -> dict[str, int]:
    return {} if UNSPECIFIED in task.labels else {UNSPECIFIED: NOT_LABELLED}


def _checked(
    task: Task,
    language: str,
    located: Located,
    words: list[list[str]],
    names: list[list[Any]],
    groups: list[list[str]] | None,
    numbers: Mapping[Any, int],
) -> TaskData:
    dropped: Counter[str] = Counter()
    kept: list[int] = []
    labels: list[list[int]] = []
    for row, sentence in enumerate(words):
        where = f"{located}, row {row}"
        if not sentence:
            dropped["empty"] += 1
            continue
        if None in sentence:
            raise UserError(f"{where}: a word is null; mend the data")
        for what, entries in (("labels", names[row]), ("groups", groups[row] if groups else sentence)):
            if len(entries or []) != len(sentence):
                raise UserError(f"{where}: {len(sentence)} words and {len(entries or [])} {what}; mend the data")
        strange = [name for name in names[row] if name not in numbers]
        if strange:
            raise UserError(
                f"{where}: the label {strange[0]!r} is none of the task '{task.name}' ({', '.join(task.labels)})"
            )
        kept.append(row)
        labels.append([numbers[name] for name in names[row]])
    if not kept:
        raise UserError(f"{located}: has no sentence with a word; there is nothing to train on or to score")
    return TaskData(
        language=language,
        words=[words[row] for row in kept],
        labels=labels,
        groups=[groups[row] for row in kept] if groups else None,
        dropped=dict(dropped),
        located=located,
    )
