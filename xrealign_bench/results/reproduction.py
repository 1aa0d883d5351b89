"""Commands that install a result's environment and compute it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.dtypes import PRECISIONS
from xrealign_bench.results.result import Result
from xrealign_bench.specs import HubData, Recipe, Suite, digest, find_spec, shipped_names, shipped_suite_name


def install_command(result: Result) -> str:
    """Return the command that installs the package versions of a result."""
    versions = {"xrealign-bench": result.harness_version} | result.packages
    return shlex.join(["pip", "install", *(f"{name}=={version}" for name, version in sorted(versions.items()))])


def evaluate_command(result: Result) -> str:
    """Return the command that computes a result in its environment.

    The reader adds where local data are (see `reproduction_notes`).
    """
    checkpoint, settings = result.checkpoint, result.known_compute_settings
    torchrun = ["torchrun", "--nproc-per-node", str(settings.processes), "-m", "xrealign_bench"]
    words = torchrun if settings.processes > 1 else ["xrealign-bench"]
    suite = shipped_suite_name(result.suite) or result.suite.name
    words += ["evaluate", "--suite", suite, "--recipe", result.recipe.name]
    words += ["--development"] if result.suite.is_development else []
    words += ["--checkpoint", checkpoint.id]
    words += ["--revision", checkpoint.revision] if checkpoint.revision else []
    words += _selection(result)
    words += ["--device", settings.device]
    for short, name in PRECISIONS.items():
        words += ["--precision", short] if name == settings.dtype != "float32" else []
    words += ["--quantise", settings.quantised] if settings.quantised else []
    words += ["--gradient-checkpointing"] if settings.gradient_checkpointing else []
    return f"OMP_NUM_THREADS={settings.threads} {shlex.join(words)}"


def _selection(result: Result) -> list[str]:
    """Return the options for tasks, languages, seeds and limit that differ from the suite's."""
    tested = {score.task for score in result.scores}
    tasks = [task.name for task in result.tasks if task.name in tested]
    targets = [language.code for language in result.languages]
    words = []
    if len(tasks) < len(result.suite.tasks):
        words += _repeat_option("--task", tasks)
    if len(targets) < len(result.suite.target_languages):
        words += _repeat_option("--language", targets)
    if result.seeds != result.suite.seeds:
        words += _repeat_option("--seed", result.seeds)
    return [*words, "--limit", str(result.limit)] if result.limit else words


def _repeat_option(option: str, values: Iterable[object]) -> list[str]:
    return [word for value in values for word in (option, str(value))]


def reproduction_notes(result: Result) -> list[str]:
    """Return what a reader must know besides the command: local files, and specs that differ from the shipped ones."""
    checkpoint, recipe = result.checkpoint, result.recipe
    notes = []
    if result.suite.name not in shipped_names(Suite):
        notes.append(
            f"suite {result.suite.id}: not shipped with this installation; name its YAML file with --suite, and the "
            "folder of its data with --data-root"
        )
    elif shipped_suite_name(result.suite) is None:
        shipped_suite = find_spec(result.suite.name, Suite)
        notes.append(
            f"suite {result.suite.id}: this installation has {shipped_suite.id}; save the 'suite' of result.json as a "
            "YAML file and name it with --suite"
        )
    hub_tasks = {task.name for task in result.tasks if isinstance(task.source, HubData)}
    if any(record.name in hub_tasks and record.revision is None for record in result.data):
        notes.append("data: read from a local copy of unknown Hub revision; name its folder with --data-root")
    if checkpoint.revision is None and checkpoint.id != EMBEDDED:
        notes.append(f"checkpoint {checkpoint.id}: a folder with weights of sha256 {checkpoint.weights_sha256}")
    shipped = find_spec(recipe.name, Recipe) if recipe.name in shipped_names(Recipe) else None
    if shipped is None or digest(shipped) != result.recipe_digest:
        notes.append(
            f"recipe {recipe.name}: not shipped with this installation; save the 'recipe' of result.json as "
            f"{recipe.name}.yaml and name that file with --recipe"
        )
    return notes


def format_costs(result: Result) -> str:
    """Return the recorded time, memory and floating-point operations of a result's stages, as one line."""
    minutes = sum(stage.seconds for stage in result.stages) / 60
    parts = [f"{minutes:,.1f} minutes"]
    if memory := [stage.peak_memory_bytes for stage in result.stages if stage.peak_memory_bytes is not None]:
        parts.append(f"at most {max(memory) / 2**30:.2f} GiB of memory")
    if result.total_flops is not None:
        parts.append(f"about {result.total_flops:.2g} floating-point operations")
    return f"its {len(result.stages):,} stages took {', '.join(parts)}"
