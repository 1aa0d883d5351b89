"""Labels: the data's own names for them, and their positions in a task's list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from xrealign_bench.data.examples import STRINGS, WHOLE_NUMBERS
from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task

NOT_LABELLED = -100
"""Label number of words that are neither trained on nor scored."""


_NUMBER = re.compile("-?[0-9]+")


UNSPECIFIED = "_"
"""CoNLL-U's mark of an unspecified value, a label in the Hub's Universal Dependencies. Such words stay in the sentence
without a label, unless the task lists it: then it is a class like others (lines of multiword tokens have it)."""


def refuse_label(where: str, label: Any, task: Task, others: int = 0) -> NoReturn:
    """Raise the error for a label of the data that the task does not list, and count the others."""
    more = f", and so for {others:,} more of these data" if others else ""
    raise UserError(
        f"{where}: the label {label!r} is none of the task '{task.name}' ({', '.join(task.labels)}){more}; "
        "add it to 'labels', map it in 'label_map', or mend the data"
    )


def label_numbers(
    labels: Any, column: str, task: Task, label_map: Mapping[str, str], located: LocatedSplit
) -> dict[Any, int]:
    """Map the data's label values to positions in the task's list.

    Args:
        labels: type of the column: a ClassLabel, strings, or whole numbers, which are positions in the task's list
            unless `label_map` or the list itself has numbers. Strings and numbers have to be checked row by row.
        column: name of the column.
        task: the task.
        label_map: the data's label -> the task's label, where the names differ.
        located: the data, for error messages.

    Raises:
        UserError: the data and the task have different labels, or the values have no names.
    """
    names = getattr(labels, "names", None)
    if names is not None:
        by_name = numbers_of_names(names, task, label_map, located)
        return {value: by_name[name] for value, name in enumerate(names)}
    if getattr(labels, "dtype", None) in STRINGS:
        return _known_names(task, label_map)
    if getattr(labels, "dtype", None) in WHOLE_NUMBERS:
        if label_map and all(map(_NUMBER.fullmatch, label_map)):
            return {int(value): task.labels.index(to) for value, to in label_map.items()}
        if not label_map and all(map(_NUMBER.fullmatch, task.labels)):
            return {int(name): number for number, name in enumerate(task.labels)}
        if not label_map:
            return {number: number for number in range(len(task.labels))}
    raise UserError(
        f"{located}: column '{column}' holds {labels} without names, so nothing says what they "
        "mean; the data need a ClassLabel, strings or positions in 'labels', or the task a label_map of whole numbers "
        "('0': NAME)"
    )


def numbers_of_names(
    names: Sequence[str], task: Task, label_map: Mapping[str, str], located: LocatedSplit
) -> dict[str, int]:
    """Map the data's label names to positions in the task's list. Both must have the same labels."""
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
