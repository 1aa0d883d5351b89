"""Read the parallel text of one language, and link its words if the recipe needs links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.pipeline.files import PAIRS, data_record, write_json, write_table
from xrealign_bench.pipeline.stage import NO_INPUTS, Costs, Inputs, Settings, Stage, StageType, WeightsKey, Workspace
from xrealign_bench.specs import Corpus, PairFilter, Spec
from xrealign_bench.specs.aligner import LexiconCase, PluginSetting, Symmetrisation

if TYPE_CHECKING:
    from xrealign_bench.aligners import Resources
    from xrealign_bench.data import Links, LocatedSplit, ParallelText
    from xrealign_bench.pipeline.stage import RunContext


class CorpusText(Spec):
    """Pairs of one corpus."""

    corpus: Corpus
    """Without its other languages."""
    data: str
    """Fingerprint of the text."""


class AlignSettings(Settings):
    corpus: Corpus
    """Without its other languages."""
    source: str
    target: str
    data: str
    """Fingerprint of the text."""
    additional: list[CorpusText] = []
    """Pairs that are read after those of the first corpus, and aligned together with them."""
    limit: int | None
    aligner: str | None
    """None: no links are needed."""
    aligner_version: int = Field(1, serialization_alias="version")
    segmenter: str | None = None
    """How plain text is split into words."""
    package: tuple[str, str] | None = None
    """The package that links words, and its version."""
    lexicon: str | None = None
    """Fingerprint of the lexicon, if the aligner needs one."""
    checkpoint: WeightsKey | None = None
    """With its tokenizer, if the aligner compares the checkpoint's vectors."""
    max_length: int | None = None
    symmetrisation: Symmetrisation = "intersection"
    aligned_pairs: int | None = None
    """Maximum number of pairs of each corpus that are aligned together; None: those that are kept."""
    case: LexiconCase = "ignore"
    keep: PairFilter | None = None
    """Condition on the pairs to read."""
    aligner_settings: dict[str, PluginSetting] = {}
    """Settings of a plugin."""

    @property
    def aligned_corpora(self) -> list[Corpus]:
        """The corpora with the number of pairs that are aligned together, which may be more than are kept."""
        return [_with_more_pairs(each.corpus, self.aligned_pairs) for each in self.texts]

    @property
    def texts(self) -> list[CorpusText]:
        """Return everything that is read, in order."""
        return [CorpusText(corpus=self.corpus, data=self.data), *self.additional]


def _with_more_pairs(corpus: Corpus, pairs: int | None) -> Corpus:
    if pairs is None or not isinstance(corpus.pairs, int) or corpus.pairs >= pairs:
        return corpus
    return corpus.model_copy(update={"pairs": pairs})


@dataclass(frozen=True)
class Align(Stage):
    settings: AlignSettings
    inputs: Inputs = NO_INPUTS
    aligner_checkpoint: Checkpoint | None = None
    """The checkpoint that the aligner's settings name; the key has its hashes. None: the evaluated one."""

    stage_type: ClassVar[StageType] = "align"
    code_version: ClassVar[int] = 2

    def run(self, workspace: Workspace) -> Costs:
        import pyarrow as pa

        from xrealign_bench.aligners import align
        from xrealign_bench.data import concatenate, load_pairs

        asked = self.settings
        corpora = [each.corpus for each in asked.texts]
        texts = [
            load_pairs(corpus, asked.source, asked.target, workspace.context.location, asked.limit, asked.keep)
            for corpus in corpora
        ]
        text = concatenate(texts)
        resources, records = self._resources(text.located, workspace.context)
        links: list[Links] | list[None] = [None] * len(text.source_words)
        alignment_dropped: Mapping[str, int] = {}
        if asked.aligner is not None:
            alignment = align(asked.aligner, text, resources, self._further_pairs(texts, workspace.context))
            links, alignment_dropped = alignment.links, alignment.dropped
        columns = {"source_words": text.source_words, "target_words": text.target_words, "links": links}
        write_table(workspace.output / "pairs.parquet", pa.table(columns, schema=PAIRS))
        links_dropped = {f"link {rule}": count for rule, count in alignment_dropped.items()}
        for number, (corpus, part) in enumerate(zip(corpora, texts, strict=True)):
            dropped = part.dropped | ({} if number else links_dropped)
            pairs = len(part.source_words)
            records.append(data_record("parallel", corpus.name, asked.target, part.located, pairs, dropped))
        write_json(workspace.output / "data.json", records)
        return {}

    def _further_pairs(self, texts: Sequence[ParallelText], context: RunContext) -> ParallelText | None:
        """Read the pairs behind those that are kept, which are only aligned together with them."""
        from xrealign_bench.data import concatenate, load_pairs, without_first

        asked = self.settings
        corpora = asked.aligned_corpora
        if corpora == [each.corpus for each in asked.texts]:
            return None
        more = [
            load_pairs(corpus, asked.source, asked.target, context.location, asked.limit, asked.keep)
            for corpus in corpora
        ]
        return concatenate(
            [without_first(longer, len(text.source_words)) for longer, text in zip(more, texts, strict=True)]
        )

    def _resources(self, located: LocatedSplit, context: RunContext) -> tuple[Resources, list[dict[str, Any]]]:
        """Load what the aligner needs besides the text. Returns also the records of the data that were read."""
        from xrealign_bench.aligners import Resources
        from xrealign_bench.data import load_lexicon

        asked = self.settings
        if asked.lexicon is not None:
            lexicon = load_lexicon(asked.corpus, asked.source, asked.target, context.location)
            record = data_record(
                "lexicon",
                asked.corpus.name,
                asked.target,
                replace(located, fingerprint=lexicon.fingerprint),
                len(lexicon.entries),
                lexicon.dropped,
            )
            return Resources(lexicon=lexicon, case=asked.case, settings=asked.aligner_settings), [record]
        if asked.checkpoint is not None:
            from xrealign_bench.pipeline.loading import word_vectors

            assert asked.max_length is not None
            if self.aligner_checkpoint is not None:
                context = replace(context, checkpoint=self.aligner_checkpoint)
            vectors = word_vectors(context, asked.max_length)
            return Resources(vectors=vectors, settings=asked.aligner_settings), []
        return Resources(symmetrisation=asked.symmetrisation, settings=asked.aligner_settings), []
