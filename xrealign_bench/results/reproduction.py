"""The environment and the command that give a result."""

from __future__ import annotations

import shlex

from xrealign_bench.models.checkpoint import EMBEDDED
from xrealign_bench.models.device import PRECISIONS
from xrealign_bench.results.result import Result
from xrealign_bench.specs import HubData, Recipe, Suite, digest, find_spec, shipped_names


def install_command(result: Result) -> str:
    """The command that installs what a result was computed with."""
    versions = {"xrealign-bench": result.harness_version} | result.packages
    return shlex.join(["pip", "install", *(f"{name}=={version}" for name, version in sorted(versions.items()))])


def evaluate_command(result: Result) -> str:
    """The command that computes a result, in its environment; where its checkpoint and data lie is the reader's."""
    checkpoint, settings = result.checkpoint, result.computed_with
    tested = {(score.task, score.language) for score in result.scores}
    targets = [language.code for language in result.languages]
    tasks = [task.name for task in result.tasks if task.name in {name for name, _ in tested}]
    torchrun = ["torchrun", "--nproc-per-node", str(settings.processes), "-m", "xrealign_bench"]
    words = torchrun if settings.processes > 1 else ["xrealign-bench"]
    words += ["evaluate", "--suite", result.suite.name, "--recipe", result.recipe.name]
    words += ["--checkpoint", checkpoint.id]
    words += ["--revision", checkpoint.revision] if checkpoint.revision else []
    if len(tasks) < len(result.suite.tasks):
        words += [part for name in tasks for part in ("--task", name)]
    if len(targets) < len(result.suite.target_languages):
        words += [part for code in targets for part in ("--language", code)]
    if result.seeds != result.suite.seeds:
        words += [part for seed in result.seeds for part in ("--seed", str(seed))]
    words += ["--limit", str(result.limit)] if result.limit else []
    words += ["--device", settings.device]
    words += [part for short, name in PRECISIONS.items() if name == settings.dtype != "float32" for part in (
        "--precision", short)]  # fmt: skip
    words += ["--quantise", settings.quantised] if settings.quantised else []
    words += ["--gradient-checkpointing"] if settings.gradient_checkpointing else []
    return f"OMP_NUM_THREADS={settings.threads} {shlex.join(words)}"


def reproduction_notes(result: Result) -> list[str]:
    """What the command alone does not say: which checkpoint is meant, and what differs from what is shipped here."""
    checkpoint, recipe = result.checkpoint, result.recipe
    said = []
    shipped_suite = find_spec(result.suite.name, Suite) if result.suite.name in shipped_names(Suite) else None
    if shipped_suite is not None and shipped_suite.id != result.suite.id:
        said.append(
            f"suite {result.suite.id}: the one shipped here is {shipped_suite.id}; write the 'suite' of "
            "result.json into a file and name that with --suite"
        )
    of_the_hub = {task.name for task in result.tasks if isinstance(task.source, HubData)}
    if any(record.name in of_the_hub and record.revision is None for record in result.data):
        said.append("data: from a local copy where no revision of the Hub is told; name its folder with --data-root")
    if checkpoint.revision is None and checkpoint.id != EMBEDDED:
        said.append(f"checkpoint {checkpoint.id}: the folder with weights of sha256 {checkpoint.weights_sha256}")
    shipped = find_spec(recipe.name, Recipe) if recipe.name in shipped_names(Recipe) else None
    if shipped is None or digest(shipped) != result.recipe_digest:
        said.append(
            f"recipe {recipe.name}: not the one shipped here under that name; write the 'recipe' of result.json into a "
            f"file {recipe.name}.yaml and name that"
        )
    return said
