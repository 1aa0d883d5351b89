"""A task: labelled data in many languages, and how it is scored."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xrealign_bench.errors import UserError
from xrealign_bench.specs.base import PublicSpec, Spec, added_later
from xrealign_bench.specs.data import DataSource, EmbeddedData, NamesByLanguage
from xrealign_bench.specs.fields import (
    BlockNumber,
    DataName,
    Examples,
    LanguageCode,
    LayerName,
    ModelText,
    Name,
    Sentence,
    Title,
)
from xrealign_bench.specs.task_types import METRICS, TASK_TRAITS, MetricName, TaskTraits, TaskType

ConfigNames = DataName | Annotated[list[DataName], Field(min_length=1, max_length=10)]
Configs = Annotated[dict[LanguageCode, ConfigNames], Field(min_length=1, max_length=1000)]
Labels = Annotated[list[DataName], Field(max_length=1000)]
Verbaliser = Annotated[ModelText, Field(min_length=1, max_length=200)]
LabelMap = Annotated[dict[DataName, DataName], Field(max_length=1000)]


class Columns(Spec):
    """Names of the data set's columns; the task type determines which of them a task has."""

    words: DataName | None = None
    labels: DataName | None = None
    """One label per word."""
    groups: DataName | None = None
    """One group name per word; scores are then also reported by group."""
    text: DataName | None = None
    """The sentence, or the first of two. In retrieval and translation: the sentence in the source language."""
    text_pair: DataName | NamesByLanguage | None = None
    """The second sentence. In retrieval and translation: the translation, by language if each has its own column."""
    label: DataName | None = None
    """One label per example."""
    question: DataName | None = None
    context: DataName | None = None
    answers: DataName | None = None
    """SQuAD's: lists `text` and `answer_start` (characters of the context)."""

    def for_language(self, language: str) -> Columns:
        """Return the columns for one language, with `text_pair` as a single name."""
        if not isinstance(self.text_pair, dict):
            return self
        return self.model_copy(update={"text_pair": self.text_pair[language]})


class Part(Spec):
    """Further languages of a task, from another data set."""

    source: DataSource
    """As in a task."""
    configs: Configs
    """As in a task."""
    columns: Columns | None = None
    """Null: the task's own."""
    label_map: LabelMap = {}
    test_split: DataName = "test"
    development_split: DataName | None = added_later(None)
    """Split that `evaluate --development` scores instead of the test split; null: there is none."""


class TrainingData(Spec):
    """Training data of a task, from another data set than its test data."""

    source: DataSource
    config: DataName = "default"
    columns: Columns | None = None
    """Null: the task's own."""
    label_map: LabelMap = {}


class Spans(Spec):
    """How answers are searched for in long contexts. Defaults are those of BERT's fine-tuning on SQuAD."""

    doc_stride: Annotated[int, Field(gt=0, le=10**6)] = 128
    """Sub-words shared by consecutive windows of a context; at most half of the room for it."""
    max_answer_length: Annotated[int, Field(gt=0, le=10**4)] = 30
    """Maximum length of an answer in sub-words."""
    n_best: Annotated[int, Field(gt=0, le=1000)] = 20
    """Number of starts and of ends that are combined."""
    normalisation: Literal["squad", "mlqa"] = "squad"
    """How answers are normalised and compared: see `tasks.question_answering.metric`."""
    test_doc_stride: Annotated[int, Field(gt=0, le=10**6)] | None = added_later(None)
    """Like `doc_stride`, for test data; null: the same."""

    def of_split(self, split: Literal["train", "test"]) -> Spans:
        """Return the settings with the `doc_stride` of training or test data."""
        stride = self.test_doc_stride if split == "test" and self.test_doc_stride else self.doc_stride
        return self.model_copy(update={"doc_stride": stride, "test_doc_stride": None})


class Task(PublicSpec):
    """Labelled data in many languages, and how they are scored."""

    name: Name
    title: Title
    citation: Sentence = ""
    licence: Title
    task_type: Annotated[TaskType, Field(serialization_alias="kind")]
    """Digests keep its first name, `kind`, which files may have until version 0.3."""
    source: DataSource
    """Where the data come from: the Hub, files at URLs, local files, or the embedded generator."""
    configs: Configs
    """Language -> the data set's config, or a list of alternatives, of which the first that exists is read."""
    also: Annotated[list[Part], Field(max_length=100)] = []
    """Other data sets with further languages; training data come from `source`."""
    training_data: TrainingData | None = added_later(None)
    """Training data in the source language from another data set; null: from `source`."""
    train_split: DataName = "train"
    test_split: DataName = "test"
    development_split: DataName | None = added_later(None)
    """Split that `evaluate --development` scores instead of the test split; null: there is none."""
    columns: Columns
    labels: Labels = []
    """In the order of the model's outputs; checked against the data's own label names."""
    label_map: LabelMap = {}
    """The data's label -> the task's label, where the names differ."""
    scored_words: Literal["all", "lexical"] = "all"
    """`lexical`: only words with a letter and without a digit are scored."""
    unscored_labels: Labels = []
    """Words with these labels are never scored."""
    segment: Annotated[list[LanguageCode], Field(max_length=1000)] = added_later([])
    """Metric entity_f1 only: languages whose words are joined without spaces and segmented anew by ICU, such as
    WikiANN's Chinese, whose words are characters. Entities keep their characters."""
    spans: Spans = Spans()
    """Question answering only."""
    text_language: LanguageCode | None = None
    """Retrieval and translation only, and required there: the language of `columns.text`. It must be the suite's source
    language."""
    layer: LayerName | BlockNumber = "last"
    """Retrieval only: the block whose output is averaged to a sentence's vector."""
    skip_examples: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Retrieval and translation only: number of test examples to skip at the beginning, so that a corpus can realign on
    them."""
    prompt: ModelText = ""
    """Prompted classification: the text whose likelihood is compared between labels, with `{text}`, `{text_pair}` and
    `{label}` to fill in. Translation: the text that the model continues with a translation, with `{source}` and
    `{target}` (names of languages) and `{text}`. Required for both."""
    max_new_tokens: Annotated[int, Field(gt=0, le=10**4)] = added_later(128)
    """Translation only: maximum number of tokens that the model writes for a sentence."""
    verbalisers: Annotated[dict[DataName, Verbaliser], Field(max_length=1000)] = {}
    """Prompted classification only, and required there: label -> its text in the prompt."""
    metric: MetricName = "accuracy"
    """The metric shown in tables; results also contain the other metrics of the task type."""
    repair: Literal["none", "wu-dredze"] = added_later("none")
    """Metric entity_f1 only: how predicted tags that break IOB2 are repaired before they are scored. `wu-dredze`: an
    I- after O begins an entity, and an entity of mixed types takes the last one (Wu and Dredze, 2019)."""
    train_examples: Examples | None = None
    """Maximum number of examples, evenly spread over the data; null: all."""
    test_examples: Examples | None = None
    """Likewise."""

    @model_validator(mode="before")
    @classmethod
    def _kind_is_its_task_type(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and "kind" in fields and "task_type" not in fields:
            return {("task_type" if name == "kind" else name): value for name, value in fields.items()}
        return fields

    @property
    def traits(self) -> TaskTraits:
        """The traits of its task type.

        Raises:
            UserError: it is a plugin of a stored result, and not registered.
        """
        if (found := TASK_TRAITS.find(self.task_type)) is None:
            raise UserError(
                f"task {self.name}: its task type '{self.task_type}' is a plugin that is not registered. Install its "
                "package or get its file, and name it with --plugin"
            )
        return found

    @property
    def base_type(self) -> str:
        """The shipped task type whose code it uses: its own, or the one that a plugin extends."""
        found = TASK_TRAITS.find(self.task_type)
        return found.like if found is not None and found.like is not None else self.task_type

    @property
    def languages(self) -> list[str]:
        return [language for configs in (self.configs, *(part.configs for part in self.also)) for language in configs]

    @property
    def finetunes(self) -> bool:
        """Return whether a model is fine-tuned on the task's training data."""
        return self.traits.finetunes

    @property
    def reads_language_model(self) -> bool:
        """Return whether its models are decoders with their output layer."""
        return self.traits.reads_language_model

    @property
    def tests_source(self) -> bool:
        """Return whether the source language is tested too."""
        return self.traits.tests_source

    def part(self, language: str, split: Literal["train", "test"] = "test") -> Part:
        """Return where a language's data come from: its config alone, with columns filled in.

        Raises:
            KeyError: the task does not have the language.
        """
        if split == "train" and (other := self.training_data) is not None:
            return Part(
                source=other.source, configs={language: other.config},
                columns=(other.columns or self.columns).for_language(language), label_map=other.label_map,
            )  # fmt: skip
        own = Part(
            source=self.source, configs=self.configs, columns=self.columns,
            label_map=self.label_map, test_split=self.test_split, development_split=self.development_split,
        )  # fmt: skip
        part = next((part for part in self.also if language in part.configs), own)
        columns = (part.columns or self.columns).for_language(language)
        return part.model_copy(update={"configs": {language: part.configs[language]}, "columns": columns})

    @model_validator(mode="after")
    def _fits_its_task_type(self) -> Task:
        if (traits := TASK_TRAITS.find(self.task_type)) is None:
            return self  # a plugin of a stored result need not be registered
        others = [part.columns for part in self.also] + [self.training_data.columns if self.training_data else None]
        for columns in [self.columns, *(columns for columns in others if columns)]:
            given = {name for name in type(columns).model_fields if getattr(columns, name) is not None}
            if absent := [name for name in traits.required_columns if name not in given]:
                raise ValueError(f"task_type '{self.task_type}' needs columns.{absent[0]}")
            if idle := sorted(given - {*traits.required_columns, *traits.optional_columns}):
                raise ValueError(f"task_type '{self.task_type}' has no columns.{idle[0]}; remove it")
            if not traits.reads_pairs and isinstance(columns.text_pair, dict):
                raise ValueError(
                    f"task_type '{self.task_type}' has one columns.text_pair for all languages; give its name"
                )
        others_fields = (name for other in TASK_TRAITS.shipped.values() for name in other.own_fields)
        foreign = [name for name in others_fields if name not in traits.own_fields]
        if idle := [name for name in foreign if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(f"task_type '{self.task_type}' has no {idle[0]}; remove it")
        if self.training_data is not None and not traits.finetunes:
            raise ValueError(f"task_type '{self.task_type}' has no training_data; remove it")
        if self.metric not in traits.metrics and not self._is_metric_of_its_type():
            raise ValueError(
                f"task_type '{self.task_type}' has the metrics {', '.join(traits.metrics)}, not {self.metric}"
            )
        if traits.has_labels and len(self.labels) < 2:
            raise ValueError(f"task_type '{self.task_type}' needs labels, at least 2")
        if not traits.has_labels and (self.labels or self.label_map):
            raise ValueError(f"task_type '{self.task_type}' has no labels; remove labels and label_map")
        return self

    def _is_metric_of_its_type(self) -> bool:
        """Return whether a plugin's metric scores tasks of this type. Unknown ones of a stored result do."""
        if self.metric not in METRICS:
            return True
        metric = METRICS[self.metric]
        return metric is not None and bool({self.task_type, self.base_type} & set(metric.task_types))

    @model_validator(mode="after")
    def _fits_sentence_pairs(self) -> Task:
        if (traits := TASK_TRAITS.find(self.task_type)) is None or not traits.reads_pairs:
            return self
        if self.text_language is None:
            raise ValueError(f"task_type '{self.base_type}' needs text_language, the language of columns.text")
        parts: list[Task | Part] = [self, *self.also]
        for part in parts:
            if isinstance(part.source, EmbeddedData):
                raise ValueError(
                    f"task_type '{self.base_type}' needs sentence pairs; embedded data are words with labels"
                )
            by_language = (part.columns or self.columns).text_pair
            absent = [code for code in part.configs if isinstance(by_language, dict) and code not in by_language]
            if absent:
                raise ValueError(f"columns.text_pair has no column for {', '.join(absent)}, which configs names")
        return self

    @model_validator(mode="after")
    def _fits_prompts(self) -> Task:
        if self.base_type == "translation":
            self._check_prompt({"source", "target", "text"}, "{text}")
        if self.base_type != "prompted_classification":
            return self
        pair = ["text_pair"] if self.columns.text_pair else []
        self._check_prompt({"text", "label", *pair}, "{text} and {label}")
        if set(self.verbalisers) != set(self.labels):
            raise ValueError("verbalisers must name every label and no other")
        if len(set(self.verbalisers.values())) < len(self.labels) or not all(map(str.strip, self.verbalisers.values())):
            raise ValueError("verbalisers must be texts that differ")
        return self

    def _check_prompt(self, given: set[str], example: str) -> None:
        """Check that the prompt has exactly these names in braces."""
        try:
            wanted = {name for _, name, _, _ in Formatter().parse(self.prompt) if name is not None}
        except ValueError as error:
            raise ValueError(f"prompt: {error}; write {example}, and double other braces") from None
        if wanted != given:
            names = ", ".join(f"{{{name}}}" for name in sorted(given))
            raise ValueError(f"prompt must hold {names} and no other name in braces")

    @model_validator(mode="after")
    def _entities_are_whole(self) -> Task:
        if self.metric != "entity_f1":
            if self.segment:
                raise ValueError(
                    f"segment carries entities over to new words, which metric {self.metric} has none of; remove it"
                )
            if self.repair != "none":
                raise ValueError(
                    f"repair '{self.repair}' is about entities, which metric {self.metric} has none of; remove it"
                )
            return self
        types = {label[2:] for label in self.labels if label != "O"}
        if set(self.labels) != {"O", *(f"{prefix}-{name}" for name in types for prefix in "BI")}:
            raise ValueError("metric entity_f1 needs the labels O, and B-X and I-X of every type X (IOB2)")
        if self.scored_words != "all" or self.unscored_labels or self.columns.groups:
            raise ValueError(
                "metric entity_f1 is about whole entities; remove scored_words, unscored_labels and columns.groups"
            )
        if foreign := [code for code in self.segment if code not in self.languages]:
            raise ValueError(f"segment names {', '.join(foreign)}, which configs does not; remove it")
        return self

    @model_validator(mode="after")
    def _unscored_are_labels(self) -> Task:
        foreign = [label for label in self.unscored_labels if label not in self.labels]
        if foreign:
            raise ValueError(f"unscored_labels names {', '.join(foreign)}, which labels does not")
        maps = [self.label_map, *(part.label_map for part in self.also)]
        maps += [self.training_data.label_map] if self.training_data else []
        mapped = [to for label_map in maps for to in label_map.values() if to not in self.labels]
        if mapped:
            raise ValueError(f"label_map leads to {mapped[0]}, which labels does not have")
        return self

    @model_validator(mode="after")
    def _each_language_once(self) -> Task:
        twice = sorted({language for language in self.languages if self.languages.count(language) > 1})
        if twice:
            raise ValueError(f"configs names {', '.join(twice)} in more than one part")
        return self
