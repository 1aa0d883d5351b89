"""Stages that read, align and encode the parallel text of a recipe."""

from __future__ import annotations

from collections.abc import Collection

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data import (
    SEGMENTER,
    corpus_languages,
    lexicon_fingerprint,
    lexicon_languages,
    locate_pairs,
)
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find, published_list, select
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning.keys import package_version, tokenizer_key, weights_key, without_prose
from xrealign_bench.pipeline.preflight import check_aligner
from xrealign_bench.pipeline.stages import Align, AlignSettings, CorpusText, Encode, EncodeInputs, EncodeSettings
from xrealign_bench.specs import Corpus, EmbeddedData, PublishedSubset, Recipe, SelectedLanguages


def plan_parallel_data(plan: Plan, run: Run) -> None:
    """Add the stages that align and encode the pairs of each language that a recipe realigns.

    Raises:
        UserError: an unknown corpus, aligner or language, or no language with data.
    """
    request, recipe = plan.request, run.recipe
    available = _available(request, recipe)
    for language in _realigned_languages(request, recipe, available):
        if language not in available:
            run.without_data.append(language)
            continue
        corpora = available[language]
        run.align[language] = plan.add(_align(request, _aligner(request, recipe, corpora[0]), corpora, language))
    if not run.align:
        corpus_name = recipe.parallel.corpus or request.suite.parallel.corpus
        raise UserError(
            f"recipe '{recipe.name}': the corpus '{corpus_name}'{_with_lexicons(request, recipe)} none of the "
            f"languages to realign ({', '.join(run.without_data)}); name another corpus or other languages under "
            "'parallel'"
        )
    for language, align in run.align.items():
        settings = EncodeSettings(
            tokenizer=tokenizer_key(request.checkpoint),
            max_length=_max_length(request, recipe),
            lone_word_markers=request.suite.lone_word_markers,
        )
        run.encode[language] = plan.add(Encode(f"encode pairs {language}", settings, EncodeInputs(align)))


def _max_length(request: Request, recipe: Recipe) -> int:
    given = recipe.schedule.max_length
    return request.suite.finetuning.max_length if given == "match_finetuning" else given


def _with_lexicons(request: Request, recipe: Recipe) -> str:
    name = recipe.aligner or request.suite.parallel.aligner
    needed = recipe.needs_links and name in ALIGNERS and ALIGNERS[name].needs_lexicon
    return " and its lexicons together have" if needed else " has"


def _available(request: Request, recipe: Recipe) -> dict[str, list[Corpus]]:
    """Return for each language the corpora that pair it with the source language."""
    available: dict[str, list[Corpus]] = {}
    for corpus in _corpora_read_together(request, recipe):
        for language in _aligned_languages(request, recipe, corpus):
            available.setdefault(language, []).append(corpus)
    if recipe.parallel.corpus is None:
        for name, languages in request.suite.parallel.other_corpora.items():
            other = request.loaded.corpora[name]
            there = _aligned_languages(request, recipe, other)
            for language in languages:
                available.pop(language, None)
            available |= {language: [other] for language in languages if language in there}
    return available


def _corpora_read_together(request: Request, recipe: Recipe) -> list[Corpus]:
    """Return the corpora whose pairs are read in every language. All have the lexicons of the first that has any."""
    suite = request.suite.parallel
    names = [recipe.parallel.corpus] if recipe.parallel.corpus else [suite.corpus, *suite.additional_corpora]
    corpora = [request.loaded.corpora[name] for name in names]
    lexicons = next((corpus.lexicons for corpus in corpora if corpus.lexicons), None)
    return [
        corpus if corpus.lexicons == lexicons else corpus.model_copy(update={"lexicons": lexicons})
        for corpus in corpora
    ]


def _aligned_languages(request: Request, recipe: Recipe, corpus: Corpus) -> list[str]:
    """Return the languages that the corpus, and the lexicons if needed, pair with the source language."""
    source, aligner = request.suite.source_language, _aligner(request, recipe, corpus)
    there = corpus_languages(corpus, source, request.location)
    if aligner is None or not ALIGNERS[aligner].needs_lexicon:
        return there
    translated = set(lexicon_languages(corpus, source, request.location))
    return [language for language in there if language in translated]


def _aligner(request: Request, recipe: Recipe, corpus: Corpus) -> str | None:
    try:
        return check_aligner(recipe, request.suite, corpus)
    except UserError as error:
        raise UserError(f"recipe '{recipe.name}': {error}") from None


def _realigned_languages(request: Request, recipe: Recipe, available: Collection[str]) -> list[str]:
    """Return the languages of the recipe, whichever target languages are evaluated.

    A selection is made among the suite's targets that are `available` in the corpus.
    """
    wanted, suite = recipe.parallel.languages, request.suite
    if wanted == "suite_targets":
        return list(suite.target_languages)
    try:
        if isinstance(wanted, SelectedLanguages):
            pool = [code for code in suite.target_languages if code in available]
            source, first = suite.source_language, wanted.anchor_source
            chosen = select(wanted.select, wanted.n, pool, source=source, anchor_source=first, seed=wanted.seed)
            return list(chosen.languages)
        named = published_list(wanted.subset).languages if isinstance(wanted, PublishedSubset) else wanted
        return [find(code).code for code in named]
    except UserError as error:
        raise UserError(f"recipe '{recipe.name}': parallel.languages: {error}") from None


def _align(request: Request, name: str | None, corpora: list[Corpus], language: str) -> Align:
    source, suite, corpus = request.suite.source_language, request.suite, corpora[0]
    aligner = None if name is None else ALIGNERS[name]
    package = None if aligner is None else aligner.package
    needs_checkpoint = aligner is not None and aligner.needs_checkpoint
    needs_lexicon = aligner is not None and aligner.needs_lexicon
    settings = AlignSettings(
        corpus=_only_pair(corpus, source, language),
        source=source,
        target=language,
        data=locate_pairs(corpus, source, language, request.location).fingerprint,
        additional=[
            CorpusText(
                corpus=_only_pair(other, source, language),
                data=locate_pairs(other, source, language, request.location).fingerprint,
            )
            for other in corpora[1:]
        ],
        limit=request.limit,
        aligner=name,
        aligner_version=1 if aligner is None else aligner.version,
        segmenter=None if isinstance(corpus.source, EmbeddedData) else SEGMENTER,
        package=None if package is None else (package, package_version(package)),
        lexicon=lexicon_fingerprint(corpus, source, language, request.location) if needs_lexicon else None,
        checkpoint=weights_key(request.checkpoint, with_tokenizer=True) if needs_checkpoint else None,
        max_length=suite.finetuning.max_length if needs_checkpoint else None,
        compute_settings=request.compute_settings if needs_checkpoint else None,
    )
    label = f"read pairs {source}-{language}" if name is None else f"align {source}-{language} ({name})"
    return Align(label, settings)


def _only_pair(corpus: Corpus, source: str, target: str) -> Corpus:
    """Return the corpus as if it had no other language: a stage's key must not depend on them."""
    return without_prose(
        corpus,
        lexicons_url=None,
        columns={c: n for c, n in corpus.columns.items() if c in (source, target)},
        codes={c: n for c, n in corpus.codes.items() if c in (source, target)},
    )
