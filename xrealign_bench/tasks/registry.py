"""The table of task types.

Every type has a package beside this module with four modules: `data` (read the examples), `encoding` (turn them into
tables of tokens), `model` (head, fine-tuning and prediction) and `metric` (score predictions). They are imported when
they are first used, so importing this table loads neither torch nor transformers.

To add a type, add its package and its traits in `specs.task_types`. Plugins are registered there, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from xrealign_bench.data import DataLocation, LocatedSplit, Split
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.specs.task_types import METRICS, TASK_TRAITS

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
    """Predict test data: one row per example, with `example` and the columns of the metric.

    Further columns stay in the store. `options` are the `tokenizer`, for task types that generate text only.
    """

    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Any], task: Task, *, device: torch.device, **options: Any
    ) -> pa.Table: ...


@dataclass(frozen=True)
class TaskImplementation:
    """The code of a task type, imported when it is first used."""

    package: str
    """Name of the package in `xrealign_bench.tasks`."""
    plugin: type | None = None
    """Class of a plugin, whose attributes replace those of the package."""

    @cached_property
    def load(self) -> Load:
        load: Load = self._part("data", "load")
        return load

    @cached_property
    def encode(self) -> Encode:
        encode: Encode = self._part("encoding", "encode")
        return encode

    @cached_property
    def new_model(self) -> NewModel:
        new_model: NewModel = self._part("model", "new_model")
        return new_model

    @cached_property
    def new_transformers_model(self) -> NewTransformersModel:
        """Only for task types with fine-tuning."""
        new_model: NewTransformersModel = self._part("model", "new_transformers_model")
        return new_model

    @cached_property
    def train(self) -> Train | None:
        """None if nothing is fine-tuned."""
        train: Train | None = self._part("model", "train")
        return train

    @cached_property
    def predict(self) -> Predict:
        predict: Predict = self._part("model", "predict")
        return predict

    @cached_property
    def metric(self) -> TaskMetric:
        metric: TaskMetric = self._part("metric", "METRIC")
        return metric

    @cached_property
    def _own(self) -> Any:
        """The plugin's instance."""
        return None if self.plugin is None else self.plugin()

    def _part(self, role: str, name: str) -> Any:
        """Return the plugin's attribute, or that of a module of the package."""
        own = "metric" if name == "METRIC" else name
        if hasattr(self._own, own):
            return getattr(self._own, own)
        return getattr(import_module(f"xrealign_bench.tasks.{self.package}.{role}"), name)


class _TaskTypes(Mapping[str, TaskImplementation]):
    """The code of each task type in `TASK_TRAITS`."""

    def __getitem__(self, name: str) -> TaskImplementation:
        traits = TASK_TRAITS[name]
        return _implementation(traits.like or name, traits.code)

    def __iter__(self) -> Iterator[str]:
        return iter(TASK_TRAITS)

    def __len__(self) -> int:
        return len(TASK_TRAITS)


@cache
def _implementation(package: str, plugin: type | None) -> TaskImplementation:
    return TaskImplementation(package, plugin)


TASK_TYPES: Mapping[str, TaskImplementation] = _TaskTypes()


def metric_of(task: Task) -> TaskMetric:
    """Return how the predictions of a task are scored.

    Raises:
        UserError: its task type or metric is a plugin that is not registered.
    """
    traits = task.traits  # imports nothing
    task_type = _implementation(traits.like or task.task_type, traits.code)
    if task.metric in METRICS.shipped:
        return task_type.metric
    if (plugin := METRICS.find(task.metric)) is None:
        raise UserError(
            f"task {task.name}: its metric '{task.metric}' is a plugin that is not registered. Install its package or "
            "get its file, and name it with --plugin"
        )
    from xrealign_bench.tasks.metrics import add_metric

    return add_metric(task_type.metric, task.metric, plugin.metric())
