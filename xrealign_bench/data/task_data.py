"""What the kinds of tasks share: where a task's data lie, how many are read, and what their labels are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from xrealign_bench.data.parquet import Rows, count_rows, read_rows
from xrealign_bench.data.sources import DataLocation, Located, locate
from xrealign_bench.errors import UserError, unknown
from xrealign_bench.specs import HubData, Task

NOT_LABELLED = -100
"""Label of a word that neither trains nor counts."""

STRINGS = ("string", "large_string")
WHOLE_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NUMBER = re.compile("-?[0-9]+")

UNSPECIFIED = "_"
"""CoNLL-U's mark of a value that is not given, a label of the Hub's Universal Dependencies: such words stay
in the sentence and are not labelled."""

MEND_LABEL = "add it to 'labels', map it in 'label_map', or mend the data"

CHOSEN_EXAMPLES = "evenly spread"
"""Which examples are read where not all of them are: part of the key of what was read."""

Split = Literal["train", "test"]


def locate_task(task: Task, language: str, split: Split, location: DataLocation) -> Located:
    """Find the data of a task in one language; no row is read.

    Raises:
        UserError: the task has no data in that language, or they are not there.
    """
    if language not in task.languages:
        raise unknown(f"language of the task '{task.name}':", language, task.languages)
    part = task.part(language)
    name = task.train_split if split == "train" else part.test_split
    return locate(part.source, part.configs[language], name, location)


def examples_to_read(task: Task, split: Split, limit: int | None) -> int | None:
    """At most so many; None: all."""
    allowed = task.train_examples if split == "train" else task.test_examples
    return min((n for n in (limit, allowed) if n is not None), default=None)


def count_examples(task: Task, language: str, split: Split, limit: int | None, location: DataLocation) -> int:
    """How many examples of a task are read, before rules drop any; no row is read.

    Raises:
        UserError: the data are not there, or have no end.
    """
    wanted = examples_to_read(task, split, limit)
    if not isinstance(task.part(language).source, HubData):
        if wanted is None:
            raise UserError(f"task '{task.name}': embedded data have no end; set {split}_examples")
        return wanted
    there = max(0, count_rows(locate_task(task, language, split, location), location.offline) - task.skip_examples)
    return there if wanted is None else min(there, wanted)


def read_examples(
    task: Task, split: Split, limit: int | None, located: Located, columns: Sequence[str], offline: bool
) -> Rows:
    """Read these columns of a task's examples.

    Raises:
        UserError: a file that can't be read, or a column that does not exist.
    """

    def choose(there: int) -> list[int]:
        skipped = min(task.skip_examples, there)
        return [skipped + row for row in spread_rows(there - skipped, examples_to_read(task, split, limit))]

    return read_rows(located, columns, offline, choose)


def spread_rows(there: int, wanted: int | None) -> list[int]:
    """So many row numbers out of `there` (None: all), evenly spread.

    Not the first ones: many data sets are sorted, and the first of sorted topics are of one topic. The same in all
    languages of a parallel data set.
    """
    if wanted is None or wanted >= there:
        return list(range(there))
    return [place * there // wanted for place in range(wanted)]


def check_strings(features: Mapping[str, Any], column: str, located: Located) -> None:
    """Refuse a column that holds anything but one string a row.

    Raises:
        UserError: it does.
    """
    if getattr(features[column], "dtype", None) not in STRINGS:
        raise UserError(
            f"{located}: column '{column}' holds {features[column]} and not texts; name another in 'columns'"
        )


def label_numbers(
    labels: Any, column: str, task: Task, label_map: Mapping[str, str], located: Located
) -> dict[Any, int]:
    """The data's label values -> positions in the task's list.

    Args:
        labels: the column's type: a ClassLabel; or strings, or whole numbers that `label_map` names, whose values are
            then checked row by row.
        column: its name.
        label_map: the data's label -> the task's, for those that are called otherwise.

    Raises:
        UserError: the data and the task know different labels, or nothing says what the values mean.
    """
    names = getattr(labels, "names", None)
    if names is not None:
        by_name = numbers_of_names(names, task, label_map, located)
        return {value: by_name[name] for value, name in enumerate(names)}
    if getattr(labels, "dtype", None) in STRINGS:
        return _known_names(task, label_map)
    if getattr(labels, "dtype", None) in WHOLE_NUMBERS and label_map and all(map(_NUMBER.fullmatch, label_map)):
        return {int(value): task.labels.index(to) for value, to in label_map.items()}
    raise UserError(
        f"{located}: column '{column}' holds {labels} without names, so nothing says what they "
        "mean; the data need a ClassLabel or strings, or the task a label_map of whole numbers ('0': NAME)"
    )


def numbers_of_names(
    names: Sequence[str], task: Task, label_map: Mapping[str, str], located: Located
) -> dict[str, int]:
    """The data's label names -> positions in the task's list; both must know the same names."""
    known = _known_names(task, label_map)
    foreign = [name for name in names if name not in known]
    reached = {label_map.get(name, name) for name in names}
    absent = [name for name in task.labels if name not in reached]
    unmapped = [name for name in label_map if name not in names]
    if foreign or absent or unmapped:
        sides = [f"the data have {', '.join(foreign)} and the task does not"] if foreign else []
        sides += [f"the task has {', '.join(absent)} and the data do not"] if absent else []
        sides += [f"label_map names {', '.join(unmapped)}, which the data do not have"] if unmapped else []
        raise UserError(
            f"task '{task.name}', {located}: labels differ: {'; '.join(sides)}; mend 'labels' or 'label_map'"
        )
    return known


def _known_names(task: Task, label_map: Mapping[str, str]) -> dict[str, int]:
    mine = {name: number for number, name in enumerate(task.labels) if name not in label_map}
    mapped = {name: task.labels.index(to) for name, to in label_map.items()}
    unspecified = {} if UNSPECIFIED in task.labels else {UNSPECIFIED: NOT_LABELLED}
    return mine | mapped | unspecified
