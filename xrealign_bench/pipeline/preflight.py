"""Checks of recipes against suite and checkpoint, before anything is downloaded or computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data.loaded_suite import LoadedSuite
from xrealign_bench.errors import Problems, UserError, unknown
from xrealign_bench.languages import check_codes, find, published_lists
from xrealign_bench.models.block_numbers import resolve_layer, select_blocks
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.dtypes import Quantised
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.specs import Corpus, HubData, PublishedSubset, Recipe, Suite, Task
from xrealign_bench.specs.recipe import BASELINE


class FieldProblem(NamedTuple):
    """Problem of one field of a spec."""

    field: tuple[str, ...]
    message: str


def check_request(request: Request) -> None:
    """Check that recipes, suite and checkpoint fit together.

    Raises:
        UserError: they don't. The message has one line per problem.
    """
    problems = Problems()
    quantised = request.compute_settings.quantised
    problems.add(spec_problems(request.loaded, request.recipes, request.tasks, request.languages, quantised))
    problems.add(checkpoint_problems(request.checkpoint, request.recipes, request.tasks))
    problems.raise_if_any()


def spec_problems(
    loaded: LoadedSuite,
    recipes: Sequence[Recipe],
    tasks: Sequence[Task],
    languages: Sequence[str],
    quantised: Quantised | None,
) -> Iterator[str]:
    """Yield every problem that can be found without the checkpoint.

    Args:
        loaded: the suite.
        recipes: the recipes to evaluate.
        tasks: the suite's tasks to evaluate.
        languages: the target languages to evaluate.
        quantised: quantisation of the weights, if any.
    """
    yield from suite_problems(loaded.suite, loaded.tasks, languages)
    yield from _combination_problems(loaded, recipes, tasks, languages)
    yield from _quantisation_problems(quantised, recipes, tasks)


def recipe_problems(recipe: Recipe) -> Iterator[FieldProblem]:
    """Yield the problems that a recipe has on any suite."""
    plain = Recipe(name=BASELINE, title=recipe.title, description=recipe.description, citation=recipe.citation)
    if recipe.name == BASELINE and recipe != plain:
        yield FieldProblem(
            ("name",),
            f"'{BASELINE}' is the baseline, the checkpoint fine-tuned as it is, and this recipe does something else; "
            "give it another name",
        )
    if recipe.aligner is not None and recipe.aligner not in ALIGNERS:
        yield FieldProblem(("aligner",), str(unknown("aligner", recipe.aligner, ALIGNERS)))
    field, languages = ("parallel", "languages"), recipe.parallel.languages
    if isinstance(languages, PublishedSubset) and languages.subset not in published_lists():
        yield FieldProblem(field, str(unknown("published subset", languages.subset, published_lists())))
    if isinstance(languages, list):
        codes: list[str] = []
        for number, code in enumerate(languages):
            try:
                codes.append(find(code).code)
            except UserError as error:
                yield FieldProblem((*field, str(number)), str(error))
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            yield FieldProblem(field, f"names {', '.join(twice)} more than once")


def suite_problems(suite: Suite, tasks: Sequence[Task], targets: Sequence[str]) -> Iterator[str]:
    """Yield unknown or ambiguous language codes of a suite, and targets that no task tests."""
    others = [code for codes in suite.parallel.other_corpora.values() for code in codes]
    try:
        check_codes([suite.source_language, *suite.target_languages, *others])
    except UserError as error:
        yield f"suite '{suite.name}': {error}"
        return  # the targets below would be listed again
    tested = {language for task in tasks for language in task.languages}
    names = ", ".join(task.name for task in tasks)
    for code in targets:
        if code not in tested:
            yield str(unknown(f"language of the tasks {names}:", code, tested))


def _combination_problems(
    loaded: LoadedSuite, recipes: Sequence[Recipe], tasks: Sequence[Task], languages: Sequence[str]
) -> Iterator[str]:
    """Yield conflicts between recipes and these tasks and target languages of a suite."""
    source = loaded.suite.source_language
    tested = {code for task in loaded.tasks for code in task.languages}  # `suite_problems` lists the other languages
    for task in tasks:
        if task.task_type == "retrieval" and task.text_language != source:
            yield (
                f"task '{task.name}' finds translations of '{task.text_language}', and the source language of the "
                f"suite '{loaded.suite.name}' is '{source}'; choose another task"
            )
        if tested & set(languages) and not set(languages) & set(task.languages):
            yield f"task '{task.name}' has none of the languages {', '.join(languages)}; name others, or other tasks"
    names = [recipe.name for recipe in recipes if recipe.name != BASELINE]  # `recipe_problems` reserves that name
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"two of the recipes have the name {', '.join(twice)}; give each its own, results are kept under it"
    for recipe in recipes:
        where = f"recipe '{recipe.name}'"
        yield from (f"{where}: {'.'.join(field)}: {message}" for field, message in recipe_problems(recipe))
        if recipe.realigns:
            yield from (f"{where}: {problem}" for problem in _realignment_problems(loaded, recipe))
            for task in tasks:
                if recipe.schedule.when == "during" and not task.finetunes:
                    yield (
                        f"{where} realigns during fine-tuning and the task '{task.name}' has none; leave one of them "
                        "out"
                    )


def _realignment_problems(loaded: LoadedSuite, recipe: Recipe) -> Iterator[str]:
    parallel, suite = recipe.parallel, loaded.suite
    names = [parallel.corpus] if parallel.corpus else suite.parallel.corpora
    corpora = [loaded.corpora[name] for name in names if name in loaded.corpora]
    for name in names:
        if name not in loaded.corpora:
            yield f"parallel.corpus: {unknown('parallel corpus', name, loaded.corpora)}"
    try:
        for corpus in corpora:
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
    aligner = recipe.aligner or suite.parallel.aligner
    if aligner not in ALIGNERS:
        raise UserError(f"aligner: {unknown('aligner', aligner, ALIGNERS)}")
    if ALIGNERS[aligner].needs_gold and isinstance(corpus.source, HubData):
        raise UserError(
            f"the corpus '{corpus.name}' has no gold word alignment; choose another aligner than '{aligner}'"
        )
    return aligner


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


def _quantisation_problems(
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
    """Refuse to realign on the sentences among which a retrieval task searches.

    They are recognised by the data's fingerprint, so the same text in another data set goes unnoticed.

    Raises:
        UserError: the corpus and the task's test data overlap.
    """
    corpora = {stage.settings.data: stage.settings.corpus for stage in plan.aligned(run).values()}
    for (name, language), stage in plan.tokenised().items():
        task, corpus = stage.settings.task, corpora.get(stage.settings.data)
        if task.task_type != "retrieval" or corpus is None:
            continue
        if corpus.pairs is None or corpus.pairs > task.skip_examples:
            raise UserError(
                f"recipe '{run.recipe.name}' realigns on the sentences of the corpus '{corpus.name}' among which the "
                f"task '{name}' finds translations in '{language}': give the corpus 'pairs' and the task at least as "
                "many 'skip_examples', or name another corpus"
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
