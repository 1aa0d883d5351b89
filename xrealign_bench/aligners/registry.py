"""The aligners by name."""

from __future__ import annotations

from collections.abc import Mapping

from xrealign_bench.aligners.aligner import Aligner, Resources
from xrealign_bench.aligners.eflomal import EFLOMAL
from xrealign_bench.aligners.fast_align import FAST_ALIGN
from xrealign_bench.aligners.gold import GOLD
from xrealign_bench.aligners.lexicon_lookup import LEXICON
from xrealign_bench.aligners.links import Alignment, usable_links
from xrealign_bench.aligners.similarity import SIMILARITY
from xrealign_bench.data import ParallelText, concatenate
from xrealign_bench.errors import unknown

ALIGNERS: Mapping[str, Aligner] = {
    "gold": GOLD,
    "lexicon": LEXICON,
    "eflomal": EFLOMAL,
    "similarity": SIMILARITY,
    "fast-align": FAST_ALIGN,
}
_NOTHING = Resources()


def align(
    name: str, text: ParallelText, resources: Resources = _NOTHING, further: ParallelText | None = None
) -> Alignment:
    """Align a parallel text with the aligner of that name, and keep the links that realignment can use.

    Args:
        name: the aligner.
        text: the pairs.
        resources: what the aligner needs in addition, and its settings.
        further: pairs that are only aligned together with `text`, for a statistical aligner.

    Raises:
        UserError: there is no such aligner, or it can't align this text.
        ValueError: a resource that the aligner needs is missing.
    """
    if name not in ALIGNERS:
        raise unknown("aligner", name, ALIGNERS)
    together = text if further is None else concatenate([text, further])
    return usable_links(text, ALIGNERS[name].align(together, resources)[: len(text.source_words)])
