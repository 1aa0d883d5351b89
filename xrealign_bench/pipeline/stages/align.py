"""Read the parallel text of one language, and link its words if the recipe needs links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from xrealign_bench.pipeline.files import PAIRS, data_record, write_json, write_table
from xrealign_bench.pipeline.stage import NO_INPUTS, Costs, Inputs, Settings, Stage, StageType, WeightsKey, Workspace
from xrealign_bench.specs import Corpus, Spec

if TYPE_CHECKING:
    from xrealign_bench.aligners import Resources
    from xrealign_bench.data import Links, LocatedSplit
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

    @property
    def texts(self) -> list[CorpusText]:
        """Return everything that is read, in order."""
        return [CorpusText(corpus=self.corpus, data=self.data), *self.additional]


@dataclass(frozen=True)
class Align(Stage):
    settings: AlignSettings
    inputs: Inputs = NO_INPUTS

    stage_type: ClassVar[StageType] = "align"
    code_version: ClassVar[int] = 2

    def run(self, workspace: Workspace) -> Costs:
        import pyarrow as pa

        from xrealign_bench.aligners import align
        from xrealign_bench.data import concatenate, load_pairs

        asked = self.settings
        corpora = [each.corpus for each in asked.texts]
        texts = [
            load_pairs(corpus, asked.source, asked.target, workspace.context.location, asked.limit)
            for corpus in corpora
        ]
        text = concatenate(texts)
        resources, records = self._resources(text.located, workspace.context)
        links: list[Links] | list[None] = [None] * len(text.source_words)
        alignment_dropped: Mapping[str, int] = {}
        if asked.aligner is not None:
            alignment = align(asked.aligner, text, resources)
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
            return Resources(lexicon=lexicon), [record]
        if asked.checkpoint is not None:
            from xrealign_bench.pipeline.loading import word_vectors

            assert asked.max_length is not None
            return Resources(vectors=word_vectors(context, asked.max_length)), []
        return Resources(), []
