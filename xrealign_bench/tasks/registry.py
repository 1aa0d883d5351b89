"""The table of task types.

Every type has a package beside this module with four modules: `data` (read the examples), `encoding` (turn them into
tables of tokens), `model` (head, fine-tuning and prediction) and `metric` (score predictions). They are imported when
they are first used, so importing this table loads neither torch nor transformers.

To add a type, add its package, its line in `TASK_TYPES`, and its traits in `specs.task`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from xrealign_bench.data import DataLocation, LocatedSplit, Split
from xrealign_bench.specs import Task, TaskType

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerFast

    from xrealign_bench.models.training import FinetuningLog
    from xrealign_bench.tasks.finetuning import FinetuningRun
    from xrealign_bench.tasks.metrics import TaskMetric


class TaskData(Protocol):
    """Examples of one language."""

    @property
    def located(self) -> LocatedSplit: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    def __len__(self) -> int: ...


class Load(Protocol):
    """Read and check the examples of a task in one language, at most `limit` of them.

    Raises:
        UserError: the language or its data are missing, or the data break a rule of the task type.
    """

    def __call__(
        self, task: Task, language: str, split: Split, location: DataLocation, limit: int | None = None
    ) -> TaskData: ...


class Encode(Protocol):
    """Return tables of tokens by name, and how many examples the model does not read unchanged, by reason.

    `options` are those of `encode_words`, for token classification only.
    """

    def __call__(
        self, task: Task, data: Any, tokenizer: PreTrainedTokenizerFast, max_length: int, **options: Any
    ) -> tuple[dict[str, pa.Table], dict[str, int]]: ...


class NewModel(Protocol):
    """Put a new head on an encoder (if `task.reads_language_model`: a language model), drawn from torch's generator.

    The encoder is the model's attribute `encoder`.
    """

    def __call__(self, encoder: Any, task: Task) -> nn.Module: ...


class NewTransformersModel(Protocol):
    """Wrap transformers' own class for the task, from `models.task_class.load_task_class`."""

    def __call__(self, whole: Any) -> nn.Module: ...


class Train(Protocol):
    """Fine-tune all parameters in place on the tables of the training data."""

    def __call__(self, model: Any, pad_id: int, tables: Mapping[str, Any], run: FinetuningRun) -> FinetuningLog: ...


class Predict(Protocol):
    """Predict test data: one row per example, with `example` and the columns of the metric."""

    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Any], task: Task, *, device: torch.device
    ) -> pa.Table: ...


@dataclass(frozen=True)
class TaskImplementation:
    """The code of a task type, imported when it is first used."""

    package: str
    """Name of the package in `xrealign_bench.tasks`."""

    @cached_property
    def load(self) -> Load:
        load: Load = self._module("data").load
        return load

    @cached_property
    def encode(self) -> Encode:
        encode: Encode = self._module("encoding").encode
        return encode

    @cached_property
    def new_model(self) -> NewModel:
        new_model: NewModel = self._module("model").new_model
        return new_model

    @cached_property
    def new_transformers_model(self) -> NewTransformersModel:
        """Only for task types with fine-tuning."""
        new_model: NewTransformersModel = self._module("model").new_transformers_model
        return new_model

    @cached_property
    def train(self) -> Train | None:
        """None if nothing is fine-tuned."""
        train: Train | None = self._module("model").train
        return train

    @cached_property
    def predict(self) -> Predict:
        predict: Predict = self._module("model").predict
        return predict

    @cached_property
    def metric(self) -> TaskMetric:
        metric: TaskMetric = self._module("metric").METRIC
        return metric

    def _module(self, role: str) -> Any:
        return import_module(f"xrealign_bench.tasks.{self.package}.{role}")


TASK_TYPES: Mapping[TaskType, TaskImplementation] = {
    "token_classification": TaskImplementation("token_classification"),
    "sequence_classification": TaskImplementation("sequence_classification"),
    "question_answering": TaskImplementation("question_answering"),
    "retrieval": TaskImplementation("retrieval"),
    "prompted_classification": TaskImplementation("prompted_classification"),
    "language_modelling": TaskImplementation("language_modelling"),
}
