"""Stages that read and tokenise the tasks' data."""

from __future__ import annotations

from xrealign_bench.data import CHOSEN_EXAMPLES, SEGMENTER, Split, examples_to_read, locate_task
from xrealign_bench.pipeline.plan import Plan, Request
from xrealign_bench.pipeline.planning.keys import only_cell, tokenizer_key
from xrealign_bench.pipeline.stages import Tokenise, TokeniseSettings
from xrealign_bench.specs import EmbeddedData, Task
from xrealign_bench.specs.plugin import plugin_keys
from xrealign_bench.specs.plugins_named import names_in_examples


def plan_task_data(plan: Plan, task: Task) -> None:
    """Add the stages that tokenise a task's training and test data."""
    source = plan.request.suite.source_language
    if task.finetunes:
        plan.train[task.name] = plan.add(_tokenise(plan.request, task, source, "train"))
    for language in test_languages(plan.request, task):
        plan.test[task.name, language] = plan.add(_tokenise(plan.request, task, language, "test"))


def test_languages(request: Request, task: Task) -> list[str]:
    """Return the languages that a task is tested in, the source language first if it is one of them."""
    targets = [code for code in request.languages if code in task.languages]
    return [request.suite.source_language, *targets] if task.tests_source else targets


def _tokenise(request: Request, task: Task, language: str, split: Split) -> Tokenise:
    located = locate_task(task, language, split, request.location)
    read = only_cell(task, language, split)
    # Embedded data are generated, as many as are asked for.
    chooses = not isinstance(read.source, EmbeddedData) and examples_to_read(task, split, request.limit) is not None
    reads_words = task.base_type == "token_classification"
    settings = TokeniseSettings(
        task=read,
        language=language,
        split=split,
        data=located.fingerprint,
        limit=request.limit,
        tokenizer=tokenizer_key(request.checkpoint),
        max_length=request.suite.finetuning_for(task.name).length(split),
        segmenter=SEGMENTER if read.segment else None,
        chosen=CHOSEN_EXAMPLES if chooses else None,
        long_sentences=request.suite.long_sentences if reads_words else "windows",
        lone_word_markers=request.suite.lone_word_markers if reads_words else "keep",
        plugins=plugin_keys(names_in_examples(read)),
    )
    return Tokenise(f"tokenise {task.name} {language} {split}", settings)
