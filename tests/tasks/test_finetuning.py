"""Fine-tuning in parts of a batch, where memory is short. Truth: the same batches whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.models.test_families import DATA, TASKS
from tests.realignment.test_parts import with_little_memory
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.specs import Finetuning
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.registry import TASK_TYPES

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.finetunes])
def test_training_in_parts_gives_the_losses_of_whole_batches(name: Any) -> None:
    task_type, task, checkpoint = TASK_TYPES[name], TASKS[name], resolve_checkpoint(EMBEDDED)
    tokenizer = load_tokenizer(checkpoint)
    tables, _ = task_type.encode(task, DATA[name], tokenizer, 40)
    finetuning = Finetuning(steps=4, batch_size=3, max_length=40, learning_rate={"default": 1e-3})
    logs = []
    for texts in (100, 1):
        torch.manual_seed(0)
        encoder = with_little_memory(load_encoder(checkpoint, seed=0), texts)
        model = task_type.new_model(encoder, task)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        assert task_type.train is not None
        logs.append(
            task_type.train(
                model,
                tokenizer.pad_token_id,
                tables,
                FinetuningRun(finetuning, 1, CPU, lambda done, total, note: None),
            )
        )
    assert [log.batch_parts for log in logs] == [1, 3]
    assert logs[1].losses == pytest.approx(logs[0].losses, abs=1e-4)
    assert logs[1].tokens == logs[0].tokens
