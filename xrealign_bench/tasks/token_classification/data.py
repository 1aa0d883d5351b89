"""Read the sentences of a word-tagging task in one language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xrealign_bench.data.examples import STRINGS, Split, examples_to_read, locate_task, read_examples
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task
from xrealign_bench.tasks.labels import NOT_LABELLED, UNSPECIFIED, label_numbers, numbers_of_names, refuse_label
from xrealign_bench.tasks.token_classification.resegmentation import resegment


@dataclass(frozen=True)
class WordData:
    """Sentences of one language, as columns."""

    language: str
    rows: list[int]
    """Rows in the data. Translations of one example have the same row in all languages, even if rows are dropped."""
    words: list[list[str]]
    labels: list[list[int]]
    """Positions in the task's list of labels; NOT_LABELLED if the word has no label."""
    groups: list[list[str]] | None
    """The group of each word, if the task has groups."""
    dropped: dict[str, int]
    """Rule -> number of sentences dropped: `empty`, `without_forms` (every word is `_`, as in treebanks whose texts are
    not free)."""
    located: LocatedSplit
    repaired: dict[str, int] = field(default_factory=dict)
    """Rule -> number of labels changed: `i_without_b` (see `_repair_iob2`)."""
    altered: dict[str, int] = field(default_factory=dict)
    """Rule -> number of sentences changed: `segmented` (other words than in the data, see `resegmentation`)."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class _Sentences:
    """Sentences as they are in the data."""

    rows: Sequence[int]
    words: list[list[str]]
    labels: list[list[Any]]
    groups: list[list[str]] | None
    place: Callable[[int, int | None], str]
    """Return where a sentence, by its position, or one of its words is."""


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> WordData:
    """Read and check the sentences of a task in one language.

    Entity labels that break IOB2 are repaired and counted; sentences without words are dropped and counted.

    Args:
        task: the task.
        language: code of the language.
        split: training or test data.
        location: where data sets are.
        limit: maximum number of examples, if lower than the task's own.

    Raises:
        UserError: the language or its data are missing, a label is not in the task's list, a sentence has a different
            number of words and labels, or no sentence is left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language, split)
    numbers: Mapping[Any, int]
    if isinstance(part.source, EmbeddedData):
        sentences = _generate(task, located, split, examples_to_read(task, split, limit))
        numbers = numbers_of_names(phrases.TAGS, task, part.label_map, located)
    else:
        columns = part.columns or task.columns
        words, labels = str(columns.words), str(columns.labels)
        names = [name for name in (words, labels, columns.groups) if name]
        data = read_examples(task, split, limit, located, names, location.offline)
        _check_words(data.features, words, located)
        numbers = label_numbers(_item_type(data.features, labels, located), labels, task, part.label_map, located)
        groups = data.columns[columns.groups] if columns.groups else None
        sentences = _Sentences(data.numbers, data.columns[words], data.columns[labels], groups, data.place)
    return _checked(task, language, located, sentences, numbers)


def _generate(task: Task, located: LocatedSplit, split: Split, size: int | None) -> _Sentences:
    if size is None:
        raise UserError(f"task '{task.name}': embedded data have no end; set {split}_examples")
    rows = phrases.task_rows(str(located.config), split, size)
    return _Sentences(
        range(len(rows)),
        [row.words for row in rows],
        [row.labels for row in rows],
        [row.groups for row in rows],
        lambda position, word: f"{located}, row {position}",
    )


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
    task: Task, language: str, located: LocatedSplit, sentences: _Sentences, numbers: Mapping[Any, int]
) -> WordData:
    dropped: Counter[str] = Counter()
    kept: list[int] = []
    labels: list[list[int]] = []
    foreign: list[tuple[int, int, Any]] = []
    repaired = segmented = 0
    begins = _begins(task)
    inside = {first: then for then, first in begins.items()}
    words_read: list[list[str]] = []
    groups = sentences.groups
    for place, words in enumerate(sentences.words):
        if not words:
            dropped["empty"] += 1
            continue
        if all(word == UNSPECIFIED for word in words):
            dropped["without_forms"] += 1
            continue
        _check_sentence(sentences.place(place, None), words, sentences.labels[place], groups[place] if groups else None)
        kept.append(place)
        found = [(place, word, label) for word, label in enumerate(sentences.labels[place]) if label not in numbers]
        if found:
            foreign += found
            continue
        labels.append([numbers[label] for label in sentences.labels[place]])
        words_read.append(words)
        if language in task.segment:
            words_read[-1], labels[-1] = resegment(words, labels[-1], language, inside)
            segmented += words_read[-1] != words
        repaired += _repair_iob2(labels[-1], begins)
    if foreign:
        place, word, label = foreign[0]
        refuse_label(sentences.place(place, word), label, task, len(foreign) - 1)
    if not kept and dropped["without_forms"]:
        raise UserError(
            f"{located}: every word is '{UNSPECIFIED}', so it was published without its texts; merge them in as its "
            "README says, or leave the language out"
        )
    if not kept:
        raise UserError(f"{located}: has no sentence with a word; there is nothing to train on or to score")
    return WordData(
        language=language,
        rows=[sentences.rows[place] for place in kept],
        words=words_read,
        labels=labels,
        groups=[groups[place] for place in kept] if groups else None,
        dropped=dict(dropped),
        located=located,
        repaired={"i_without_b": repaired} if repaired else {},
        altered={"segmented": segmented} if segmented else {},
    )


def _check_sentence(where: str, words: list[str], labels: list[Any] | None, groups: list[str] | None) -> None:
    if None in words:
        raise UserError(f"{where}: a word is null; mend the data")
    for name, entries in (("labels", labels), ("groups", words if groups is None else groups)):
        if len(entries or []) != len(words):
            raise UserError(f"{where}: {len(words)} words and {len(entries or [])} {name}; mend the data")
    if groups and None in groups:
        raise UserError(f"{where}: a group is null; mend the data")


def _begins(task: Task) -> dict[int, int]:
    """Return the number of B-X for the number of each I-X; empty if the task is not about entities."""
    if task.metric != "entity_f1":
        return {}
    inside = [name for name in task.labels if name.startswith("I-")]
    return {task.labels.index(name): task.labels.index(f"B-{name[2:]}") for name in inside}


def _repair_iob2(labels: list[int], begins: Mapping[int, int]) -> int:
    """Turn each I-X that does not continue an entity of type X into B-X, in place, and return how many there were.

    CoNLL's own evaluation reads such labels as the beginning of an entity. The metric reads IOB2 strictly and would not
    count them as entities. Data in IOB1 or IO, where entities begin with I-X, become IOB2.
    """
    repaired, before = 0, NOT_LABELLED
    for place, label in enumerate(labels):
        if label in begins and before not in (label, begins[label]):
            labels[place] = begins[label]
            repaired += 1
        before = labels[place]
    return repaired
