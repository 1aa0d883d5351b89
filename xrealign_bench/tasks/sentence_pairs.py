"""Read sentences and their translations into one language, for retrieval and translation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from xrealign_bench.data.examples import Split, check_strings, locate_task, read_examples
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.read import column_names, pick_column
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task


@dataclass(frozen=True)
class TranslationData:
    """Sentences of the source language, and their translations into one language at the same positions."""

    language: str
    rows: list[int]
    """Rows in the data. Translations of one example have the same row in all languages, even if rows are dropped."""
    text: list[str]
    """In the source language."""
    text_pair: list[str]
    """In `language`."""
    dropped: dict[str, int]
    """Rule -> number of pairs dropped: `empty`, `duplicate`."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> TranslationData:
    """Read and check the pairs of a task in one language, without the first `task.skip_examples`.

    Pairs with an empty side are dropped, and pairs one of whose sides is already in an earlier pair: vectors can't tell
    equal sentences apart, and a translation counts once. Both are counted (`empty`, `duplicate`).

    Args:
        task: the task.
        language: code of the language.
        split: training or test data.
        location: where data sets are.
        limit: maximum number of pairs, if lower than the task's own.

    Raises:
        UserError: the language or its data are missing, a column is missing or not text, or no pair is left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language)
    columns = part.columns or task.columns
    there = column_names(located, location.offline)
    names = [pick_column(str(written), there, located) for written in (columns.text, columns.text_pair)]
    data = read_examples(task, split, limit, located, names, location.offline)
    for name in names:
        check_strings(data.features, name, located)
    text, text_pair = (data.columns[name] for name in names)
    kept, dropped = _distinct(text, text_pair)
    if not kept:
        behind = f" behind the first {task.skip_examples}" if task.skip_examples else ""
        raise UserError(f"{located}: has no pair with text on both sides{behind}; there is nothing to test")
    return TranslationData(
        language=language,
        rows=[data.numbers[place] for place in kept],
        text=[text[place] for place in kept],
        text_pair=[text_pair[place] for place in kept],
        dropped=dropped,
        located=located,
    )


def _distinct(*sides: Sequence[str | None]) -> tuple[list[int], dict[str, int]]:
    """Return the positions of the pairs to keep, and how many pairs each rule dropped."""
    seen: list[set[str]] = [set() for _ in sides]
    kept: list[int] = []
    dropped: Counter[str] = Counter()
    for place, pair in enumerate(zip(*sides, strict=True)):
        texts = [(text or "").strip() for text in pair]
        if not all(texts):
            dropped["empty"] += 1
        elif any(text in known for text, known in zip(texts, seen, strict=True)):
            dropped["duplicate"] += 1
        else:
            kept.append(place)
            for text, known in zip(texts, seen, strict=True):
                known.add(text)
    return kept, dict(dropped)
