"""Measure what a recipe changes inside a model: its initial, realigned and fine-tuned forms, on set-aside sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from xrealign_bench.analysis.table import Form, Measure, TextVector
from xrealign_bench.errors import UserError, shorten_list
from xrealign_bench.pipeline.files import read_tables, write_json, write_table
from xrealign_bench.pipeline.stage import (
    Costs,
    Inputs,
    KeyedComputeSettings,
    Settings,
    Stage,
    StageRef,
    StageType,
    WeightsKey,
    Workspace,
)
from xrealign_bench.pipeline.stages.predict import PREDICTIONS
from xrealign_bench.specs import Finetuning, Objective, Spec, Task
from xrealign_bench.specs.methods import MethodName
from xrealign_bench.specs.recipe import Attention, Mixing
from xrealign_bench.specs.suite import Head

if TYPE_CHECKING:
    from xrealign_bench.analysis.parallel_texts import ParallelTexts
    from xrealign_bench.analysis.table import Row
    from xrealign_bench.pipeline.loading import StartingWeights

FEWEST_SENTENCES = 100
"""A language with fewer distinct sentence pairs is left out."""
TABLE, TEXTS = "analysis.parquet", "texts.json"
_PAIRS, _TEST, _PREDICTIONS = "pairs-", "test-", "predictions-"
_REALIGNED, _BASELINE = "realigned-", "baseline-"
"""Before a language: the roles of its encoded pairs, test data and predictions, of the pairs that the recipe realigns
on, and of the baseline's predictions."""


class RealignmentLoss(Spec):
    """The loss of a recipe's realignment, whose gradients are compared with those of the task's."""

    method: MethodName
    objective: Objective
    mixing: Mixing
    batch_size: int


class AnalyseSettings(Settings):
    checkpoint: WeightsKey
    initialisation: Literal["checkpoint", "random"]
    task: Task | None = None
    """None for a task without fine-tuning, of which nothing is read, so that such tasks share one analysis."""
    source_language: str
    finetuning: Finetuning | None = None
    """With the steps and the one learning rate of the checkpoint's model type; None likewise."""
    realignment: RealignmentLoss | None = None
    """None: gradients are not compared."""
    seed: int
    sentences: int
    """Maximum number of sentence pairs of each language."""
    languages: list[str]
    """Those of the sentence pairs, on whose number the cost depends."""
    pooling: TextVector
    """How a sentence becomes a vector, see `models.pooling.pool_sentences`."""
    objective: Objective
    """Of the recipe: its pooling of words and its negatives decide what the precision of words compares."""
    measures: list[Measure]
    compute_settings: KeyedComputeSettings = Field(serialization_alias="numerics")
    attention: Attention = "own"
    head: Head = "linear"
    realigned_pairs: int | None = None
    """Maximum number of pairs of each language that the recipe realigns on; only read for anchors."""


@dataclass(frozen=True)
class AnalyseInputs(Inputs):
    pairs: Mapping[str, StageRef]
    """Language -> an `encode` of sentences that the recipe does not realign on."""
    encoder: StageRef | None = None
    """A `realign`; None: the recipe realigns nothing, or only during fine-tuning."""
    model: StageRef | None = None
    """A `finetune`; None for a task without."""
    train: StageRef | None = None
    """A `tokenise`, if the measures need training data."""
    test: Mapping[str, StageRef] = field(default_factory=dict)
    """Language -> a `tokenise`, likewise."""
    predictions: Mapping[str, StageRef] = field(default_factory=dict)
    """Language -> a `predict`."""
    realigned: Mapping[str, StageRef] = field(default_factory=dict)
    """Language -> an `encode` of the pairs that the recipe realigns on, for anchors."""
    baseline: Mapping[str, StageRef] = field(default_factory=dict)
    """Language -> a `predict` of the baseline, likewise."""

    def by_role(self) -> dict[str, StageRef]:
        single = {"encoder": self.encoder, "model": self.model, "train": self.train}
        by_language = {_PAIRS: self.pairs, _TEST: self.test, _PREDICTIONS: self.predictions}
        by_language |= {_REALIGNED: self.realigned, _BASELINE: self.baseline}
        return {role: ref for role, ref in single.items() if ref is not None} | {
            f"{prefix}{language}": ref for prefix, refs in by_language.items() for language, ref in refs.items()
        }


@dataclass(frozen=True)
class Analyse(Stage):
    settings: AnalyseSettings
    inputs: AnalyseInputs

    stage_type: ClassVar[StageType] = "analyse"
    code_version: ClassVar[int] = 1

    @property
    def forms(self) -> list[Form]:
        """The forms of the model, in the order in which a recipe makes them."""
        there: list[tuple[Form, object]] = [("realigned", self.inputs.encoder), ("finetuned", self.inputs.model)]
        return ["initial", *(form for form, ref in there if ref is not None)]

    def run(self, workspace: Workspace) -> Costs:
        from xrealign_bench.analysis.table import make_table
        from xrealign_bench.pipeline.loading import block_parameters, forget_models

        texts, left_out = self._texts(workspace)
        rows: list[Row] = []
        initial, parameters = None, 0
        for number, form in enumerate(self.forms):
            model, encoder = self._model(form, workspace)
            of_form = _FormAnalysis(self, workspace, texts, form, number)
            found, vectors = of_form.parallel(encoder, initial)
            rows += [*found, *of_form.task_data(model, encoder), *of_form.gradients(model)]
            initial, parameters = initial or vectors, block_parameters(encoder)
            del model, encoder
            forget_models()
        rows += self._predictions(workspace)
        write_table(workspace.output / TABLE, make_table(rows))
        sizes = {language: len(pairs) for language, pairs in texts.pairs.items()}
        write_json(workspace.output / TEXTS, {"sentences": sizes, "left_out": left_out})
        tokens = texts.tokens * len(self.forms)
        return {"tokens": tokens, "flops": 2.0 * tokens * parameters}

    def _texts(self, workspace: Workspace) -> tuple[ParallelTexts, dict[str, int]]:
        """Read the sentences. Returns also the number of pairs of each language that has too few.

        Raises:
            UserError: every language has too few.
        """
        from xrealign_bench.analysis.parallel_texts import ParallelTexts, distinct_pairs
        from xrealign_bench.pipeline.loading import read_whole_pairs

        asked = self.settings
        read = {
            language: distinct_pairs(read_whole_pairs(workspace.folder_of(ref)), asked.sentences)
            for language, ref in self.inputs.pairs.items()
        }
        left_out = {language: len(pairs) for language, pairs in read.items() if len(pairs) < FEWEST_SENTENCES}
        if len(left_out) == len(read):
            there = shorten_list([f"{n} of '{language}'" for language, n in left_out.items()])
            raise UserError(
                f"{self.label}: no language has {FEWEST_SENTENCES} different sentence pairs that are set aside (there "
                f"are {there}); name another parallel corpus with --corpus"
            )
        return ParallelTexts(asked.source_language, {c: p for c, p in read.items() if c not in left_out}), left_out

    def _model(self, form: Form, workspace: Workspace) -> tuple[Any, Any]:
        """Return one form of the model with its head, if the task has one, and its encoder."""
        from xrealign_bench.models.device import seed_everything
        from xrealign_bench.pipeline.loading import kept_finetuned, load_encoder, load_realigned, new_model

        asked, context, inputs = self.settings, workspace.context, self.inputs
        if form == "finetuned":
            assert inputs.model is not None and asked.task is not None
            folder = workspace.folder_of(inputs.model)
            model, _ = kept_finetuned(folder, self._start(workspace), asked.attention, context, asked.task, asked.head)
            return model, model.encoder
        if form == "realigned":
            assert inputs.encoder is not None
            encoder = load_realigned(workspace.folder_of(inputs.encoder), asked.attention, context)
        else:
            encoder = load_encoder(context, asked.attention, initialisation=asked.initialisation, seed=asked.seed)
        if asked.task is None:
            return None, encoder
        seed_everything(asked.seed)  # for the head
        random = asked.initialisation == "random"
        return new_model(context, encoder, asked.task, asked.head, random=random), encoder

    def _start(self, workspace: Workspace) -> StartingWeights:
        from xrealign_bench.pipeline.loading import StartingWeights

        realigned = None if self.inputs.encoder is None else workspace.folder_of(self.inputs.encoder)
        return StartingWeights(realigned, self.settings.initialisation, self.settings.seed)

    def _predictions(self, workspace: Workspace) -> Iterator[Row]:
        """Yield the error rates of stored predictions, and the shares of anchors."""
        import pyarrow.parquet as pq

        from xrealign_bench.analysis.task_data import error_rows

        task, inputs = self.settings.task, self.inputs
        for language, ref in inputs.predictions.items():
            assert task is not None
            predictions = pq.read_table(workspace.folder_of(ref) / PREDICTIONS)
            test = read_tables(workspace.folder_of(inputs.test[language]))
            if "errors" in self.settings.measures:
                yield from error_rows(self.forms[-1], language, task, predictions, test)
            if language in inputs.realigned:
                yield from self._anchors(workspace, language, predictions, test)

    def _anchors(self, workspace: Workspace, language: str, after: Any, test: Any) -> Iterator[Row]:
        """Yield the shares of anchors among the words of one language."""
        import pyarrow.parquet as pq

        from xrealign_bench.analysis.anchors import anchor_rows, find_anchors
        from xrealign_bench.analysis.scored_words import find_word_forms, scored_words
        from xrealign_bench.pipeline.loading import read_pairs

        forms = find_word_forms(test)
        before = pq.read_table(workspace.folder_of(self.inputs.baseline[language]) / PREDICTIONS)
        pairs = read_pairs(workspace.folder_of(self.inputs.realigned[language]), self.settings.realigned_pairs)
        words = scored_words(before, forms), scored_words(after, forms)
        yield from anchor_rows(language, *words, find_anchors(pairs.pairs))


@dataclass(frozen=True)
class _FormAnalysis:
    """The measures of one form of the model."""

    stage: Analyse
    workspace: Workspace
    texts: ParallelTexts
    form: Form
    number: int

    @property
    def _device(self) -> Any:
        from xrealign_bench.models.device import pick_device

        return pick_device(self.workspace.context.device)

    @property
    def _pad_id(self) -> int:
        from xrealign_bench.pipeline.loading import tokenizer_of

        number: int = tokenizer_of(self.workspace.context.checkpoint).pad_token_id
        return number

    def _tell(self, note: str) -> None:
        self.workspace.progress(self.number, len(self.stage.forms), f"{self.form}, {note}")

    def parallel(self, encoder: Any, initial: Any) -> Any:
        """Measure the set-aside sentences. Returns the rows and the vectors."""
        from xrealign_bench.analysis.parallel_texts import Reading, measure_form
        from xrealign_bench.analysis.vectors import Pooling

        asked = self.stage.settings
        pooling = Pooling(asked.pooling, asked.objective.pooling)
        reading = Reading(self._pad_id, pooling, asked.objective.negatives, self._device, asked.measures)
        return measure_form(self.form, encoder, self.texts, reading, initial, self._tell)

    def task_data(self, model: Any, encoder: Any) -> Iterator[Row]:
        """Measure the task's data, if its labels can be probed."""
        from xrealign_bench.analysis import task_data as measures

        inputs, task = self.stage.inputs, self.stage.settings.task
        if task is None or inputs.train is None or "probes" not in self.stage.settings.measures:
            return
        if task.base_type not in measures.READABLE:
            return
        self._tell("task")

        def read(ref: StageRef, most: int) -> measures.Labelled:
            tables = read_tables(self.workspace.folder_of(ref))
            return measures.read_labelled(encoder, tables, task, most, self._pad_id, self._device)

        tests = {language: read(ref, measures.PROBE_TEST) for language, ref in inputs.test.items()}
        training = read(inputs.train, measures.PROBE_TRAINING)
        yield from measures.probe_rows(self.form, self.stage.settings.source_language, training, tests)
        if self.form == "finetuned":
            yield from measures.calibration_rows(self.form, model, tests)

    def gradients(self, model: Any) -> Iterator[Row]:
        """Compare the gradients of both losses."""
        asked, inputs = self.stage.settings, self.stage.inputs
        if asked.realignment is None or asked.finetuning is None or inputs.train is None or asked.task is None:
            return
        from xrealign_bench.analysis.gradient_conflict import TwoLosses, conflict_by_block, conflict_rows
        from xrealign_bench.realignment.settings import Realignment
        from xrealign_bench.specs import Schedule
        from xrealign_bench.tasks.finetuning import FinetuningRun
        from xrealign_bench.tasks.registry import TASK_TYPES

        loss, train = asked.realignment, TASK_TYPES[asked.task.task_type].train
        assert train is not None
        self._tell("gradients")
        schedule = Schedule(batch_size=loss.batch_size)
        losses = TwoLosses(
            Realignment(loss.method, loss.objective, schedule=schedule, mixing=loss.mixing),
            self.texts.corpus(loss.method, self._pad_id),
            train,
            read_tables(self.workspace.folder_of(inputs.train)),
            FinetuningRun(asked.finetuning, asked.seed, self._device, lambda *_: None),
        )
        yield from conflict_rows(self.form, conflict_by_block(model, losses))
