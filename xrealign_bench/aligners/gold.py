"""Use the links that come with the corpus: an upper bound for the other aligners."""

from __future__ import annotations

from xrealign_bench.aligners.aligner import Aligner, Resources
from xrealign_bench.data import Links, ParallelText
from xrealign_bench.errors import UserError


def align_gold(text: ParallelText, resources: Resources) -> list[Links]:
    """Return the corpus's own links.

    Raises:
        UserError: the corpus has none.
    """
    if text.links is None:
        raise UserError(f"{text.located}: has no gold word alignment; choose another aligner than 'gold'")
    return text.links


GOLD = Aligner(title="the corpus's own links", version=1, align=align_gold, needs_gold=True)
