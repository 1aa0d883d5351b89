"""The texts of a classification task in one language: single ones, or pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xrealign_bench.data.examples import Split, check_strings, locate_task, read_examples
from xrealign_bench.data.sources import DataLocation, LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task
from xrealign_bench.tasks.labels import MEND_LABEL, NOT_LABELLED, label_numbers

_UNLABELLED = (None, -1)
"""What stands for a missing label in ClassLabel columns: null, and the -1 of test sets whose labels are kept secret."""


@dataclass(frozen=True)
class TextData:
    """Labelled texts of one language, column by column."""

    language: str
    rows: list[int]
    """Row in the data: the same example has the same in all languages of a parallel data set, dropped rows or not."""
    text: list[str]
    text_pair: list[str] | None
    """The second text of each example, where the task has pairs."""
    labels: list[int]
    """Positions in the task's list of labels."""
    dropped: dict[str, int]
    """Rule -> how many examples it dropped: `empty` (a text that is nothing but space), `unlabelled`."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> TextData:
    """Read the examples of a classification task in one language, and check them.

    Args:
        limit: read at most so many examples, even where the task allows more.

    Raises:
        UserError: no such language, no data, a text that is null, labels that the task does not list, or nothing left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data are tagged words and no labelled texts; name others")
    columns = part.columns or task.columns
    sides = [str(column) for column in (columns.text, columns.text_pair) if column]
    label = str(columns.label)
    data = read_examples(task, split, limit, located, [*sides, label], location.offline)
    for column in sides:
        check_strings(data.features, column, located)
    numbers = label_numbers(data.features[label], label, task, part.label_map, located)
    read = data.columns
    return _checked(task, language, located, data.numbers, {side: read[side] for side in sides}, read[label], numbers)


def _checked(
    task: Task,
    language: str,
    located: LocatedSplit,
    rows: Sequence[int],
    sides: Mapping[str, Sequence[str | None]],
    names: Sequence[Any],
    numbers: Mapping[Any, int],
) -> TextData:
    dropped: Counter[str] = Counter()
    kept: list[int] = []
    texts: list[list[str]] = []
    labels: list[int] = []
    for row, name, *read in zip(rows, names, *sides.values(), strict=True):
        where = f"{located}, row {row}"
        null = [column for column, text in zip(sides, read, strict=True) if text is None]
        if null:
            raise UserError(f"{where}: '{null[0]}' is null; mend the data")
        if name not in numbers and name not in _UNLABELLED:
            raise UserError(
                f"{where}: the label {name!r} is none of the task '{task.name}' ({', '.join(task.labels)}); "
                f"{MEND_LABEL}"
            )
        number = numbers.get(name, NOT_LABELLED)
        given = [str(text) for text in read]
        if number == NOT_LABELLED:
            dropped["unlabelled"] += 1
        elif not all(text.strip() for text in given):
            dropped["empty"] += 1
        else:
            kept.append(row)
            texts.append(given)
            labels.append(number)
    if not texts:
        raise UserError(f"{located}: has no text with a label{_say(dropped)}; there is nothing to train on or to score")
    text, *pair = (list(side) for side in zip(*texts, strict=True))
    return TextData(language, kept, text, pair[0] if pair else None, labels, dict(dropped), located)


def _say(dropped: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{count} {rule}' for rule, count in dropped.items())})" if dropped else ""
