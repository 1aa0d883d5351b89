"""The kinds of tasks: what the stages need to know of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from xrealign_bench.data import Located, Split
from xrealign_bench.models.training import FinetuningLog, JointLoss, Progress
from xrealign_bench.specs import Finetuning, Kind, Task
from xrealign_bench.tasks import question_answering, retrieval, sequence_classification, token_classification

Rows = Mapping[str, Sequence[Any]]
"""Column -> values."""


class Examples(Protocol):
    """Labelled examples of one language."""

    @property
    def located(self) -> Located: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    def __len__(self) -> int: ...


class Train(Protocol):
    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Rows], finetuning: Finetuning, *,
        seed: int, device: torch.device, progress: Progress, joint: JointLoss | None,
    ) -> FinetuningLog: ...  # fmt: skip


class Predict(Protocol):
    def __call__(
        self, model: Any, pad_id: int, tables: Mapping[str, Rows], task: Task, *, device: torch.device
    ) -> pa.Table: ...


@dataclass(frozen=True)
class TaskKind:
    load: Callable[[Task, str, Split, Path | None, bool, int | None], Any]
    """Task, language, split, data root, offline, limit -> `Examples`."""
    encode: Callable[[Task, Any, PreTrainedTokenizerFast, int], tuple[dict[str, pa.Table], dict[str, int]]]
    """Task, examples, tokenizer, longest window -> tables by name, and what the model does not read as it is."""
    new_model: Callable[[nn.Module, Task], nn.Module]
    """Encoder, task -> model with a fresh head, drawn from torch's generator, and the encoder as `encoder`."""
    train: Train | None
    """Fine-tune all parameters in place on the tables of the training data, `joint` handed on to `optimise`; None: the
    encoder is read as it is."""
    predict: Predict
    """Predictions of test data: one row an example, with the columns of `tasks.metrics.SCORING`."""


KINDS: Mapping[Kind, TaskKind] = {
    "token_classification": TaskKind(
        load=token_classification.load,
        encode=token_classification.encode,
        new_model=token_classification.new_model,
        train=token_classification.train,
        predict=token_classification.predict,
    ),
    "sequence_classification": TaskKind(
        load=sequence_classification.load,
        encode=sequence_classification.encode,
        new_model=sequence_classification.new_model,
        train=sequence_classification.train,
        predict=sequence_classification.predict,
    ),
    "question_answering": TaskKind(
        load=question_answering.load,
        encode=question_answering.encode,
        new_model=question_answering.new_model,
        train=question_answering.train,
        predict=question_answering.predict,
    ),
    "retrieval": TaskKind(
        load=retrieval.load,
        encode=retrieval.encode,
        new_model=retrieval.new_model,
        train=None,
        predict=retrieval.predict,
    ),
}
