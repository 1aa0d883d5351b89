"""The kinds of tasks: what the stages need to know of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.specs import Finetuning, Task, TaskType
from xrealign_bench.tasks import (
    language_modelling,
    prompted_classification,
    question_answering,
    retrieval,
    sequence_classification,
    token_classification,
)

Rows = Mapping[str, Sequence[Any]]
"""Column -> values."""


class Train(Protocol):
    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Rows], finetuning: Finetuning, *,
        seed: int, device: torch.device, progress: Progress, joint: JointLoss | None,
    ) -> FinetuningLog: ...  # fmt: skip


class Predict(Protocol):
    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Rows], task: Task, *, device: torch.device
    ) -> pa.Table: ...


class TaskKind(Protocol):
    """A module of this package."""

    @property
    def encode(self) -> Callable[[Task, Any, PreTrainedTokenizerFast, int], tuple[dict[str, pa.Table], dict[str, int]]]:
        """Task, examples, tokenizer, longest window -> tables by name, and what the model does not read as it is."""

    @property
    def new_model(self) -> Callable[[Any, Task], nn.Module]:
        """Encoder (`specs.task.LANGUAGE_MODELLED` kinds: language model), task -> model with a fresh head, drawn from
        torch's generator, and the encoder as `encoder`."""

    @property
    def train(self) -> Train | None:
        """Fine-tune all parameters in place on the tables of the training data, `joint` handed on to `optimise`; None:
        the encoder is read as it is."""

    @property
    def predict(self) -> Predict:
        """Predictions of test data: one row an example, with the columns of `tasks.metrics.SCORING`."""


KINDS: Mapping[TaskType, TaskKind] = {
    "token_classification": token_classification,
    "sequence_classification": sequence_classification,
    "question_answering": question_answering,
    "retrieval": retrieval,
    "prompted_classification": prompted_classification,
    "language_modelling": language_modelling,
}
