"""Stages that measure what recipes change inside a model, on sentences that none of them realigns on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.analysis.table import Measure, TextVector
from xrealign_bench.data import corpus_languages, count_pairs, lexicon_languages, locate_pairs, pin
from xrealign_bench.data.parallel import HELD_OUT
from xrealign_bench.errors import UserError, shorten_list
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning.keys import only_cell, tokenizer_key, weights_key
from xrealign_bench.pipeline.planning.parallel_data import ChosenAligner, align_stage, choose_aligner
from xrealign_bench.pipeline.stage import StageRef
from xrealign_bench.pipeline.stages import (
    Analyse,
    AnalyseInputs,
    AnalyseSettings,
    Encode,
    EncodeInputs,
    EncodeSettings,
    Finetune,
    RealignmentLoss,
)
from xrealign_bench.pipeline.stages.analyse import FEWEST_SENTENCES
from xrealign_bench.specs import Corpus, EmbeddedData, Finetuning, Recipe, Task, aligner_name
from xrealign_bench.specs.methods import METHODS
from xrealign_bench.specs.plugin import NamedPlugin, plugin_keys
from xrealign_bench.specs.recipe import BASELINE

MEASURES: tuple[Measure, ...] = get_args(Measure)
PROBED = ("token_classification", "sequence_classification")
"""Task types whose labels are those of a word or a text."""


@dataclass(frozen=True)
class AnalysisOptions:
    """What an analysis reads and measures."""

    sentences: int = 500
    """Maximum number of sentence pairs of each language."""
    pooling: TextVector | None = None
    """None: the mean for encoders, the weighted mean for decoders."""
    measures: Sequence[Measure] = ()
    """Empty: all that the model, recipe and task have."""
    corpora: Sequence[Corpus] = ()
    """Empty: the parts of the suite's parallel corpora that are set aside."""


def plan_analysis(plan: Plan, options: AnalysisOptions) -> Plan:
    """Add the stages of an analysis to the plan of an evaluation, and return the part of the plan that they need.

    Raises:
        UserError: no sentences are set aside, a recipe realigns on them, or a measure does not apply.
    """
    request = plan.request
    corpora = [_first_pairs(corpus, options.sentences) for corpus in options.corpora or _set_aside(request)]
    texts = _corpus_by_language(request, corpora)
    for run in plan.runs:
        _check_not_realigned(plan, run, texts)
    pairs = {language: _plan_pairs(plan, corpus, language) for language, corpus in texts.items()}
    _check_measures(request, options.measures)
    for run in plan.runs:
        for task in request.tasks:
            measures = _measures(request, run.recipe, task, options.measures)
            for seed in request.seeds if measures else ():
                stage = _analyse(plan, run, (task, seed), pairs, replace(options, measures=measures))
                run.analyse[task.name, seed] = plan.add(stage)
    needed = plan.ancestors(ref for run in plan.runs for ref in run.analyse.values())
    return replace(plan, stages={ref: stage for ref, stage in plan.stages.items() if ref in needed})


def _first_pairs(corpus: Corpus, sentences: int) -> Corpus:
    """Return the corpus with the pairs to read: a tenth more than are measured, since repeated ones are left out."""
    return corpus.model_copy(update={"pairs": sentences + sentences // 10})


def _set_aside(request: Request) -> list[Corpus]:
    """Return the parts of the suite's parallel corpora behind the pairs that the suite realigns on.

    Of embedded data, these are phrases with held-out names.

    Raises:
        UserError: the suite realigns on all pairs of its corpora.
    """
    found = []
    for name in request.suite.parallel.corpora:
        corpus, lock = request.loaded.corpora[name], request.loaded.lock
        if lock is not None:
            corpus = pin(corpus, lock, request.location)
        if isinstance(corpus.source, EmbeddedData):
            found.append(corpus.model_copy(update={"split": HELD_OUT}))
        elif isinstance(corpus.pairs, int):
            found.append(corpus.model_copy(update={"skip_pairs": corpus.skip_pairs + corpus.pairs}))
    if not found:
        names = ", ".join(request.suite.parallel.corpora)
        raise UserError(
            f"suite '{request.suite.name}' may realign on every pair of {names}, so "
            "no sentences are set aside; name another parallel corpus with --corpus, such as ntrex"
        )
    return found


def _corpus_by_language(request: Request, corpora: Sequence[Corpus]) -> dict[str, Corpus]:
    """Return for each target language the first corpus with enough pairs, or the one with most; without pairs, none.

    Raises:
        UserError: no corpus has any of the languages, or none has enough pairs.
    """
    source, location = request.suite.source_language, request.location
    listed = [(corpus, corpus_languages(corpus, source, location)) for corpus in corpora]
    sizes = {}
    for language in request.languages:
        found = (count_pairs(c, source, language, None, location) if language in there else 0 for c, there in listed)
        if any(counts := list(found)):
            sizes[language] = counts
    names = ", ".join(dict.fromkeys(corpus.name for corpus in corpora))
    if not sizes:
        raise UserError(
            f"the parallel corpus {names} has none of the languages to analyse ({', '.join(request.languages)}); name "
            "another with --corpus"
        )
    most = {language: max(counts) for language, counts in sizes.items()}
    if max(most.values()) < FEWEST_SENTENCES:
        there = shorten_list([f"{n} of '{language}'" for language, n in most.items()])
        raise UserError(
            f"no language has {FEWEST_SENTENCES} set-aside sentence pairs in {names} (there are {there}); name another "
            "parallel corpus with --corpus"
        )
    enough = {language: min(FEWEST_SENTENCES, n) for language, n in most.items()}
    return {
        language: next(corpus for corpus, n in zip(corpora, counts, strict=True) if n >= enough[language])
        for language, counts in sizes.items()
    }


def _check_not_realigned(plan: Plan, run: Run, texts: Mapping[str, Corpus]) -> None:
    """Refuse to analyse sentences that a recipe realigns on; they are recognised by the data's fingerprint.

    Raises:
        UserError: they overlap.
    """
    request = plan.request
    for language, stage in plan.aligned(run).items():
        if language not in texts:
            continue
        own = texts[language]
        fingerprint = locate_pairs(own, request.suite.source_language, language, request.location).fingerprint
        for text in stage.settings.texts:
            if text.data == fingerprint and _overlap(text.corpus, own, stage.settings.keep is not None):
                raise UserError(
                    f"recipe '{run.recipe.name}' realigns on sentences of the corpus '{text.corpus.name}' in "
                    f"'{language}' that the analysis would read; name another parallel corpus with --corpus"
                )


def _overlap(realigned: Corpus, analysed: Corpus, is_filtered: bool) -> bool:
    """Return whether two parts of the same data have pairs in common."""
    if isinstance(realigned.source, EmbeddedData):
        return (realigned.split == HELD_OUT) == (analysed.split == HELD_OUT)
    ends = [part.skip_pairs + part.pairs if isinstance(part.pairs, int) else math.inf for part in (realigned, analysed)]
    if is_filtered:  # its pairs are the first with a high score, wherever they are
        ends[0] = math.inf
    return realigned.skip_pairs < ends[1] and analysed.skip_pairs < ends[0]


def _plan_pairs(plan: Plan, corpus: Corpus, language: str) -> StageRef:
    """Add the stages that read, link and encode the sentences of one language."""
    request = replace(plan.request, limit=None)  # of test examples and training pairs
    aligner = _aligner(request, corpus, language)
    align = plan.add(align_stage(request, aligner, [corpus], language, None))
    settings = EncodeSettings(
        tokenizer=tokenizer_key(request.checkpoint),
        max_length=request.suite.finetuning.max_length,
        lone_word_markers=request.suite.lone_word_markers,
    )
    return plan.add(Encode(f"encode set-aside pairs {language}", settings, EncodeInputs(align)))


def _aligner(request: Request, corpus: Corpus, language: str) -> ChosenAligner:
    """Return the suite's aligner, the same for all recipes, or none if the corpus lacks what it needs."""
    choice = request.suite.parallel.aligner
    aligner, source = ALIGNERS[aligner_name(choice)], request.suite.source_language
    if aligner.needs_gold and not isinstance(corpus.source, EmbeddedData):
        return ChosenAligner()
    if aligner.needs_lexicon and (
        corpus.lexicons is None or language not in lexicon_languages(corpus, source, request.location)
    ):
        return ChosenAligner()
    return choose_aligner(request, choice, f"suite '{request.suite.name}'")


def _check_measures(request: Request, wanted: Sequence[Measure]) -> None:
    """Refuse a measure that no recipe has with any task.

    Raises:
        UserError: there is one.
    """
    cells = [dict(_inapplicable(request, recipe, task)) for recipe in request.recipes for task in request.tasks]
    for measure in wanted:
        if all(measure in missing for missing in cells):
            raise UserError(f"--measure {measure}: {cells[-1][measure]}; leave it out or choose another recipe or task")


def _measures(request: Request, recipe: Recipe, task: Task, wanted: Sequence[Measure]) -> list[Measure]:
    """Return the measures that a recipe has with a task, in a fixed order; `wanted`, if not empty, limits them."""
    missing = dict(_inapplicable(request, recipe, task))
    return [measure for measure in MEASURES if measure not in missing and (not wanted or measure in wanted)]


def _inapplicable(request: Request, recipe: Recipe, task: Task) -> list[tuple[Measure, str]]:
    """Return measures that a recipe and a task don't have, with the reason."""
    found: list[tuple[Measure, str]] = []
    if not recipe.realigns:
        found.append(("gradients", f"recipe '{recipe.name}' has no realignment loss"))
    elif (method := METHODS.find(recipe.method)) is not None and not method.is_contrastive:
        found.append(("gradients", f"method '{recipe.method}' has no realignment loss"))
    elif not task.finetunes:
        found.append(("gradients", f"task '{task.name}' is not fine-tuned and so has no loss"))
    elif recipe.adapter is not None or request.suite.finetuning_for(task.name).adapter is not None:
        found.append(("gradients", "an adapter is trained, and gradients are compared for a model's own blocks"))
    if task.base_type not in PROBED:
        found.append(("errors", f"task '{task.name}' has no label for each word or text"))
    if task.base_type != "token_classification":
        found.append(("anchors", f"task '{task.name}' has no label for each word"))
    elif not recipe.needs_links:
        found.append(("anchors", f"recipe '{recipe.name}' realigns no linked words"))
    return found


def _analyse(
    plan: Plan, run: Run, cell: tuple[Task, int], pairs: Mapping[str, StageRef], options: AnalysisOptions
) -> Analyse:
    """Return the analysis of one recipe, task and seed."""
    request, recipe, (task, seed) = plan.request, run.recipe, cell
    model = run.finetune.get((task.name, seed))
    before = recipe.realigns and recipe.schedule.when == "before"
    encoder = run.realign[task.name, seed] if before else None
    pooling: TextVector = "weighted_mean" if request.checkpoint.family == "decoder" else "mean"
    measures = list(options.measures)
    plugins: list[NamedPlugin] = [("method", recipe.method)]
    if model is not None:
        plugins.append(("task_type", task.task_type))
    settings = AnalyseSettings(
        checkpoint=weights_key(request.checkpoint),
        initialisation=recipe.initialisation,
        task=None if model is None else only_cell(task, request.suite.source_language, "train"),
        source_language=request.suite.source_language,
        finetuning=None if model is None else _finetuning(plan, model),
        realignment=_loss(recipe) if "gradients" in measures else None,
        seed=seed,
        sentences=options.sentences,
        languages=list(pairs),
        pooling=options.pooling or pooling,
        objective=recipe.objective,
        measures=measures,
        compute_settings=request.compute_settings,
        attention=recipe.attention,
        head="linear" if model is None else request.suite.head,
        plugins=plugin_keys(plugins),
        realigned_pairs=recipe.parallel.pairs_for(request.checkpoint.model_type) if "anchors" in measures else None,
    )
    inputs = AnalyseInputs(pairs, encoder, model, *_task_inputs(plan, run, cell, list(pairs), measures))
    if "anchors" in measures:
        realigned, baseline = _anchor_inputs(plan, run, cell, list(inputs.predictions))
        inputs = replace(inputs, realigned=realigned, baseline=baseline)
    return Analyse(f"analyse {recipe.name} on {task.name}, seed {seed}", settings, inputs)


def _task_inputs(
    plan: Plan, run: Run, cell: tuple[Task, int], languages: Sequence[str], measures: Sequence[Measure]
) -> tuple[StageRef | None, dict[str, StageRef], dict[str, StageRef]]:
    """Return training data, test data and predictions of a task, as far as the measures read them."""
    task, seed = cell
    probes = task.base_type in PROBED and task.finetunes and "probes" in measures
    predicts = "errors" in measures or "anchors" in measures
    tested = [code for code in languages if (task.name, code) in plan.test and (probes or predicts)]
    test = {code: plan.test[task.name, code] for code in tested}
    predictions = {code: run.predict[task.name, code, seed] for code in tested if predicts}
    train = plan.train[task.name] if probes or "gradients" in measures else None
    return train, test, predictions


def _anchor_inputs(
    plan: Plan, run: Run, cell: tuple[Task, int], languages: Sequence[str]
) -> tuple[dict[str, StageRef], dict[str, StageRef]]:
    """Return the pairs that a recipe realigns on, and the baseline's predictions, in languages that have both."""
    task, seed = cell
    baseline = next(each for each in plan.runs if each.recipe.name == BASELINE)
    pairs = {code: ref for code, ref in run.pairs(seed).items() if code in languages}
    return pairs, {code: baseline.predict[task.name, code, seed] for code in pairs}


def _finetuning(plan: Plan, model: StageRef) -> Finetuning:
    stage = plan.stages[model]
    assert isinstance(stage, Finetune)
    return stage.settings.finetuning


def _loss(recipe: Recipe) -> RealignmentLoss:
    return RealignmentLoss(
        method=recipe.method,
        objective=recipe.objective,
        mixing=recipe.parallel.mixing,
        batch_size=recipe.schedule.batch_size,
    )
