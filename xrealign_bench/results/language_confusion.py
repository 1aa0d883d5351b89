"""Language confusion: the languages that translations are in, from a result's stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from xrealign_bench.errors import UserError
from xrealign_bench.results.rescoring import check_computed
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import find_results, read_checked, read_predictions
from xrealign_bench.specs import Task
from xrealign_bench.specs.recipe import BASELINE

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Confusion:
    """The languages of a recipe's translations in one direction, over all seeds."""

    recipe: str
    task: str
    language: str
    direction: str
    """`forward`: into the language; `backward`: out of it."""
    answers: int
    chrf: float
    right: float | None
    """Share of answers in the right language; None if the identifier does not know it."""
    references: float | None
    """Share of reference translations that the identifier takes for the right language: the highest `right` to expect.
    None if the language is not known, and for `backward`."""
    no_language: float
    """Share of answers without words."""
    others: Mapping[str, float] = field(default_factory=dict)
    """Code of another language -> share of answers, the largest first; empty if the right one is not known."""


def find_confusion(root: Path) -> list[Confusion]:
    """Return the languages of the translations of all results below a folder, those to be compared side by side.

    Results without a task of translation are left out. The baseline comes first.

    Raises:
        UserError: a result is damaged, or there is none with a task of translation.
    """
    rows = [row for folder in find_results(root) for row in language_confusion(folder)]
    if not rows:
        raise UserError(f"{root}: has no result with a task of translation. Name results of such a suite")
    return sorted(rows, key=lambda row: (row.task, row.language, row.direction == "backward", row.recipe != BASELINE))


def language_confusion(folder: Path) -> list[Confusion]:
    """Return the languages of a result's translations, by task, language and direction; empty without such a task.

    Raises:
        UserError: the result is damaged or was not computed.
    """
    result = read_checked(folder)
    tasks = {task.name: task for task in result.tasks if task.base_type == "translation"}
    if tasks:
        check_computed(folder, result)
    return [
        row
        for record in result.predictions
        if record.task in tasks
        for row in _of_task(result, tasks[record.task], read_predictions(folder, record, tasks[record.task]))
    ]


def _of_task(result: Result, task: Task, table: pa.Table) -> Iterator[Confusion]:
    from xrealign_bench.tasks.translation.metric import DIRECTIONS

    columns = {name: table[name].to_pylist() for name in ("language", "forward_language", "backward_language")}
    for language in dict.fromkeys(columns["language"]):
        places = [place for place, code in enumerate(columns["language"]) if code == language]
        for direction in DIRECTIONS:
            found = [columns[f"{direction}_language"][place] for place in places]
            yield _of_answers(result, task, language, direction, found)


def _of_answers(result: Result, task: Task, language: str, direction: str, found: list[str]) -> Confusion:
    from xrealign_bench.tasks.translation.identification import NO_LANGUAGE, identifier_code

    scores = [each for each in result.scores if (each.task, each.language) == (task.name, language)]
    metrics = [{name: value for name, value in each.metrics.items() if value is not None} for each in scores]
    code = identifier_code(language if direction == "forward" else str(task.text_language))
    shares = {name: count / len(found) for name, count in Counter(found).most_common()}
    without = shares.pop(NO_LANGUAGE, 0.0)
    return Confusion(
        recipe=result.recipe.name,
        task=task.name,
        language=language,
        direction=direction,
        answers=len(found),
        chrf=fmean(each[f"chrf_{direction}"] for each in metrics),
        right=None if code is None else shares.pop(code, 0.0),
        references=metrics[0].get("right_language_references") if direction == "forward" else None,
        no_language=without,
        others={} if code is None else shares,
    )
