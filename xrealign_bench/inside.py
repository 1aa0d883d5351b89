"""Analyse what recipes change inside a model: plan the stages, and write tables and figures from their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign_bench.errors import Problems, UserError, convert_os_errors
from xrealign_bench.evaluation import Options, block_count, prepare
from xrealign_bench.files import write_atomically
from xrealign_bench.languages import find, tier
from xrealign_bench.leaderboard.inside_chart import draw_analysis
from xrealign_bench.models.block_numbers import select_blocks
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.planning.analysis import AnalysisOptions, plan_analysis
from xrealign_bench.pipeline.stage import Stage
from xrealign_bench.pipeline.stages import Finetune, Realign
from xrealign_bench.pipeline.stages.analyse import TABLE, TEXTS
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.paths import part_of_suite, result_folder

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "source"
"""Tier of the source language."""
NO_TIER = "all"
"""Tier of values that belong to no single language."""
SUMMARY: Mapping[str, tuple[str, ...]] = {
    "MEXA": ("mexa",),
    "retrieval": ("retrieval_from_source", "retrieval_to_source"),
    "word P@1": ("word_precision",),
    "CKA": ("cka",),
    "cosine": ("cosine_to_initial",),
    "anisotropy": ("anisotropy",),
    "eff. rank": ("effective_rank",),
    "language probe": ("language_probe",),
    "task probe": ("task_probe",),
    "ECE": ("calibration_error",),
    "gradients": ("gradient_cosine",),
}
"""Column of the printed table -> measures whose mean it shows."""


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


def write_inside(plan: Plan, store: Store, output: Path) -> Analysis:
    """Write the table of an analysis whose stages are all stored as CSV and Parquet, and draw its figures.

    Args:
        plan: from `plan_inside`.
        store: where its stages are stored.
        output: folder of results; the files are written below `analysis/` in it.

    Raises:
        UserError: the disk is full or gone.
    """
    table, left_out = collect_table(plan, store), _left_out(plan, store)
    first = result_folder(plan, plan.runs[0].recipe)
    folder = output / "analysis" / first.parent
    name = "analysis" + part_of_suite(plan.request)
    with convert_os_errors(f"the analysis in {output}", "when that is mended, the same command writes it"):
        folder.mkdir(parents=True, exist_ok=True)
        files = [write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())]
        table.to_parquet(folder / f"{name}.parquet", index=False)
        files.append(folder / f"{name}.parquet")
        title = f"{plan.request.suite.id}  ·  {plan.request.checkpoint.id}"
        files += draw_analysis(table, frozen_blocks(plan), folder / name, title)
    return Analysis(table, left_out, files)


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


def summarise(table: pd.DataFrame) -> list[list[object]]:
    """Return one row per recipe, task and form: the means over blocks, target languages and seeds, as in `SUMMARY`."""
    shown = table[(table["tier"] != SOURCE) & (table["block"].isna() | (table["block"] >= 0))]
    rows: list[list[object]] = []
    for names, part in shown.groupby(["recipe", "task", "form"], sort=False):
        found = part.groupby("measure")["value"].mean()
        values = [[found[name] for name in measures if name in found] for measures in SUMMARY.values()]
        rows.append([*names, *(sum(own) / len(own) if own else None for own in values)])
    return rows


def frozen_blocks(plan: Plan) -> dict[str, list[int]]:
    """Return the blocks that each recipe freezes in realignment."""
    count = block_count(plan.request.checkpoint) or 0
    return {
        run.recipe.name: select_blocks(run.recipe.freeze.blocks, count) if run.recipe.realigns else []
        for run in plan.runs
    }


def _left_out(plan: Plan, store: Store) -> dict[str, int]:
    left_out: dict[str, int] = {}
    for run in plan.runs:
        for ref in run.analyse.values():
            left_out |= read_json(store.read(*ref).folder / TEXTS)["left_out"]
    return left_out


def languages_read(plan: Plan) -> Sequence[str]:
    """Return the target languages that have set-aside sentences."""
    stages = [plan.stages[ref] for run in plan.runs for ref in run.analyse.values()]
    found = {language for stage in stages for language in stage.description()["settings"]["languages"]}
    return [language for language in plan.request.languages if language in found]
