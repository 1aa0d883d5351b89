"""From specs to stages: what has to be done for an evaluation, each step keyed by all that determines its output."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data import (
    CHOSEN_EXAMPLES,
    SEGMENTER,
    DataLocation,
    Split,
    corpus_languages,
    examples_to_read,
    lexicon_fingerprint,
    lexicon_languages,
    locate_pairs,
    locate_task,
)
from xrealign_bench.errors import UserError, unknown
from xrealign_bench.languages import check_codes, find, published_list, select
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.device import Precision, Quantised
from xrealign_bench.specs import (
    Corpus,
    Finetuning,
    HubData,
    PublishedSubset,
    Recipe,
    SelectedLanguages,
    Spec,
    Suite,
    Task,
    digest,
)

DataSpec = TypeVar("DataSpec", Task, Corpus)
StageKind = Literal["tokenise", "align", "encode", "realign", "finetune", "predict"]

TRAINING: Collection[StageKind] = ("realign", "finetune")
"""What several processes compute together; the other stages they share out."""

CODE_VERSIONS: Mapping[StageKind, int] = {
    "tokenise": 3, "align": 2, "encode": 2, "realign": 1, "finetune": 1, "predict": 1,
}  # fmt: skip
"""Raised whenever a change of code changes what a kind of stage puts out: old outputs are then never reused."""

PAIRS_OF = "pairs-"
"""Before a language: the role of its encoded pairs in a fine-tuning that realigns at the same time."""


class StageRef(Spec):
    kind: StageKind
    key: str

    def __hash__(self) -> int:
        return hash(self.key)  # that of a spec is of its JSON, too slow for what is looked up so often


class Stage(Spec):
    """One step of work. Its key covers its kind, code version, settings and inputs, and so all that is upstream."""

    kind: StageKind
    label: str
    """For people; not part of the key."""
    settings: dict[str, Any]
    """Specs and plain values: whatever determines the output besides the inputs."""
    inputs: dict[str, StageRef] = {}

    @property
    def key(self) -> str:
        covered = {"kind": self.kind, "version": CODE_VERSIONS[self.kind], "settings": self.settings}
        return digest(covered | {"inputs": {role: ref.key for role, ref in self.inputs.items()}})

    @property
    def ref(self) -> StageRef:
        return StageRef(kind=self.kind, key=self.key)


@dataclass(frozen=True)
class Request:
    """One call of `evaluate`, with every name resolved."""

    checkpoint: Checkpoint
    recipes: list[Recipe]
    suite: Suite
    suite_tasks: list[Task]
    """All of the suite's tasks: its digest covers them."""
    tasks: list[Task]
    """Those of the suite that are asked for."""
    languages: list[str]
    """Target languages that are asked for."""
    seeds: list[int]
    corpora: Mapping[str, Corpus]
    limit: int | None
    location: DataLocation
    compute_settings: dict[str, Any]
    """Device, dtype, threads, library versions: part of the key of every stage that computes with a model."""


@dataclass(frozen=True)
class Sources:
    """Where things lie on this machine: what a stage needs and its key must not depend on."""

    checkpoint: Checkpoint
    location: DataLocation
    device: str
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    quantised: Quantised | None = None


@dataclass
class Run:
    """The stages of one recipe."""

    recipe: Recipe
    align: dict[str, StageRef] = field(default_factory=dict)
    """Language -> its word alignment."""
    encode: dict[str, StageRef] = field(default_factory=dict)
    """Language -> its pairs as the model reads them, for all tasks: sentences are as long whatever they serve."""
    without_data: list[str] = field(default_factory=list)
    """Languages that the recipe asks for and the corpus lacks."""
    realign: dict[tuple[str, int], StageRef] = field(default_factory=dict)
    """(task, seed) -> the stage that realigns; the same for all tasks whose settings it shares. Where realignment and
    fine-tuning are joint it is the task's fine-tuning."""
    finetune: dict[tuple[str, int], StageRef] = field(default_factory=dict)
    predict: dict[tuple[str, str, int], StageRef] = field(default_factory=dict)
    """(task, language, seed) -> predictions; the source language is among them, if the task has it."""


@dataclass
class Plan:
    """Stages in an order in which they can be run, and which of them belongs to which recipe."""

    request: Request
    stages: dict[StageRef, Stage] = field(default_factory=dict)
    train: dict[str, StageRef] = field(default_factory=dict)
    """Task -> its tokenised training data, of those that are fine-tuned."""
    test: dict[tuple[str, str], StageRef] = field(default_factory=dict)
    """(task, language) -> its tokenised test data."""
    runs: list[Run] = field(default_factory=list)

    def add(self, stage: Stage) -> StageRef:
        """Add a stage unless an equal one is there already."""
        ref = stage.ref
        self.stages.setdefault(ref, stage)
        return ref

    def ancestors(self, refs: Iterable[StageRef]) -> set[StageRef]:
        """The stages named, and all that they need."""
        found: set[StageRef] = set()
        todo = list(refs)
        while todo:
            ref = todo.pop()
            if ref not in found:
                found.add(ref)
                todo += self.stages[ref].inputs.values()
        return found


def make_plan(request: Request) -> Plan:
    """Lay out every stage of an evaluation; nothing is computed and no example is read.

    Raises:
        UserError: a language without data, an unknown aligner, corpus or language, data that can't be found.
    """
    plan = Plan(request)
    _check_request(request)
    for task in request.tasks:
        _plan_task_data(plan, task)
    for recipe in request.recipes:
        _check_attention(request, recipe)
        _check_quantised(request, recipe)
        plan.runs.append(_plan_run(plan, recipe))
    return plan


def learning_rate(finetuning: Finetuning, model_type: str) -> float:
    """The suite's fine-tuning learning rate for a kind of model."""
    return finetuning.learning_rate.get(model_type, finetuning.learning_rate["default"])


def check_suite_languages(suite: Suite, tasks: Sequence[Task], targets: Sequence[str]) -> None:
    """Check that a suite calls every language by its one code, and that its tasks test the targets.

    Raises:
        UserError: a code is unknown or an alias, or a target is in no task.
    """
    others = [code for codes in suite.parallel.other_corpora.values() for code in codes]
    try:
        check_codes([suite.source_language, *suite.target_languages, *others])
    except UserError as error:
        raise UserError(f"suite '{suite.name}': {error}") from None
    tested = {language for task in tasks for language in task.languages}
    if absent := [code for code in targets if code not in tested]:
        names = ", ".join(task.name for task in tasks)
        raise unknown(f"language of the tasks {names}:", absent[0], tested)


def _check_request(request: Request) -> None:
    """Check the suite's languages; every task has a target and a checkpoint of the family that it needs."""
    check_suite_languages(request.suite, request.suite_tasks, request.languages)
    for task in request.tasks:
        if task.reads_language_model and request.checkpoint.family != "decoder":
            raise UserError(
                f"task '{task.name}' reads the probabilities that a decoder gives to text, and the checkpoint "
                f"{request.checkpoint.id} is none; leave the task out or use a decoder"
            )
        if not set(request.languages) & set(task.languages):
            raise UserError(
                f"task '{task.name}' has none of the languages {', '.join(request.languages)}; name others, or other "
                "tasks"
            )


def _check_attention(request: Request, recipe: Recipe) -> None:
    if recipe.attention == "own":
        return
    if request.checkpoint.family != "decoder":
        raise UserError(
            f"recipe '{recipe.name}' lets a decoder see both sides, and the checkpoint {request.checkpoint.id} is "
            "none; use the same recipe without 'attention'"
        )
    if generative := [task.name for task in request.tasks if task.reads_language_model]:
        raise UserError(
            f"recipe '{recipe.name}' lets a decoder see both sides, and the task '{generative[0]}' reads what it "
            "expects to come next; leave one of them out"
        )


def _attention(recipe: Recipe) -> dict[str, str]:
    """A setting of every stage that runs the encoder, where it is not the encoder's own."""
    return {} if recipe.attention == "own" else {"attention": recipe.attention}


def _check_quantised(request: Request, recipe: Recipe) -> None:
    """Weights of few bits have no gradient: beside them only an adapter can be trained."""
    if "quantised" not in request.compute_settings:
        return
    if finetuned := [task.name for task in request.tasks if task.finetunes]:
        raise UserError(
            f"task '{finetuned[0]}' is fine-tuned, which trains all weights, and quantised ones can't be; leave it or "
            "--quantise out (decoder-lite is a suite without fine-tuning)"
        )
    if recipe.initialisation == "random" or (recipe.realigns and recipe.adapter is None):
        what = "draws" if recipe.initialisation == "random" else "trains"
        raise UserError(
            f"recipe '{recipe.name}' {what} the encoder's weights, and quantised ones can't be; leave --quantise out "
            "or use a recipe with an adapter, such as full-lora"
        )


def _plan_task_data(plan: Plan, task: Task) -> None:
    source = plan.request.suite.source_language
    if task.finetunes:
        plan.train[task.name] = plan.add(_tokenise(plan.request, task, source, "train"))
    elif task.task_type == "retrieval" and task.text_language != source:
        raise UserError(
            f"task '{task.name}' finds translations of '{task.text_language}', and the source language of the suite "
            f"'{plan.request.suite.name}' is '{source}'; choose another task"
        )
    for language in _test_languages(plan.request, task):
        plan.test[task.name, language] = plan.add(_tokenise(plan.request, task, language, "test"))


def _test_languages(request: Request, task: Task) -> list[str]:
    """Those that are asked for and the task has, after the source language."""
    targets = [code for code in request.languages if code in task.languages]
    return [request.suite.source_language, *targets] if task.tests_source else targets


def _tokenise(request: Request, task: Task, language: str, split: Split) -> Stage:
    located = locate_task(task, language, split, request.location)
    read = _as_read(task, language, split)
    settings: dict[str, Any] = {
        "task": read,
        "language": language,
        "split": split,
        "data": located.fingerprint,
        "limit": request.limit,
        "tokenizer": _tokenizer(request.checkpoint),
        "max_length": request.suite.finetuning_for(task.name).max_length,
    }
    # Embedded data are made, as many as are asked for.
    if isinstance(read.source, HubData) and examples_to_read(task, split, request.limit) is not None:
        settings["chosen"] = CHOSEN_EXAMPLES
    return Stage(kind="tokenise", label=f"tokenise {task.name} {language} {split}", settings=settings)


def _plan_run(plan: Plan, recipe: Recipe) -> Run:
    run = Run(recipe)
    if recipe.realigns:
        _plan_parallel_data(plan, run)
        _check_not_realigned_on_test(plan, run)
        _plan_encoding(plan, run)
    for task in plan.request.tasks:
        for seed in plan.request.seeds:
            _plan_training(plan, run, task, seed)
    return run


def _plan_parallel_data(plan: Plan, run: Run) -> None:
    request, recipe = plan.request, run.recipe
    available = _available(request, recipe)
    for language in _realigned_languages(request, recipe, available):
        if language not in available:
            run.without_data.append(language)
            continue
        corpus = available[language]
        run.align[language] = plan.add(_align(request, _aligner(request, recipe, corpus), corpus, language))
    if not run.align:
        corpus_name = recipe.parallel.corpus or request.suite.parallel.corpus
        raise UserError(
            f"recipe '{recipe.name}': the corpus '{corpus_name}'{_with_lexicons(request, recipe)} none of the "
            f"languages to realign ({', '.join(run.without_data)}); name another corpus or other languages under "
            "'parallel'"
        )


def _with_lexicons(request: Request, recipe: Recipe) -> str:
    name = recipe.aligner or request.suite.parallel.aligner
    needed = recipe.needs_links and name in ALIGNERS and ALIGNERS[name].needs_lexicon
    return " and its lexicons together have" if needed else " has"


def _available(request: Request, recipe: Recipe) -> dict[str, Corpus]:
    """Language -> the corpus that pairs it with the source language."""
    main = _corpus(request, recipe, recipe.parallel.corpus or request.suite.parallel.corpus)
    available = dict.fromkeys(_aligned_languages(request, recipe, main), main)
    if recipe.parallel.corpus is None:
        for name, languages in request.suite.parallel.other_corpora.items():
            other = _corpus(request, recipe, name)
            there = _aligned_languages(request, recipe, other)
            for language in languages:
                available.pop(language, None)
            available |= {language: other for language in languages if language in there}
    return available


def _corpus(request: Request, recipe: Recipe, name: str) -> Corpus:
    if name not in request.corpora:
        raise unknown(f"parallel corpus in recipe '{recipe.name}':", name, request.corpora)
    return request.corpora[name]


def _aligned_languages(request: Request, recipe: Recipe, corpus: Corpus) -> list[str]:
    """Those that the corpus, and the lexicons if the aligner needs them, pair with the source language."""
    source, aligner = request.suite.source_language, _aligner(request, recipe, corpus)
    there = corpus_languages(corpus, source, request.location)
    if aligner is None or not ALIGNERS[aligner].needs_lexicon:
        return there
    translated = set(lexicon_languages(corpus, source, request.location))
    return [language for language in there if language in translated]


def _check_not_realigned_on_test(plan: Plan, run: Run) -> None:
    """Refuse retrieval among sentences that the recipe realigns on.

    Known by the data's fingerprint, so the same text under another name goes unnoticed.
    """
    read = {ref: plan.stages[ref].settings for ref in plan.ancestors(run.align.values())}
    corpora = {settings["data"]: settings["corpus"] for settings in read.values() if "corpus" in settings}
    for (name, language), ref in plan.test.items():
        task, corpus = plan.stages[ref].settings["task"], corpora.get(plan.stages[ref].settings["data"])
        if task.task_type != "retrieval" or corpus is None:
            continue
        if corpus.pairs is None or corpus.pairs > task.skip_examples:
            raise UserError(
                f"recipe '{run.recipe.name}' realigns on the sentences of the corpus '{corpus.name}' among which the "
                f"task '{name}' finds translations in '{language}': give the corpus 'pairs' and the task at least as "
                "many 'skip_examples', or name another corpus"
            )


def _aligner(request: Request, recipe: Recipe, corpus: Corpus) -> str | None:
    """Return the aligner's name, or None if the method needs no word alignment."""
    if not recipe.needs_links:
        return None
    aligner = recipe.aligner or request.suite.parallel.aligner
    if aligner not in ALIGNERS:
        raise unknown(f"aligner in recipe '{recipe.name}':", aligner, ALIGNERS)
    if ALIGNERS[aligner].needs_gold and isinstance(corpus.source, HubData):
        raise UserError(
            f"recipe '{recipe.name}': the corpus '{corpus.name}' has no gold word alignment; choose another aligner "
            f"than '{aligner}'"
        )
    return aligner


def _realigned_languages(request: Request, recipe: Recipe, there: Collection[str]) -> list[str]:
    """What the recipe asks for: never less because an evaluation looks at fewer languages.

    A selection is made among the suite's targets that are `there`, in the corpus.
    """
    wanted, suite = recipe.parallel.languages, request.suite
    if wanted == "suite_targets":
        return list(suite.target_languages)
    try:
        if isinstance(wanted, SelectedLanguages):
            pool = [code for code in suite.target_languages if code in there]
            source, first = suite.source_language, wanted.anchor_source
            chosen = select(wanted.select, wanted.n, pool, source=source, anchor_source=first, seed=wanted.seed)
            return list(chosen.languages)
        named = published_list(wanted.subset).languages if isinstance(wanted, PublishedSubset) else wanted
    except UserError as error:
        raise UserError(f"recipe '{recipe.name}': parallel.languages: {error}") from None
    codes = [find(code).code for code in named]
    if suite.source_language in codes:
        raise UserError(
            f"recipe '{recipe.name}': parallel.languages names the suite's source language "
            f"'{suite.source_language}', which every other one is aligned with; remove it"
        )
    return codes


def _align(request: Request, name: str | None, corpus: Corpus, language: str) -> Stage:
    source = request.suite.source_language
    settings: dict[str, Any] = {
        "corpus": _what_is_read(
            corpus,
            lexicons_url=None,
            columns={c: n for c, n in corpus.columns.items() if c in (source, language)},
            codes={c: n for c, n in corpus.codes.items() if c in (source, language)},
        ),
        "source": source,
        "target": language,
        "data": locate_pairs(corpus, source, language, request.location).fingerprint,
        "limit": request.limit,
        "aligner": name,
    }
    if isinstance(corpus.source, HubData):
        settings["segmenter"] = SEGMENTER
    if name is None:
        return Stage(kind="align", label=f"read pairs {source}-{language}", settings=settings)
    if (package := ALIGNERS[name].package) is not None:
        settings["package"] = [package, _version(package)]
    if ALIGNERS[name].needs_lexicon:
        settings["lexicon"] = lexicon_fingerprint(corpus, source, language, request.location)
    if ALIGNERS[name].needs_checkpoint:
        settings["checkpoint"] = _weights(request.checkpoint) | {"tokenizer": request.checkpoint.tokenizer_sha256}
        settings["max_length"] = request.suite.finetuning.max_length
        settings["numerics"] = request.compute_settings
    return Stage(kind="align", label=f"align {source}-{language} ({name})", settings=settings)


def _plan_encoding(plan: Plan, run: Run) -> None:
    given = run.recipe.schedule.max_length
    max_length = plan.request.suite.finetuning.max_length if given == "match_finetuning" else given
    settings = {"tokenizer": _tokenizer(plan.request.checkpoint), "max_length": max_length}
    for language, align in run.align.items():
        encode = Stage(kind="encode", label=f"encode pairs {language}", settings=settings, inputs={"pairs": align})
        run.encode[language] = plan.add(encode)


def _plan_training(plan: Plan, run: Run, task: Task, seed: int) -> None:
    request, recipe = plan.request, run.recipe
    weights: dict[str, StageRef] = {}
    finetuning = _for_checkpoint(request.suite.finetuning_for(task.name), request)
    joint = recipe.realigns and recipe.schedule.when == "during"
    if joint and not task.finetunes:
        raise UserError(
            f"recipe '{recipe.name}' realigns during fine-tuning and the task '{task.name}' has none; "
            "leave one of them out"
        )
    if joint:
        weights = {f"{PAIRS_OF}{language}": ref for language, ref in run.encode.items()}
    elif recipe.realigns:
        weights["encoder"] = plan.add(_realign(plan, run, task, seed))
        run.realign[task.name, seed] = weights["encoder"]
    if not task.finetunes:
        _plan_reading(plan, run, task, seed, weights)
        return
    finetune = plan.add(
        Stage(
            kind="finetune",
            label=f"fine-tune {task.name} {'with' if joint else 'after'} {recipe.name}, seed {seed}",
            settings={
                "checkpoint": _weights(request.checkpoint),
                "initialisation": "realigned" if "encoder" in weights else recipe.initialisation,
                "finetuning": finetuning,
                "task": _as_read(task, request.suite.source_language, "train"),
                "seed": seed,
                "numerics": request.compute_settings,
                **({"joint": _joint(recipe)} if joint else {}),
                **_attention(recipe),
            },
            inputs={"train": plan.train[task.name], **weights},
        )
    )
    run.finetune[task.name, seed] = finetune
    if joint:
        run.realign[task.name, seed] = finetune
    for language in _test_languages(request, task):
        predict = Stage(
            kind="predict",
            label=f"predict {task.name} {language} after {recipe.name}, seed {seed}",
            settings={
                "checkpoint": _weights(request.checkpoint),
                "task": _as_read(task, language, "test"),
                "numerics": request.compute_settings,
                **_attention(recipe),
            },
            inputs={"model": finetune, "test": plan.test[task.name, language]},
        )
        run.predict[task.name, language, seed] = plan.add(predict)


def _for_checkpoint(finetuning: Finetuning, request: Request) -> Finetuning:
    """With the one learning rate of the checkpoint's kind of model."""
    rate = learning_rate(finetuning, request.checkpoint.model_type)
    return finetuning.model_copy(update={"learning_rate": {"default": rate}})


def _plan_reading(plan: Plan, run: Run, task: Task, seed: int, weights: Mapping[str, StageRef]) -> None:
    """Predictions of the encoder as it is; the checkpoint's own are the same for all seeds and so one stage."""
    request, recipe = plan.request, run.recipe
    settings: dict[str, Any] = {
        "checkpoint": _weights(request.checkpoint),
        "initialisation": "realigned" if recipe.realigns else recipe.initialisation,
        "numerics": request.compute_settings,
        **_attention(recipe),
    }
    if settings["initialisation"] == "random":
        settings["seed"] = seed
    for language in _test_languages(request, task):
        predict = Stage(
            kind="predict",
            label=f"predict {task.name} {language} after {recipe.name}, seed {seed}",
            settings=settings | {"task": _as_read(task, language, "test")},
            inputs={"test": plan.test[task.name, language], **weights},
        )
        run.predict[task.name, language, seed] = plan.add(predict)


def _joint(recipe: Recipe) -> dict[str, Any]:
    """Settings of a realignment that goes beside fine-tuning, whose steps and learning rate it takes."""
    return {
        "method": recipe.method,
        "freeze": recipe.freeze,
        "objective": recipe.objective,
        "mixing": recipe.parallel.mixing,
        "batch_size": recipe.schedule.batch_size,
        "weight": recipe.schedule.weight,
    }


def _realign(plan: Plan, run: Run, task: Task, seed: int) -> Stage:
    """The same for all tasks whose fine-tuning gives what the recipe takes from it."""
    request, recipe = plan.request, run.recipe
    of_task = request.suite.realignment_matches == "task"
    given = request.suite.finetuning_for(task.name) if of_task else request.suite.finetuning
    finetuning = _for_checkpoint(given, request)
    schedule = recipe.schedule
    matched = {"steps": finetuning.steps, "learning_rate": finetuning.learning_rate["default"]}
    own = {name: getattr(schedule, name) for name in matched}
    resolved = {name: matched[name] if value == "match_finetuning" else value for name, value in own.items()}
    settings = {
        "checkpoint": _weights(request.checkpoint),
        "initialisation": recipe.initialisation,
        "method": recipe.method,
        "freeze": recipe.freeze,
        "objective": recipe.objective,
        "mixing": recipe.parallel.mixing,
        "batch_size": schedule.batch_size,
        "lr_schedule": schedule.lr_schedule,
        **resolved,
        "seed": seed,
        "numerics": request.compute_settings,
        **_attention(recipe),
    }
    if recipe.adapter is not None:
        settings |= {"adapter_alone": recipe.adapter, "peft": _version("peft")}
    label = f"realign with {recipe.name}, seed {seed}"
    return Stage(kind="realign", label=label, settings=settings, inputs=run.encode)


def _what_is_read(spec: DataSpec, **only: Any) -> DataSpec:
    """A data spec as a stage needs it: without other languages and without what only people read."""
    return spec.model_copy(update={"title": "", "citation": "", "licence": "", **only})


def _as_read(task: Task, language: str, split: Split) -> Task:
    """The task as a stage needs it, as if it had no other language or split: a key must not depend on them."""
    part = task.part(language)
    other = "test" if split == "train" else "train"
    unread = {name: Task.model_fields[name].default for name in (f"{other}_split", f"{other}_examples")}
    own = {name: getattr(part, name) for name in ("source", "configs", "columns", "label_map", "test_split")}
    return _what_is_read(task, also=[], **{**own, **unread})


@cache
def _version(package: str) -> str:
    """Of an installed package; read once a process, since that takes milliseconds."""
    return importlib.metadata.version(package)


def _tokenizer(checkpoint: Checkpoint) -> dict[str, str]:
    """What determines how words become sub-words."""
    versions = {package: _version(package) for package in ("tokenizers", "transformers")}
    return {"files": checkpoint.tokenizer_sha256, **versions}


def _weights(checkpoint: Checkpoint) -> dict[str, str]:
    """The parts of a checkpoint that determine what it computes; not its name or place."""
    merged = {} if checkpoint.adapter is None else {"peft": _version("peft")}
    return {"config": checkpoint.config_sha256, "weights": checkpoint.weights_sha256, **merged}
