"""Two results side by side: check that they can be compared, and pair their counts per example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xrealign_bench.errors import UserError
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import RESULT, read_predictions, read_result
from xrealign_bench.scoring.aggregate import SeedScores, summarise
from xrealign_bench.scoring.example_variance import PairedCounts
from xrealign_bench.specs import Task
from xrealign_bench.tasks.registry import metric_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class System:
    """A result in a comparison, with its folder and its scores by task and language."""

    folder: Path
    result: Result
    languages: dict[str, dict[str, SeedScores]]
    """Task -> language -> score."""

    @staticmethod
    def read(folder: Path) -> System:
        """Read a result.

        Raises:
            UserError: it can't be read, or has means without scores.
        """
        result = read_result(folder)
        if result.reported_means:
            raise UserError(f"{folder}: has reported means only, without scores; compare results that have scores")
        return System(folder, result, {name: task.languages for name, task in summarise(result).tasks.items()})


def check_comparable(ours: System, theirs: System) -> None:
    """Check that two results share suite, checkpoint, seeds, limit, tasks, languages and test data.

    Raises:
        UserError: they differ (every difference is listed).
    """
    result, baseline = ours.result, theirs.result
    compared = {
        "suite digest": (result.suite_digest[:12], baseline.suite_digest[:12]),
        "checkpoint": (_identity(result), _identity(baseline)),
        "seeds": (result.seeds, baseline.seeds),
        "limit": (result.limit, baseline.limit),
        "origin of scores": tuple("computed" if each.reported is None else "reported" for each in (result, baseline)),
        "tasks": (sorted(t.name for t in result.tasks), sorted(t.name for t in baseline.tasks)),
    }
    problems = [f"{what} ({mine} against {other})" for what, (mine, other) in compared.items() if mine != other]
    mine, other = (
        {(r.name, r.language): r.fingerprint for r in each.data if r.used_as == "test"} for each in (result, baseline)
    )
    changed = sorted(
        f"{task} {code}" for task, code in mine.keys() & other.keys() if mine[task, code] != other[task, code]
    )
    codes = [{language.code for language in each.languages} for each in (result, baseline)]
    if alone := sorted(codes[0] ^ codes[1]):
        problems.append(f"languages ({', '.join(alone[:5])}{' and more' if len(alone) > 5 else ''} in only one)")
    if changed:
        problems.append(f"test data ({', '.join(changed)})")
    if problems:
        raise UserError(
            f"{ours.folder} and {theirs.folder}: can't be compared because they differ in {'; '.join(problems)}. "
            "Evaluate both with the same suite, checkpoint, languages, seeds and limit"
        )


def _identity(result: Result) -> str:
    checkpoint = result.checkpoint
    digests = (checkpoint.weights_sha256, checkpoint.config_sha256, checkpoint.tokenizer_sha256)
    return " ".join((checkpoint.id, *(digest[:12] for digest in digests)))


def pair_counts(task: Task, ours: System, theirs: System) -> tuple[dict[str, PairedCounts], dict[str, str]]:
    """Pair both systems' counts on one task by language, seed and example.

    Reported results have no examples: each score counts as one example.

    Returns:
        Language -> counts, and for languages without counts: language -> reason.

    Raises:
        UserError: predictions are missing, were made on different data, or do not give the stored scores.
    """
    return (_pair_reported if ours.result.reported else _pair_computed)(task, ours, theirs)


def _pair_computed(task: Task, ours: System, theirs: System) -> tuple[dict[str, PairedCounts], dict[str, str]]:
    mine, other = _predictions(task, ours), _predictions(task, theirs)
    scoring = metric_of(task)
    for column in ("language", "seed", "example", *scoring.given):
        if not mine[column].equals(other[column]):
            raise UserError(
                f"{ours.folder} and {theirs.folder}: their predictions of {task.name} differ in column "
                f"'{column}', so the test data were different. Evaluate both again"
            )
    per_example_counts = [scoring.per_example_counts(task, table) for table in (mine, other)]
    codes = mine["language"].to_numpy()
    seeds, examples = mine["seed"].to_numpy(), mine["example"].to_numpy()
    counts, missing = {}, {}
    for code in ours.languages[task.name]:
        scores = ours.languages[task.name][code], theirs.languages[task.name][code]
        reason = scores[0].reason or scores[1].reason
        if reason is not None:
            missing[code] = reason
            continue
        at = codes == code
        rows = [np.flatnonzero(at & (seeds == seed)) for seed in ours.result.seeds]
        numbers = examples[rows[0]]
        if len(set(numbers.tolist())) < len(numbers) or not all(np.array_equal(examples[r], numbers) for r in rows):
            raise UserError(
                f"{ours.folder}: the predictions of {task.name} in {code} need one per seed and example. Evaluate again"
            )
        earned, possible = (np.stack([np.stack([c[n][r] for r in rows]) for c in per_example_counts]) for n in (0, 1))
        for system, each, of, score in zip((ours, theirs), earned, possible, scores, strict=True):
            if not of.any() or not np.allclose(each.sum(axis=1) / of.sum(axis=1), score.by_seed, rtol=0, atol=1e-9):
                raise UserError(
                    f"{system.folder}: the predictions of {task.name} in {code} do not give the scores "
                    f"in {RESULT}. Evaluate again"
                )
        counts[code] = PairedCounts(tuple(numbers.tolist()), earned, possible)
    return counts, missing


def _pair_reported(task: Task, ours: System, theirs: System) -> tuple[dict[str, PairedCounts], dict[str, str]]:
    counts, missing = {}, {}
    for code, score in ours.languages[task.name].items():
        other = theirs.languages[task.name][code]
        if (reason := score.reason or other.reason) is not None:
            missing[code] = reason
            continue
        earned = np.array([score.by_seed, other.by_seed])[:, :, None]
        counts[code] = PairedCounts((0,), earned, np.ones_like(earned))
    return counts, missing


def _predictions(task: Task, system: System) -> pa.Table:
    """Read the predictions of one task: one row per language, seed and example, in that order."""
    record = next((record for record in system.result.predictions if record.task == task.name), None)
    if record is None:
        raise UserError(f"{system.folder}: the result has no predictions of {task.name}. Evaluate again")
    table = read_predictions(system.folder, record, task)
    return table.sort_by([(column, "ascending") for column in ("language", "seed", "example")])
