"""Load the examples of a task, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from xrealign_bench.data.labelled_texts import load_texts
from xrealign_bench.data.plain_texts import load_plain_texts
from xrealign_bench.data.questions import load_questions
from xrealign_bench.data.sources import DataLocation, Located
from xrealign_bench.data.tagged_words import load_words
from xrealign_bench.data.task_data import Split
from xrealign_bench.data.translations import load_translations
from xrealign_bench.specs import Task, TaskType


class Examples(Protocol):
    """Examples of one language."""

    @property
    def located(self) -> Located: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    def __len__(self) -> int: ...


_LOADERS: Mapping[TaskType, Callable[[Task, str, Split, DataLocation, int | None], Examples]] = {
    "token_classification": load_words,
    "sequence_classification": load_texts,
    "question_answering": load_questions,
    "retrieval": load_translations,
    "prompted_classification": load_texts,
    "language_modelling": load_plain_texts,
}


def load_examples(
    task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None
) -> Examples:
    """Load the examples of a task in one language, with the loader of its kind.

    Args:
        limit: at most so many, even where the task allows more.

    Raises:
        UserError: no such language, no data, or data that break what the kind of task asks for.
    """
    return _LOADERS[task.task_type](task, language, split, location, limit)
