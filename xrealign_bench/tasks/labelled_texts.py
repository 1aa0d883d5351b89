"""Read the texts, or pairs of texts, of a classification task in one language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from xrealign_bench.data.examples import Split, check_strings, locate_task, read_examples
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task
from xrealign_bench.tasks.labels import NOT_LABELLED, label_numbers, refuse_label

_UNLABELLED = {None: NOT_LABELLED, -1: NOT_LABELLED}
"""Missing labels in ClassLabel columns: null, and the -1 of test sets whose labels are kept secret."""


@dataclass(frozen=True)
class TextData:
    """Labelled texts of one language, as columns."""

    language: str
    rows: list[int]
    """Rows in the data. Translations of one example have the same row in all languages, even if rows are dropped."""
    text: list[str]
    text_pair: list[str] | None
    """The second text of each example, if the task has pairs."""
    labels: list[int]
    """Positions in the task's list of labels."""
    dropped: dict[str, int]
    """Rule -> number of examples dropped: `empty` (a text is only white space), `unlabelled`."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> TextData:
    """Read and check the examples of a classification task in one language.

    Args:
        task: the task.
        language: code of the language.
        split: training or test data.
        location: where data sets are.
        limit: maximum number of examples, if lower than the task's own.

    Raises:
        UserError: the language or its data are missing, a text is null, a label is not in the task's list, or no
            example is left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language, split)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data are tagged words and no labelled texts; name others")
    columns = part.columns or task.columns
    sides = [str(column) for column in (columns.text, columns.text_pair) if column]
    label = str(columns.label)
    data = read_examples(task, split, limit, located, [*sides, label], location.offline)
    for column in sides:
        check_strings(data.features, column, located)
    numbers = label_numbers(data.features[label], label, task, part.label_map, located)
    dropped: Counter[str] = Counter()
    rows: list[int] = []
    texts: list[list[str]] = []
    labels: list[int] = []
    foreign = [place for place, name in enumerate(data.columns[label]) if name not in numbers | _UNLABELLED]
    if foreign:
        refuse_label(data.place(foreign[0]), data.columns[label][foreign[0]], task, len(foreign) - 1)
    examples = zip(data.numbers, *(data.columns[column] for column in (label, *sides)), strict=True)
    for position, (row, name, *example) in enumerate(examples):
        for column, text in zip(sides, example, strict=True):
            if text is None:
                raise UserError(f"{data.place(position)}: '{column}' is null; mend the data")
        number = numbers.get(name, NOT_LABELLED)
        if number == NOT_LABELLED:
            dropped["unlabelled"] += 1
        elif not all(text.strip() for text in example):
            dropped["empty"] += 1
        else:
            rows.append(row)
            texts.append(example)
            labels.append(number)
    if not texts:
        raise UserError(f"{located}: has no text with a label{_say(dropped)}; there is nothing to train on or to score")
    text, *pair = (list(side) for side in zip(*texts, strict=True))
    return TextData(language, rows, text, pair[0] if pair else None, labels, dict(dropped), located)


def _say(dropped: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{count} {rule}' for rule, count in dropped.items())})" if dropped else ""
