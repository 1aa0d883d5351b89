"""Parallel text, split into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from xrealign_bench.data.examples import check_strings
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.read import column_names, count_rows, pick_column, read_rows
from xrealign_bench.data.sources import list_configs, locate
from xrealign_bench.data.word_segmentation import split_words
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError, shorten, unknown
from xrealign_bench.languages.inventory import inventory
from xrealign_bench.specs import Corpus, EmbeddedData, FilesData, PairFilter, UrlData

Links = list[tuple[int, int]]
"""Word alignment: pairs of positions in source and target, from 0."""

MAX_WORDS = 1000
"""Longer sentences are lists or noise, exceed the input of any encoder, and eflomal accepts at most 1023 words."""

HELD_OUT = "held_out"
"""Split of embedded data whose phrases all have names that realignment never sees."""
_TRANSLATION = "translation"


@dataclass(frozen=True)
class ParallelText:
    """Sentence pairs: the same position holds a sentence and its translation."""

    source: str
    target: str
    source_words: list[list[str]]
    target_words: list[list[str]]
    links: list[Links] | None
    """Gold word alignment, if the corpus has one."""
    dropped: dict[str, int]
    """Rule -> number of pairs it dropped."""
    located: LocatedSplit

    @property
    def fingerprint(self) -> str:
        return self.located.fingerprint


def corpus_languages(corpus: Corpus, source: str, location: DataLocation) -> list[str]:
    """Return the languages that the corpus pairs with `source`, sorted, without reading rows.

    Raises:
        UserError: the corpus is not available or lacks the source language.
    """
    if isinstance(corpus.source, EmbeddedData):
        return sorted(set(phrases.LANGUAGES) - {source})
    if corpus.columns:
        _check_language(corpus, source)
        return sorted(set(corpus.columns) - {source})
    pattern = _pair_pattern(corpus)
    if isinstance(corpus.source, UrlData):  # which can't be listed
        return sorted(set(corpus.codes) - {source})
    before, after = pattern.split("{source}")[0], pattern.split("{target}")[1]
    ours = {code: language for language, code in corpus.codes.items()}
    found = set()
    for config in list_configs(corpus.source, corpus.split, location):
        for code in config.removeprefix(before).removesuffix(after).split("-"):
            language = ours.get(code, code)
            is_language = not isinstance(corpus.source, FilesData) or language in inventory()  # not en-train.conllu
            if is_language and config in pair_configs(corpus, source, language):
                found.add(language)
    return sorted(found - {source})


def locate_pairs(corpus: Corpus, source: str, target: str, location: DataLocation) -> LocatedSplit:
    """Locate the split with the pairs of two languages, without reading rows.

    Raises:
        UserError: the corpus is not available or does not have these languages.
    """
    if isinstance(corpus.source, EmbeddedData):
        for language in (source, target):
            locate(corpus.source, language, corpus.split, location)
        return locate(corpus.source, None, corpus.split, location)
    if corpus.columns:
        for language in (source, target):
            _check_language(corpus, language)
        if not _has_pair_configs(corpus):
            return locate(corpus.source, corpus.config, corpus.split, location)
    configs = pair_configs(corpus, source, target)
    if isinstance(corpus.source, UrlData):
        return locate(corpus.source, configs, corpus.split, location)
    there = list_configs(corpus.source, corpus.split, location)
    found = [config for config in configs if config in there]
    if not found:
        paired = ", ".join(corpus_languages(corpus, source, location)) or "nothing"
        raise UserError(
            f"the corpus '{corpus.name}' has no config {' or '.join(configs)}; with '{source}' it pairs {paired}"
        )
    return locate(corpus.source, found[0], corpus.split, location)


def count_pairs(corpus: Corpus, source: str, target: str, limit: int | None, location: DataLocation) -> int:
    """Count the pairs of two languages before filtering, without reading rows.

    Raises:
        UserError: the corpus is not available, or is embedded without a limit.
    """
    wanted = _pairs_to_read(corpus, limit)
    if isinstance(corpus.source, EmbeddedData):
        if wanted is None:
            raise _unlimited_error(corpus)
        return wanted
    rows = count_rows(locate_pairs(corpus, source, target, location), location.offline)
    there = max(0, rows - corpus.skip_pairs)
    return there if wanted is None else min(there, wanted)


# Over 50 lines only with its docstring.
def load_pairs(
    corpus: Corpus,
    source: str,
    target: str,
    location: DataLocation,
    limit: int | None = None,
    keep: PairFilter | None = None,
) -> ParallelText:
    """Read the first pairs of two languages and split them into words.

    Pairs with an empty side, a side of more than MAX_WORDS words, or a low score are dropped and counted.

    Args:
        corpus: the corpus to read.
        source: code of the source language.
        target: code of the target language.
        location: place of the corpus.
        limit: maximum number of pairs, in addition to the corpus' own limit.
        keep: condition on the pairs to read, before the limits.

    Raises:
        UserError: there is no such language or column, a score is not a number, or no pair is left.
    """
    located = locate_pairs(corpus, source, target, location)
    size = _pairs_to_read(corpus, limit)
    links: list[Links] | None = None
    sides: tuple[list[list[str]], ...]
    rows_below = 0
    if isinstance(corpus.source, EmbeddedData):
        if size is None:
            raise _unlimited_error(corpus)
        skipped = corpus.skip_pairs
        held_out = corpus.split == HELD_OUT
        rows = phrases.parallel_rows(source, target, skipped + size, held_out=held_out)[skipped:]
        sides = [row.source_words for row in rows], [row.target_words for row in rows]
        links = [row.links for row in rows]
    else:
        known: dict[str, str] = {}  # share one object per word: a sixth of the memory
        choose: Callable[[int], Sequence[int]] = partial(_first_rows, skip=corpus.skip_pairs, size=size)
        if keep is not None:
            choose, rows_below = _rows_to_keep(located, keep, corpus.skip_pairs, size, location.offline)
        texts = _read(corpus, (source, target), located, choose, location.offline)
        sides = tuple(
            [[known.setdefault(word, word) for word in split_words(text or "", language)] for text in side]
            for side, language in zip(texts, (source, target), strict=True)
        )
    kept, dropped = _filter_pairs(*sides)
    if not kept:
        raise UserError(f"{located}: has no pair of '{source}' and '{target}' with words on both sides")
    return ParallelText(
        source=source,
        target=target,
        source_words=[sides[0][row] for row in kept],
        target_words=[sides[1][row] for row in kept],
        links=None if links is None else [links[row] for row in kept],
        dropped=dropped | ({"low_score": rows_below} if rows_below else {}),
        located=located,
    )


def concatenate(texts: Sequence[ParallelText]) -> ParallelText:
    """Return the pairs of several corpora in the same two languages as one text, with the place of the first.

    Gold alignments are kept if every text has them.
    """
    if len(texts) == 1:
        return texts[0]
    gold = [text.links for text in texts if text.links is not None]
    return replace(
        texts[0],
        source_words=[words for text in texts for words in text.source_words],
        target_words=[words for text in texts for words in text.target_words],
        links=list(chain.from_iterable(gold)) if len(gold) == len(texts) else None,
        dropped=dict(sum((Counter(text.dropped) for text in texts), Counter[str]())),
    )


def without_first(text: ParallelText, pairs: int) -> ParallelText:
    """Return a text without its first pairs."""
    return replace(
        text,
        source_words=text.source_words[pairs:],
        target_words=text.target_words[pairs:],
        links=None if text.links is None else text.links[pairs:],
    )


def _filter_pairs(
    source_words: Sequence[list[str]], target_words: Sequence[list[str]]
) -> tuple[list[int], dict[str, int]]:
    """Return the positions of usable pairs, and how many each rule dropped."""
    dropped: Counter[str] = Counter()
    kept = []
    for position, pair in enumerate(zip(source_words, target_words, strict=True)):
        lengths = [len(words) for words in pair]
        if min(lengths) == 0:
            dropped["empty"] += 1
        elif max(lengths) > MAX_WORDS:
            dropped["too_long"] += 1
        else:
            kept.append(position)
    return kept, dict(dropped)


def _pairs_to_read(corpus: Corpus, limit: int | None) -> int | None:
    """Return the maximum number of pairs, or None for all. Planning puts a number in the place of `as_needed`."""
    return min((n for n in (limit, corpus.pairs) if isinstance(n, int)), default=None)


def _unlimited_error(corpus: Corpus) -> UserError:
    return UserError(f"corpus '{corpus.name}': embedded data are unlimited; set 'pairs'")


def check_filter(keep: PairFilter, corpus: Corpus, located: LocatedSplit, there: Sequence[str]) -> None:
    """Check that parallel data have the column of scores that a recipe names.

    Raises:
        UserError: they don't.
    """
    if isinstance(corpus.source, EmbeddedData):
        raise UserError(
            f"parallel.filter: the corpus '{corpus.name}' is embedded and has no column of scores; remove it"
        )
    if keep.column not in there:
        raise UserError(f"parallel.filter: {unknown(f'column of {located}:', keep.column, there)}")


def _rows_to_keep(
    located: LocatedSplit, keep: PairFilter, skip: int, size: int | None, offline: bool
) -> tuple[Callable[[int], Sequence[int]], int]:
    """Choose the first rows from `skip` on whose score is high enough.

    Returns also how many of the rows before the last of them are left out.
    """
    scores = read_rows(located, [keep.column], offline).columns[keep.column]
    chosen: list[int] = []
    for row, written in enumerate(scores[skip:], skip):
        if len(chosen) == size:
            break
        if (score := _score(written, keep.column, f"{located}, row {row + 1}")) is not None and score >= keep.at_least:
            chosen.append(row)
    else:
        row = max(skip, len(scores))
    return lambda there: chosen, row - skip - len(chosen)


def _score(written: object, column: str, where: str) -> float | None:
    """Return a score as a number, or None for an empty cell."""
    if written is None or written == "":
        return None
    try:
        return float(written)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(
            f"{where}: column '{column}' holds '{shorten(str(written))}' instead of a number; correct it, or filter by "
            "another column"
        ) from None


def _first_rows(there: int, skip: int, size: int | None) -> range:
    return range(skip, there if size is None else min(skip + size, there))


def _read(
    corpus: Corpus,
    pair: tuple[str, str],
    located: LocatedSplit,
    choose: Callable[[int], Sequence[int]],
    offline: bool,
) -> tuple[Sequence[str | None], Sequence[str | None]]:
    columns = pair_columns(corpus, pair, located, column_names(located, offline))
    data = read_rows(located, columns, offline, choose)
    check_pair_columns(corpus, pair, located, data.features)
    if columns != [_TRANSLATION]:
        return data.columns[columns[0]], data.columns[columns[1]]
    codes = [corpus.codes.get(language, language) for language in pair]
    one, other = ([row and row[code] for row in data.columns[_TRANSLATION]] for code in codes)
    return one, other


def pair_columns(corpus: Corpus, pair: Sequence[str], located: LocatedSplit, there: Sequence[str]) -> list[str]:
    """Return the columns with the texts of two languages, or the one column that holds both.

    Args:
        corpus: the corpus.
        pair: codes of the languages.
        located: the split.
        there: names of all of its columns.

    Raises:
        UserError: a column is missing.
    """
    if not corpus.columns and not corpus.pair_columns and _TRANSLATION in there:
        return [_TRANSLATION]
    return _side_columns(corpus, pair, located, there)


def check_pair_columns(corpus: Corpus, pair: Sequence[str], located: LocatedSplit, features: Mapping[str, Any]) -> None:
    """Check that the columns returned by `pair_columns` hold texts of both languages.

    Raises:
        UserError: one holds something else or lacks a language.
    """
    if list(features) != [_TRANSLATION]:
        for column in features:
            check_strings(features, column, located)
        return
    sides = _sides(features[_TRANSLATION], located)
    for code in (corpus.codes.get(language, language) for language in pair):
        if code not in sides:
            raise unknown(f"language in the column '{_TRANSLATION}' of {located}:", code, sides)
        check_strings(sides, code, located)


def _side_columns(corpus: Corpus, pair: Sequence[str], located: LocatedSplit, there: Sequence[str]) -> list[str]:
    """Return the columns of two languages: as the corpus names them, named after codes, or the first two."""
    if corpus.columns:
        return [pick_column(corpus.columns[language], there, located) for language in pair]
    if corpus.pair_columns:
        return [pick_column(name, there, located) for name in _in_order(corpus, pair, located, corpus.pair_columns)]
    codes = [corpus.codes.get(language, language) for language in pair]
    if set(codes) <= set(there):
        return codes
    if located.reading is None:
        raise unknown(f"column of {located}:", _TRANSLATION, there)
    if located.columns:  # one file per language
        missing = [code for code in codes if code not in there]
        raise UserError(
            f"{located}: has files for {', '.join(there)} and none for {' and '.join(missing)}; add the missing file, "
            "or correct 'codes' if it has another suffix"
        )
    if not located.reading.names or len(there) < 2:
        raise UserError(
            f"{located}: has the columns {', '.join(there)} and not {' and '.join(codes)}; correct 'codes', or name "
            "the columns of a file without a header in 'names'"
        )
    return list(_in_order(corpus, pair, located, (there[0], there[1])))


def _in_order(corpus: Corpus, pair: Sequence[str], located: LocatedSplit, columns: tuple[str, str]) -> tuple[str, str]:
    """Return the two columns of a pair's config in the order of the languages."""
    one, other = columns
    return columns if located.config == pair_configs(corpus, *pair)[0] else (other, one)


def _sides(feature: Any, located: LocatedSplit) -> Mapping[str, Any]:
    """Return the column types of a translation, by language."""
    from datasets import Translation

    sides = feature.flatten() if isinstance(feature, Translation) else feature
    if not isinstance(sides, Mapping):
        raise UserError(
            f"{located}: column '{_TRANSLATION}' holds {feature} instead of one text per language; name the columns "
            "in 'columns'"
        )
    return sides


def _check_language(corpus: Corpus, language: str) -> None:
    if language not in corpus.columns:
        raise unknown(f"language of the corpus '{corpus.name}':", language, corpus.columns)


def _has_pair_configs(corpus: Corpus) -> bool:
    return corpus.config is not None and "{source}" in corpus.config and "{target}" in corpus.config


def _pair_pattern(corpus: Corpus) -> str:
    if corpus.config is None or not _has_pair_configs(corpus):
        raise UserError(
            f"corpus '{corpus.name}': give 'columns' (language: column), or, where each pair of languages "
            "has its own config, a 'config' such as '{source}-{target}'"
        )
    return corpus.config


def pair_configs(corpus: Corpus, source: str, target: str) -> list[str]:
    """Return the config names of a pair in both orders, since OPUS-100 has `en-fr` and `af-en`; or its only config."""
    if corpus.columns and not _has_pair_configs(corpus):
        return [corpus.config or "default"]
    pattern = _pair_pattern(corpus)
    one, other = (corpus.codes.get(language, language) for language in (source, target))
    return [pattern.replace("{source}", a).replace("{target}", b) for a, b in ((one, other), (other, one))]
