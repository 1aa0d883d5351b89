"""The aligners by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from xrealign_bench.aligners.aligner import Aligner, Resources, WordAligner
from xrealign_bench.aligners.eflomal import EFLOMAL
from xrealign_bench.aligners.fast_align import FAST_ALIGN
from xrealign_bench.aligners.gold import GOLD
from xrealign_bench.aligners.lexicon_lookup import LEXICON
from xrealign_bench.aligners.links import Alignment, usable_links
from xrealign_bench.aligners.similarity import SIMILARITY
from xrealign_bench.arguments import names_arguments
from xrealign_bench.data import ParallelText, concatenate
from xrealign_bench.errors import unknown
from xrealign_bench.plugins import Registry, check_protocol

ALIGNERS: Registry[Aligner] = Registry(
    "aligner",
    {
        "gold": GOLD,
        "lexicon": LEXICON,
        "eflomal": EFLOMAL,
        "similarity": SIMILARITY,
        "fast-align": FAST_ALIGN,
    },
)
Class = TypeVar("Class", bound="type[WordAligner]")
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


@names_arguments
def register_aligner(
    name: str, *, version: str, needs_checkpoint: bool = False, needs_lexicon: bool = False, title: str = ""
) -> Callable[[Class], Class]:
    """Register a class with the method of `WordAligner`, so that a recipe or suite can name it under `aligner`.

    Args:
        name: the name that recipes give.
        version: raise it when links change.
        needs_checkpoint: whether it reads the checkpoint's word vectors, `resources.vectors`.
        needs_lexicon: whether it reads the corpus's bilingual lexicon, `resources.lexicon`.
        title: what its links are, for lists; empty: the first line of the class's docstring.

    Raises:
        UserError: the class lacks the method or an argument.
    """

    def register(aligner: Class) -> Class:
        check_protocol(aligner, WordAligner)
        described = title or (aligner.__doc__ or name).strip().partition("\n")[0]
        # The key of a stage has the plugin's own version.
        made = Aligner(described, 1, aligner().align, needs_lexicon=needs_lexicon, needs_checkpoint=needs_checkpoint)
        ALIGNERS.add(aligner, name, version, made)
        return aligner

    return register
