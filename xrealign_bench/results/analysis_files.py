"""The stored table of an analysis, and a record of how it was made.

Analyses lie in `analysis/SUITE/CHECKPOINT` next to the folder `results`: for each of them `NAME.parquet`, with the
columns recipe, task, seed, form, language, tier, block, measure, item, value and n, and `NAME.json`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from xrealign_bench.analysis.table import Measure, TextVector
from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file, write_atomically
from xrealign_bench.results.fields import CheckpointId, PackageName, Paragraph, Rule, Seeds, Version
from xrealign_bench.results.manifest import schema_problems
from xrealign_bench.results.migrations import read_version
from xrealign_bench.results.records import StageRecord
from xrealign_bench.results.strict_json import parse_json
from xrealign_bench.specs import BlockNumber, Count, LanguageCode, Moment, Name, Revision, Sha256, Spec

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "analysis"


class AnalysedRecipe(Spec):
    """A recipe, and the blocks that it freezes in realignment."""

    name: Name
    recipe_digest: Sha256
    frozen_blocks: list[BlockNumber]


class AnalysisRecord(Spec):
    """How the table of an analysis was made."""

    schema_version: Literal[1] = 1
    harness_version: Version
    created: Moment
    command: Paragraph
    suite: Rule
    """Name and version."""
    suite_digest: Sha256
    checkpoint: CheckpointId
    revision: Revision | None
    weights_sha256: Sha256
    recipes: Annotated[list[AnalysedRecipe], Field(min_length=1, max_length=1000)]
    tasks: list[Name]
    seeds: Seeds
    languages: dict[LanguageCode, Count]
    """Language -> number of sentence pairs."""
    left_out: dict[LanguageCode, Count]
    """Language -> number of its sentence pairs, which is too small."""
    sentences: Count
    """Maximum number of sentence pairs of each language."""
    pooling: TextVector
    measures: list[Measure]
    """Those that at least one recipe has."""
    corpora: list[Name]
    """Parallel corpora with the sentences."""
    packages: dict[PackageName, Version]
    stages: list[StageRecord]
    """The analyses, one per recipe, task and seed."""
    table_sha256: Sha256
    """Of the Parquet file."""

    @property
    def frozen_blocks(self) -> dict[str, list[int]]:
        """Recipe -> the blocks that it freezes in realignment."""
        return {recipe.name: recipe.frozen_blocks for recipe in self.recipes}


@dataclass(frozen=True)
class StoredAnalysis:
    """An analysis that was read, with its table checked."""

    path: Path
    """The JSON file; the table is next to it."""
    record: AnalysisRecord

    @property
    def table_path(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.parquet")

    def read_table(self) -> pd.DataFrame:
        """Return the table, whose columns `inside.collect_table` describes."""
        import pandas as pd

        return pd.read_parquet(self.table_path)


def write(path: Path, table: pd.DataFrame, record: AnalysisRecord) -> list[Path]:
    """Write a table and its record, with the table's digest, and return the files.

    Args:
        path: of both files, without their endings.
    """
    content = io.BytesIO()
    table.to_parquet(content, index=False, compression="zstd")
    written = write_atomically(path.with_name(f"{path.name}.parquet"), content.getvalue())
    record = record.model_copy(update={"table_sha256": sha256_file(written)})
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return [written, write_atomically(path.with_name(f"{path.name}.json"), f"{text}\n".encode())]


def find_analyses(results: Path) -> list[StoredAnalysis]:
    """Read the analyses of a checkpoint, whose folder of results is RESULTS/SUITE/CHECKPOINT.

    Raises:
        UserError: one can't be read, or its table is not the one that it was written with.
    """
    folder = results.parent.parent.parent / FOLDER / results.parent.name / results.name
    return [read_analysis(path) for path in sorted(folder.glob("*.json"))]


def read_analysis(path: Path) -> StoredAnalysis:
    """Read the record of an analysis, and check its table.

    Raises:
        UserError: it breaks the schema, or the table is missing or changed.
    """
    known = AnalysisRecord.model_fields["schema_version"].default
    content = read_version(parse_json(path.read_bytes(), str(path)), "AnalysisRecord", known, path)
    try:
        stored = StoredAnalysis(path, AnalysisRecord.model_validate(content))
    except ValidationError as error:
        raise UserError("\n".join(schema_problems(path, error, AnalysisRecord))) from None
    table = stored.table_path
    if not table.is_file() or sha256_file(table) != stored.record.table_sha256:
        what = "was changed since it was written" if table.is_file() else "is missing"
        raise UserError(f"{table}: {what}; restore it, or analyse again")
    return stored
