"""Aligners with settings: what `aligner` in a recipe or suite holds if it is more than a name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from xrealign_bench.plugins import PLUGIN_NAME, accepts_unregistered_names, registry
from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import DataName, Examples, Revision, Title
from xrealign_bench.specs.plugin import PluginName

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
    """Statistical alignment with fast_align (Dyer et al., NAACL 2013); systran-align joins both directions."""

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


PluginSetting = bool | int | float | Title


class PluginAligner(Spec):
    """Alignment with a plugin."""

    kind: PluginName
    """Name of the aligner, or package/name."""
    settings: Annotated[dict[DataName, PluginSetting], Field(max_length=100)] = {}
    """Passed to the plugin as `resources.settings`."""


ShippedAlignerSettings = EflomalAligner | FastAlignAligner | SimilarityAligner | LexiconAligner
AlignerSettings = ShippedAlignerSettings | PluginAligner


def _tag(aligner: Any) -> str:
    if isinstance(aligner, PluginAligner) or (isinstance(aligner, dict) and _is_plugin(aligner.get("kind"))):
        return "plugin"
    return "mapping" if isinstance(aligner, dict | Spec) else "name"


def _is_plugin(kind: Any) -> bool:
    if not isinstance(kind, str) or kind in _SHIPPED_KINDS:
        return False
    return "/" in kind or accepts_unregistered_names() or registry("aligner").find(kind) is not None


_SHIPPED_KINDS = tuple(get_args(model.model_fields["kind"].annotation)[0] for model in get_args(ShippedAlignerSettings))
AlignerName = Annotated[
    str,
    Field(
        description="lower-case letters, digits, '-' and '.', 80 at most, or the name of a plugin",
        pattern=PLUGIN_NAME,
        max_length=161,
    ),
]
"""Checked against the known aligners in `pipeline.preflight`."""


AlignerChoice = Annotated[
    Annotated[AlignerName, Tag("name")]
    | Annotated[Annotated[ShippedAlignerSettings, Field(discriminator="kind")], Tag("mapping")]
    | Annotated[PluginAligner, Tag("plugin")],
    Discriminator(_tag),
]
"""Name of an aligner, or a mapping with its `kind` and settings."""


def aligner_name(aligner: str | AlignerSettings) -> str:
    """Return the name of an aligner that a recipe or suite gives."""
    return aligner if isinstance(aligner, str) else aligner.kind
