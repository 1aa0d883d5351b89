"""The questions of an extractive question-answering task in one language, each with its passage and right answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xrealign_bench.data.examples import STRINGS, WHOLE_NUMBERS, Split, check_strings, locate_task, read_examples
from xrealign_bench.data.sources import DataLocation, LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task

Answer = tuple[str, int]
"""Text, and the character of the context at which it begins."""


@dataclass(frozen=True)
class QuestionData:
    """Questions of one language, column by column."""

    language: str
    rows: list[int]
    """Row in the data: the same example has the same in all languages of a parallel data set, dropped rows or not."""
    questions: list[str]
    contexts: list[str]
    answers: list[list[Answer]]
    """At least one a question; each stands in the context where it says."""
    dropped: dict[str, int]
    """Rule -> how many questions it dropped."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> QuestionData:
    """Read the questions of a task in one language, and check them.

    A question without an answer (SQuAD 2.0 has such) is dropped and counted: SQuAD 1.1's metric knows none. An answer
    that does not stand in the context at its `answer_start` is refused: a place guessed at would train on another span.

    Args:
        limit: read at most so many examples, even where the task allows more.

    Raises:
        UserError: no such language, no data, columns of another type, an empty text, a misplaced answer, or nothing
            left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data have no questions; name a data set of the Hub")
    columns = part.columns or task.columns
    names = [str(columns.question), str(columns.context), str(columns.answers)]
    data = read_examples(task, split, limit, located, names, location.offline)
    for name in names[:2]:
        check_strings(data.features, name, located)
    _check_answers(data.features[names[2]], names[2], located)
    return _checked(language, located, data.numbers, *(data.columns[name] for name in names))


def _check_answers(feature: Any, column: str, located: LocatedSplit) -> None:
    fields = feature if isinstance(feature, Mapping) else {}
    for field, dtypes in (("text", STRINGS), ("answer_start", WHOLE_NUMBERS)):
        if getattr(getattr(fields.get(field), "feature", None), "dtype", None) not in dtypes:
            raise UserError(
                f"{located}: column '{column}' holds {feature} and not SQuAD's lists 'text' (strings) and "
                "'answer_start' (whole numbers); name another in 'columns'"
            )


def _checked(
    language: str,
    located: LocatedSplit,
    rows: Sequence[int],
    questions: list[str | None],
    contexts: list[str | None],
    answers: list[Mapping[str, list[Any] | None] | None],
) -> QuestionData:
    dropped: Counter[str] = Counter()
    kept = QuestionData(language, [], [], [], [], {}, located)
    for row, question, context, given in zip(rows, questions, contexts, answers, strict=True):
        where = f"{located}, row {row}"
        for what, text in (("question", question), ("context", context)):
            if not (text or "").strip():
                raise UserError(f"{where}: the {what} is {'null' if text is None else 'empty'}; mend the data")
        texts, starts = ((given or {}).get(field) or [] for field in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise UserError(f"{where}: {len(texts)} answers and {len(starts)} places in the context; mend the data")
        if not texts:
            dropped["no answer"] += 1
            continue
        for text, start in zip(texts, starts, strict=True):
            _check_place(where, str(context), text, start)
        kept.rows.append(row)
        kept.questions.append(str(question))
        kept.contexts.append(str(context))
        kept.answers.append(list(zip(texts, starts, strict=True)))
    if not kept.rows:
        raise UserError(f"{located}: has no question with an answer; there is nothing to train on or to score")
    kept.dropped.update(dropped)
    return kept


def _check_place(where: str, context: str, text: str | None, start: int | None) -> None:
    if not (text or "").strip():
        raise UserError(f"{where}: an answer is {'null' if text is None else 'empty'}; mend the data")
    if start is None or start < 0 or not context.startswith(str(text), start):
        raise UserError(f"{where}: the answer {text!r} is not at character {start} of the context; mend the data")
