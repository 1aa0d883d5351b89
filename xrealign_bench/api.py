"""The Python API: what `import xrealign_bench as xb` offers. The command line calls the same functions underneath."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict, Unpack, overload

from xrealign_bench import evaluation, inside
from xrealign_bench.analysis.table import Measure, TextVector
from xrealign_bench.arguments import names_arguments
from xrealign_bench.errors import ArgumentError, TrainingError, UserError, shorten
from xrealign_bench.evaluation import DEFAULT_RECIPE, Options
from xrealign_bench.files import default_store
from xrealign_bench.memo import kept_in
from xrealign_bench.model_export import write as writing
from xrealign_bench.model_export.request import Dtype
from xrealign_bench.model_export.request import ExportOptions as WriteOptions
from xrealign_bench.models.dtypes import Precision, Quantised
from xrealign_bench.pipeline.estimate import Estimate, estimate
from xrealign_bench.pipeline.executor import OnEvent, run_serially
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.planning.analysis import AnalysisOptions, plan_analysis
from xrealign_bench.pipeline.stages.analyse import FEWEST_SENTENCES
from xrealign_bench.pipeline.store import Store
from xrealign_bench.plugins import load_plugins
from xrealign_bench.progress import ProgressBars
from xrealign_bench.results.comparison import Comparison
from xrealign_bench.results.paths import check_output
from xrealign_bench.results.result import IN_MEMORY, Result
from xrealign_bench.results.storage import find_results, read_checked
from xrealign_bench.results.tidy import COLUMNS, score_rows
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, find_spec

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# What texts say is quoted if the argument is of another type: see `names_arguments`.
PathLike: TypeAlias = str | os.PathLike[str]
CheckpointName: TypeAlias = Annotated[PathLike, "a Hub id, a folder"]
SpecName: TypeAlias = Annotated[PathLike, "a name or the path of a YAML file"]
SuiteName: TypeAlias = Annotated[
    PathLike, "a name or the path of a YAML file (write a Suite with to_yaml next to its tasks, and give the path)"
]
RecipeLike: TypeAlias = Annotated[PathLike, "a name, the path of a YAML file"] | Recipe
ResultFolder: TypeAlias = Annotated[PathLike, "the folder of a result, such as run.results.folders[1]"]

_NOT_OF_COMMAND = ("tokenizer", "data_root", "plugins")
"""Arguments that are not passed on as they are."""
Progress: TypeAlias = Literal["auto", "none"] | Callable[[Any], None]
"""`auto`: bars in a terminal, widgets in a notebook with ipywidgets, lines elsewhere; `none`; or a function
that gets each `pipeline.executor.StageEvent`."""


class RealignOptions(TypedDict, total=False):
    """Further arguments of `realign`; all are optional.

    Attributes:
        tokenizer: tokenizer of a model in memory.
        revision: branch, tag or commit of a Hub id.
        tasks, languages: parts of the suite, a name or a list; empty: all.
        limit: at most this many examples and sentence pairs a language.
        development: score the suite's development data instead of test sets.
        data_root: folder in Hub layout to read data from.
        device: such as `cpu` or `cuda:1`. None: a GPU if there is one.
        precision: `float32`, `bfloat16` or `float16`, of the encoder's forward pass.
        gradient_checkpointing: compute activations again instead of keeping them, which saves memory.
        quantised: `8bit` or `4bit` weights of a decoder with an adapter. None: as stored.
        offline: never contact the Hub.
        trust_remote_code: allow a checkpoint to run its own code.
        allow_pickle: allow weights that are a pickle.
        plugins: Python files and `package/name` of installed packages, imported before recipes and suites are read.
    """

    tokenizer: PreTrainedTokenizerBase | None
    revision: str | None
    tasks: Sequence[str] | str
    languages: Sequence[str] | str
    limit: int | None
    development: bool
    data_root: PathLike | None
    device: str | None
    precision: Precision
    gradient_checkpointing: bool
    quantised: Quantised | None
    offline: bool
    trust_remote_code: bool
    allow_pickle: bool
    plugins: Sequence[PathLike] | PathLike


class PlanOptions(RealignOptions, total=False):
    """Further arguments of `plan` and `evaluate`; all are optional. See `RealignOptions` for more.

    Attributes:
        seeds: training seeds of the suite, one or a list; empty: all.
    """

    seeds: Sequence[int] | int


class AnalyseOptions(PlanOptions, total=False):
    """Further arguments of `analyse`; all are optional. See `PlanOptions` for more.

    Attributes:
        sentences: at most this many sentence pairs of each language, 100 or more.
        pooling: `mean`, `weighted_mean` or `last_token`. None: the mean, or of a decoder the weighted mean.
        measures: some of `alignment`, `drift`, `probes`, `gradients`, `errors` and `anchors`; empty: all.
        corpora: parallel corpora to read; empty: what the suite's corpora set aside.
        no_compute: refuse to realign or fine-tune what is not stored.
        store: folder of finished stages. None: the user's cache folder.
        output: folder for the table and figures.
        progress: `auto`, `none` or a function.
    """

    sentences: int
    pooling: TextVector | None
    measures: Sequence[Measure] | Measure
    corpora: Sequence[SpecName | Corpus] | SpecName | Corpus
    no_compute: bool
    store: PathLike | None
    output: PathLike
    progress: Progress


class ExportOptions(RealignOptions, total=False):
    """Further arguments of `export`; all are optional. See `RealignOptions` for more.

    Attributes:
        seed: training seed. None: the suite's first.
        task: task whose fine-tuned model is exported; None: the model as realigned. With `sentence_transformers`: the
            retrieval task whose sentence vectors are meant.
        merge: merge a realigned adapter into the weights.
        sentence_transformers: write what `SentenceTransformer(output)` needs for the vectors of a retrieval task.
        dtype: `float32`, `float16` or `bfloat16`, of the exported weights. None: as trained, in float32.
        results: folder with results, whose scores the model card quotes.
        push_to_hub: repository to upload the folder to.
        no_compute: refuse to compute stages that are not stored.
        store: folder of finished stages. None: the user's cache folder.
        progress: `auto`, `none` or a function.
    """

    seed: int | None
    task: str | None
    merge: bool
    sentence_transformers: bool
    dtype: Dtype | None
    results: PathLike | None
    push_to_hub: str | None
    no_compute: bool
    store: PathLike | None
    progress: Progress


class Results(Sequence[Result]):
    """Results in the order of their folders."""

    def __init__(self, results: Sequence[Result], folders: Sequence[Path]) -> None:
        self._results = list(results)
        self.folders = list(folders)
        """Folder of each result."""

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        """Return one result, or some of them with their folders."""
        if isinstance(index, slice):
            return Results(self._results[index], self.folders[index])
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    def __repr__(self) -> str:
        return f"<{len(self)} results: {', '.join(folder.as_posix() for folder in self.folders)}>"

    def to_frame(self) -> pd.DataFrame:
        """Return one row per score and metric, from 0 to 1. A language that could not be scored has none.

        Columns: suite, version, checkpoint, recipe, task, language, tier, seed, metric, value, examples, limit.
        Results of different suite versions are kept apart by the first two columns; don't average over them.
        """
        import pandas as pd

        return pd.DataFrame([row for result in self for row in score_rows(result)], columns=list(COLUMNS))


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns."""

    plan: Plan = field(repr=False)
    estimate: Estimate = field(repr=False)
    """Cost of the stages that were not stored before, as far as similar stages were: see `pipeline.estimate`."""
    results: Results
    """One per recipe, the baseline first."""
    comparisons: list[Comparison | None] = field(repr=False)
    """Each result compared with the baseline; None for the baseline itself."""
    leaderboard: list[Path]
    """Files of the board; empty for development data and for models in memory."""
    chart: Path | None
    """None if there is nothing to draw."""

    def to_frame(self) -> pd.DataFrame:
        """Return one row per recipe, task and target language: see `Comparison.to_frame`."""
        import pandas as pd

        frames = []
        for result, comparison in zip(self.results, self.comparisons, strict=True):
            if comparison is not None:
                frame = comparison.to_frame()
                frame.insert(0, "recipe", result.recipe.name)
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


@names_arguments
def plan(
    checkpoint: CheckpointName | PreTrainedModel | None = None,
    recipes: Sequence[RecipeLike] | RecipeLike = (),
    suite: SuiteName = "demo",
    *,
    store: PathLike | None = None,
    **options: Unpack[PlanOptions],
) -> Plan:
    """Plan an evaluation without running it. `plan(...).stages` lists what would be computed.

    Args:
        checkpoint: Hub id, folder, or a model in memory, which is saved to the store. None: the suite's.
        recipes: names, YAML files or `Recipe` objects; the baseline `finetune-only` is always evaluated too.
        suite: name or YAML file.
        store: folder of finished stages. None: the user's cache folder.
        options: `help(xb.PlanOptions)` and `help(xb.RealignOptions)` list them.

    Raises:
        UserError: something is unknown, missing or contradictory, with one line per problem.
        ArgumentError: an argument has another name or type.
    """
    plugins = options.get("plugins", ())
    load_plugins([str(each) for each in ([plugins] if isinstance(plugins, str | os.PathLike) else plugins)])
    root = _store_folder(store)
    tokenizer, data_root = options.get("tokenizer"), options.get("data_root")
    others: dict[str, Any] = {name: value for name, value in options.items() if name not in _NOT_OF_COMMAND}
    others |= {name: _as_list(name, others[name]) for name in ("tasks", "languages", "seeds") if name in others}
    if others.get("limit") is not None and others["limit"] < 1:
        raise UserError(f"limit: is {others['limit']}; give 1 or more, or None for all examples")
    given = [recipes] if isinstance(recipes, str | os.PathLike | Recipe) else recipes
    asked = Options(
        checkpoint=None if checkpoint is None else _save_if_in_memory(checkpoint, tokenizer, root),
        recipes=[each if isinstance(each, Recipe) else str(each) for each in given],
        suite=str(suite),
        data_root=None if data_root is None else Path(data_root),
        **others,
    )
    with kept_in(root.absolute() / ".memo.json"):
        return evaluation.prepare(asked)


@names_arguments
def evaluate(
    checkpoint: CheckpointName | PreTrainedModel | None = None,
    recipes: Sequence[RecipeLike] | RecipeLike = (),
    suite: SuiteName = "demo",
    *,
    store: PathLike | None = None,
    output: PathLike = "xrealign-output",
    progress: Progress = "auto",
    **options: Unpack[PlanOptions],
) -> Evaluation:
    """Realign, fine-tune in the source language and score zero-shot transfer: the command `xrealign-bench evaluate`.

    Finished stages are stored, so that the same call resumes after an interruption and costs nothing a second time.

    Args:
        checkpoint, recipes, suite: as for `plan`.
        store: folder of finished stages. None: the user's cache folder.
        output: folder for results, the board and a chart.
        progress: `auto`, `none` or a function.
        options: `help(xb.PlanOptions)` and `help(xb.RealignOptions)` list them.

    Raises:
        UserError: bad input, with one line per problem.
        TrainingError: a training failed. Other stages are stored.
        ArgumentError: an argument has another name or type.
    """
    planned = plan(checkpoint, recipes, suite, store=store, **options)
    stages, folder = Store(_store_folder(store)), Path(output)
    check_output(planned, folder)
    expected = estimate(planned, stages)
    context = evaluation.run_context(planned.request, options.get("device"))
    with _listener(progress, len(planned.stages)) as on_event:
        outcome = run_serially(planned, stages, context, on_event)
    if outcome.failed:
        reasons = "; ".join(f"{planned.stages[ref].label}: {why}" for ref, why in outcome.failed.items())
        raise TrainingError(f"{reasons}. Finished stages are stored; the same call resumes")
    done = evaluation.write_evaluation(planned, stages, folder, ["xrealign_bench.evaluate"])
    results = Results(done.results, done.folders)
    return Evaluation(planned, expected, results, done.comparisons, done.leaderboard, done.chart)


@names_arguments
def realign(
    checkpoint: CheckpointName | PreTrainedModel | None = None,
    recipe: RecipeLike = DEFAULT_RECIPE,
    suite: SuiteName = "demo",
    *,
    seed: int | None = None,
    store: PathLike | None = None,
    progress: Progress = "auto",
    **options: Unpack[RealignOptions],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Realign a checkpoint and return it with its tokenizer, as transformers objects in eval mode.

    Args:
        checkpoint, suite: as for `plan`.
        recipe: name, YAML file or `Recipe` object.
        seed: training seed. None: the suite's first.
        store: folder of finished stages. None: the user's cache folder.
        progress: `auto`, `none` or a function.
        options: `help(xb.RealignOptions)` lists them. If the recipe takes steps and learning rate from fine-tuning,
            they are those of the first of `tasks`.

    Raises:
        UserError: bad input; or the recipe realigns nothing, or only during fine-tuning.
        TrainingError: the training failed.
        ArgumentError: an argument has another name or type.
    """
    planned = plan(checkpoint, recipe, suite, store=store, seeds=() if seed is None else seed, **options)
    run = planned.runs[-1]
    ref = run.realign.get((planned.request.tasks[0].name, planned.request.seeds[0]))
    if ref is None or run.recipe.schedule.when != "before":
        raise UserError(
            f"recipe '{run.recipe.name}': realigns nothing before fine-tuning; choose one with a method and "
            "schedule.when 'before'"
        )
    stages, needed = Store(_store_folder(store)), planned.ancestors([ref])
    part = Plan(planned.request, {key: stage for key, stage in planned.stages.items() if key in needed})
    context = evaluation.run_context(planned.request, options.get("device"))
    with _listener(progress, len(part.stages)) as on_event:
        outcome = run_serially(part, stages, context, on_event)
    if outcome.failed:
        raise TrainingError("; ".join(outcome.failed.values()))
    from xrealign_bench.pipeline.loading import load_realigned, tokenizer_of

    folder = stages.read(ref.stage_type, ref.key).folder
    return load_realigned(folder, run.recipe.attention, context), tokenizer_of(planned.request.checkpoint)


@names_arguments
def export(
    output: PathLike,
    checkpoint: CheckpointName | PreTrainedModel | None = None,
    recipe: RecipeLike = DEFAULT_RECIPE,
    suite: SuiteName = "demo",
    **options: Unpack[ExportOptions],
) -> Path:
    """Export a realigned or fine-tuned model to a folder that plain transformers loads: the command `export`.

    Stages that are not stored are computed first.

    Args:
        output: empty or new folder.
        checkpoint, suite: as for `plan`.
        recipe: name, YAML file or `Recipe` object.
        options: `help(xb.ExportOptions)` and `help(xb.RealignOptions)` list them. Without `task`, if the recipe takes
            steps and learning rate from fine-tuning, they are those of the first of `tasks`.

    Returns:
        The folder.

    Raises:
        UserError: bad input; or transformers can't express the model. Nothing is written.
        TrainingError: a training failed.
        ArgumentError: an argument has another name or type.
    """
    names = ("task", "merge", "sentence_transformers", "dtype", "push_to_hub", "no_compute")
    given: dict[str, Any] = {name: value for name, value in options.items() if name in names}
    results, seed = options.get("results"), options.get("seed")
    asked = WriteOptions(Path(output), results=None if results is None else Path(results), **given)
    writing.check_folder(asked.output)
    own = {*ExportOptions.__annotations__} - {*RealignOptions.__annotations__}
    others: Any = {name: value for name, value in options.items() if name not in own}
    others["seeds"] = () if seed is None else [seed]
    if asked.task is not None:
        others["tasks"] = [asked.task]
    planned = plan(checkpoint, recipe, suite, store=options.get("store"), **others)
    stages = Store(_store_folder(options.get("store")))
    _, part = writing.plan_export(planned, stages, asked)
    context = evaluation.run_context(planned.request, options.get("device"))
    with _listener(options.get("progress", "auto"), len(part.stages)) as on_event:
        writing.export_model(planned, stages, context, asked, on_event)
    return asked.output


@names_arguments
def analyse(
    checkpoint: CheckpointName | PreTrainedModel | None = None,
    recipes: Sequence[RecipeLike] | RecipeLike = (),
    suite: SuiteName = "demo",
    **options: Unpack[AnalyseOptions],
) -> pd.DataFrame:
    """Measure what recipes change inside a model, by block and language: the command `xrealign-bench analyse`.

    Args:
        checkpoint, recipes, suite: as for `plan`.
        options: `help(xb.AnalyseOptions)`, `help(xb.PlanOptions)` and `help(xb.RealignOptions)` list them.

    Returns:
        One row per value. Columns: recipe, task, seed, form, language, tier, block, measure, item, value, n.

    Raises:
        UserError: bad input, with one line per problem.
        TrainingError: a training failed. Other stages are stored.
        ArgumentError: an argument has another name or type.
    """
    own = {*AnalyseOptions.__annotations__} - {*PlanOptions.__annotations__}
    others: Any = {name: value for name, value in options.items() if name not in own}
    corpora, measures = options.get("corpora", ()), options.get("measures", ())
    sentences = options.get("sentences", 500)
    if sentences < FEWEST_SENTENCES:
        raise UserError(f"sentences: is {sentences}; give {FEWEST_SENTENCES} or more")
    asked = AnalysisOptions(
        sentences,
        options.get("pooling"),
        [measures] if isinstance(measures, str) else measures,
        [
            each if isinstance(each, Corpus) else find_spec(str(each), Corpus)
            for each in ([corpora] if isinstance(corpora, str | os.PathLike | Corpus) else corpora)
        ],
    )
    planned = plan_analysis(plan(checkpoint, recipes, suite, store=options.get("store"), **others), asked)
    stages = Store(_store_folder(options.get("store")))
    if options.get("no_compute"):
        inside.check_trained(planned, stages)
    context = evaluation.run_context(planned.request, options.get("device"))
    with _listener(options.get("progress", "auto"), len(planned.stages)) as on_event:
        outcome = run_serially(planned, stages, context, on_event)
    if outcome.failed:
        raise TrainingError("; ".join(outcome.failed.values()))
    output = Path(options.get("output", "xrealign-output"))
    return inside.write_inside(planned, stages, output, ["xrealign_bench.analyse"]).table


@names_arguments
def compare(result: ResultFolder, other: ResultFolder) -> Comparison:
    """Compare two results by their folders: gains of the first over the second with intervals and verdicts.

    Raises:
        UserError: they are not results of one checkpoint, suite and list of seeds.
    """
    from xrealign_bench.scoring.compare import compare as compare_results

    return compare_results(Path(result), Path(other))


@names_arguments
def load_results(folder: PathLike) -> Results:
    """Read all results below a folder, sorted by path, each checked against its manifest.

    Raises:
        UserError: there is no such folder, no result in it, or a result is damaged.
    """
    folders = find_results(Path(folder))
    if not folders:
        raise UserError(f"{folder}: contains no results; give the folder that `evaluate` wrote, or its `results`")
    return Results([read_checked(each) for each in folders], folders)


@names_arguments
def load_recipe(name_or_file: SpecName) -> Recipe:
    """Load a shipped recipe by name, or a YAML file.

    Raises:
        UserError: there is no such recipe, or it is invalid.
    """
    return find_spec(str(name_or_file), Recipe)


@names_arguments
def load_suite(name_or_file: SpecName) -> Suite:
    """Load a shipped suite by name, or a YAML file. Raises as `load_recipe`."""
    return find_spec(str(name_or_file), Suite)


@names_arguments
def load_task(name_or_file: SpecName) -> Task:
    """Load a shipped task by name, or a YAML file. Raises as `load_recipe`."""
    return find_spec(str(name_or_file), Task)


@names_arguments
def load_corpus(name_or_file: SpecName) -> Corpus:
    """Load a shipped corpus by name, or a YAML file. Raises as `load_recipe`."""
    return find_spec(str(name_or_file), Corpus)


def _as_list(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) and "," in value:
        several = [each.strip() for each in value.split(",")]
        raise ArgumentError(f"{name}: is '{shorten(value)}'; give a list, such as {shorten(several)}")
    return [value] if isinstance(value, str | int) else list(value)


def _store_folder(store: PathLike | None) -> Path:
    return default_store() if store is None else Path(store)


def _listener(progress: Progress, stages: int) -> Any:
    """Return a context manager that yields the function to call with each event."""
    if progress == "auto":
        return ProgressBars(stages)
    quiet: OnEvent = lambda _: None  # noqa: E731
    return nullcontext(quiet if progress == "none" else progress)


def _save_if_in_memory(
    checkpoint: PathLike | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, store: Path
) -> str:
    """Return the name of a checkpoint; a model in memory is saved to the store, under the checksum of its weights."""
    if isinstance(checkpoint, str | os.PathLike):
        if tokenizer is not None:
            raise UserError("tokenizer: is for a model in memory; save the tokenizer to the checkpoint's folder")
        return str(checkpoint)
    from xrealign_bench.models.checkpoint_files import hash_files
    from xrealign_bench.models.config import quiet_transformers

    if tokenizer is None:
        raise UserError("checkpoint: a model in memory needs its tokenizer; pass tokenizer=...")
    root = store / "models"
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix=".") as temporary:
        saved = Path(temporary, IN_MEMORY)
        with quiet_transformers():
            checkpoint.save_pretrained(saved)
        tokenizer.save_pretrained(saved)
        folder = root / hash_files(sorted(saved.iterdir()))[:16]
        if not folder.exists():
            Path(temporary).rename(folder)
            Path(temporary).mkdir()  # for the clean-up
    return str(folder / IN_MEMORY)
