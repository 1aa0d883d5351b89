"""Task types and metrics that a task can name, with the facts that specs and plans need. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from pydantic import Field

from xrealign_bench.arguments import names_arguments
from xrealign_bench.errors import unknown
from xrealign_bench.plugins import Registry, check_protocol
from xrealign_bench.specs.plugin import RegisteredName

if TYPE_CHECKING:
    from xrealign_bench.specs.task import Task


@dataclass(frozen=True)
class TaskTraits:
    """Properties of a task type that its tasks are validated against, and that the plan needs."""

    required_columns: tuple[str, ...]
    metrics: tuple[str, ...]
    optional_columns: tuple[str, ...] = ()
    own_fields: tuple[str, ...] = ()
    """Fields of `Task` that have an effect for this type only."""
    has_labels: bool = False
    finetunes: bool = True
    """False: the encoder or the language model is evaluated without fine-tuning."""
    reads_language_model: bool = False
    """The model is a decoder with its output layer: predictions are made from the probabilities it gives to texts."""
    generates: bool = False
    """The model writes text, so `predict` also gets the tokenizer."""
    reads_pairs: bool = False
    """Examples are sentences of `text_language` and their translations, which no recipe may realign on."""
    tests_source: bool = True
    """The source language is tested too."""
    like: str | None = None
    """Plugin: the shipped type that it extends."""
    code: type | None = None
    """Plugin: its class, see `TaskCode`."""


TASK_TRAITS: Registry[TaskTraits] = Registry(
    "task_type",
    {
        "token_classification": TaskTraits(
            required_columns=("words", "labels"),
            optional_columns=("groups",),
            metrics=("accuracy", "entity_f1"),
            own_fields=("scored_words", "unscored_labels", "repair", "segment"),
            has_labels=True,
        ),
        "sequence_classification": TaskTraits(
            required_columns=("text", "label"),
            optional_columns=("text_pair",),
            metrics=("accuracy",),
            has_labels=True,
        ),
        "question_answering": TaskTraits(
            required_columns=("question", "context", "answers"),
            metrics=("f1",),
            own_fields=("spans",),
        ),
        "retrieval": TaskTraits(
            required_columns=("text", "text_pair"),
            metrics=("accuracy",),
            own_fields=("text_language", "layer", "skip_examples"),
            finetunes=False,
            reads_pairs=True,
            tests_source=False,  # it is the other side of every pair
        ),
        "prompted_classification": TaskTraits(
            required_columns=("text", "label"),
            optional_columns=("text_pair",),
            metrics=("accuracy",),
            own_fields=("prompt", "verbalisers"),
            has_labels=True,
            finetunes=False,
            reads_language_model=True,
        ),
        "language_modelling": TaskTraits(
            required_columns=("text",),
            metrics=("compression",),
            finetunes=False,
            reads_language_model=True,
        ),
        "translation": TaskTraits(
            required_columns=("text", "text_pair"),
            metrics=("chrf",),
            own_fields=("text_language", "skip_examples", "prompt", "max_new_tokens"),
            finetunes=False,
            reads_language_model=True,
            generates=True,
            reads_pairs=True,
            tests_source=False,  # it is the other side of every pair
        ),
    },
)

TaskType = Annotated[
    str,
    RegisteredName("task_type", tuple(TASK_TRAITS.shipped)),
    Field(description=f"{', '.join(TASK_TRAITS.shipped)} or the name of a plugin"),
]


class TaskCode(Protocol):
    """Code of a task type that extends a shipped one; what it leaves out is the shipped type's.

    The harness reads examples with `load`, turns them into tables of tokens with `encode`, both once a language, and
    stores these tables. Functions with the same names in `xrealign_bench.tasks.<shipped type>` can be called from
    here. A class may also have `new_model`, `train`, `predict` and `metric`, as in `xrealign_bench.tasks.registry`.
    """

    def load(self, task: Any, language: str, split: Any, location: Any, limit: int | None) -> Any:
        """Read and check the examples of one language, at most `limit` of them: what the shipped type's `load` returns.

        Args:
            task: the task's spec.
            language: a code of `task.languages`.
            split: `train` or `test`.
            location: where data sets are.
            limit: maximum number of examples; None: all.
        """

    def encode(self, task: Any, data: Any, tokenizer: Any, max_length: int) -> Any:
        """Return tables of tokens by name, and how many examples are changed by which rule.

        Args:
            task: the task's spec.
            data: what `load` returned.
            tokenizer: the checkpoint's, a fast one of transformers.
            max_length: sub-words of an example, special tokens included.
        """


Code = TypeVar("Code", bound=type)


@names_arguments
def register_task_type(
    name: str,
    *,
    version: str,
    like: str,
    required_columns: Sequence[str] | None = None,
    optional_columns: Sequence[str] | None = None,
) -> Callable[[Code], Code]:
    """Register a class with methods of `TaskCode`, so that a task can name it under `task_type`.

    Args:
        name: the name that tasks give.
        version: raise it when examples or predictions change.
        like: the shipped task type that it extends.
        required_columns: fields of `columns` that a task must give; None: those of `like`.
        optional_columns: fields of `columns` that it may give; None: those of `like`.

    Raises:
        UserError: `like` is no shipped type, or a method has other arguments.
    """

    def register(code: Code) -> Code:
        check_protocol(code, TaskCode, optional=("load", "encode"))
        if like not in TASK_TRAITS.shipped:
            raise unknown("shipped task type", like, TASK_TRAITS.shipped)
        traits = TASK_TRAITS.shipped[like]
        required = traits.required_columns if required_columns is None else tuple(required_columns)
        optional = traits.optional_columns if optional_columns is None else tuple(optional_columns)
        own = replace(traits, like=like, code=code, required_columns=required, optional_columns=optional)
        TASK_TRAITS.add(code, name, version, own)
        return code

    return register


class ExampleMetric(Protocol):
    """A metric that is a ratio of two sums over examples, as accuracy is: so it has confidence intervals."""

    def counts(self, task: Task, columns: Mapping[str, Sequence[Any]]) -> tuple[Sequence[float], Sequence[float]]:
        """Return what each example earned and what it could have earned, from 0 up.

        The score of a language is the sum of the first over the sum of the second, from 0 to 1.

        Args:
            task: the task's spec; `task.labels` are the names of label numbers.
            columns: the predictions of one language, such as `gold` and `predicted` with a label number per example.
        """


@dataclass(frozen=True)
class PluginMetric:
    """A registered metric."""

    task_types: tuple[str, ...]
    """Task types that it scores."""
    metric: type[ExampleMetric]


METRICS: Registry[PluginMetric | None] = Registry(
    "metric", dict.fromkeys(metric for traits in TASK_TRAITS.shipped.values() for metric in traits.metrics)
)
"""None: it belongs to the task types that list it."""

MetricName = Annotated[
    str,
    RegisteredName("metric", tuple(METRICS.shipped)),
    Field(description=f"{', '.join(METRICS.shipped)} or the name of a plugin"),
]
Scoring = TypeVar("Scoring", bound="type[ExampleMetric]")


@names_arguments
def register_metric(name: str, *, version: str, task_types: Sequence[str]) -> Callable[[Scoring], Scoring]:
    """Register a class with the method of `ExampleMetric`, so that a task can name it under `metric`.

    Args:
        name: the name that tasks give.
        version: raise it when scores change.
        task_types: the task types whose predictions it reads.

    Raises:
        UserError: the class lacks the method or an argument.
    """

    def register(metric: Scoring) -> Scoring:
        check_protocol(metric, ExampleMetric)
        METRICS.add(metric, name, version, PluginMetric(tuple(task_types), metric))
        return metric

    return register
