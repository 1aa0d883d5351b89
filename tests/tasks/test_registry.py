"""The table of task types. Truth: the signatures of the protocols, and `sys.modules` of a fresh process."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.data.hub_folder import make_task
from xrealign_bench.specs import Task, TaskType
from xrealign_bench.specs.task import TASK_TRAITS
from xrealign_bench.tasks import registry
from xrealign_bench.tasks.registry import TASK_TYPES

PROTOCOLS = {
    "load": registry.Load,
    "encode": registry.Encode,
    "new_model": registry.NewModel,
    "train": registry.Train,
    "predict": registry.Predict,
}
FOLDER = Path(registry.__file__).parent


def test_every_task_type_has_one_line_one_folder_and_traits() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert set(TASK_TYPES) == set(TASK_TRAITS) == folders
    assert all(implementation.package == name for name, implementation in TASK_TYPES.items())
    for folder in folders:
        assert {"data.py", "encoding.py", "model.py", "metric.py"} <= {
            path.name for path in (FOLDER / folder).iterdir()
        }


@pytest.mark.parametrize("name", TASK_TYPES)
def test_functions_take_the_arguments_of_their_protocol(name: TaskType) -> None:
    for role, protocol in PROTOCOLS.items():
        function: Any = getattr(TASK_TYPES[name], role)
        if function is None:
            assert role == "train" and not TASK_TRAITS[name].finetunes
            continue
        asked = list(inspect.signature(protocol.__call__).parameters.values())[1:]
        asked = [p for p in asked if p.kind is not p.VAR_KEYWORD]  # options of one type
        taken = inspect.signature(function).parameters
        own = list(taken.values())
        assert [p.kind for p in own[: len(asked)]] == [p.kind for p in asked], role
        assert all(p.name in taken for p in asked if p.kind is p.KEYWORD_ONLY), role
        options = {"tokenizer"} if role == "predict" and TASK_TRAITS[name].generates else set()
        assert {p.name for p in own[len(asked) :] if p.default is p.empty} == options, role


@pytest.mark.parametrize("name", TASK_TYPES)
def test_a_metric_names_columns_that_it_has(name: TaskType) -> None:
    metric = TASK_TYPES[name].metric
    assert {*metric.given, *metric.from_data} <= set(metric.columns)
    assert metric.schema.names == ["example", *metric.columns] and metric.schema.field("example").type == pa.int32()


def test_data_and_metrics_load_without_torch_and_transformers() -> None:
    code = """
import sys
from xrealign_bench.tasks.registry import TASK_TYPES
loaded = {"datasets", "evaluate", "torch", "transformers"} & set(sys.modules)
assert not loaded, f"the table loads {loaded}"
for implementation in TASK_TYPES.values():
    implementation.load, implementation.metric
loaded = {"torch", "transformers"} & set(sys.modules)
assert not loaded, f"data and metrics load {loaded}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_files_may_still_call_the_task_type_kind() -> None:
    fields = make_task().model_dump(mode="json", by_alias=False)
    old = {("kind" if name == "task_type" else name): value for name, value in fields.items()}
    assert "kind" in old and Task.model_validate(old) == Task.model_validate(fields)
