"""A task: labelled data in many languages, and how it is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.data import DataSource
from xrealign_bench.specs.recipe import Name


class Columns(Spec):
    """Names of the data set's columns."""

    words: str
    labels: str
    groups: str | None = None
    """A group name a word; scores are then also given by group."""


class Task(Spec):
    """A word-tagging task."""

    name: Name
    title: str
    citation: str = ""
    licence: str
    kind: Literal["token_classification"]
    source: DataSource
    configs: Annotated[dict[str, str], Field(min_length=1)]
    """Language -> the data set's config."""
    train_split: str = "train"
    test_split: str = "test"
    columns: Columns
    labels: Annotated[list[str], Field(min_length=2)]
    """In the order of the model's outputs; checked against the data's own label names."""
    scored_words: Literal["all", "lexical"] = "all"
    """`lexical`: only words with a letter and without a digit count in the score."""
    unscored_labels: list[str] = []
    """Words with these labels never count in the score."""
    metric: Literal["accuracy"] = "accuracy"
    """The one that the tables show; macro F1 stands in the result too."""
    train_examples: Annotated[int, Field(gt=0)] | None = None
    """The first so many examples; null: all."""
    test_examples: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _unscored_are_labels(self) -> Task:
        foreign = [label for label in self.unscored_labels if label not in self.labels]
        if foreign:
            raise ValueError(f"unscored_labels names {', '.join(foreign)}, which labels does not")
        return self
