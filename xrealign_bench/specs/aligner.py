"""Aligners with settings: what `aligner` in a recipe or suite holds if it is more than a name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import DataName, Examples, Name, Revision

Symmetrisation = Literal["intersection", "grow-diag-final-and"]
LexiconCase = Literal["ignore", "match"]


class EflomalAligner(Spec):
    """Statistical alignment with eflomal."""

    kind: Literal["eflomal"]
    symmetrisation: Symmetrisation = "intersection"
    """How the alignments of both directions are joined: links of both, or those and their neighbours (Koehn et al.,
    IWSLT 2005), as the papers did with FastAlign."""
    pairs: Examples | None = None
    """Maximum number of pairs that are aligned together, the first of each corpus, even if realignment reads fewer;
    null: those that realignment reads."""


class FastAlignAligner(Spec):
    """Statistical alignment with fast_align (Dyer et al., NAACL 2013), joined by grow-diag-final-and."""

    kind: Literal["fast-align"]
    pairs: Examples | None = None
    """Maximum number of pairs that are aligned together, as for eflomal."""


class SimilarityAligner(Spec):
    """Mutually nearest word vectors of one checkpoint, whichever is evaluated."""

    kind: Literal["similarity"]
    checkpoint: DataName
    """Hub id or folder."""
    revision: Revision | None = None
    """Branch, tag or commit of a checkpoint on the Hub."""


class LexiconAligner(Spec):
    """Words that a bilingual lexicon lists as translations."""

    kind: Literal["lexicon"]
    case: LexiconCase = "ignore"
    """`match`: the words of the text are looked up as they are, while all entries are in lower case, as in the released
    code of AlignFreeze; words with a capital letter then have no link."""


AlignerSettings = EflomalAligner | FastAlignAligner | SimilarityAligner | LexiconAligner


def _tag(aligner: Any) -> str:
    return "mapping" if isinstance(aligner, dict | Spec) else "name"


AlignerChoice = Annotated[
    Annotated[Name, Tag("name")] | Annotated[Annotated[AlignerSettings, Field(discriminator="kind")], Tag("mapping")],
    Discriminator(_tag),
]
"""Name of an aligner, or a mapping with its `kind` and settings."""


def aligner_name(aligner: str | AlignerSettings) -> str:
    """Return the name of an aligner that a recipe or suite gives."""
    return aligner if isinstance(aligner, str) else aligner.kind
