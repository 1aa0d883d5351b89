"""Rows of a split, as every reader returns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Line = int | list[int] | None
"""Line of a row, or of each of its words, from 1; None: the format has no lines."""


@dataclass(frozen=True)
class Rows:
    """Rows with selected columns."""

    features: Mapping[str, Any]
    """Column -> its type in `datasets`."""
    columns: Mapping[str, list[Any]]
    """Column -> one Python value per row."""
    numbers: Sequence[int]
    """Row numbers in the split."""
    split: str
    """The split's name in messages."""
    lines: Sequence[tuple[str, Line]] = ()
    """File and line of each row; empty for Parquet."""

    def place(self, position: int, word: int | None = None) -> str:
        """Return where a row or a word is: `file:line` if known, otherwise the split and the row number."""
        path, line = self.lines[position] if self.lines else (self.split, None)
        if isinstance(line, list):
            line = line[word or 0]
        return f"{path}, row {self.numbers[position]}" if line is None else f"{path}:{line}"
