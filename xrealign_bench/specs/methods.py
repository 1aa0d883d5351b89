"""The realignment methods that a recipe can name, with the facts that recipes and plans need. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.plugins import Registry
from xrealign_bench.specs.plugin import RegisteredName

Pooling = Literal["pooling", "sentence_pooling"]


@dataclass(frozen=True)
class Method:
    """A way to bring translations together, or a control that trains on their text alone."""

    contrasts: str
    """What is compared, in the plural, for messages; "nothing" for a control."""
    needs_links: bool
    """Whether it reads a word alignment, and so needs an aligner."""
    pooling: Pooling | None
    """The option of `objective` that turns sub-words into the compared vectors; the others have no effect. None: it
    has its own way."""
    loss: str | type | None
    """Its `PairLoss`, for shipped ones as `module:class`, imported when it is trained. None: it trains a language
    model, so `objective` and the pairing of sentences have no effect."""

    @property
    def is_contrastive(self) -> bool:
        """Whether it compares the two sides of a pair."""
        return self.loss is not None


METHODS: Registry[Method] = Registry(
    "method",
    {
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
        "continued_pretraining": Method(
            contrasts="nothing",
            needs_links=False,
            pooling=None,
            loss=None,
        ),
    },
)

MethodName = Annotated[
    str,
    RegisteredName("method", ("none", *METHODS.shipped)),
    Field(description=f"none, {', '.join(METHODS.shipped)} or the name of a plugin"),
]
