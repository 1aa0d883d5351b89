"""What an aligner is, and what it may need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xrealign_bench.data import Lexicon, Links, ParallelText
from xrealign_bench.specs.aligner import LexiconCase, PluginSetting, Symmetrisation

if TYPE_CHECKING:
    from torch import Tensor

WordVectors = Callable[[Sequence[Sequence[str]]], "list[Tensor]"]
"""Maps sentences, given as words, to a tensor (words, dim) each. A word with a zero vector is never linked."""


@dataclass(frozen=True)
class Resources:
    """What an aligner may need in addition to the text, and its settings."""

    lexicon: Lexicon | None = None
    vectors: WordVectors | None = None
    symmetrisation: Symmetrisation = "intersection"
    """eflomal: how both directions are joined."""
    case: LexiconCase = "ignore"
    """lexicon: whether a word's case must be that of the entry."""
    settings: Mapping[str, PluginSetting] = field(default_factory=dict)
    """Plugin: the settings that a recipe or suite gives it."""


class WordAligner(Protocol):
    """A way to find which words translate each other."""

    def align(self, text: ParallelText, resources: Resources) -> list[Links]:
        """Return for each pair of sentences the links between their words.

        A link `(s, t)` says that word `s` of the source sentence and word `t` of the target sentence, both counted from
        0, translate each other. Links may be many-to-many and in any order; the harness then keeps one-to-one links
        between words that differ. The same text must always get the same links.

        Args:
            text: `source_words` and `target_words`, a list of words for each sentence, and `source` and `target`, the
                language codes.
            resources: `vectors`, a function from sentences to a tensor (words, dim) each, of an aligner registered with
                needs_checkpoint; `lexicon`, with needs_lexicon; and `settings`.
        """


class Align(Protocol):
    def __call__(self, text: ParallelText, resources: Resources) -> list[Links]:
        """Link the words of each pair; `align` removes links that realignment can't use."""


@dataclass(frozen=True)
class Aligner:
    """A way to find which words translate each other, and what it needs."""

    title: str
    version: int
    """Raise it when the aligner's links change, so that stored alignments are not reused."""
    align: Align
    needs_lexicon: bool = False
    needs_gold: bool = False
    """Whether the corpus must have links of its own, as the embedded one has."""
    needs_checkpoint: bool = False
    """Whether the links depend on the checkpoint, through `Resources.vectors`."""
    package: str | None = None
    """The package that computes the links: its version can change them."""
    extra: str | None = None
    """The extra of this package that installs it, if it is optional."""
    work: Callable[[int], float] = float
    """Number of pairs -> a quantity that the run time is proportional to."""
