"""Analyse what recipes change inside a model: plan the stages, and write tables and figures from their outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign_bench import __version__
from xrealign_bench.errors import Problems, UserError, convert_os_errors
from xrealign_bench.evaluation import Options, block_count, prepare, redact_command
from xrealign_bench.files import write_atomically
from xrealign_bench.languages import find, tier
from xrealign_bench.leaderboard.inside_chart import draw_analysis
from xrealign_bench.leaderboard.inside_summary import SOURCE
from xrealign_bench.models.block_numbers import select_blocks
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.planning.analysis import MEASURES, AnalysisOptions, plan_analysis
from xrealign_bench.pipeline.stage import Stage, StageRef
from xrealign_bench.pipeline.stages import Align, Analyse, Finetune, Realign
from xrealign_bench.pipeline.stages.analyse import TABLE, TEXTS
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results import analysis_files
from xrealign_bench.results.analysis_files import AnalysedRecipe, AnalysisRecord
from xrealign_bench.results.collection import installed_packages, stage_record
from xrealign_bench.results.paths import part_of_suite, result_folder
from xrealign_bench.results.result import digest_suite
from xrealign_bench.specs import digest

if TYPE_CHECKING:
    import pandas as pd

NO_TIER = "all"
"""Tier of values that belong to no single language."""


@dataclass(frozen=True)
class Analysis:
    """The table of an analysis, and the files made from it."""

    table: pd.DataFrame
    left_out: dict[str, int]
    """Language -> number of its set-aside sentence pairs, which is too small."""
    files: list[Path]


def plan_inside(options: Options, asked: AnalysisOptions, problems: Problems) -> Plan:
    """Plan an analysis of recipes on a suite. Nothing is computed.

    Args:
        options: as of an evaluation: checkpoint, recipes, suite and the parts of it.
        asked: what is read and measured.
        problems: problems of the command line, to be reported together with all others.

    Raises:
        UserError: as `evaluation.prepare` and `plan_analysis`. The message has one line per problem.
    """
    return plan_analysis(prepare(options, problems), asked)


def check_trained(plan: Plan, store: Store) -> None:
    """Refuse to compute realignments and fine-tunings that are not stored.

    Raises:
        UserError: one is not.
    """
    missing: list[Stage] = [
        stage for ref, stage in plan.stages.items() if isinstance(stage, Realign | Finetune) and not store.has(*ref)
    ]
    if missing:
        raise UserError(
            f"--no-compute: '{missing[0].label}' is not in the store {store.root}; evaluate it first, name the store "
            "where it is with --store, or leave --no-compute out"
        )


def write_inside(plan: Plan, store: Store, output: Path, command: Sequence[str]) -> Analysis:
    """Write the table of an analysis whose stages are all stored, with its record, and draw its figures.

    The table is written as CSV and Parquet, in files named after the part of the suite and a digest of the settings.
    The site of a leaderboard shows it beside results in `output`/results.

    Args:
        plan: from `plan_inside`.
        store: where its stages are stored.
        output: folder of results; the files are written below `analysis/` in it.
        command: the command line, recorded without local paths.

    Raises:
        UserError: the disk is full or gone.
    """
    table, record = collect_table(plan, store), _make_record(plan, store, redact_command(command))
    path = output / analysis_files.FOLDER / result_folder(plan, plan.runs[0].recipe).parent
    path /= f"analysis{part_of_suite(plan.request)}--{_digest_settings(record)}"
    with convert_os_errors(f"the analysis in {output}", "when that is mended, the same command writes it"):
        stored = analysis_files.write(path, table, record)
        title = f"{plan.request.suite.id}  ·  {plan.request.checkpoint.id}"
        figures = draw_analysis(table, record.frozen_blocks, path, title)
        files = [write_atomically(path.with_name(f"{path.name}.csv"), table.to_csv(index=False).encode()), *stored]
    return Analysis(table, record.left_out, [*files, *figures])


def _digest_settings(record: AnalysisRecord) -> str:
    """Return eight digits for the recipes and settings of an analysis, so that no analysis replaces a different one."""
    settings = record.model_dump(mode="json", include={"recipes", "measures", "sentences", "pooling", "corpora"})
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _make_record(plan: Plan, store: Store, command: str) -> AnalysisRecord:
    """Return the record of an analysis, without the digest of its table."""
    request, suite = plan.request, plan.request.suite
    entries = [store.read(*ref) for run in plan.runs for ref in run.analyse.values()]
    stages = [stage for stage in plan.stages.values() if isinstance(stage, Analyse)]
    texts = [read_json(entry.folder / TEXTS) for entry in entries]
    return AnalysisRecord(
        harness_version=__version__,
        created=max(entry.manifest.created for entry in entries),
        command=command,
        suite=suite.id,
        suite_digest=digest_suite(suite, request.loaded.tasks, request.loaded.corpora),
        checkpoint=request.checkpoint.id,
        revision=request.checkpoint.revision,
        weights_sha256=request.checkpoint.weights_sha256,
        recipes=_recipes(plan),
        tasks=[task.name for task in request.tasks],
        seeds=request.seeds,
        languages={language: n for each in texts for language, n in each["sentences"].items()},
        left_out={language: n for each in texts for language, n in each["left_out"].items()},
        sentences=stages[0].settings.sentences,
        pooling=stages[0].settings.pooling,
        measures=[measure for measure in MEASURES if any(measure in stage.settings.measures for stage in stages)],
        corpora=_corpora(plan, (ref for stage in stages for ref in stage.inputs.pairs.values())),
        packages=installed_packages(plan),
        stages=[stage_record(entry) for entry in entries],
        table_sha256="0" * 64,
    )


def collect_table(plan: Plan, store: Store) -> pd.DataFrame:
    """Return all values of the plan's analyses.

    Columns: recipe, task, seed, form, language, tier, block, measure, item, value, n. `block` is -1 for the input of
    the first block and missing for values of no single block.
    """
    import pandas as pd

    suite, parts = plan.request.suite, []
    for run in plan.runs:
        for (task, seed), ref in run.analyse.items():
            part = pd.read_parquet(store.read(*ref).folder / TABLE)
            part["block"] = part["block"].astype("Int16")
            for place, value in enumerate((run.recipe.name, task, seed)):
                part.insert(place, ("recipe", "task", "seed")[place], value)
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    tiers = {code: tier(find(code), suite.tiers) for code in suite.target_languages}
    of_language = table["language"].map({**tiers, suite.source_language: SOURCE}).fillna(NO_TIER)
    table.insert(list(table.columns).index("language") + 1, "tier", of_language)
    return table


def _recipes(plan: Plan) -> list[AnalysedRecipe]:
    """Return the recipes of an analysis with the blocks that they freeze in realignment."""
    count = block_count(plan.request.checkpoint) or 0
    return [
        AnalysedRecipe(
            name=run.recipe.name,
            recipe_digest=digest(run.recipe),
            frozen_blocks=select_blocks(run.recipe.freeze.blocks, count) if run.recipe.realigns else [],
        )
        for run in plan.runs
    ]


def _corpora(plan: Plan, pairs: Iterable[StageRef]) -> list[str]:
    """Return the names of the parallel corpora whose encoded pairs an analysis reads."""
    aligned = [plan.stages[ref] for encoded in set(pairs) for ref in plan.inputs(encoded)]
    return sorted({text.corpus.name for each in aligned if isinstance(each, Align) for text in each.settings.texts})


def languages_read(plan: Plan) -> Sequence[str]:
    """Return the target languages that have set-aside sentences."""
    stages = [plan.stages[ref] for run in plan.runs for ref in run.analyse.values()]
    found = {language for stage in stages for language in stage.description()["settings"]["languages"]}
    return [language for language in plan.request.languages if language in found]
