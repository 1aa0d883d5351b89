"""The texts of a language modelling task in one language."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xrealign_bench.data.rows import read_rows
from xrealign_bench.data.sources import Located
from xrealign_bench.data.task_data import Split, check_strings, examples_to_read, locate_task
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task


@dataclass(frozen=True)
class PlainTextData:
    """Texts of one language."""

    language: str
    rows: list[int]
    """Row in the data: the same example has the same in all languages of a parallel data set, dropped rows or not."""
    text: list[str]
    dropped: dict[str, int]
    """Rule -> how many texts it dropped: `empty` (null, or nothing but space)."""
    located: Located

    def __len__(self) -> int:
        return len(self.rows)


def load_plain_texts(
    task: Task, language: str, split: Split, data_root: Path | None, offline: bool, limit: int | None = None
) -> PlainTextData:
    """Read the first texts of a task in one language.

    Args:
        limit: read at most so many, even where the task allows more.

    Raises:
        UserError: no such language, no data, a column that is absent or no text, or no text left.
    """
    located = locate_task(task, language, split, data_root, offline)
    part = task.part(language)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data are tagged words and no texts; name others")
    column = str((part.columns or task.columns).text)
    data = read_rows(located, [column], examples_to_read(task, split, limit), offline)
    check_strings(data.features, column, located)
    texts = data[:][column]
    rows = [row for row, text in enumerate(texts) if text is not None and text.strip()]
    if not rows:
        raise UserError(f"{located}: has no text; there is nothing to read")
    dropped = {"empty": len(texts) - len(rows)} if len(rows) < len(texts) else {}
    return PlainTextData(language, rows, [texts[row] for row in rows], dropped, located)
