"""Write small data sets in the layout of the Hub, and the task that reads them."""

from pathlib import Path
from typing import Any

import datasets
from datasets import ClassLabel, Features, List, Value

from xrealign_bench.specs import Task

LABELS = ["NOUN", "_", "VERB"]
"""As the data have them: in another order than the task, and with CoNLL-U's underscore."""


def write_rows(
    root: Path,
    config: str,
    split: str,
    rows: list[dict],
    features: Features | None = None,
    dataset: str = "org/tags",
) -> Path:
    """Write `root/<dataset>/<config>/<split>-00000-of-00001.parquet`."""
    features = features or Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=LABELS))})
    file = root / dataset / config / f"{split}-00000-of-00001.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in features}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(file))
    return file


def row(text: str, labels: list) -> dict:
    return {"tokens": text.split(), "tags": labels}


TASK: dict[str, Any] = {
    "name": "tags",
    "title": "Tags",
    "licence": "none",
    "task_type": "token_classification",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "configs": {"en": "en_x", "de": "de_y"},
    "columns": {"words": "tokens", "labels": "tags"},
    "labels": ["VERB", "NOUN"],
}
"""The task that reads what `write_rows` writes, as its YAML file has it."""


def make_task(**changes) -> Task:
    return Task.model_validate(TASK | changes)
