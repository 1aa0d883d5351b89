"""Stages that read, align and encode the parallel text of a recipe."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, chain, cycle

from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data import (
    SEGMENTER,
    corpus_languages,
    count_pairs,
    lexicon_fingerprint,
    lexicon_languages,
    locate_pairs,
)
from xrealign_bench.data.parallel import check_filter
from xrealign_bench.data.read import column_names
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find, select, subset_languages
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning.keys import package_version, tokenizer_key, weights_key, without_prose
from xrealign_bench.pipeline.planning.training import realignment_steps
from xrealign_bench.pipeline.preflight import check_aligner, check_enough_pairs
from xrealign_bench.pipeline.stages import Align, AlignSettings, CorpusText, Encode, EncodeInputs, EncodeSettings
from xrealign_bench.specs import (
    AlignerSettings,
    Corpus,
    EflomalAligner,
    EmbeddedData,
    FastAlignAligner,
    LexiconAligner,
    PairFilter,
    PublishedSubset,
    Recipe,
    SelectedLanguages,
    SimilarityAligner,
    aligner_name,
)
from xrealign_bench.specs.aligner import AlignerChoice, PluginAligner
from xrealign_bench.specs.plugin import NamedPlugin, plugin_keys
from xrealign_bench.specs.plugins_named import names_in_corpora

FEWEST_PAIRS = 20_000
"""Pairs that `pairs: as_needed` reads at least: more than most recipes need, so that they share stored stages."""


@dataclass(frozen=True)
class ChosenAligner:
    """An aligner with its settings; without a name, pairs are only read."""

    name: str | None = None
    settings: AlignerSettings | None = None
    checkpoint: Checkpoint | None = None
    """Whose vectors it compares."""


def plan_parallel_data(plan: Plan, run: Run) -> None:
    """Add the stages that align and encode the pairs of each language that a recipe realigns.

    Raises:
        UserError: an unknown corpus, aligner or language, or no language with data.
    """
    request, recipe = plan.request, run.recipe
    available = _available(request, recipe)
    wanted = {seed: _realigned_languages(request, recipe, available, seed) for seed in request.seeds}
    every = list(dict.fromkeys(chain.from_iterable(wanted.values())))
    run.without_data = [language for language in every if language not in available]
    run.languages = {seed: [code for code in codes if code in available] for seed, codes in wanted.items()}
    if not all(run.languages.values()):
        corpus_name = recipe.parallel.corpus or request.suite.parallel.corpus
        raise UserError(
            f"recipe '{recipe.name}': the corpus '{corpus_name}'{_with_lexicons(request, recipe)} none of the "
            f"languages to realign ({', '.join(run.without_data)}); name another corpus or other languages under "
            "'parallel'"
        )
    pairs = pairs_needed(request, recipe, min(map(len, run.languages.values())))
    read = {
        language: [_with_pairs(corpus, pairs) for corpus in available[language]]
        for language in every
        if language in available
    }
    _check_pairs(request, recipe, read)
    _check_filter(request, recipe, read)
    aligner = _choose_aligner(request, recipe)
    for language, corpora in read.items():
        run.align[language] = plan.add(align_stage(request, aligner, corpora, language, recipe.parallel.filter))
    for language, align in run.align.items():
        settings = EncodeSettings(
            tokenizer=tokenizer_key(request.checkpoint),
            max_length=_max_length(request, recipe),
            lone_word_markers=request.suite.lone_word_markers,
        )
        run.encode[language] = plan.add(Encode(f"encode pairs {language}", settings, EncodeInputs(align)))


def pairs_needed(request: Request, recipe: Recipe, languages: int) -> int:
    """Return how many pairs of each language `pairs: as_needed` reads.

    That is how many the longest training on the suite draws from a language, or, if each pair's language is drawn at
    random, four standard deviations more; rounded up to 20,000, 50,000, 100,000 and so on.

    Args:
        request: the evaluation; the number does not depend on the tasks that it selects.
        recipe: the recipe.
        languages: the number of languages that it realigns.
    """
    steps = max(realignment_steps(request, recipe, task) for task in request.loaded.tasks)
    drawn = math.ceil(steps * recipe.schedule.batch_size / languages)
    if recipe.parallel.mixing == "uniform":
        drawn += math.ceil(4 * math.sqrt(drawn))
    most = recipe.parallel.pairs_for(request.checkpoint.model_type)
    drawn = drawn if most is None else min(drawn, most)
    sizes = accumulate(chain([FEWEST_PAIRS], cycle((2.5, 2, 2))), lambda size, factor: int(size * factor))
    return next(size for size in sizes if size >= drawn)


def _with_pairs(corpus: Corpus, pairs: int) -> Corpus:
    """Return the corpus with a number in the place of `pairs: as_needed`."""
    return corpus.model_copy(update={"pairs": pairs}) if corpus.pairs == "as_needed" else corpus


def _check_pairs(request: Request, recipe: Recipe, read: Mapping[str, list[Corpus]]) -> None:
    """Check that corpora have the pairs that a recipe asks for, as far as they are on this machine."""
    asked = recipe.parallel.pairs_for(request.checkpoint.model_type)
    if asked is None:
        return
    location, source = replace(request.location, offline=True), request.suite.source_language
    counts: dict[str, int] = {}
    for language, corpora in read.items():
        try:
            counts[language] = sum(count_pairs(corpus, source, language, None, location) for corpus in corpora)
        except UserError:
            continue  # not here yet: realignment checks it after reading
    try:
        check_enough_pairs(asked, counts)
    except UserError as error:
        raise UserError(f"recipe '{recipe.name}': {error}") from None


def _check_filter(request: Request, recipe: Recipe, read: Mapping[str, list[Corpus]]) -> None:
    """Check that corpora have the column that a recipe filters by, as far as they are on this machine."""
    keep = recipe.parallel.filter
    if keep is None:
        return
    for language, corpora in read.items():
        for corpus in corpora:
            located = locate_pairs(corpus, request.suite.source_language, language, request.location)
            try:
                there = [] if isinstance(corpus.source, EmbeddedData) else column_names(located, offline=True)
            except UserError:
                continue  # not here yet: reading it checks the column
            try:
                check_filter(keep, corpus, located, there)
            except UserError as error:
                raise UserError(f"recipe '{recipe.name}': {error}") from None


def _max_length(request: Request, recipe: Recipe) -> int:
    given = recipe.schedule.max_length
    return request.suite.finetuning.max_length if given == "match_finetuning" else given


def _with_lexicons(request: Request, recipe: Recipe) -> str:
    name = aligner_name(recipe.aligner or request.suite.parallel.aligner)
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


def _choose_aligner(request: Request, recipe: Recipe) -> ChosenAligner:
    if not recipe.needs_links:
        return ChosenAligner()
    return choose_aligner(request, recipe.aligner or request.suite.parallel.aligner, f"recipe '{recipe.name}'")


def choose_aligner(request: Request, choice: AlignerChoice, where: str) -> ChosenAligner:
    """Resolve an aligner with its settings and the checkpoint that it compares vectors of.

    Raises:
        UserError: there is no such checkpoint; the message begins with `where`.
    """
    settings, name = None if isinstance(choice, str) else choice, aligner_name(choice)
    if not ALIGNERS[name].needs_checkpoint:
        return ChosenAligner(name, settings)
    if not isinstance(settings, SimilarityAligner):
        return ChosenAligner(name, settings, request.checkpoint)
    try:
        named = resolve_checkpoint(settings.checkpoint, settings.revision, request.location.offline)
    except UserError as error:
        raise UserError(f"{where}: aligner.checkpoint: {error}") from None
    return ChosenAligner(name, settings, named)


def _realigned_languages(request: Request, recipe: Recipe, available: Collection[str], seed: int) -> list[str]:
    """Return the languages that a recipe realigns with a training seed, whichever target languages are evaluated.

    A selection is made among the suite's targets that are `available` in the corpus.
    """
    wanted, suite = recipe.parallel.languages, request.suite
    if wanted == "suite_targets":
        return list(suite.target_languages)
    try:
        if isinstance(wanted, SelectedLanguages):
            pool = [code for code in suite.target_languages if code in available]
            chosen = select(
                wanted.select, wanted.n, pool, source=suite.source_language, anchor_source=wanted.anchor_source,
                seed=seed if wanted.seed == "training" else wanted.seed, distances=wanted.distances,
            )  # fmt: skip
            return list(chosen.languages)
        named = subset_languages(wanted.subset, seed) if isinstance(wanted, PublishedSubset) else wanted
        return [find(code).code for code in named]
    except UserError as error:
        raise UserError(f"recipe '{recipe.name}': parallel.languages: {error}") from None


def align_stage(
    request: Request, chosen: ChosenAligner, corpora: list[Corpus], language: str, keep: PairFilter | None
) -> Align:
    """Return the stage that reads the pairs of one language and links their words."""
    source, corpus, name, given = request.suite.source_language, corpora[0], chosen.name, chosen.settings
    aligner = None if name is None else ALIGNERS[name]
    package = None if aligner is None else aligner.package
    needs_checkpoint = chosen.checkpoint is not None
    names: list[NamedPlugin] = (
        names_in_corpora(corpora) if name is None else [("aligner", name), *names_in_corpora(corpora)]
    )
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
        lexicon=lexicon_fingerprint(corpus, source, language, request.location)
        if aligner is not None and aligner.needs_lexicon
        else None,
        checkpoint=None if chosen.checkpoint is None else weights_key(chosen.checkpoint, with_tokenizer=True),
        max_length=request.suite.finetuning.max_length if needs_checkpoint else None,
        compute_settings=request.compute_settings if needs_checkpoint else None,
        symmetrisation=given.symmetrisation if isinstance(given, EflomalAligner) else "intersection",
        aligned_pairs=given.pairs if isinstance(given, EflomalAligner | FastAlignAligner) else None,
        case=given.case if isinstance(given, LexiconAligner) else "ignore",
        keep=keep,
        aligner_settings=given.settings if isinstance(given, PluginAligner) else {},
        plugins=plugin_keys(names),
    )
    label = f"read pairs {source}-{language}" if name is None else f"align {source}-{language} ({name})"
    named = chosen.checkpoint if isinstance(given, SimilarityAligner) else None
    return Align(label, settings, aligner_checkpoint=named)


def _only_pair(corpus: Corpus, source: str, target: str) -> Corpus:
    """Return the corpus as if it had no other language: a stage's key must not depend on them."""
    return without_prose(
        corpus,
        lexicons_url=None,
        columns={c: n for c, n in corpus.columns.items() if c in (source, target)},
        codes={c: n for c, n in corpus.codes.items() if c in (source, target)},
    )
