"""The aligners by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from xrealign_bench.aligners.dictionary import align_lexicon
from xrealign_bench.aligners.links import Alignment, usable_links
from xrealign_bench.aligners.similarity import WordVectors, align_similarity
from xrealign_bench.aligners.statistical import align_eflomal, eflomal_work
from xrealign_bench.data import Lexicon, Links, ParallelText
from xrealign_bench.errors import UserError, unknown


@dataclass(frozen=True)
class Resources:
    """What an aligner may need besides the text."""

    lexicon: Lexicon | None = None
    vectors: WordVectors | None = None


_NOTHING = Resources()


class Align(Protocol):
    def __call__(self, text: ParallelText, resources: Resources) -> list[Links]:
        """Link words of each pair; `align` does away with links that are of no use."""


@dataclass(frozen=True)
class Aligner:
    """A way to tell which words translate which, and what it takes."""

    title: str
    align: Align
    needs_lexicon: bool = False
    needs_gold: bool = False
    """Only a corpus with links of its own will do: the embedded one."""
    needs_checkpoint: bool = False
    """Its links depend on the checkpoint, through `Resources.vectors`."""
    package: str | None = None
    """The package that computes the links, whose version can change them."""
    work: Callable[[int], float] = float
    """Pairs -> what its time grows with."""


def align(name: str, text: ParallelText, resources: Resources = _NOTHING) -> Alignment:
    """Align a parallel text with the aligner of that name, and keep the links that realignment can use.

    Raises:
        UserError: no aligner has this name, or it can't align this text.
        ValueError: a resource that the aligner needs is not given.
    """
    if name not in ALIGNERS:
        raise unknown("aligner", name, ALIGNERS)
    return usable_links(text, ALIGNERS[name].align(text, resources))


def _gold(text: ParallelText, resources: Resources) -> list[Links]:
    """The corpus's own links: an upper bound for the others."""
    if text.links is None:
        raise UserError(f"{text.located}: has no gold word alignment; choose another aligner than 'gold'")
    return text.links


def _lexicon(text: ParallelText, resources: Resources) -> list[Links]:
    if resources.lexicon is None:
        raise ValueError("the aligner 'lexicon' needs a lexicon")
    return align_lexicon(text, resources.lexicon)


def _eflomal(text: ParallelText, resources: Resources) -> list[Links]:
    return align_eflomal(text)


def _similarity(text: ParallelText, resources: Resources) -> list[Links]:
    if resources.vectors is None:
        raise ValueError("the aligner 'similarity' needs word vectors")
    return align_similarity(text, resources.vectors)


ALIGNERS: Mapping[str, Aligner] = {
    "gold": Aligner("the corpus's own links", _gold, needs_gold=True),
    "lexicon": Aligner("words that a bilingual lexicon pairs, where there is no doubt", _lexicon, needs_lexicon=True),
    "eflomal": Aligner("statistical, both directions intersected", _eflomal, package="eflomal", work=eflomal_work),
    "similarity": Aligner("mutually nearest word vectors of the checkpoint", _similarity, needs_checkpoint=True),
}
