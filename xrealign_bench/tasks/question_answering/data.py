"""Read the questions of an extractive question-answering task in one language, with contexts and gold answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xrealign_bench.data.examples import STRINGS, WHOLE_NUMBERS, Split, check_strings, locate_task, read_examples
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.specs import EmbeddedData, Task

Answer = tuple[str, int]
"""Text of the answer, and its first character in the context."""


@dataclass(frozen=True)
class QuestionData:
    """Questions of one language, as columns."""

    language: str
    rows: list[int]
    """Rows in the data. Translations of one example have the same row in all languages, even if rows are dropped."""
    questions: list[str]
    contexts: list[str]
    answers: list[list[Answer]]
    """At least one per question; each is in the context at its position."""
    dropped: dict[str, int]
    """Rule -> number of questions dropped."""
    located: LocatedSplit

    def __len__(self) -> int:
        return len(self.rows)


def load(task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None) -> QuestionData:
    """Read and check the questions of a task in one language.

    Questions without an answer, as in SQuAD 2.0, are dropped and counted: SQuAD 1.1's metric has no score for them. An
    answer that is not in the context at its `answer_start` is an error, because guessing another position could train
    on another span.

    Args:
        task: the task.
        language: code of the language.
        split: training or test data.
        location: where data sets are.
        limit: maximum number of examples, if lower than the task's own.

    Raises:
        UserError: the language or its data are missing, a column has another type, a text is empty, an answer is
            misplaced, or no question is left.
    """
    located = locate_task(task, language, split, location)
    part = task.part(language, split)
    if isinstance(part.source, EmbeddedData):
        raise UserError(f"task '{task.name}': the embedded data have no questions; name a data set of the Hub")
    columns = part.columns or task.columns
    names = [str(columns.question), str(columns.context), str(columns.answers)]
    data = read_examples(task, split, limit, located, names, location.offline)
    for name in names[:2]:
        check_strings(data.features, name, located)
    _check_answers(data.features[names[2]], names[2], located)
    dropped: Counter[str] = Counter()
    kept = QuestionData(language, [], [], [], [], {}, located)
    examples = zip(data.numbers, *(data.columns[name] for name in names), strict=True)
    for position, (row, question, context, given) in enumerate(examples):
        answers = _answers(data.place(position), question, context, given)
        if not answers:
            dropped["no answer"] += 1
            continue
        kept.rows.append(row)
        kept.questions.append(question)
        kept.contexts.append(context)
        kept.answers.append(answers)
    if not kept.rows:
        raise UserError(f"{located}: has no question with an answer; there is nothing to train on or to score")
    kept.dropped.update(dropped)
    return kept


def _check_answers(feature: Any, column: str, located: LocatedSplit) -> None:
    fields = feature if isinstance(feature, Mapping) else {}
    for field, dtypes in (("text", STRINGS), ("answer_start", WHOLE_NUMBERS)):
        if getattr(getattr(fields.get(field), "feature", None), "dtype", None) not in dtypes:
            raise UserError(
                f"{located}: column '{column}' holds {feature} and not SQuAD's lists 'text' (strings) and "
                "'answer_start' (whole numbers); name another in 'columns'"
            )


def _answers(
    where: str, question: str | None, context: str | None, given: Mapping[str, list[Any] | None] | None
) -> list[Answer]:
    """Check one example, and return its answers."""
    for name, text in (("question", question), ("context", context)):
        if not (text or "").strip():
            raise UserError(f"{where}: the {name} is {'null' if text is None else 'empty'}; mend the data")
    texts, starts = ((given or {}).get(field) or [] for field in ("text", "answer_start"))
    if len(texts) != len(starts):
        raise UserError(f"{where}: {len(texts)} answers and {len(starts)} places in the context; mend the data")
    answers = list(zip(texts, starts, strict=True))
    for text, start in answers:
        _check_place(where, str(context), text, start)
    return answers


def _check_place(where: str, context: str, text: str | None, start: int | None) -> None:
    if not (text or "").strip():
        raise UserError(f"{where}: an answer is {'null' if text is None else 'empty'}; mend the data")
    if start is None or start < 0 or not context.startswith(str(text), start):
        raise UserError(f"{where}: the answer {text!r} is not at character {start} of the context; mend the data")
