"""Scores and gains by language: the languages of a result, and all results in one language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.board import Board, BoardRow
from xrealign_bench.leaderboard.cells import MARKS, as_percent, number_cell, reported_mean_cell, score_cell
from xrealign_bench.leaderboard.formatting import NONE, percent, signed
from xrealign_bench.leaderboard.table import TERMINAL, Cell, Column, Link, Table, View, export_only, make_table
from xrealign_bench.leaderboard.views.ranking import checkpoint_fields, label_cell
from xrealign_bench.results.comparison import LanguageChange
from xrealign_bench.results.records import LanguageRecord, ReportedMean
from xrealign_bench.results.result import BASELINE
from xrealign_bench.scoring.aggregate import TIERS, SeedScores

VERDICTS = {"helped": "helped", "harmed": "harmed", "same": "inconclusive", "untested": "not tested"}
"""Verdict -> text on pages: without a significant change there may still be one."""
SMALLEST_P = 0.0001
"""Smaller p-values are shown as `< 0.0001`."""
ON_RESULT: frozenset[View] = frozenset({"result page"})
ON_LANGUAGE: frozenset[View] = frozenset({"language page"})
ON_BOTH = ON_RESULT | ON_LANGUAGE
IN_MATRIX: frozenset[View] = frozenset({"html", "result page"})


@dataclass(frozen=True)
class LanguageRow:
    """The score of one result in one language of a task."""

    row: BoardRow
    task: str
    code: str
    score: SeedScores
    record: LanguageRecord | None
    """None for the source language."""
    change: LanguageChange | None


def language_page(code: str) -> str:
    return f"languages/{code}"


def language_name(code: str) -> str:
    """Return a language's name, or its code if the inventory has lost it since the suite was written."""
    try:
        return find(code).name
    except UserError:
        return code


def language_cell(record: LanguageRecord) -> Cell:
    return Cell(f"{record.name} ({record.code})", link=Link(language_page(record.code)))


def _distance(language: LanguageRecord | None) -> Cell:
    return number_cell(language.distance if language else None, ".2f")


def _seen(language: LanguageRecord | None) -> Cell:
    return Cell(NONE if language is None or language.seen is None else "yes" if language.seen else "no")


def _fact(name: str, views: frozenset[View]) -> Column[LanguageRecord | None]:
    """Return the column of a fact that is a text."""
    return Column(
        name.capitalize(),
        lambda language: Cell(getattr(language, name) if language else NONE),
        is_text=True,
        views=views,
        fields=lambda language: {name: language and getattr(language, name)},
    )


LANGUAGE_FACTS: tuple[Column[LanguageRecord | None], ...] = (
    _fact("script", IN_MATRIX),
    _fact("family", IN_MATRIX),
    export_only(lambda language: {"joshi_class": language and language.joshi_class}),
    _fact("tier", IN_MATRIX | TERMINAL),
    Column(
        "Distance",
        _distance,
        is_text=True,
        views=IN_MATRIX | TERMINAL,
        fields=lambda language: {"distance": language and language.distance},
    ),
    _fact("band", IN_MATRIX),
    Column(
        "Seen",
        _seen,
        is_text=True,
        views=IN_MATRIX | ON_LANGUAGE,
        fields=lambda language: {"seen": language and language.seen},
    ),
)
"""What a suite knows of a language."""


def _fact_column(fact: Column[LanguageRecord | None]) -> Column[LanguageRow]:
    fields = fact.fields
    return Column(
        fact.title,
        lambda each: fact.cell(each.record),
        is_text=fact.is_text,
        views=fact.views,
        fields=(lambda each: fields(each.record)) if fields else None,
    )


def _language(each: LanguageRow) -> Cell:
    if each.record is not None:
        return language_cell(each.record)
    return Cell(f"{language_name(each.code)} ({each.code}), source language", link=Link(language_page(each.code)))


def _gain_in_language(each: LanguageRow) -> Cell:
    change = each.change
    if change is None:
        return Cell(NONE)
    interval = "" if change.low is None or change.high is None else f" [{signed(change.low)}, {signed(change.high)}]"
    return Cell(signed(change.gain) + interval, as_percent(change.gain))


def _baseline_in_language(each: LanguageRow) -> Cell:
    baseline = each.change.baseline if each.change else None
    return Cell(percent(baseline), as_percent(baseline))


def _p_value(each: LanguageRow) -> Cell:
    p = each.change.p_value if each.change else None
    return number_cell(p, ".4f") if p is None or p >= SMALLEST_P else Cell(f"< {SMALLEST_P}", p)


LANGUAGE_COLUMNS: tuple[Column[LanguageRow], ...] = (
    export_only(lambda each: checkpoint_fields(each.row)),
    Column(
        "Recipe",
        lambda each: label_cell(each.row),
        is_text=True,
        views=ON_LANGUAGE,
        fields=lambda each: {"recipe": each.row.recipe},
    ),
    Column("Checkpoint", lambda each: Cell(each.row.checkpoint_name), is_text=True, views=ON_LANGUAGE),
    Column("Trust", lambda each: Cell(each.row.trust_label), is_text=True, views=ON_LANGUAGE),
    export_only(lambda each: {"task": each.task, "language": each.code}),
    Column(
        "Language",
        _language,
        is_text=True,
        views=ON_RESULT,
        fields=lambda each: {"name": each.record and each.record.name},
    ),
    *map(_fact_column, LANGUAGE_FACTS),
    Column(
        "Score",
        lambda each: score_cell(each.score),
        views=ON_BOTH,
        fields=lambda each: {"score": as_percent(each.score.mean), "std": as_percent(each.score.std)},
    ),
    Column(
        BASELINE,
        _baseline_in_language,
        views=ON_BOTH,
        fields=lambda each: {
            "baseline": each.change and as_percent(each.change.baseline),
            "baseline_std": each.change and as_percent(each.change.baseline_std),
        },
    ),
    Column(
        "Gain [95 %]",
        _gain_in_language,
        views=ON_BOTH,
        fields=lambda each: {
            "gain": each.change and as_percent(each.change.gain),
            "gain_low": each.change and as_percent(each.change.low),
            "gain_high": each.change and as_percent(each.change.high),
        },
    ),
    Column(
        "p (Holm-corrected)",
        _p_value,
        views=ON_BOTH,
        fields=lambda each: {"p_value_holm": each.change and each.change.p_value},
    ),
    Column(
        "Verdict",
        lambda each: Cell(VERDICTS[each.change.verdict] + MARKS[each.change.verdict] if each.change else NONE),
        views=ON_BOTH,
        fields=lambda each: {"verdict": each.change and each.change.verdict},
    ),
    Column(
        "By 1 std",
        lambda each: Cell(each.change.one_std if each.change else NONE),
        views=ON_BOTH,
        fields=lambda each: {"one_std": each.change and each.change.one_std},
    ),
    export_only(lambda each: {"result": each.row.result}),
)


def language_rows(row: BoardRow, task: str) -> Iterator[LanguageRow]:
    """Yield the languages of a result in one task, in the suite's order, the source language last."""
    changes = row.changes_in(task)
    for code, score in row.summary.tasks[task].languages.items():
        yield LanguageRow(row, task, code, score, row.languages.get(code), changes.get(code))


def result_languages(row: BoardRow, task: str) -> Table:
    """Return the languages of a result in one task: by tier and distance, the source language last."""
    rows = {each.code: each for each in language_rows(row, task)}
    targets = [rows.pop(record.code) for record in in_order([row]) if record.code in rows]
    return make_table(LANGUAGE_COLUMNS, [*targets, *rows.values()], "result page")


def language_results(board: Board, code: str, task: str) -> Table:
    """Return the results of every checkpoint and recipe in one language and task, in the order of the board."""
    rows = [each for row in board.rows if task in row.summary.tasks for each in language_rows(row, task)]
    return make_table(LANGUAGE_COLUMNS, [each for each in rows if each.code == code], "language page")


def in_order(rows: Iterable[BoardRow]) -> list[LanguageRecord]:
    """Return the target languages of rows by tier, and from close to distant within a tier."""
    records = {code: record for row in rows for code, record in row.languages.items()}
    tiers = {tier: place for place, tier in enumerate(TIERS)}

    def place(record: LanguageRecord) -> tuple[int, float, str]:
        distance = float("inf") if record.distance is None else record.distance
        return tiers.get(record.tier, len(tiers)), distance, record.code

    return sorted(records.values(), key=place)


def shown_languages(board: Board) -> list[str]:
    """Return the languages that have a score or a reported mean on a board, the source language first."""
    shown = {code for row in board.rows for task in row.summary.tasks.values() for code in task.languages}
    shown |= {
        mean.languages[0] for row in board.rows for mean in row.reported_means if mean.languages and is_single(mean)
    }
    return [code for code in (board.suite.source_language, *board.suite.target_languages) if code in shown]


def describe_language(board: Board, code: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a language's name and what the suite knows of it."""
    record = next((row.languages[code] for row in board.rows if code in row.languages), None)
    if record is None:
        return language_name(code), [("Code", code), ("Role", "source language, in no average")]
    distance = f"{board.suite.bands.distance} distance to {board.suite.source_language}"
    return record.name, [
        ("Code", code),
        ("Family", record.family),
        ("Script", record.script),
        ("Class of Joshi et al. (2020)", NONE if record.joshi_class is None else str(record.joshi_class)),
        ("Tier", record.tier),
        (distance[0].upper() + distance[1:], f"{_distance(record).text}, {record.band}"),
    ]


def is_single(mean: ReportedMean) -> bool:
    """Whether a reported mean covers a single language."""
    return mean.languages is not None and len(mean.languages) == 1


def reported_in_language(board: Board, code: str) -> Table:
    """Return the means that publications report of one language."""
    columns: list[Column[tuple[BoardRow, ReportedMean]]] = [
        Column("Recipe", lambda pair: label_cell(pair[0]), is_text=True),
        Column("Checkpoint", lambda pair: Cell(pair[0].checkpoint_name), is_text=True),
        Column("Test set", lambda pair: Cell(pair[1].test_set), is_text=True),
        Column("Reported mean", lambda pair: reported_mean_cell(pair[1])),
    ]
    return make_table(
        columns, [(row, mean) for row in board.rows for mean in row.reported_means if mean.languages == [code]]
    )
