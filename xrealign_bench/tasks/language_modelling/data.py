"""Read the texts of a language-modelling task in one language."""

from __future__ import annotations

from dataclasses import dataclass

from xrealign_bench.data.examples import Split, check_strings, locate_task, read_examples
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task


@dataclass(frozen=True)
class PlainTextData:
    """Texts of one language."""

    language: str
    rows: list[int]
    """Rows in the data. Translations of one example have the same row in all languages, even if rows are dropped."""
    text: list[str]
    dropped: dict[str, int]
    """Rule -> number of texts dropped: `empty` (null, or only white space)."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> PlainTextData:
    """Read and check the texts of a task in one language.

    Args:
        task: the task.
        language: code of the language.
        split: training or test data.
        location: where data sets are.
        limit: maximum number of examples, if lower than the task's own.

    Raises:
        UserError: the language or its data are missing, the column is missing or not text, or no text is left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data are tagged words and no texts; name others")
    column = str((part.columns or task.columns).text)
    data = read_examples(task, split, limit, located, [column], location.offline)
    check_strings(data.features, column, located)
    read = zip(data.numbers, data.columns[column], strict=True)
    kept = [(row, text) for row, text in read if text is not None and text.strip()]
    if not kept:
        raise UserError(f"{located}: has no text; there is nothing to read")
    empty = len(data.numbers) - len(kept)
    rows, texts = (list(column) for column in zip(*kept, strict=True))
    return PlainTextData(language, rows, texts, {"empty": empty} if empty else {}, located)
