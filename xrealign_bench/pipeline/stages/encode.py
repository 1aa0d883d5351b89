"""Encode the pairs of one language as sub-words, for all tasks and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xrealign_bench.pipeline.files import rows_in_parts, table_in_parts, write_table
from xrealign_bench.pipeline.stage import Costs, Inputs, Settings, Stage, StageRef, StageType, TokenizerKey, Workspace
from xrealign_bench.specs.suite import LoneWordMarkers


class EncodeSettings(Settings):
    tokenizer: TokenizerKey
    max_length: int
    lone_word_markers: LoneWordMarkers = "keep"


@dataclass(frozen=True)
class EncodeInputs(Inputs):
    pairs: StageRef
    """An `align`."""

    def by_role(self) -> dict[str, StageRef]:
        return {"pairs": self.pairs}


@dataclass(frozen=True)
class Encode(Stage):
    settings: EncodeSettings
    inputs: EncodeInputs

    stage_type: ClassVar[StageType] = "encode"
    code_version: ClassVar[int] = 2

    def run(self, workspace: Workspace) -> Costs:
        import pyarrow.parquet as pq

        from xrealign_bench.models.encode_words import encode_words
        from xrealign_bench.models.windows import windows_table
        from xrealign_bench.pipeline.loading import tokenizer_of

        tokenizer = tokenizer_of(workspace.context.checkpoint)
        pairs = workspace.folder_of(self.inputs.pairs) / "pairs.parquet"
        for side in ("source", "target"):
            number, words = 0, f"{side}_words"
            with table_in_parts(workspace.output / f"{side}.parquet") as add:
                for part in rows_in_parts(pairs, [words]):
                    windows = encode_words(
                        tokenizer,
                        part[words],
                        self.settings.max_length,
                        number,
                        lone_word_markers=self.settings.lone_word_markers,
                    )
                    add(windows_table(windows))
                    number += len(part[words])
        write_table(workspace.output / "links.parquet", pq.read_table(pairs, columns=["links"]))
        return {}
