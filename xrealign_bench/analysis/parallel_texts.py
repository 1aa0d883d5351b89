"""Measure a model by block on parallel sentences: alignment, drift, geometry and the language probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xrealign_bench.analysis.cka import linear_cka
from xrealign_bench.analysis.geometry import anisotropy, effective_rank
from xrealign_bench.analysis.mexa import mexa
from xrealign_bench.analysis.probes import cross_validated_accuracy
from xrealign_bench.analysis.representation_drift import mean_cosine, relative_norm, share_along
from xrealign_bench.analysis.retrieval import retrieval_accuracy
from xrealign_bench.analysis.table import ALL_LANGUAGES, Form, Measure, Row
from xrealign_bench.analysis.vectors import BlockVectors, Pooling, Vectors, read_vectors
from xrealign_bench.analysis.word_precision import word_hits
from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.pairs import EncodedPair, EncodedPairs, PairCorpus, batch_pairs
from xrealign_bench.specs.methods import METHODS

WORD_PAIRS = 160
"""Pairs of a language whose words are compared, in batches as in realignment."""
PAIRS_PER_BATCH = 16
"""As in the papers, so that a word has as many candidates as the loss compares."""
PROBE_SENTENCES = 100
"""Sentences of each language that the language probe reads."""


@dataclass(frozen=True)
class ParallelTexts:
    """Distinct sentence pairs of several languages with one source language."""

    source_language: str
    pairs: Mapping[str, Sequence[EncodedPair]]
    """Language -> its pairs."""
    sources: list[Window] = field(default_factory=list)
    """Distinct source sentences of all pairs."""
    places: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Language -> the place in `sources` of each pair's source sentence."""

    def __post_init__(self) -> None:
        known: dict[tuple[int, ...], int] = {}
        for language, pairs in self.pairs.items():
            found = []
            for pair in pairs:
                found.append(known.setdefault(tuple(pair.source.input_ids), len(known)))
                if found[-1] == len(self.sources):
                    self.sources.append(pair.source)
            self.places[language] = np.array(found, np.int64)

    @property
    def tokens(self) -> int:
        """Sub-words of all distinct sources and all targets."""
        targets = (pair.target for pairs in self.pairs.values() for pair in pairs)
        return sum(len(window.input_ids) for window in (*self.sources, *targets))

    def corpus(self, method: str, pad_id: int) -> PairCorpus:
        """Return the pairs that a method of realignment can learn from: if it needs links, those with a link."""
        needs_links = METHODS[method].needs_links
        kept = {
            language: [pair for pair in pairs if len(pair.links) or not needs_links]
            for language, pairs in self.pairs.items()
        }
        encoded = {
            language: EncodedPairs(pairs, sum(len(pair.links) for pair in pairs))
            for language, pairs in kept.items()
            if pairs
        }
        return PairCorpus(encoded, pad_id)


def distinct_pairs(pairs: Iterable[EncodedPair], most: int) -> list[EncodedPair]:
    """Return the first pairs, leaving out those with a side that an earlier pair has.

    A sentence that occurs twice could not be told from its copy, and retrieval would count an error.
    """
    seen: tuple[set[tuple[int, ...]], ...] = (set(), set())
    kept: list[EncodedPair] = []
    for pair in pairs:
        sides = tuple(pair.source.input_ids), tuple(pair.target.input_ids)
        if len(kept) < most and sides[0] not in seen[0] and sides[1] not in seen[1]:
            kept.append(pair)
            for known, side in zip(seen, sides, strict=True):
                known.add(side)
    return kept


@dataclass(frozen=True)
class Reading:
    """How vectors are made and compared."""

    pad_id: int
    pooling: Pooling
    negatives: Literal["both_languages", "other_language"]
    device: torch.device
    measures: Sequence[Measure]


@dataclass(frozen=True)
class FormVectors:
    """Vectors of all sentences in one form of the model: for each entry of `BlockVectors.texts`, (sentences, dim)."""

    sources: list[Vectors]
    targets: dict[str, list[Vectors]]


def measure_form(
    form: Form,
    encoder: nn.Module,
    texts: ParallelTexts,
    reading: Reading,
    initial: FormVectors | None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Row], FormVectors]:
    """Read all sentences once and measure every block.

    Args:
        form: the name of this form of the model.
        encoder: as `load_encoder` returns it.
        texts: the sentences.
        reading: how vectors are made and compared.
        initial: vectors of the initial form; None if this is it.
        progress: called with each language.

    Returns:
        The rows, and the vectors, for later forms.
    """
    with_words = {int(n) for places in texts.places.values() for n in places[:WORD_PAIRS]}
    read = _reader(encoder, reading)
    sources = read(texts.sources, with_words)
    vectors = FormVectors(sources.texts, {})
    rows: list[Row] = []
    for language, pairs in texts.pairs.items():
        progress(language)
        targets = read([pair.target for pair in pairs], range(WORD_PAIRS))
        vectors.targets[language] = targets.texts
        if "alignment" in reading.measures:
            own = [entry[texts.places[language]] for entry in sources.texts]
            rows += _alignment(form, language, own, targets.texts)
            rows += _words(form, language, (sources, targets), (texts, reading))
    rows += _geometry(form, texts, vectors, reading, initial)
    if "probes" in reading.measures:
        rows += _language_probe(form, texts, vectors)
    return rows, vectors


def _reader(encoder: nn.Module, reading: Reading) -> Callable[[list[Window], Iterable[int]], BlockVectors]:
    words = "alignment" in reading.measures

    def read(windows: list[Window], word_texts: Iterable[int]) -> BlockVectors:
        return read_vectors(
            encoder,
            windows,
            reading.pad_id,
            pooling=reading.pooling,
            word_texts=set(word_texts) if words else (),
            device=reading.device,
        )

    return read


def _alignment(form: Form, language: str, sources: list[Vectors], targets: list[Vectors]) -> Iterator[Row]:
    """Yield retrieval and MEXA by block, and the mean and maximum of MEXA over the blocks."""
    n, scores = len(targets[0]), []
    for entry, (source, target) in enumerate(zip(sources, targets, strict=True)):
        there, back = retrieval_accuracy(source, target)
        scores.append(mexa(source, target))
        yield Row(form, language, entry - 1, "retrieval_from_source", "", there, n)
        yield Row(form, language, entry - 1, "retrieval_to_source", "", back, n)
        yield Row(form, language, entry - 1, "mexa", "", scores[-1], n)
    yield Row(form, language, None, "mexa_mean", "", float(np.mean(scores[1:])), n)
    yield Row(form, language, None, "mexa_max", "", float(np.max(scores[1:])), n)


def _words(
    form: Form, language: str, sides: tuple[BlockVectors, BlockVectors], how: tuple[ParallelTexts, Reading]
) -> Iterator[Row]:
    """Yield the precision at 1 of linked words by block, if there are links."""
    (sources, targets), (texts, reading) = sides, how
    pairs, places = texts.pairs[language][:WORD_PAIRS], texts.places[language]
    hits: dict[int, list[NDArray[np.bool_]]] = {}
    for begin in range(0, len(pairs), PAIRS_PER_BATCH):
        numbers = range(begin, min(begin + PAIRS_PER_BATCH, len(pairs)))
        batch = batch_pairs([pairs[number] for number in numbers], reading.pad_id)
        anchors, positives, side = (part.numpy() for part in (batch.anchors, batch.positives, batch.side))
        for entry in range(len(targets.words)) if len(anchors) else ():
            parts = [sources.words_of(entry, places[number]) for number in numbers]
            parts += [targets.words_of(entry, number) for number in numbers]
            found = word_hits(np.concatenate(parts), anchors, positives, side, reading.negatives)
            hits.setdefault(entry, []).append(found)
    for entry, parts_hit in hits.items():
        every = np.concatenate(parts_hit)
        yield Row(form, language, entry - 1, "word_precision", "", float(every.mean()), len(every))


def _geometry(
    form: Form, texts: ParallelTexts, vectors: FormVectors, reading: Reading, initial: FormVectors | None
) -> Iterator[Row]:
    """Yield the shape of each language's vectors, and how far they are from the initial ones."""
    if "drift" not in reading.measures:
        return
    for language, own in {texts.source_language: vectors.sources, **vectors.targets}.items():
        before = None
        if initial is not None:
            before = initial.targets.get(language, initial.sources)
        for entry, after in enumerate(own):
            yield Row(form, language, entry - 1, "anisotropy", "", anisotropy(after), len(after))
            yield Row(form, language, entry - 1, "effective_rank", "", effective_rank(after), len(after))
            if before is not None and initial is not None:
                direction = None
                if language != texts.source_language:
                    direction = before[entry].mean(0) - initial.sources[entry][texts.places[language]].mean(0)
                for measure, value in _drift(before[entry], after, direction):
                    yield Row(form, language, entry - 1, measure, "", value, len(after))


def _drift(before: Vectors, after: Vectors, direction: Vectors | None) -> Iterator[tuple[str, float]]:
    yield "cka", linear_cka(before, after)
    yield "cosine_to_initial", mean_cosine(before, after)
    yield "relative_norm", relative_norm(before, after)
    if direction is not None and not np.array_equal(before, after):
        yield "drift_along_language_mean", share_along(before, after, direction)


def _language_probe(form: Form, texts: ParallelTexts, vectors: FormVectors) -> Iterator[Row]:
    """Yield how well a linear probe tells the languages apart; translations are in the same fold."""
    places = {texts.source_language: np.arange(len(texts.sources)), **texts.places}
    shown = {language: own[:PROBE_SENTENCES] for language, own in places.items()}
    labels = [language for language, own in shown.items() for _ in own]
    groups = np.concatenate(list(shown.values())).tolist()
    for entry in range(len(vectors.sources)):
        every = {texts.source_language: vectors.sources, **vectors.targets}
        read = np.concatenate([own[entry][:PROBE_SENTENCES] for own in every.values()])
        accuracy = cross_validated_accuracy(read, labels, groups)
        yield Row(form, ALL_LANGUAGES, entry - 1, "language_probe", "", accuracy, len(labels))
