"""The plan of an evaluation: its stages, and which of them belong to which recipe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xrealign_bench.data import DataLocation
from xrealign_bench.data.loaded_suite import LoadedSuite
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.compute_settings import ComputeSettings
from xrealign_bench.pipeline.stage import Stage, StageRef
from xrealign_bench.pipeline.stages import Align, Tokenise
from xrealign_bench.specs import Recipe, Suite, Task


@dataclass(frozen=True)
class Request:
    """One call of `evaluate`, with every name resolved."""

    checkpoint: Checkpoint
    recipes: list[Recipe]
    loaded: LoadedSuite
    """The whole suite: its digest covers tasks that are not evaluated."""
    tasks: list[Task]
    """The tasks to evaluate."""
    languages: list[str]
    """The target languages to evaluate."""
    seeds: list[int]
    limit: int | None
    location: DataLocation
    compute_settings: ComputeSettings

    @property
    def suite(self) -> Suite:
        return self.loaded.suite


@dataclass
class Run:
    """The stages of one recipe."""

    recipe: Recipe
    align: dict[str, StageRef] = field(default_factory=dict)
    """Language -> its word alignment."""
    encode: dict[str, StageRef] = field(default_factory=dict)
    """Language -> its encoded pairs, the same for all tasks."""
    languages: dict[int, list[str]] = field(default_factory=dict)
    """Seed -> the languages that it realigns, of those with parallel data."""
    without_data: list[str] = field(default_factory=list)
    """Languages of the recipe without parallel data."""
    realign: dict[tuple[str, int], StageRef] = field(default_factory=dict)
    """(task, seed) -> the stage that realigns, shared by tasks with the same settings. In joint training it is the
    task's fine-tuning."""
    finetune: dict[tuple[str, int], StageRef] = field(default_factory=dict)
    predict: dict[tuple[str, str, int], StageRef] = field(default_factory=dict)
    """(task, language, seed) -> predictions, the source language included if the task tests it."""
    analyse: dict[tuple[str, int], StageRef] = field(default_factory=dict)
    """(task, seed) -> its analysis, if one is asked for."""

    def pairs(self, seed: int) -> dict[str, StageRef]:
        """Return the encoded pairs of each language that a seed realigns."""
        return {language: self.encode[language] for language in self.languages[seed]}


@dataclass(repr=False)
class Plan:
    """Stages in an order in which they can be run, and the recipes that they belong to."""

    request: Request
    stages: dict[StageRef, Stage] = field(default_factory=dict)
    train: dict[str, StageRef] = field(default_factory=dict)
    """Task -> its tokenised training data, if it is fine-tuned."""
    test: dict[tuple[str, str], StageRef] = field(default_factory=dict)
    """(task, language) -> its tokenised test data."""
    runs: list[Run] = field(default_factory=list)

    def __repr__(self) -> str:
        request = self.request
        recipes = ", ".join(recipe.name for recipe in request.recipes)
        return (
            f"<plan: suite {request.suite.name}, checkpoint {request.checkpoint.id}, recipes {recipes}, "
            f"seeds {', '.join(map(str, request.seeds))}, {len(self.stages)} stages>"
        )

    def add(self, stage: Stage) -> StageRef:
        """Add a stage unless an equal one is there already."""
        ref = stage.ref
        self.stages.setdefault(ref, stage)
        return ref

    def inputs(self, ref: StageRef) -> Iterable[StageRef]:
        """Return the stages whose output a stage reads."""
        return self.stages[ref].inputs.by_role().values()

    def ancestors(self, refs: Iterable[StageRef]) -> set[StageRef]:
        """Return these stages and everything that they need."""
        found: set[StageRef] = set()
        todo = list(refs)
        while todo:
            ref = todo.pop()
            if ref not in found:
                found.add(ref)
                todo += self.inputs(ref)
        return found

    def tokenised(self) -> dict[tuple[str, str], Tokenise]:
        """Return the stages that read test data, by task and language."""
        stages = {cell: self.stages[ref] for cell, ref in self.test.items()}
        return {cell: stage for cell, stage in stages.items() if isinstance(stage, Tokenise)}

    def aligned(self, run: Run) -> dict[str, Align]:
        """Return the stages that read a recipe's parallel text, by language."""
        stages = {language: self.stages[ref] for language, ref in run.align.items()}
        return {language: stage for language, stage in stages.items() if isinstance(stage, Align)}
