"""The realignment methods that a recipe can name, with the facts that recipes and plans need. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MethodName = Literal["word_contrastive", "sentence_contrastive"]
Pooling = Literal["pooling", "sentence_pooling"]


@dataclass(frozen=True)
class Method:
    """A way to bring translations together."""

    contrasts: str
    """What is compared, in the plural, for messages."""
    needs_links: bool
    """Whether it reads a word alignment, and so needs an aligner."""
    pooling: Pooling
    """The option of `objective` that turns sub-words into the compared vectors; the others have no effect."""
    loss: str
    """Its `PairLoss` as `module:class`, imported when it is trained."""


METHODS: Mapping[str, Method] = {
    "word_contrastive": Method(
        contrasts="words",
        needs_links=True,
        pooling="pooling",
        loss="xrealign_bench.realignment.word_contrastive:WordContrastive",
    ),
    "sentence_contrastive": Method(
        contrasts="sentences",
        needs_links=False,
        pooling="sentence_pooling",
        loss="xrealign_bench.realignment.sentence_contrastive:SentenceContrastive",
    ),
}
