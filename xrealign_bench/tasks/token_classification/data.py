"""The sentences of a word-tagging task in one language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xrealign_bench.data.examples import STRINGS, Split, examples_to_read, locate_task, read_examples
from xrealign_bench.data.sources import DataLocation, LocatedSplit
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task
from xrealign_bench.tasks.labels import MEND_LABEL, NOT_LABELLED, UNSPECIFIED, label_numbers, numbers_of_names


@dataclass(frozen=True)
class WordData:
    """Sentences of one language, column by column."""

    language: str
    rows: list[int]
    """Row in the data: the same example has the same in all languages of a parallel data set, dropped rows or not."""
    words: list[list[str]]
    labels: list[list[int]]
    """Positions in the task's list of labels; NOT_LABELLED: none."""
    groups: list[list[str]] | None
    """A group name a word, where the task has groups."""
    dropped: dict[str, int]
    """Rule -> how many sentences it dropped: `empty`, `without_forms` (every word is `_`, as in treebanks whose texts
    are not free)."""
    located: LocatedSplit
    repaired: dict[str, int] = field(default_factory=dict)
    """Rule -> how many labels it changed: `i_without_b` (see `_begin_entities`)."""

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> WordData:
    """Read the sentences of a task in one language, and check them.

    Entity labels that break IOB2 are repaired and counted; sentences without words are dropped and counted.

    Args:
        limit: read at most so many examples, even where the task allows more.

    Raises:
        UserError: no such language, no data, labels that the task does not list, words and labels of unequal
            number, or nothing left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language)
    groups: list[list[str]] | None
    if isinstance(part.source, EmbeddedData):
        words, names, groups = _generate(task, located, split, examples_to_read(task, split, limit))
        rows: Sequence[int] = range(len(words))
        numbers: Mapping[Any, int] = numbers_of_names(phrases.TAGS, task, part.label_map, located)
    else:
        columns = part.columns or task.columns
        read_columns = [c for c in (columns.words, columns.labels, columns.groups) if c]
        data = read_examples(task, split, limit, located, read_columns, location.offline)
        _check_words(data.features, str(columns.words), located)
        labels = _item_type(data.features, str(columns.labels), located)
        numbers = label_numbers(labels, str(columns.labels), task, part.label_map, located)
        rows, read = data.numbers, data.columns
        words, names = read[str(columns.words)], read[str(columns.labels)]
        groups = read[columns.groups] if columns.groups else None
    return _checked(task, language, located, rows, words, names, groups, numbers)


def _generate(
    task: Task, located: LocatedSplit, split: Split, size: int | None
) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    if size is None:
        raise UserError(f"task '{task.name}': embedded data have no end; set {split}_examples")
    rows = phrases.task_rows(str(located.config), split, size)
    return [row.words for row in rows], [row.labels for row in rows], [row.groups for row in rows]


def _check_words(features: Mapping[str, Any], column: str, located: LocatedSplit) -> None:
    words = _item_type(features, column, located)
    if getattr(words, "dtype", None) not in STRINGS:
        raise UserError(f"{located}: column '{column}' holds {words} and not words; name another in 'columns'")


def _item_type(features: Mapping[str, Any], column: str, located: LocatedSplit) -> Any:
    inner = getattr(features[column], "feature", None)
    if inner is None:
        raise UserError(
            f"{located}: column '{column}' is no list with an entry for each word; name another in 'columns'"
        )
    return inner


def _checked(
    task: Task,
    language: str,
    located: LocatedSplit,
    rows: Sequence[int],
    words: list[list[str]],
    names: list[list[Any]],
    groups: list[list[str]] | None,
    numbers: Mapping[Any, int],
) -> WordData:
    dropped: Counter[str] = Counter()
    kept: list[int] = []
    labels: list[list[int]] = []
    repaired = 0
    begins = _begins(task)
    for place, sentence in enumerate(words):
        where = f"{located}, row {rows[place]}"
        if not sentence:
            dropped["empty"] += 1
            continue
        if all(word == UNSPECIFIED for word in sentence):
            dropped["without_forms"] += 1
            continue
        if None in sentence:
            raise UserError(f"{where}: a word is null; mend the data")
        for what, entries in (("labels", names[place]), ("groups", groups[place] if groups else sentence)):
            if len(entries or []) != len(sentence):
                raise UserError(f"{where}: {len(sentence)} words and {len(entries or [])} {what}; mend the data")
        if groups and None in groups[place]:
            raise UserError(f"{where}: a group is null; mend the data")
        strange = [name for name in names[place] if name not in numbers]
        if strange:
            raise UserError(
                f"{where}: the label {strange[0]!r} is none of the task '{task.name}' ({', '.join(task.labels)}); "
                f"{MEND_LABEL}"
            )
        kept.append(place)
        labels.append([numbers[name] for name in names[place]])
        repaired += _begin_entities(labels[-1], begins)
    if not kept and dropped["without_forms"]:
        raise UserError(
            f"{located}: every word is '{UNSPECIFIED}', so it was published without its texts; merge them in as its "
            "README says, or leave the language out"
        )
    if not kept:
        raise UserError(f"{located}: has no sentence with a word; there is nothing to train on or to score")
    return WordData(
        language=language,
        rows=[rows[place] for place in kept],
        words=[words[place] for place in kept],
        labels=labels,
        groups=[groups[place] for place in kept] if groups else None,
        dropped=dict(dropped),
        located=located,
        repaired={"i_without_b": repaired} if repaired else {},
    )


def _begins(task: Task) -> dict[int, int]:
    """Return the number of B-X for the number of each I-X; nothing if the task is not about entities."""
    if task.metric != "entity_f1":
        return {}
    inside = [name for name in task.labels if name.startswith("I-")]
    return {task.labels.index(name): task.labels.index(f"B-{name[2:]}") for name in inside}


def _begin_entities(labels: list[int], begins: Mapping[int, int]) -> int:
    """Turn each I-X that goes on no entity of type X into B-X, in place, and return how many there were.

    CoNLL's own evaluation reads such labels so. The metric reads IOB2 strictly: without this it would take no entity
    here for right. Of data in IOB1 or IO, where entities begin with I-X, it makes IOB2.
    """
    repaired, before = 0, NOT_LABELLED
    for place, label in enumerate(labels):
        if label in begins and before not in (label, begins[label]):
            labels[place] = begins[label]
            repaired += 1
        before = labels[place]
    return repaired
