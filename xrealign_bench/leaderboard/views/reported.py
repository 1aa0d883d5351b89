"""Means that a publication reports without scores, in tables of their own."""

from __future__ import annotations

from xrealign_bench.leaderboard.board import Board, BoardRow, Section
from xrealign_bench.leaderboard.cells import reported_mean_cell
from xrealign_bench.leaderboard.formatting import pluralise
from xrealign_bench.leaderboard.table import Cell, Column, Link, Table, make_table
from xrealign_bench.leaderboard.views.by_language import is_single, language_name, language_page, shown_languages
from xrealign_bench.leaderboard.views.ranking import recipe_cell
from xrealign_bench.results.records import ReportedMean


def has_averages(section: Section) -> bool:
    """Return whether a mean over several languages is reported; other programs' figures are of single languages."""
    return any(not is_single(mean) for row in section.rows for mean in row.reported_means)


def reported_averages(board: Board, section: Section) -> Table:
    """Return recipes by what the publication's averages are over."""
    rows = [row for row in section.rows if row.reported_means]
    averages = {
        row.page: {_describe_scope(board, mean): mean for mean in row.reported_means if not is_single(mean)}
        for row in rows
    }

    def column(scope: str) -> Column[BoardRow]:
        return Column(scope, lambda row: reported_mean_cell(averages[row.page].get(scope)))

    scopes = sorted({scope for found in averages.values() for scope in found})
    return make_table([Column("Recipe", recipe_cell, is_text=True), *map(column, scopes)], rows)


def reported_languages(board: Board, section: Section) -> Table:
    """Return a publication's means of single languages: language and test set by recipe."""
    single = {
        row.page: {(m.test_set, m.languages[0]): m for m in row.reported_means if m.languages and is_single(m)}
        for row in section.rows
    }
    rows = [row for row in section.rows if single[row.page]]
    linked = set(shown_languages(board))
    names = {code: record.name for row in rows for code, record in row.languages.items()}

    def language(key: tuple[str, str]) -> Cell:
        _, code = key
        name = names.get(code) or language_name(code)
        return Cell(f"{name} ({code})", link=Link(language_page(code)) if code in linked else None)

    def column(row: BoardRow) -> Column[tuple[str, str]]:
        return Column(row.label, lambda key: reported_mean_cell(single[row.page].get(key)), link=row.link)

    columns: list[Column[tuple[str, str]]] = [
        Column("Language", language, is_text=True),
        Column("Test set", lambda key: Cell(key[0]), is_text=True),
        *map(column, rows),
    ]
    return make_table(columns, sorted({key for row in rows for key in single[row.page]}))


def reported_means(board: Board, row: BoardRow) -> Table:
    """Return all means that a publication reports of one recipe."""
    columns: list[Column[ReportedMean]] = [
        Column("Test set", lambda mean: Cell(_describe_scope(board, mean)), is_text=True),
        Column("Reported mean", reported_mean_cell),
    ]
    return make_table(columns, row.reported_means)


def _describe_scope(board: Board, mean: ReportedMean) -> str:
    """Say which test set and languages a mean is over."""
    if mean.languages is None:
        return f"{mean.test_set}, languages not known"
    if is_single(mean):
        return f"{mean.test_set}, {mean.languages[0]}"
    source = board.suite.source_language
    targets = pluralise(len(set(mean.languages) - {source}), "target")
    return f"{mean.test_set}, {targets}" + (f" and {source}" if source in mean.languages else "")
