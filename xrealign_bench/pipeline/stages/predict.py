"""Predict and score the test data of one task in one language."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from xrealign_bench.pipeline.files import read_tables, write_json, write_table
from xrealign_bench.pipeline.stage import (
    Costs,
    Inputs,
    KeyedComputeSettings,
    Settings,
    Stage,
    StageRef,
    StageType,
    WeightsKey,
    Workspace,
)
from xrealign_bench.specs import Columns, EmbeddedData, Task
from xrealign_bench.specs.recipe import Attention
from xrealign_bench.specs.suite import Head

PREDICTIONS = "predictions.parquet"
"""File with the predictions, one row per example."""


class PredictSettings(Settings):
    checkpoint: WeightsKey
    task: Task
    compute_settings: KeyedComputeSettings = Field(serialization_alias="numerics")
    attention: Attention = "own"
    initialisation: Literal["checkpoint", "random", "realigned"] | None = None
    """None: the task is fine-tuned, and the weights are the fine-tuned model's. With a fine-tuned adapter, the weights
    below it."""
    head: Head = "linear"
    """Of the fine-tuned model."""
    seed: int | None = None
    """Set only for random weights that aren't fine-tuned, or that have an adapter: the checkpoint's own predictions are
    the same for all."""
    identifier: str | None = None
    """Version of the language identifier, if the model writes text."""


@dataclass(frozen=True)
class PredictInputs(Inputs):
    test: StageRef
    """A `tokenise`."""
    model: StageRef | None = None
    """A `finetune`; None: the task has none."""
    encoder: StageRef | None = None
    """A `realign`, for a task without fine-tuning or with a fine-tuned adapter; None: the checkpoint's weights, or
    random ones."""

    def by_role(self) -> dict[str, StageRef]:
        roles = {"test": self.test, "model": self.model, "encoder": self.encoder}
        return {role: ref for role, ref in roles.items() if ref is not None}


@dataclass(frozen=True)
class Predict(Stage):
    settings: PredictSettings
    inputs: PredictInputs

    stage_type: ClassVar[StageType] = "predict"
    code_version: ClassVar[int] = 1

    @property
    def model_id(self) -> Hashable:
        """Identify the model: predictions with equal ids need it loaded only once."""
        asked, inputs = self.settings, self.inputs
        weights = (inputs.model, inputs.encoder, asked.initialisation, asked.seed)
        return (asked.task.name, asked.attention, *weights)

    def run(self, workspace: Workspace) -> Costs:
        import pyarrow.compute as pc

        from xrealign_bench.models.device import pick_device
        from xrealign_bench.pipeline.loading import block_parameters, tokenizer_of
        from xrealign_bench.tasks.registry import TASK_TYPES, metric_of

        task = self.settings.task
        task_type = TASK_TYPES[task.task_type]
        model, pad_id = self._model(workspace)
        if not task.finetunes:
            write_json(workspace.output / "log.json", {"encoder_parameters": model.encoder.num_parameters()})
        tables = read_tables(workspace.folder_of(self.inputs.test))
        device = pick_device(workspace.context.device)
        options = {"tokenizer": tokenizer_of(workspace.context.checkpoint)} if task.traits.generates else {}
        predictions = task_type.predict(model, pad_id, tables, task, device=device, **options)
        write_table(workspace.output / PREDICTIONS, predictions)
        score = metric_of(task).score(task, predictions.to_pydict())
        write_json(workspace.output / "score.json", {"examples": len(predictions), **score})
        read = [table["input_ids"] for table in tables.values() if "input_ids" in table.column_names]
        tokens = sum(len(pc.list_flatten(ids)) for ids in read)
        return {"tokens": tokens, "flops": 2.0 * tokens * block_parameters(model.encoder)}

    def _model(self, workspace: Workspace) -> tuple[Any, int]:
        """Return the model and its tokenizer's padding token."""
        from xrealign_bench.pipeline.loading import StartingWeights, kept_finetuned, kept_not_finetuned

        asked, context, inputs = self.settings, workspace.context, self.inputs
        task = _without_language(asked.task)
        realigned = None if inputs.encoder is None else workspace.folder_of(inputs.encoder)
        start = StartingWeights(realigned, asked.initialisation, asked.seed or 0)
        if inputs.model is not None:
            return kept_finetuned(workspace.folder_of(inputs.model), start, asked.attention, context, task, asked.head)
        return kept_not_finetuned(start, asked.attention, context, task)


def _without_language(task: Task) -> Task:
    """Return the task as the model knows it, so that one model serves all languages."""
    nowhere = {"source": EmbeddedData(kind="embedded"), "configs": {}, "columns": Columns(), "label_map": {}}
    return task.model_copy(update=nowhere | {"test_split": "", "segment": []})
