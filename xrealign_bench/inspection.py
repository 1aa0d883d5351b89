"""Open the data behind a task, corpus or suite, and describe them (the command `validate`). Downloads nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from xrealign_bench.data import DataLocation, LocatedSplit, Split, corpora_of, corpus_languages, load_pairs, locate_task
from xrealign_bench.data.examples import read_examples
from xrealign_bench.data.loaded_suite import LoadedSuite, load_suite
from xrealign_bench.data.lock import SuiteLock, disagreement, locate_suite
from xrealign_bench.data.parallel import locate_pairs
from xrealign_bench.data.read import count_rows
from xrealign_bench.data.sources import fetch
from xrealign_bench.errors import MOST_PROBLEMS, Problems, UserError, count_further_problems
from xrealign_bench.listings import spec_type
from xrealign_bench.specs import Corpus, DataSource, EmbeddedData, HubData, Suite, Task, UrlData, load_spec
from xrealign_bench.specs.yaml import file_in_suite
from xrealign_bench.tasks.labels import NOT_LABELLED, label_numbers
from xrealign_bench.tasks.registry import TASK_TYPES

SOURCE_LANGUAGE = "en"
"""Source language of a task or corpus that is inspected without a suite, if it has that language."""
CHECKED_PAIRS = 1000
"""Pairs of each language that are read; the others are counted."""


@dataclass(frozen=True)
class InspectedSplit:
    """One split of one language."""

    language: str
    split: str
    rows: int
    examples: int
    """Examples that a task takes from the rows, or pairs that a corpus has."""
    dropped: int
    example: str
    """The first one."""


@dataclass
class Inspection:
    """The data behind a task or corpus, or what the data of a suite have against its lock."""

    name: str
    splits: list[InspectedSplit] = field(default_factory=list)
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    """Label of the task -> split -> how often it occurs; empty if the task has no labels."""
    languages_without: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Label -> languages whose test data lack it."""
    not_here: dict[str, None] = field(default_factory=dict)
    """Data sets and addresses that are not on this machine."""
    problems: Problems = field(default_factory=Problems)

    def can_open(self, source: DataSource) -> bool:
        """Return whether a source has data to open; not if they are embedded, or known not to be here."""
        return not isinstance(source, EmbeddedData) and _title(source) not in self.not_here


def inspect_file(path: Path, location: DataLocation, inspected: set[Path]) -> Iterator[Inspection]:
    """Open the data behind a valid file. Yields nothing for recipes, locks and embedded data.

    Args:
        path: file of a task, corpus or suite; of a suite, its tasks, corpora and lock are inspected.
        location: where data are; the Hub and addresses are read from the local cache.
        inspected: files of tasks and corpora to skip; those that are inspected are added.
    """
    location = replace(location, offline=True)
    model = spec_type(path)
    found: list[tuple[Path, Inspection]] = []
    if model is Suite:
        found = list(_inspect_suite(path, location, inspected))
    elif model is Task and path.resolve() not in inspected:
        found = [(path, inspect_task(load_spec(path, Task), None, None, location))]
    elif model is Corpus and path.resolve() not in inspected:
        found = [(path, inspect_corpus(load_spec(path, Corpus), None, None, location))]
    for file, inspection in found:
        inspected.add(file.resolve())
        if inspection.splits or inspection.not_here or inspection.problems:
            yield inspection


def _inspect_suite(path: Path, location: DataLocation, inspected: set[Path]) -> Iterator[tuple[Path, Inspection]]:
    name = f"./{path}" if path.parent == Path() else str(path)
    loaded = load_suite(name)
    suite = loaded.suite
    for task in loaded.tasks:
        file = file_in_suite(task.name, Task, name)
        if file.resolve() not in inspected:
            targets = [code for code in suite.target_languages if code in task.languages]
            yield file, inspect_task(task, suite.source_language, targets, location)
    for corpus, languages in corpora_of(suite).items():
        file = file_in_suite(corpus, Corpus, name)
        if file.resolve() not in inspected:
            yield file, inspect_corpus(loaded.corpora[corpus], suite.source_language, languages, location)
    if loaded.lock is not None:
        yield loaded.lock.path, _inspect_lock(loaded, loaded.lock, location)


def _inspect_lock(loaded: LoadedSuite, lock: SuiteLock, location: DataLocation) -> Inspection:
    """Compare the splits that are on this machine with the suite's lock; those of the Hub are known by their commit."""
    inspection = Inspection(lock.path.name)
    splits, _ = locate_suite(loaded, loaded.suite.target_languages, location)  # what is missing is told by task
    for split in splits:
        content = None if split.located.on_hub else split.located.fingerprint
        if (problem := disagreement(lock, split, content)) is not None:
            inspection.problems.add([problem])
    return inspection


def inspect_task(task: Task, source: str | None, targets: Sequence[str] | None, location: DataLocation) -> Inspection:
    """Read the training data of the source language and the test data of all languages, with a task's own checks.

    Args:
        task: the task.
        source: the source language. None: English, or the first language with training data.
        targets: the target languages. None: the other languages of the task.
        location: where data are; offline.
    """
    inspection = Inspection(task.name, labels={label: Counter() for label in task.labels})
    if source is None:
        source = _guess_source(task, location)
    if targets is None:
        targets = [code for code in task.languages if code != source]
    if task.finetunes:
        _inspect_split(task, source, "train", location, inspection)
    for language in [*([source] if task.tests_source else []), *targets]:
        _inspect_split(task, language, "test", location, inspection)
    return inspection


def _guess_source(task: Task, location: DataLocation) -> str:
    codes = sorted(task.languages, key=lambda code: code != SOURCE_LANGUAGE)
    for code in codes if task.finetunes else []:
        try:
            locate_task(task, code, "train", location)
        except UserError:
            continue
        return code
    return task.text_language or codes[0]


def _inspect_split(task: Task, language: str, split: Split, location: DataLocation, inspection: Inspection) -> None:
    if language not in task.languages or not inspection.can_open(task.part(language).source):
        return
    source = task.part(language).source
    find = partial(locate_task, task, language, split, location)
    if (located := _open(source, find, location, inspection)) is None:
        return
    try:
        data = TASK_TYPES[task.task_type].load(task, language, split, location)
        rows = count_rows(located, offline=True)
    except UserError as error:
        inspection.problems.add(_foreign_labels(task, language, split, located) or str(error).splitlines())
        return
    dropped, example = sum(data.dropped.values()), _first_example(task, data)
    inspection.splits.append(InspectedSplit(language, split, rows, len(data), dropped, example))
    if task.labels:
        counts = Counter(number for number in _label_numbers(data) if number != NOT_LABELLED)
        for number, label in enumerate(task.labels):
            inspection.labels[label][split] += counts[number]
            if split == "test" and not counts[number]:
                inspection.languages_without[label].append(language)


def _open(
    source: DataSource, find: Callable[[], LocatedSplit], location: DataLocation, inspection: Inspection
) -> LocatedSplit | None:
    """Locate a split and its files, or note the problem: data of the Hub and of addresses may just not be cached."""
    try:
        located = find()
        fetch(located, offline=True)
        return located
    except UserError as error:
        if isinstance(source, HubData | UrlData) and location.root is None:
            inspection.not_here[_title(source)] = None
        else:
            inspection.problems.add(str(error).splitlines())
        return None


def _title(source: DataSource) -> str:
    if isinstance(source, UrlData):
        return str(source.test or source.train or source.validation)
    return source.dataset if isinstance(source, HubData) else ""


def _foreign_labels(task: Task, language: str, split: Split, located: LocatedSplit) -> list[str]:
    """Return a line for each label in the data that the task lacks, with its first place; none for other problems."""
    part = task.part(language)
    columns = part.columns or task.columns
    column = columns.labels or columns.label
    if column is None:
        return []
    try:
        rows = read_examples(task, split, None, located, [column], offline=True)
        feature = rows.features[column]
        numbers = label_numbers(getattr(feature, "feature", feature), column, task, part.label_map, located)
    except UserError:
        return []
    known = {*numbers, None, -1}
    places: dict[Any, tuple[int, int]] = {}
    counts: Counter[Any] = Counter()
    for position, value in enumerate(rows.columns[column]):
        for word, label in enumerate(value if isinstance(value, list) else [value]):
            if label not in known:
                places.setdefault(label, (position, word))
                counts[label] += 1
    lines = [
        f"{rows.place(*place)}: the label {label!r} is none of the task '{task.name}' and occurs "
        f"{counts[label]:,} time{'s' if counts[label] > 1 else ''}; add it to 'labels', map it in 'label_map', or mend "
        "the data"
        for label, place in list(places.items())[:MOST_PROBLEMS]
    ]
    return [*lines, *count_further_problems(str(located), len(places))]


def _label_numbers(data: Any) -> Iterator[int]:
    return chain.from_iterable(each if isinstance(each, list) else [each] for each in data.labels)


def _first_example(task: Task, data: Any) -> str:
    match task.base_type:
        case "token_classification":
            names = [task.labels[number] if number != NOT_LABELLED else "_" for number in data.labels[0]]
            return " ".join(f"{word}/{name}" for word, name in zip(data.words[0], names, strict=True))
        case "sequence_classification" | "prompted_classification":
            texts = [data.text[0], *([data.text_pair[0]] if data.text_pair else [])]
            return f"{task.labels[data.labels[0]]}: {' | '.join(texts)}"
        case "question_answering":
            return f"{data.questions[0]} | {data.answers[0][0][0]}"
        case "retrieval" | "translation":
            return f"{data.text[0]} | {data.text_pair[0]}"
        case "language_modelling":
            return str(data.text[0])
    raise AssertionError(task.base_type)


def inspect_corpus(
    corpus: Corpus, source: str | None, targets: Sequence[str] | None, location: DataLocation
) -> Inspection:
    """Count the pairs of each language, and read the first `CHECKED_PAIRS` of them.

    Args:
        corpus: the corpus.
        source: the source language. None: English, or the first language of the corpus.
        targets: the target languages, of which those that the corpus lacks are skipped. None: all of the corpus.
        location: where data are; offline.
    """
    inspection = Inspection(corpus.name)
    if not inspection.can_open(corpus.source):
        return inspection
    if source is None:
        named = [*corpus.columns]
        source = SOURCE_LANGUAGE if SOURCE_LANGUAGE in named or not named else named[0]
    try:
        languages = corpus_languages(corpus, source, location)
    except UserError as error:
        if isinstance(corpus.source, HubData) and location.root is None:
            inspection.not_here[_title(corpus.source)] = None
        else:
            inspection.problems.add(str(error).splitlines())
        return inspection
    if not languages:
        inspection.problems.add(
            [f"corpus '{corpus.name}': has no data that pair a language with '{source}'; correct its source or config"]
        )
    for language in languages if targets is None else [code for code in targets if code in languages]:
        if inspection.can_open(corpus.source):
            _inspect_pairs(corpus, (source, language), location, inspection)
    return inspection


def _inspect_pairs(corpus: Corpus, pair: tuple[str, str], location: DataLocation, inspection: Inspection) -> None:
    find = partial(locate_pairs, corpus, *pair, location)
    if (located := _open(corpus.source, find, location, inspection)) is None:
        return
    try:
        text = load_pairs(corpus, *pair, location, CHECKED_PAIRS)
        rows = count_rows(located, offline=True)
    except UserError as error:
        inspection.problems.add(str(error).splitlines())
        return
    example = " | ".join(" ".join(side[0]) for side in (text.source_words, text.target_words))
    used = min(rows, corpus.pairs) if isinstance(corpus.pairs, int) else rows
    dropped = sum(text.dropped.values())
    inspection.splits.append(InspectedSplit(pair[1], located.split, rows, used, dropped, example))


def label_rows(inspection: Inspection) -> list[dict[str, Any]]:
    """Return one row per label: how often it occurs in each split, and the languages whose test data lack it."""
    splits = dict.fromkeys(each.split for each in inspection.splits)
    return [
        {"label": label, **{split: counts[split] for split in splits}, "not in": inspection.languages_without[label]}
        for label, counts in inspection.labels.items()
    ]
