"""Read one split of a task in one language, and cut it into the model's inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from xrealign_bench.data import Split
from xrealign_bench.pipeline.files import data_record, write_json, write_table
from xrealign_bench.pipeline.stage import NO_INPUTS, Costs, Inputs, Settings, Stage, StageType, TokenizerKey, Workspace
from xrealign_bench.specs import Task
from xrealign_bench.specs.suite import LoneWordMarkers, LongSentences


class TokeniseSettings(Settings):
    task: Task
    """Without its other languages and splits."""
    language: str
    split: Split
    data: str
    """Fingerprint of the data."""
    limit: int | None
    tokenizer: TokenizerKey
    max_length: int
    segmenter: str | None = None
    """Version of the segmenter, if the words are segmented anew."""
    chosen: str | None = None
    """`CHOSEN_EXAMPLES`, if not all examples of the data are read."""
    long_sentences: LongSentences = "windows"
    """Default for all task types but token classification."""
    lone_word_markers: LoneWordMarkers = "keep"
    """Likewise."""


@dataclass(frozen=True)
class Tokenise(Stage):
    settings: TokeniseSettings
    inputs: Inputs = NO_INPUTS

    stage_type: ClassVar[StageType] = "tokenise"
    code_version: ClassVar[int] = 3

    def run(self, workspace: Workspace) -> Costs:
        from xrealign_bench.pipeline.loading import tokenizer_of
        from xrealign_bench.tasks.registry import TASK_TYPES
        from xrealign_bench.tasks.token_classification.data import WordData

        asked, context = self.settings, workspace.context
        task, language, split = asked.task, asked.language, asked.split
        task_type = TASK_TYPES[task.task_type]
        data = task_type.load(task, language, split, context.location, asked.limit)
        options: dict[str, Any] = {}
        if task.base_type == "token_classification":
            options = {"long_sentences": asked.long_sentences, "lone_word_markers": asked.lone_word_markers}
        tables, altered = task_type.encode(task, data, tokenizer_of(context.checkpoint), asked.max_length, **options)
        for name, table in tables.items():
            write_table(workspace.output / f"{name}.parquet", table)
        repaired = {}
        if isinstance(data, WordData):
            repaired, altered = data.repaired, data.altered | altered
        record = data_record(split, task.name, language, data.located, len(data), data.dropped)
        write_json(workspace.output / "data.json", [record | {"repaired": repaired, "altered": altered}])
        return {}
