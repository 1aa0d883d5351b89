"""Collect a finished plan's stages into results: scores with their provenance."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xrealign_bench import __version__
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.plan import Plan, Run
from xrealign_bench.pipeline.stage import StageRef
from xrealign_bench.pipeline.stages.predict import PREDICTIONS
from xrealign_bench.pipeline.store import Entry, Store
from xrealign_bench.results.fields import PackageName
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.records import (
    CheckpointRecord,
    DataRecord,
    RealignmentRecord,
    Score,
    StageRecord,
)
from xrealign_bench.results.result import Result, digest_suite
from xrealign_bench.results.storage import write_predictions, write_result
from xrealign_bench.specs import Task, digest
from xrealign_bench.specs.plugin import PluginRecord, plugin_records
from xrealign_bench.specs.plugins_named import names_in_corpora, names_in_recipe, names_in_task
from xrealign_bench.tasks.registry import metric_of

QUANTISER = "bitsandbytes"
"""Recorded only for quantised checkpoints."""


def installed_packages(plan: Plan) -> dict[PackageName, str]:
    """Return the versions of the packages that a plan's scores can depend on."""
    return {
        name: importlib.metadata.version(name)
        for name in get_args(PackageName)
        if name != QUANTISER or plan.request.compute_settings.quantised is not None
    }


def collect(plan: Plan, run: Run, store: Store, folder: Path, command: str) -> Result:
    """Write the result folder of one recipe from its stages' outputs.

    Args:
        folder: where to write `result.json` and the predictions.
    """
    request = plan.request
    folder.mkdir(parents=True, exist_ok=True)
    predictions = [write_predictions(folder, t.name, _predictions(run, t, store)) for t in request.tasks]
    stages = {ref: store.read(ref.stage_type, ref.key) for ref in plan.ancestors(run.predict.values())}
    checkpoint = request.checkpoint
    named = {*request.suite.parallel.corpora, run.recipe.parallel.corpus}
    result = Result(
        harness_version=__version__,
        created=max(entry.manifest.created for entry in stages.values()),
        command=command,
        suite=request.suite,
        suite_digest=digest_suite(request.suite, request.loaded.tasks, request.loaded.corpora),
        tasks=request.tasks,
        corpora=[corpus for name, corpus in sorted(request.loaded.corpora.items()) if name in named],
        recipe=run.recipe,
        recipe_digest=digest(run.recipe),
        checkpoint=CheckpointRecord(
            id=checkpoint.id,
            revision=checkpoint.revision,
            model_type=checkpoint.model_type,
            architecture=checkpoint.architecture,
            parameters=_first_log(run, store)["encoder_parameters"],
            config_sha256=checkpoint.config_sha256,
            weights_sha256=checkpoint.weights_sha256,
            tokenizer_sha256=checkpoint.tokenizer_sha256,
        ),
        seeds=request.seeds,
        languages=[describe_language(request.suite, code, checkpoint.id) for code in request.languages],
        limit=request.limit,
        compute_settings=request.compute_settings,
        packages=installed_packages(plan),
        data=_data_records(plan, run, store),
        realignment=_realignment_records(run, store),
        scores=_scores(run, store),
        predictions=predictions,
        plugins=_plugin_records(plan, run, named),
        stages=[stage_record(stages[ref]) for ref in sorted(stages, key=lambda ref: (ref.stage_type, ref.key))],
    )
    write_result(folder, result)
    return result


def _plugin_records(plan: Plan, run: Run, corpora: Collection[str | None]) -> list[PluginRecord]:
    """Return the plugins that a recipe's scores depend on."""
    request = plan.request
    names = [name for task in request.tasks for name in names_in_task(task)]
    if run.recipe.realigns:
        read = (corpus for name, corpus in request.loaded.corpora.items() if name in corpora)
        names += [*names_in_recipe(run.recipe, request.suite), *names_in_corpora(read)]
    return plugin_records(names)


def _predictions(run: Run, task: Task, store: Store) -> pa.Table:
    """Return the predictions of all languages and seeds of one task, without the texts that stay in the store."""
    tables, names = [], metric_of(task).schema.names
    for (name, language, seed), ref in run.predict.items():
        if name == task.name:
            # pq.read_table would import pandas.
            rows = pq.ParquetFile(store.read(ref.stage_type, ref.key).folder / PREDICTIONS).read(names)
            rows = rows.add_column(0, "language", _repeat(language, len(rows)))
            rows = rows.add_column(1, "seed", _repeat(seed, len(rows)))
            tables.append(rows)
    return pa.concat_tables(tables)


def _repeat(value: str | int, count: int) -> pa.Array:
    """Repeat a value like `pa.repeat`, which would import pandas: a quarter of the time of a stored run."""
    if isinstance(value, int):
        return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(np.full(count, value, np.int64))])
    content = value.encode()
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(len(content))
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(content * count)])


def _scores(run: Run, store: Store) -> list[Score]:
    return [
        Score(task=task, language=language, seed=seed, **_output(store, ref, "score.json"))
        for (task, language, seed), ref in run.predict.items()
    ]


def _data_records(plan: Plan, run: Run, store: Store) -> list[DataRecord]:
    """Return the records of every split, from `data.json` of the stages that read them."""
    refs = [*plan.train.values(), *plan.test.values(), *run.align.values()]
    return [DataRecord(**record) for ref in refs for record in _output(store, ref, "data.json")]


def _realignment_records(run: Run, store: Store) -> list[RealignmentRecord]:
    """Return one record per seed, or per task and seed if each task has its own realignment."""
    shared = len(set(run.realign.values())) == len({seed for _, seed in run.realign})
    first_task = next(iter(run.realign), ("", 0))[0]
    return [
        RealignmentRecord(
            task=None if shared else task,
            languages_without_data=run.without_data,
            **_output(store, ref, "log.json")["record"],
        )
        for (task, seed), ref in run.realign.items()
        if not shared or task == first_task
    ]


def stage_record(entry: Entry) -> StageRecord:
    """Return what the stage cost when it was run, which may have been in an earlier evaluation."""
    manifest = entry.manifest
    return StageRecord(
        stage_type=manifest.kind,
        key=manifest.key,
        seconds=manifest.seconds,
        peak_memory_bytes=manifest.peak_memory_bytes,
        flops=manifest.costs.get("flops"),
        batch_parts=None if (parts := manifest.costs.get("batch_parts")) is None else int(parts),
    )


def _first_log(run: Run, store: Store) -> Any:
    """Return the log of a fine-tuning stage; without fine-tuning, of a prediction stage."""
    return _output(store, next(iter([*run.finetune.values(), *run.predict.values()])), "log.json")


def _output(store: Store, ref: StageRef, file: str) -> Any:
    """Read a JSON file of a stage's output."""
    return read_json(store.read(ref.stage_type, ref.key).folder / file)
