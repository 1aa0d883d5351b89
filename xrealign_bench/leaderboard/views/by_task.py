"""Recipes by task, for publications: few of their recipes cover every task, so few have a rank on the board."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xrealign_bench.leaderboard.board import Board, BoardRow, Section, Verdicts
from xrealign_bench.leaderboard.cells import as_percent
from xrealign_bench.leaderboard.formatting import gain_with_interval, percent, pluralise, rank_set
from xrealign_bench.leaderboard.table import Cell, Column, Link, Table, make_table
from xrealign_bench.results.comparison import Gain
from xrealign_bench.scoring.aggregate import counts_in_mean
from xrealign_bench.scoring.ranks import baseline_gain, rank_sets, tell_apart

TITLES = {"low": "Low-resource languages", "all": "All targets", "out_of_distribution": "Out of distribution"}
"""Group of languages -> heading of its table."""


@dataclass(frozen=True)
class RecipeRow:
    """All results of one recipe: one per set of tasks and seeds."""

    rows: tuple[BoardRow, ...]

    @property
    def name(self) -> str:
        return self.rows[0].recipe + self.rows[0].suffix

    def in_task(self, task: str) -> BoardRow | None:
        """Return the result that covers a task; of several, the one with most seeds, and not withdrawn."""
        covering = [row for row in self.rows if task in row.summary.tasks]
        return max(covering, key=lambda row: (row.history.withdrawn is None, row.seeds), default=None)


def is_shown(board: Board, section: Section) -> bool:
    """Whether a section has tables by task: it is a publication's, on a suite of several tasks."""
    return len(board.suite.tasks) > 1 and any(row.reported for row in section.scored_rows)


def tables_by_task(board: Board, section: Section) -> list[tuple[str, Table]]:
    """Return one table for each group in `TITLES` that a task has, with its heading."""
    recipes = _recipes(section.scored_rows)
    sizes = {group: _sizes(board, section.scored_rows, group) for group in TITLES}
    return [(title, _table(board, recipes, group, sizes[group])) for group, title in TITLES.items() if sizes[group]]


def _recipes(rows: Sequence[BoardRow]) -> list[RecipeRow]:
    """Group results by recipe: the baseline first, then by name, with numbers in their order."""
    by_name: dict[str, list[BoardRow]] = {}
    for row in rows:
        by_name.setdefault(row.recipe + row.suffix, []).append(row)
    recipes = [RecipeRow(tuple(found)) for found in by_name.values()]
    return sorted(recipes, key=lambda recipe: (not recipe.rows[0].is_baseline, _natural(recipe.name)))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `most-5` before `most-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _sizes(board: Board, rows: Sequence[BoardRow], group: str) -> dict[str, int]:
    """Return the number of languages of a group by task, for the tasks in which it counts."""
    summaries = {name: task for row in rows for name, task in row.summary.tasks.items()}
    sizes = {name: summaries[name].sizes.get(group, 0) for name in board.suite.tasks if name in summaries}
    return {name: size for name, size in sizes.items() if size and counts_in_mean(group, size)}


def _table(board: Board, recipes: Sequence[RecipeRow], group: str, sizes: Mapping[str, int]) -> Table:
    def column(task: str) -> Column[RecipeRow]:
        ranks = _rank_in_task(recipes, task, group, len(board.suite.seeds))
        size = pluralise(sizes[task], "language")

        def cell(recipe: RecipeRow) -> Cell:
            row = recipe.in_task(task)
            return Cell("") if row is None else _cell(board, row, task, group, ranks.get(recipe.name))

        return Column(task, cell, note=lambda _: size)

    return make_table([Column("Recipe", _recipe_cell, is_text=True), *map(column, sizes)], recipes)


def _recipe_cell(recipe: RecipeRow) -> Cell:
    row = recipe.rows[0]
    return Cell(recipe.name, link=Link(row.page, row.link.folder), note=row.title)


def _rank_in_task(recipes: Sequence[RecipeRow], task: str, group: str, seeds: int) -> dict[str, tuple[int, int]]:
    """Return the ranks that a task's tests leave, of recipes with all seeds and a gain."""
    gains = {
        recipe.name: gain
        for recipe in recipes
        if (row := recipe.in_task(task)) and row.seeds == seeds and (gain := _gain(row, task, group))
    }
    sets = rank_sets(len(gains), tell_apart(list(gains.values())))
    return dict(zip(gains, sets, strict=True))


def _gain(row: BoardRow, task: str, group: str) -> Gain | None:
    """Return a gain with an interval; the baseline's is 0, and a withdrawn result has none."""
    if row.history.withdrawn:
        return None
    if row.is_baseline:
        return baseline_gain(row.seeds)
    compared = row.compared_in(task)
    gain = compared.gains.get(group) if compared else None
    return gain if gain and gain.low is not None else None


def _cell(board: Board, row: BoardRow, task: str, group: str, ranks: tuple[int, int] | None) -> Cell:
    """Return the gain with its interval, and below it the score, ranks, and numbers of languages helped and harmed."""
    gain, score = _gain(row, task, group), row.summary.tasks[task].groups.get(group)
    notes = [percent(score.mean if score else None)]
    notes += ["withdrawn"] if row.history.withdrawn else []
    notes += [f"rank {rank_set(ranks)}"] if ranks else [pluralise(row.seeds, "seed")] if gain else []
    if compared := row.compared_in(task):
        members = _members(board, row, task, group)
        verdicts = Verdicts.of(change for change in compared.languages if change.language in members)
        notes += [f"▲ {verdicts.helped} ▼ {verdicts.harmed}"] if verdicts else []
    text = "baseline" if row.is_baseline else gain_with_interval(gain)
    return Cell(text, as_percent(gain.mean) if gain else None, note=", ".join(notes))


def _members(board: Board, row: BoardRow, task: str, group: str) -> set[str]:
    apart = set(board.suite.out_of_distribution.get(task, []))
    if group == "out_of_distribution":
        return apart
    return {code for code, language in row.languages.items() if group in ("all", language.tier)} - apart
