"""Tables without an output format: columns make cells of rows, and each renderer writes the cells in its own way.

The columns of a table are defined once, in `views`. A column says which views show it and which fields it adds to CSV
and JSON, so that a new column is one entry in one list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Item = TypeVar("Item")

View = Literal["terminal", "markdown", "html", "result page", "language page"]
TABLES: frozenset[View] = frozenset({"terminal", "markdown", "html"})
PAGES: frozenset[View] = frozenset({"markdown", "html"})
HTML: frozenset[View] = frozenset({"html"})
TERMINAL: frozenset[View] = frozenset({"terminal"})


@dataclass(frozen=True, slots=True)
class Link:
    """Where a cell leads; both paths are relative to the board's folder."""

    page: str
    """Page of the site, without its ending."""
    folder: str = ""
    """Folder of a stored result, which Markdown links to."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table or of its heading."""

    text: str
    sort_key: float | None = None
    """The figure to sort by, in the unit of the text; None if the cell has text or nothing."""
    note: str = ""
    """A second line."""
    link: Link | None = None
    short: str = ""
    """A shorter text for the terminal; empty if `text` fits."""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column: its title, and what it shows and exports of each item."""

    title: str
    cell: Callable[[Item], Cell]
    note: Callable[[Sequence[Item]], str] | None = None
    """Second line of the heading."""
    is_text: bool = False
    """Text is aligned left, figures right."""
    views: frozenset[View] = TABLES
    fields: Callable[[Item], Mapping[str, Any]] | None = None
    """Names and values for CSV and JSON."""
    link: Link | None = None
    """Where the heading leads."""


def export_only(fields: Callable[[Item], Mapping[str, Any]]) -> Column[Item]:
    """Return a column that no table shows."""
    return Column("", lambda _: Cell(""), views=frozenset(), fields=fields)


@dataclass(frozen=True)
class Table:
    """Headings and rows of cells."""

    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_text: tuple[bool, ...]
    """Whether each column has text."""

    @property
    def text_columns(self) -> int:
        return sum(self.is_text)


def make_table(columns: Iterable[Column[Item]], items: Iterable[Item], view: View = "html") -> Table:
    """Return the table of those columns that a view shows."""
    shown, rows = [column for column in columns if view in column.views], list(items)
    return Table(
        tuple(Cell(c.title, note=c.note(rows) if c.note else "", link=c.link) for c in shown),
        tuple(tuple(column.cell(row) for column in shown) for row in rows),
        tuple(column.is_text for column in shown),
    )


def export_record(columns: Iterable[Column[Item]], item: Item) -> dict[str, Any]:
    """Return the fields of an item for CSV and JSON."""
    return {name: value for column in columns if column.fields for name, value in column.fields(item).items()}
