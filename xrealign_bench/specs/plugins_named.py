"""Which registered names specs hold."""

from __future__ import annotations

from collections.abc import Iterable

from xrealign_bench.specs.aligner import aligner_name
from xrealign_bench.specs.data import Corpus, EmbeddedData
from xrealign_bench.specs.plugin import NamedPlugin
from xrealign_bench.specs.recipe import Recipe, SelectedLanguages
from xrealign_bench.specs.suite import Suite
from xrealign_bench.specs.task import Task


def names_in_task(task: Task) -> list[NamedPlugin]:
    """Return the names in a task: its type and metric, and formats of its files."""
    return [("metric", task.metric), *names_in_examples(task)]


def names_in_examples(task: Task) -> list[NamedPlugin]:
    """Return the names that determine how a task's examples are read and encoded."""
    others = [task.training_data.source] if task.training_data else []
    sources = [task.source, *(part.source for part in task.also), *others]
    formats = {source.format for source in sources if not isinstance(source, EmbeddedData) and source.format}
    return [("task_type", task.task_type), *(("data_reader", name) for name in sorted(formats))]


def names_in_corpora(corpora: Iterable[Corpus]) -> list[NamedPlugin]:
    """Return the formats of the files of corpora."""
    sources = [corpus.source for corpus in corpora]
    formats = {source.format for source in sources if not isinstance(source, EmbeddedData) and source.format}
    return [("data_reader", name) for name in sorted(formats)]


def names_in_recipe(recipe: Recipe, suite: Suite) -> list[NamedPlugin]:
    """Return the names in a recipe on a suite: its method, aligner and selection of languages."""
    if not recipe.realigns:
        return []
    names: list[NamedPlugin] = [("method", recipe.method)]
    if recipe.needs_links:
        names.append(("aligner", aligner_name(recipe.aligner or suite.parallel.aligner)))
    if isinstance(recipe.parallel.languages, SelectedLanguages):
        names.append(("selection", recipe.parallel.languages.select))
    return names
