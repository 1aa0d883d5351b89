"""Checks of recipes against suite and checkpoint, before anything is downloaded or computed.

`validate`, `evaluate` and the plan share them, so that all three say the same.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data.loaded_suite import LoadedSuite
from xrealign_bench.errors import MOST_PROBLEMS, Problems, UserError, count_further_problems, shorten_list, unknown
from xrealign_bench.languages import check_codes, find, subset_names
from xrealign_bench.memo import recall
from xrealign_bench.models.block_numbers import resolve_layer, select_blocks
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.dtypes import Quantised
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.plugins import accepts_unregistered_names
from xrealign_bench.specs import (
    Corpus,
    DataName,
    EmbeddedData,
    LanguageCode,
    Recipe,
    RecipeFamily,
    SelectedLanguages,
    Suite,
    Task,
    aligner_name,
)
from xrealign_bench.specs.aligner import AlignerName
from xrealign_bench.specs.core_schema import Where
from xrealign_bench.specs.methods import METHODS
from xrealign_bench.specs.recipe import BASELINE
from xrealign_bench.specs.selections import SELECTIONS
from xrealign_bench.specs.yaml import place_of

AnySpec = Recipe | Suite | Task | Corpus


class FieldProblem(NamedTuple):
    """Problem of one field of a spec."""

    field: Where
    message: str


def check_request(request: Request) -> None:
    """Check that recipes, suite and checkpoint fit together.

    Raises:
        UserError: they don't. The message has one line per problem.
    """
    loaded, problems = request.loaded, Problems()
    specs: list[AnySpec] = [*request.recipes, loaded.suite, *loaded.tasks, *loaded.corpora.values()]
    for spec in specs:
        problems.add(_in_spec(spec, field_problems(type(spec), spec.model_dump(mode="json"))))
    problems.add(_in_spec(loaded.suite, untested_targets(loaded, request.languages)))
    problems.add(name_conflicts(request.recipes))
    problems.add(_unknown_corpora(loaded, request.recipes))
    quantised = request.compute_settings.quantised
    problems.add(combination_problems(loaded, request.recipes, request.tasks, request.languages, quantised))
    problems.add(checkpoint_problems(request.checkpoint, request.recipes, request.tasks))
    problems.add(length_problems(request.checkpoint, loaded.suite, request.tasks))
    problems.raise_if_any()


def in_file(path: Path, problems: Iterable[FieldProblem]) -> Iterator[str]:
    """Yield the problems of a spec with their lines in its file."""
    found = list(problems)
    yield from (f"{place_of(path, field)}: {message}" for field, message in found[:MOST_PROBLEMS])
    yield from count_further_problems(str(path), len(found))


def _in_spec(spec: AnySpec, problems: Iterable[FieldProblem]) -> Iterator[str]:
    """Yield the problems of a spec with its name instead of its file."""
    return (f"{_describe(spec)}: {'.'.join(field)}: {message}" for field, message in problems)


def file_problems(path: Path, model: type[BaseModel], fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield every problem of a spec that its schema doesn't know, with its line in the spec's file."""
    return in_file(path, field_problems(model, fields))


def combination_problems(
    loaded: LoadedSuite,
    recipes: Sequence[Recipe],
    tasks: Sequence[Task],
    languages: Sequence[str],
    quantised: Quantised | None,
) -> Iterator[str]:
    """Yield every conflict between recipes and a suite that can be found without the checkpoint.

    Args:
        loaded: the suite.
        recipes: the recipes to evaluate.
        tasks: the suite's tasks to evaluate.
        languages: the target languages to evaluate.
        quantised: quantisation of the weights, if any.
    """
    yield from _task_problems(loaded, tasks, languages)
    for recipe in (recipe for recipe in recipes if recipe.realigns):
        yield from (f"{_describe(recipe)}: {problem}" for problem in _unregistered_names(recipe))
        yield from (f"{_describe(recipe)}: {problem}" for problem in _realignment_problems(loaded, recipe))
        if recipe.schedule.when != "before":
            yield from (
                f"{_describe(recipe)} realigns during fine-tuning and the task '{task.name}' has none; leave one of "
                "them out"
                for task in tasks
                if not task.finetunes
            )
    yield from quantisation_problems(quantised, recipes, tasks)


def _describe(spec: AnySpec) -> str:
    return f"{type(spec).__name__.lower()} '{spec.name}'"


_CODES: Mapping[type[BaseModel], tuple[str, ...]] = {
    Suite: ("source_language", "target_languages.*", "parallel.other_corpora.*.*"),
    Task: (
        "text_language", "configs.@", "columns.text_pair.@", "also.*.configs.@", "also.*.columns.text_pair.@",
    ),
    Corpus: ("columns.@", "codes.@"),
}  # fmt: skip
"""Where specs have codes that must be the inventory's own. `*`: each item of a list or value of a mapping; `@`: each
key of a mapping."""
_ALIGNER: Mapping[type[BaseModel], tuple[str, ...]] = {
    Recipe: ("aligner", "aligner.kind"),
    RecipeFamily: ("aligner", "aligner.kind"),
    Suite: ("parallel.aligner", "parallel.aligner.kind"),
}


def field_problems(model: type[BaseModel], fields: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """Yield every problem of one spec that its schema doesn't know, such as an unknown language or aligner.

    Args:
        model: the type of the spec.
        fields: its fields, some of which may be invalid; those are left to the schema.
    """
    for field, code in _look_up(fields, _CODES.get(model, ()), LanguageCode):
        try:
            check_codes([code])
        except UserError as error:
            yield FieldProblem(field, str(error))
    for field, name in _look_up(fields, _ALIGNER.get(model, ()), AlignerName):
        if accepts_unregistered_names():
            continue
        try:
            if name not in ALIGNERS:
                yield FieldProblem(field, str(unknown("aligner", name, ALIGNERS)))
        except UserError as error:  # a plugin
            yield FieldProblem(field, str(error))
    if model in (Recipe, RecipeFamily):
        yield from _recipe_problems(fields)


def _recipe_problems(fields: Mapping[str, Any]) -> Iterator[FieldProblem]:
    if fields.get("name") == BASELINE and not _is_baseline(fields):
        yield FieldProblem(
            ("name",),
            f"'{BASELINE}' is the baseline, the checkpoint fine-tuned as it is, and this recipe does something else; "
            "give it another name",
        )
    for field, subset in _look_up(fields, ["parallel.languages.subset", "subsets.*"], DataName):
        if subset not in subset_names():
            place = field[:-1] if field[-1] == "subset" else field
            yield FieldProblem(place, str(unknown("published subset", subset, subset_names())))
    codes: list[str] = []
    for field, code in _look_up(fields, ["parallel.languages.*"], LanguageCode):
        if field[-1].isdecimal():  # not the value of a mapping
            try:
                codes.append(find(code).code)
            except UserError as error:
                yield FieldProblem(field, str(error))
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        yield FieldProblem(("parallel", "languages"), f"names {', '.join(twice)} more than once")


def _is_baseline(fields: Mapping[str, Any]) -> bool:
    prose = ("title", "description", "citation")
    plain = Recipe(name=BASELINE, title=BASELINE).model_dump(mode="json")
    return all(plain.get(name) == value for name, value in fields.items() if name not in prose)


def _look_up(fields: Any, patterns: Iterable[str], expected: Any) -> Iterator[tuple[Where, str]]:
    """Yield the values in these places that have the expected type, a kind of text."""
    adapter = TypeAdapter[str](expected)
    for pattern in patterns:
        for field, value in _values(fields, pattern.split("."), ()):
            try:
                yield field, adapter.validate_python(value, strict=True)
            except ValidationError:
                continue


def _values(content: Any, pattern: Sequence[str], where: Where) -> Iterator[tuple[Where, Any]]:
    if not pattern:
        yield where, content
        return
    items = dict(enumerate(content)) if isinstance(content, list) else content if isinstance(content, dict) else {}
    for key, value in items.items():
        if pattern[0] in ("*", "@", key):
            yield from _values(key if pattern[0] == "@" else value, pattern[1:], (*where, str(key)))


def untested_targets(loaded: LoadedSuite, languages: Sequence[str]) -> Iterator[FieldProblem]:
    """Yield target languages that the inventory knows and no task of the suite tests."""
    tested = {language for task in loaded.tasks for language in task.languages}
    names = ", ".join(task.name for task in loaded.tasks)
    for number, code in enumerate(loaded.suite.target_languages):
        if code in languages and code not in tested and code in _known([code]):
            field = ("target_languages", str(number))
            yield FieldProblem(field, str(unknown(f"language of the tasks {names}:", code, tested)))


def name_conflicts(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield names that several recipes have."""
    names = [recipe.name for recipe in recipes if recipe.name != BASELINE]  # `_recipe_problems` reserves that name
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"two of the recipes have the name {', '.join(twice)}; give each its own, results are kept under it"


def _task_problems(loaded: LoadedSuite, tasks: Sequence[Task], languages: Sequence[str]) -> Iterator[str]:
    """Yield conflicts between tasks, their suite and the target languages to evaluate."""
    source = loaded.suite.source_language
    tested = {code for task in loaded.tasks for code in task.languages}  # `untested_targets` lists the others
    for task in tasks:
        if task.traits.reads_pairs and task.text_language != source:
            yield (
                f"task '{task.name}' reads translations of '{task.text_language}', and the source language of the "
                f"suite '{loaded.suite.name}' is '{source}'; choose another task"
            )
        if tested & set(languages) and not set(languages) & set(task.languages):
            yield f"task '{task.name}' has none of the languages {', '.join(languages)}; name others, or other tasks"


def _unknown_corpora(loaded: LoadedSuite, recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield corpora that recipes name and that were not loaded with the suite; `evaluate` finds them by loading."""
    for recipe in recipes:
        if recipe.parallel.corpus is not None and recipe.parallel.corpus not in loaded.corpora:
            problem = unknown("corpus", recipe.parallel.corpus, loaded.corpora)
            yield f"{_describe(recipe)}: parallel.corpus: {problem}"


def _unregistered_names(recipe: Recipe) -> Iterator[str]:
    """Yield the names of plugins in the recipe of a stored result that are not registered."""
    if recipe.method not in METHODS:
        yield f"method: {unknown('method', recipe.method, METHODS)}"
    languages = recipe.parallel.languages
    if isinstance(languages, SelectedLanguages) and languages.select not in SELECTIONS:
        yield f"parallel.languages: {unknown('selection of languages', languages.select, SELECTIONS)}"


def _realignment_problems(loaded: LoadedSuite, recipe: Recipe) -> Iterator[str]:
    parallel, suite = recipe.parallel, loaded.suite
    names = [parallel.corpus] if parallel.corpus else suite.parallel.corpora
    corpora = [loaded.corpora[name] for name in names if name in loaded.corpora]
    for corpus in corpora if aligner_name(recipe.aligner or suite.parallel.aligner) in ALIGNERS else []:  # else told
        try:
            check_aligner(recipe, suite, corpus)
        except UserError as error:
            yield str(error)
    if isinstance(parallel.languages, list) and suite.source_language in _known(parallel.languages):
        yield (
            f"parallel.languages names the suite's source language '{suite.source_language}', which every other one "
            "is aligned with; remove it"
        )


def check_aligner(recipe: Recipe, suite: Suite, corpus: Corpus) -> str | None:
    """Return the name of the aligner for a corpus, or None if the recipe needs no links.

    Raises:
        UserError: the aligner is unknown, or the corpus lacks what it needs.
    """
    if not recipe.needs_links:
        return None
    aligner = aligner_name(recipe.aligner or suite.parallel.aligner)
    if aligner not in ALIGNERS:
        raise UserError(f"aligner: {unknown('aligner', aligner, ALIGNERS)}")
    if (extra := ALIGNERS[aligner].extra) and not _is_installed(ALIGNERS[aligner].package or ""):
        raise UserError(
            f"the aligner '{aligner}' needs the package {ALIGNERS[aligner].package}; install it with pip install "
            f"'xrealign-bench[{extra}]', or choose another aligner"
        )
    if ALIGNERS[aligner].needs_lexicon and corpus.lexicons is None:
        raise UserError(
            f"the corpus '{corpus.name}' has no lexicons; set 'lexicons' in it or choose another aligner than "
            f"'{aligner}'"
        )
    if ALIGNERS[aligner].needs_gold and not isinstance(corpus.source, EmbeddedData):
        raise UserError(
            f"the corpus '{corpus.name}' has no gold word alignment; choose another aligner than '{aligner}'"
        )
    return aligner


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def checkpoint_problems(checkpoint: Checkpoint, recipes: Sequence[Recipe], tasks: Sequence[Task]) -> Iterator[str]:
    """Yield conflicts of recipes and tasks with a checkpoint, as far as its configuration tells."""
    generative = [task.name for task in tasks if task.reads_language_model]
    if generative and checkpoint.family != "decoder":
        yield (
            f"task '{generative[0]}' needs the probabilities that a decoder gives to text, and the checkpoint "
            f"{checkpoint.id} is not a decoder; leave the task out or use a decoder"
        )
    for recipe in recipes:
        if recipe.attention == "own":
            continue
        if checkpoint.family != "decoder":
            yield (
                f"recipe '{recipe.name}' makes a decoder's attention bidirectional, and the checkpoint "
                f"{checkpoint.id} is not a decoder; use the same recipe without 'attention'"
            )
        elif generative:
            yield (
                f"recipe '{recipe.name}' makes a decoder's attention bidirectional, and the task "
                f"'{generative[0]}' predicts the next token; leave one of them out"
            )


def head_problems(checkpoint: Checkpoint, suite: Suite, tasks: Sequence[Task]) -> Iterator[str]:
    """Yield the tasks for which transformers has no class around the checkpoint's encoder, if the suite needs one."""
    if suite.head == "linear":
        return

    def find(task: Task) -> bool:
        from xrealign_bench.models.task_class import has_task_class

        return has_task_class(checkpoint, task.base_type)

    def has_class(task: Task) -> bool:
        about = [checkpoint.config_sha256, checkpoint.trust_remote_code, task.base_type, version("transformers")]
        return recall("has task class", about, partial(find, task))

    for task in tasks:
        if task.finetunes and not has_class(task):
            yield (
                f"suite '{suite.name}' sets 'head: transformers', and transformers has no head for the task type "
                f"'{task.task_type}' of task '{task.name}' on the encoder of the checkpoint {checkpoint.id}, whose "
                f"model type is {checkpoint.model_type}; leave the task out, or use 'head: linear'"
            )


def mask_problems(checkpoint: Checkpoint, recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield the recipes that put a mask in the place of words, if the checkpoint's tokenizer has none.

    Raises:
        UserError: the tokenizer can't be read.
    """
    if checkpoint.family == "decoder":
        return

    def find() -> bool:
        from xrealign_bench.models.tokenizer import load_tokenizer

        return load_tokenizer(checkpoint).mask_token is not None

    about = [checkpoint.tokenizer_sha256, checkpoint.config_sha256, checkpoint.trust_remote_code]
    for recipe in recipes:
        method = METHODS.find(recipe.method) if recipe.realigns else None
        if method is None or method.is_contrastive:
            continue
        if not recall("has mask token", [*about, version("transformers")], find):
            yield (
                f"recipe '{recipe.name}': its method '{recipe.method}' puts a mask token in the place of words, and "
                f"the tokenizer of the checkpoint {checkpoint.id} has none; use another recipe or checkpoint"
            )


def length_problems(checkpoint: Checkpoint, suite: Suite, tasks: Sequence[Task]) -> Iterator[str]:
    """Yield tasks whose test windows are longer than the input that the checkpoint's configuration allows."""
    for task in tasks:
        length, longest = suite.finetuning_for(task.name).test_max_length, checkpoint.longest_input
        if length is not None and longest is not None and length > longest:
            yield (
                f"{_describe(suite)}: test_max_length of the task '{task.name}' is {length:,}, and the checkpoint "
                f"{checkpoint.id} takes {longest:,} sub-words at most; give a smaller one or use another checkpoint"
            )


def block_problems(count: int, recipes: Sequence[Recipe], tasks: Sequence[Task]) -> Iterator[str]:
    """Yield the recipes and tasks that name blocks beyond the number in the model."""
    checks: list[tuple[str, Callable[[], object]]] = []
    for recipe in recipes:
        where = f"recipe '{recipe.name}'"
        checks.append((where, partial(select_blocks, recipe.freeze.blocks, count)))
        checks.append((where, partial(resolve_layer, recipe.objective.layer, count)))
    checks += [(f"task '{task.name}'", partial(resolve_layer, task.layer, count)) for task in tasks]
    for where, check in checks:
        try:
            check()
        except UserError as error:
            yield f"{where}: {error}"


def quantisation_problems(
    quantised: Quantised | None, recipes: Sequence[Recipe], tasks: Sequence[Task]
) -> Iterator[str]:
    """Yield recipes and tasks that would train quantised weights, which have no gradient, instead of an adapter."""
    if quantised is None:
        return
    if finetuned := [task.name for task in tasks if task.finetunes]:
        yield (
            f"task '{finetuned[0]}' is fine-tuned, which trains all weights, and quantised ones can't be; leave it or "
            "--quantise out (decoder-lite is a suite without fine-tuning)"
        )
    for recipe in recipes:
        if recipe.initialisation == "random" or (recipe.realigns and recipe.adapter is None):
            what = "draws" if recipe.initialisation == "random" else "trains"
            yield (
                f"recipe '{recipe.name}' {what} the encoder's weights, and quantised ones can't be; leave --quantise "
                "out or use a recipe with an adapter, such as full-lora"
            )


def check_not_realigned_on_test(plan: Plan, run: Run) -> None:
    """Refuse to realign on the sentences that a retrieval or translation task tests.

    They are recognised by the data's fingerprint, so the same text in another data set goes unnoticed.

    Raises:
        UserError: the corpus and the task's test data overlap.
    """
    corpora = {text.data: text.corpus for stage in plan.aligned(run).values() for text in stage.settings.texts}
    for (name, language), stage in plan.tokenised().items():
        task, corpus = stage.settings.task, corpora.get(stage.settings.data)
        if not task.traits.reads_pairs or corpus is None:
            continue
        if not isinstance(corpus.pairs, int) or corpus.pairs > task.skip_examples:
            raise UserError(
                f"recipe '{run.recipe.name}' realigns on sentences of the corpus '{corpus.name}' that the task "
                f"'{name}' tests in '{language}': give the corpus 'pairs' and the task at least as many "
                "'skip_examples', or name another corpus"
            )


def check_enough_pairs(asked: int, pairs: Mapping[str, int]) -> None:
    """Check that every language has as many pairs as a recipe asks for.

    Args:
        asked: the recipe's `parallel.pairs`.
        pairs: language -> the number of its pairs.

    Raises:
        UserError: a language has fewer.
    """
    if fewer := [f"{number:,} of '{code}'" for code, number in pairs.items() if number < asked]:
        raise UserError(
            f"parallel.pairs asks for {asked:,} pairs of each language, and there are {shorten_list(fewer)}; ask for "
            "fewer, or leave these languages out"
        )


def _known(codes: Sequence[str]) -> set[str]:
    """Return the codes of the languages that the inventory knows."""
    known = set()
    for code in codes:
        try:
            known.add(find(code).code)
        except UserError:
            continue
    return known
