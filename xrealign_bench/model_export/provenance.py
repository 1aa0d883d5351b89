"""The file `realignment.json` of an export: everything that the model was made from."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from pathlib import Path
from typing import Any

from xrealign_bench import __version__
from xrealign_bench.files import sha256_file
from xrealign_bench.model_export.models import Saved, loader
from xrealign_bench.model_export.request import TASK, ExportOptions, Target
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.store import Entry, Store
from xrealign_bench.results.result import digest_suite
from xrealign_bench.specs import digest
from xrealign_bench.specs.plugin import PluginRecord, plugin_records
from xrealign_bench.specs.plugins_named import names_in_corpora, names_in_recipe, names_in_task

PROVENANCE = "realignment.json"
_PACKAGES = ("peft", "safetensors", "tokenizers", "torch", "transformers")


def describe_export(
    plan: Plan, store: Store, target: Target, options: ExportOptions, folder: Path, saved: Saved
) -> dict[str, Any]:
    """Return the content of `realignment.json` for the files of a folder, as plain JSON.

    Args:
        plan: the plan with the exported stage.
        store: where its stages are stored.
        target: what was exported.
        options: options of the export.
        folder: the exported files.
        saved: what is known of the saved model.
    """
    request, recipe = plan.request, target.run.recipe
    checkpoint, loaded = request.checkpoint, request.loaded
    needed = sorted(plan.ancestors([target.ref]))
    entries = [store.read(ref.stage_type, ref.key) for ref in needed]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = {*request.suite.parallel.corpora, recipe.parallel.corpus} if recipe.realigns else set()
    names = ("id", "revision", "model_type", "architecture", "config_sha256", "weights_sha256", "tokenizer_sha256")
    return {
        "schema_version": 1,
        "harness_version": __version__,
        "created": max(entry.manifest.created for entry in entries).isoformat(),
        "form": target.form,
        "auto_class": loader(target, checkpoint).auto_class,
        "dtype": options.dtype or "float32",
        "merged": options.merge,
        "largest_difference": saved.difference,
        "seed": target.seed,
        "checkpoint": {name: getattr(checkpoint, name) for name in names},
        "suite": request.suite.model_dump(mode="json"),
        "suite_digest": digest_suite(loaded.suite, loaded.tasks, loaded.corpora),
        "task": None if target.task is None else target.task.model_dump(mode="json"),
        "corpora": [corpus.model_dump(mode="json") for name, corpus in sorted(loaded.corpora.items()) if name in named],
        "recipe": recipe.model_dump(mode="json"),
        "recipe_digest": digest(recipe),
        "limit": request.limit,
        "compute_settings": request.compute_settings.model_dump(mode="json"),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "realignment": _realignment(entries),
        "data": [record for entry in entries for record in _read(entry, "data.json") or []],
        "plugins": [plugin.model_dump(mode="json") for plugin in _plugins(plan, target, named)],
        "stages": [
            {"stage_type": entry.manifest.kind, "key": entry.manifest.key, "seconds": entry.manifest.seconds}
            for entry in entries
        ],
        "files": {path.relative_to(folder).as_posix(): sha256_file(path) for path in files},
    }


def _plugins(plan: Plan, target: Target, corpora: Collection[str | None]) -> list[PluginRecord]:
    """Return the plugins that the model was made with."""
    recipe, request = target.run.recipe, plan.request
    read = (corpus for name, corpus in request.loaded.corpora.items() if name in corpora)
    names = [*names_in_recipe(recipe, request.suite), *names_in_corpora(read)]
    if target.form == TASK and target.task is not None:
        names += names_in_task(target.task)
    return plugin_records(names)


def _realignment(entries: list[Entry]) -> Any:
    """Return the record of the realignment, from the stage that realigned: a realignment, or a joint fine-tuning."""
    logs = [_read(entry, "log.json") for entry in entries]
    return next((log["record"] for log in logs if log and "record" in log), None)


def _read(entry: Entry, name: str) -> Any:
    path = entry.folder / name
    return read_json(path) if path.is_file() else None
