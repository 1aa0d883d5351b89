"""Results as text for a terminal of 120 columns, from the same columns as a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from xrealign_bench.leaderboard.assembly import make_row
from xrealign_bench.leaderboard.board import BoardRow, StoredResult
from xrealign_bench.leaderboard.formatting import NONE, SEEDS_FOR_STD, describe_gaps, signed
from xrealign_bench.leaderboard.table import Cell, Column, Table, make_table
from xrealign_bench.leaderboard.views import ranking
from xrealign_bench.leaderboard.views.groups import (
    one_std_counts,
    scores_by_task,
    tasks_without_tiers,
    words_by_group,
)
from xrealign_bench.leaderboard.views.recipes_by_language import languages_by_recipe
from xrealign_bench.results.comparison import Comparison, TaskComparison
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import SMALLEST_TIER, SeedScores, Summary
from xrealign_bench.scoring.further_language import reason_for_none

RECIPES_ABREAST = 5
NAME_WIDTH, HEADING_WIDTH = 24, 14
"""Columns from which on a recipe's name is broken over lines, in a row and in a heading."""
LONGEST_REASON = 110
ONE_SEED = (
    "One seed is not enough to claim a gain, because another seed may give another one. The interval includes the\n"
    "variance between seeds of earlier runs, and no language gets a verdict. Evaluate three or more seeds."
)


def render_evaluation(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> str:
    """Return the outcome of an evaluation: what the numbers are, tables for each task, and XR scores.

    If only some of a suite's languages were evaluated there are no averages over languages; a table by language comes
    first, and columns and tables without any figure are left out.

    Args:
        results: of one checkpoint, suite and list of seeds; one a recipe, starting with the one that the others are
            compared with.
        comparisons: one a result, None for the first.
    """
    first, rows = results[0], _make_rows(results, comparisons)
    blocks = [_heading(first)]
    is_part = _lacks_languages(first)
    if is_part:
        blocks.append(render_languages(results, comparisons))
    for task in (name for name in first.suite.tasks if name in rows[0].summary.tasks):
        blocks += _task_blocks(rows, task, is_part)
    if not is_part or any(row.xr.mean is not None for row in rows):
        xr = _render(make_table(ranking.BOARD_COLUMNS, rows, "terminal"))
        blocks.append(f"XR score, mean over tasks of the mean over tiers{_without_tiers(rows[0].summary)}\n{xr}")
    if len(first.seeds) == 1 and any(comparisons):
        blocks.append(ONE_SEED)
    blocks += _missing_means(first, [row.summary for row in rows])
    return "\n\n".join(blocks)


def render_languages(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> str:
    """Return score and gain in every target language, a few recipes a table; arguments as above."""
    rows = _make_rows(results, comparisons)
    blocks = []
    for task in (name for name in results[0].suite.tasks if name in rows[0].summary.tasks):
        for start in range(0, len(rows), RECIPES_ABREAST):
            table = languages_by_recipe(rows[start : start + RECIPES_ABREAST], task, (), "terminal")
            blocks.append(f"{task}\n{_render(table)}")
    key = "Percent; in brackets: the gain over the first column"
    if len(results[0].seeds) > 1:
        key += ", + if helped, - if harmed (corrected test at 5 %)"
    return "\n\n".join([*blocks, f"{key}."])


def _expected_gain(task: TaskComparison) -> Cell:
    further = task.further
    if further is None:
        return Cell(NONE)
    return Cell(f"{signed(further.mean)} [{signed(further.low)}, {signed(further.high)}]")


FURTHER_COLUMNS: tuple[Column[TaskComparison], ...] = (
    Column("Task", lambda task: Cell(task.task), is_text=True),
    Column("Gain [95 %]", _expected_gain),
    Column("Families", lambda task: Cell(str(task.further.families) if task.further else NONE)),
)


def render_further(comparison: Comparison) -> str:
    """Return the gain to expect in another language, one row a task, and why a task has none."""
    table = _render(make_table(FURTHER_COLUMNS, comparison.tasks, "terminal"))
    reasons = [f"{NONE} {task.task}: {reason_for_none(task)}." for task in comparison.tasks if task.further is None]
    title = "Gain to expect in one further language like these, with 95 % interval (families as clusters)"
    return "\n".join([title, table, *map(_shorten, reasons)])


def _make_rows(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> list[BoardRow]:
    return [
        replace(make_row(StoredResult(Path(result.recipe.name), result, None), Path()), comparison=comparison)
        for result, comparison in zip(results, comparisons, strict=True)
    ]


def _heading(result: Result) -> str:
    suite, seeds = result.suite, len(result.seeds)
    std = f" ± std (ddof {result.ddof})" if seeds >= SEEDS_FOR_STD else ""
    over = f"mean over {seeds} seeds{std}" if seeds > 1 else f"seed {result.seeds[0]} only"
    lines = [
        f"{suite.title} ({suite.id}), checkpoint {result.checkpoint.id}",
        f"Percent, {over}. Tiers: Joshi classes; bands: {suite.bands.distance} distance to {suite.source_language}.",
        f"Gain: over {result.recipe.name}, mean of all targets, with 95 % interval ({_variance_sources(result)}).",
    ]
    if seeds > 1:
        lines.append("+/-: languages helped / harmed, test over seeds and examples, Holm-corrected at 5 %.")
    if result.missing:
        lines.append(f"Partial, so not ranked: {'; '.join(describe_gaps(result))}.")
    return "\n".join(lines)


def _lacks_languages(result: Result) -> bool:
    """Return whether only some of the suite's target languages were evaluated."""
    return {language.code for language in result.languages} < set(result.suite.target_languages)


def _variance_sources(result: Result) -> str:
    """Say which variance the interval of a gain contains."""
    seeds = "seeds" if len(result.seeds) > 1 else "the prior's seeds"
    return f"{seeds}, on these test examples" if result.reported else f"{seeds} and test examples"


def _task_blocks(rows: Sequence[BoardRow], task: str, is_part: bool) -> list[str]:
    """Return the tables of one task: scores, AlignFreeze's counts and scores by kind of word.

    Args:
        rows: one a recipe.
        task: the task's name.
        is_part: leave out columns of scores without any figure, since languages were not evaluated.
    """
    scores = scores_by_task(rows, task, "terminal")
    scores = _without_empty_columns(scores) if is_part else scores
    blocks = [f"{task}\n{_render(scores)}"] if len(scores.headings) > 1 else []
    one_std = one_std_counts(rows, task)
    if one_std.rows:
        title = f"{task}, languages changed by more than one standard deviation of the first row"
        blocks.append(f"{title}\n{_render(one_std)}")
    # A group without words in some language, such as articles, has no mean over all targets, so only its name is shown.
    groups = rows[0].summary.tasks[task].word_groups
    shown = [name for name, value in groups.items() if value.mean is not None]
    if shown:
        table = _render(words_by_group(rows, task, shown))
        lacking = [name for name in groups if name not in shown]
        note = f"\nnot in every language: {', '.join(lacking)}" if lacking else ""
        blocks.append(f"{task}, by kind of word, mean over all targets\n{table}{note}")
    return blocks


def _without_tiers(summary: Summary) -> str:
    tasks = ", ".join(tasks_without_tiers([summary]))
    return f" ({tasks}: over all targets, since no tier has {SMALLEST_TIER} languages)" if tasks else ""


def _missing_means(first: Result, summaries: Sequence[Summary]) -> list[str]:
    """Say why means are missing, each reason once."""
    groups = [value for s in summaries for task in s.tasks.values() for value in task.groups.values()]
    values: list[SeedScores] = [*groups, *(summary.xr for summary in summaries)]
    reasons = list(dict.fromkeys(_shorten(value.reason) for value in values if value.reason))
    blocks = []
    if first.missing:
        # The heading lists what was not evaluated.
        reasons = [reason for reason in reasons if "not evaluated" not in reason]
        if _lacks_languages(first):
            blocks.append("Means over languages and the XR score need all target languages of the suite.")
        elif any(value.mean is None for value in values):
            blocks.append(f"{NONE}: no mean, because a part of it was not evaluated.")
    if reasons:
        blocks.append("\n  ".join([f"{NONE}: no mean, because a part of it is missing:", *reasons]))
    return blocks


def _shorten(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."


def _render(table: Table) -> str:
    """Render columns two spaces apart, with long names broken over lines."""
    head = [_heading_text(cell) for cell in table.headings]
    body = [[_break(row[0].text, NAME_WIDTH), *(cell.short or cell.text for cell in row[1:])] for row in table.rows]
    widths = [
        max(len(line) for text in column for line in text.split("\n")) for column in zip(head, *body, strict=True)
    ]
    # tabulate's own headings would make each column two wider.
    rows = [head, ["-" * width for width in widths], *body]
    align = ["left"] + ["right"] * (len(head) - 1)
    return tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align)


def _without_empty_columns(table: Table) -> Table:
    """Return a table with its first column, and those others that have a figure."""
    kept = [n for n in range(len(table.headings)) if n == 0 or any(row[n].text not in ("", NONE) for row in table.rows)]
    return Table(
        tuple(table.headings[n] for n in kept),
        tuple(tuple(row[n] for n in kept) for row in table.rows),
        tuple(table.is_text[n] for n in kept),
    )


def _heading_text(cell: Cell) -> str:
    text = cell.text if cell.text[:2].isupper() else cell.text[:1].lower() + cell.text[1:]
    return _break(text, HEADING_WIDTH) + (f"\n({cell.note})" if cell.note else "")


def _break(name: str, width: int) -> str:
    """Break a name at its hyphens into lines of at most `width` columns."""
    lines = [""]
    for part in name.replace("-", "- ").split(" ") if " " not in name else [name]:
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
