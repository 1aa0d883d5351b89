"""Where the results of a plan are stored, and whether they can be written there."""

from __future__ import annotations

import os
from pathlib import Path

from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.pipeline.plan import Plan, Request
from xrealign_bench.results.result import digest_suite
from xrealign_bench.results.storage import find_results, read_comparison, read_result
from xrealign_bench.specs import Recipe, digest

LONGEST_LIST = 30
"""Characters of a folder's name that may list tasks, languages or seeds; longer lists are counted instead."""


def result_folder(plan: Plan, recipe: Recipe) -> Path:
    """Return a result's folder below the results' root; a part of the suite has one of its own."""
    checkpoint = plan.request.checkpoint
    place = checkpoint.id.replace("/", "--")
    if checkpoint.revision is None and checkpoint.id != EMBEDDED:  # other folders may have the same name
        place += f"-{checkpoint.weights_sha256[:8]}"
    return Path(plan.request.suite.id, place, recipe.name + part_of_suite(plan.request))


def part_of_suite(request: Request) -> str:
    """Return the suffix for the part of the suite that is evaluated, and its precision if that is not fp32.

    For example `--de-sw--limit64` or `--bf16`; empty for the whole suite. Different parts have different suffixes: a
    long list is named by its length and a digest.
    """
    suite = request.suite
    parts = []
    if len(request.tasks) != len(suite.tasks):
        parts.append(_listed("task-", "_", [task.name for task in request.tasks], "tasks"))  # names may have hyphens
    if request.languages != suite.target_languages:
        parts.append(_listed("", "-", request.languages, "languages"))
    if request.seeds != suite.seeds:
        parts.append(_listed("seed", "-", [str(seed) for seed in request.seeds], "seeds"))
    if request.limit is not None:
        parts.append(f"limit{request.limit}")
    return "".join(f"--{part}" for part in parts) + request.compute_settings.suffix


def _listed(prefix: str, separator: str, names: list[str], what: str) -> str:
    listed = prefix + separator.join(names)
    return listed if len(listed) <= LONGEST_LIST else f"{len(names)}-{what}-{digest(names)[:8]}"


def check_output(plan: Plan, output: Path) -> None:
    """Check before anything is computed that results can be written, beside those that are there.

    Raises:
        UserError: the folder can't be written to, or holds results of another suite of the same name and version.
    """
    root = output / "results"
    _check_writable(root)
    _check_other_results(root, [root / result_folder(plan, run.recipe) for run in plan.runs], plan.request)


def _check_writable(folder: Path) -> None:
    probe = folder / f".{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"the output folder {folder} can't be written to ({error.strerror}); choose another with --output"
        ) from None


def _check_other_results(root: Path, own: list[Path], request: Request) -> None:
    """Refuse results that can't be read, or belong to another suite with this one's name and version."""
    loaded = request.loaded
    suite, digest_here = loaded.suite, digest_suite(loaded.suite, loaded.tasks, loaded.corpora)
    for folder in find_results(root):
        if folder in own:
            continue
        other, _ = read_result(folder), read_comparison(folder)
        if other.reported is None and other.suite.id == suite.id and other.suite_digest != digest_here:
            raise UserError(
                f"{folder}: is a result of another suite called {suite.id}; raise the version of the "
                "suite that was changed, or choose another --output"
            )
