"""Where a result comes from: what it was computed with and from, and what that took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xrealign_bench.data.lock import read_lock
from xrealign_bench.leaderboard.board import BoardRow
from xrealign_bench.leaderboard.cells import number_cell
from xrealign_bench.leaderboard.formatting import NONE, pluralise
from xrealign_bench.leaderboard.table import Cell, Column, Table, make_table
from xrealign_bench.leaderboard.views.ranking import confirmation_note, describe_event, describe_plugin
from xrealign_bench.results.history import Trust
from xrealign_bench.results.records import ComputeSettings, DataRecord, PredictionRecord, RealignmentRecord, StageRecord
from xrealign_bench.results.reproduction import evaluate_command, install_command, reproduction_notes
from xrealign_bench.results.result import Result
from xrealign_bench.specs import EmbeddedData, Suite, find_spec, shipped_names

Facts = Sequence[tuple[str, str]]
"""Pairs of a term and its description."""

TRUST: Mapping[Trust, str] = {
    "reported": "taken from a publication",
    "rescored": "each score can be computed from stored predictions",
    "rerun": "each score can be computed from stored predictions, and a seed was computed again",
}


def provenance(row: BoardRow, result: Result) -> Facts:
    """Return what a result says about how it was computed, without empty entries."""
    suite, checkpoint, recipe = result.suite, result.checkpoint, result.recipe
    facts = [
        ("Trust", f"{row.trust}: {TRUST[row.trust]}"),
        ("Plugins", "; ".join(f"{describe_plugin(each)}, source sha256 {each.sha256}" for each in result.plugins)),
        *(("Since published", describe_event(event)) for event in row.history.events),
        ("Source", row.reported or ""),
        ("Citation", recipe.citation),
        ("Fresh seeds", confirmation_note(row)),
        ("Why not ranked", "; ".join(row.unranked)),
        ("Recipe", f"{recipe.name}, digest {result.recipe_digest}"),
        ("Suite", f"{suite.id}, digest {result.suite_digest}"),
        ("Checkpoint", checkpoint.id + (f", revision {checkpoint.revision}" if checkpoint.revision else "")),
        ("Architecture", checkpoint.architecture),
        ("Parameters", "" if checkpoint.parameters is None else f"{checkpoint.parameters:,}"),
        ("Weights, sha256", checkpoint.weights_sha256),
        ("Configuration, sha256", checkpoint.config_sha256),
        ("Tokenizer, sha256", checkpoint.tokenizer_sha256),
        ("Seeds", ", ".join(map(str, result.seeds))),
        ("Limit", "" if result.limit is None else pluralise(result.limit, "example") + " a language and split"),
        ("Published" if row.reported else "Computed", f"{result.created:%Y-%m-%d %H:%M} UTC"),
        ("Harness", result.harness_version),
        ("Compute settings", _join(_settings(result.compute_settings))),
        ("Versions", _join(dict(result.packages.items()))),
        ("Gold labels", _gold_labels(result)),
        ("Comparison", _comparison(row)),
    ]
    return [(term, text) for term, text in facts if text]


def _gold_labels(result: Result) -> str:
    """Say whether a submission's gold labels were compared with the test data."""
    if result.reported is not None:
        return ""
    if all(isinstance(task.source, EmbeddedData) for task in result.tasks) or _has_locked_gold(result.suite.id):
        return "equal to those of the suite's test data, by digest"
    return "not checked: the suite's lock has no digests of the test data"


@lru_cache(maxsize=64)
def _has_locked_gold(suite_id: str) -> bool:
    """Whether a shipped suite has a lock with the digests of its gold labels."""
    name = next((name for name in shipped_names(Suite) if find_spec(name, Suite).id == suite_id), None)
    lock = read_lock(name) if name else None
    return lock is not None and lock.lock.gold is not None


def _comparison(row: BoardRow) -> str:
    comparison = row.comparison
    if comparison is None:
        return ""
    return (
        f"scoring {comparison.scoring}, prior {comparison.prior}, against {Path(comparison.baseline).name}; "
        f"one-std rule: {comparison.resamples:,} resamples, seed {comparison.seed}"
    )


def remarks(result: Result) -> list[str]:
    """Return what the commands alone don't say; nothing for a reported result."""
    return [] if result.reported else reproduction_notes(result)


def commands(result: Result) -> list[str]:
    """Return the commands that make the environment and compute the result; nothing for a reported result."""
    return [] if result.reported else [install_command(result), evaluate_command(result)]


DATA_COLUMNS: tuple[Column[DataRecord], ...] = (
    Column("Used as", lambda record: Cell(record.used_as), is_text=True),
    Column("Name", lambda record: Cell(record.name), is_text=True),
    Column("Language", lambda record: Cell(record.language), is_text=True),
    Column("Config", lambda record: Cell(record.config or NONE), is_text=True),
    Column("Split", lambda record: Cell(record.split), is_text=True),
    Column("Revision", lambda record: Cell(record.revision or NONE), is_text=True),
    Column("Fingerprint", lambda record: Cell(record.fingerprint), is_text=True),
    Column(
        "Left out, repaired, altered",
        lambda record: Cell(_join({**record.dropped, **record.repaired, **record.altered}) or NONE),
        is_text=True,
    ),
    Column("Examples", lambda record: number_cell(record.examples)),
)


def data_read(result: Result) -> Table:
    """Return every split that was read."""
    return make_table(DATA_COLUMNS, result.data)


def data_summary(result: Result) -> Table:
    """Return the splits that were read, with all languages together."""
    sizes: dict[tuple[str, str, str], list[int]] = {}
    for record in result.data:
        sizes.setdefault((record.used_as, record.name, record.split), []).append(record.examples)
    columns: list[Column[tuple[str, str, str]]] = [
        Column("Used as", lambda key: Cell(key[0]), is_text=True),
        Column("Name", lambda key: Cell(key[1]), is_text=True),
        Column("Split", lambda key: Cell(key[2]), is_text=True),
        Column("Languages", lambda key: number_cell(len(sizes[key]), "d")),
        Column("Examples", lambda key: number_cell(sum(sizes[key]))),
    ]
    return make_table(columns, sizes)


def _frozen(record: RealignmentRecord) -> Cell:
    blocks = ", ".join(map(str, record.frozen_blocks))
    return Cell((blocks + " and embeddings" * record.frozen_embeddings) or NONE)


REALIGNMENT_COLUMNS: tuple[Column[RealignmentRecord], ...] = (
    Column("Task", lambda record: Cell(record.task or "all"), is_text=True),
    Column("Frozen blocks", _frozen, is_text=True),
    Column("Seed", lambda record: number_cell(record.seed, "d")),
    Column("Steps", lambda record: number_cell(record.steps)),
    Column("Learning rate", lambda record: Cell(f"{record.learning_rate:,}", record.learning_rate)),
    Column("Pairs read", lambda record: number_cell(sum(record.pairs_seen.values()))),
    Column("Links", lambda record: number_cell(sum(record.links.values()))),
    Column("First loss", lambda record: number_cell(record.first_loss, ".3f")),
    Column("Last loss", lambda record: number_cell(record.last_loss, ".3f")),
    Column("Trained", lambda record: number_cell(record.trained_parameters)),
    Column("Frozen", lambda record: number_cell(record.frozen_parameters)),
)


def realignments(result: Result) -> Table:
    """Return the steps, pairs and losses of the realignment with each seed."""
    return make_table(REALIGNMENT_COLUMNS, result.realignment)


@dataclass(frozen=True)
class StageCost:
    """Run time and memory of all stages of one type."""

    stage_type: str
    stages: list[StageRecord]

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def memory(self) -> float | None:
        """Peak memory in MiB; None if it was not measured."""
        return max((stage.peak_memory_bytes or 0 for stage in self.stages), default=0) / 2**20 or None


COST_COLUMNS: tuple[Column[StageCost], ...] = (
    Column("Stage", lambda cost: Cell(cost.stage_type), is_text=True),
    Column("Number", lambda cost: number_cell(len(cost.stages), "d")),
    Column("Seconds", lambda cost: number_cell(cost.seconds, ",.1f")),
    Column("Peak memory", lambda cost: number_cell(cost.memory, ",.0f", " MiB")),
)


def stage_costs(result: Result) -> Table:
    """Return the cost by stage type over all seeds and languages, including stages shared with other results."""
    types = sorted({stage.stage_type for stage in result.stages})
    return make_table(
        COST_COLUMNS, [StageCost(each, [s for s in result.stages if s.stage_type == each]) for each in types]
    )


PREDICTION_COLUMNS: tuple[Column[PredictionRecord], ...] = (
    Column("Task", lambda record: Cell(record.task), is_text=True),
    Column("File", lambda record: Cell(record.file), is_text=True),
    Column("sha256", lambda record: Cell(record.sha256), is_text=True),
    Column("Rows", lambda record: number_cell(record.rows)),
)


def predictions(result: Result) -> Table:
    """Return the files that scores are computed from."""
    return make_table(PREDICTION_COLUMNS, result.predictions)


def _settings(settings: ComputeSettings | None) -> dict[str, object]:
    """Return the compute settings that differ from the defaults."""
    return settings.model_dump(exclude_defaults=True) if settings else {}


def _join(values: Mapping[str, object]) -> str:
    """Return names and values on one line.

    >>> _join({"threads": 1, "tf32": False, "device": "cpu"})
    'threads 1, tf32 false, device cpu'
    """
    return ", ".join(f"{name} {v if isinstance(v, str) else json.dumps(v)}" for name, v in values.items())
