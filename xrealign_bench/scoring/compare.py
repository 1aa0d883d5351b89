"""A result against its baseline: gains with intervals, and which languages were helped or harmed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from xrealign_bench.errors import UserError
from xrealign_bench.results.files import RESULT, read_predictions, read_result
from xrealign_bench.results.schema import (
    Comparison,
    Count,
    Gain,
    LanguageChange,
    OneStd,
    Result,
    TaskComparison,
    digest_evidence,
)
from xrealign_bench.scoring.aggregate import SHOWN_REASONS, TIERS, Value, groups_of, summarise
from xrealign_bench.scoring.bootstrap import (
    LEVEL,
    Counts,
    Floats,
    Resampled,
    holm,
    interval,
    least_resamples,
    p_value,
    resample,
    seed_shares,
)
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import SCORING

if TYPE_CHECKING:
    import pyarrow as pa

Verdict = Literal["helped", "harmed", "same"]
VERDICTS: Mapping[int, Verdict] = {1: "helped", -1: "harmed", 0: "same"}


def compare(result_folder: Path, baseline_folder: Path, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two results from their stored predictions, by the paired bootstrap of `scoring.bootstrap`.

    Reported results have none: then seeds alone are resampled.

    Args: result_folder: of the recipe in question. baseline_folder: of the same checkpoint, suite, seeds and
        limit, fine-tuned only. resamples: of the bootstrap. A p-value can't be smaller than 2 / (resamples +
        1), and Holm's correction multiplies the smallest by the number of languages: 47 of them need at least
        1,880. seed: of the bootstrap's random generator; the same seed gives the same comparison.

    Raises: UserError: the two can't be compared (another suite, checkpoint, limit, seeds or test data; no scores), the
        predictions are not those that the scores were computed from, or the resamples are too few for any
        language to pass.
    """
    systems = _System.read(result_folder), _System.read(baseline_folder)
    _check_comparable(*systems)
    result = systems[0].result
    rng = np.random.default_rng(seed)
    # The same seeds for all tasks: where one realignment serves several, its luck is theirs together.
    shares = seed_shares(len(result.seeds), resamples, rng)
    comparisons, tracks, judged = [], [], []
    for task in sorted(result.tasks, key=lambda task: result.suite.tasks.index(task.name)):
        counts, missing = (_count_reported if result.reported else _count)(task, *systems)
        targets = [code for code in counts if code != result.suite.source_language]
        if resamples < least_resamples(len(targets)):
            raise UserError(
                f"{resamples} resamples are too few to test {len(targets)} languages together; "
                f"use at least {least_resamples(len(targets))}"
            )
        resampled = resample(counts, shares, rng)
        gains = {code: each.gains for code, each in resampled.items()}
        grouped = _group(groups_of(result, task), gains, missing)
        tracks.append(grouped)
        changes = _changes(task, {code: gains[code] for code in targets}, *systems)
        with_std = _has_std(task, result) and bool(targets)
        by_one_std = [(changes, _signs(resampled[code] for code in targets))] if with_std else []
        judged += by_one_std
        comparisons.append(
            TaskComparison(
                task=task.name,
                metric=task.metric,
                gains={name: track.gain() for name, track in grouped.items()},
                languages=changes,
                one_std=_counted(by_one_std),
                not_compared=missing,
            )
        )
    return Comparison(
        result_digest=digest_evidence(result),
        baseline_digest=digest_evidence(systems[1].result),
        baseline=Path(os.path.relpath(baseline_folder.resolve(), result_folder.resolve())).as_posix(),
        resamples=resamples,
        seed=seed,
        gains={name: track.gain() for name, track in _over_tasks(result, tracks).items()},
        one_std=_counted(judged),
        tasks=comparisons,
    )


def improved_by_one_std(means: ArrayLike, baseline_means: ArrayLike, baseline_stds: ArrayLike) -> Floats:
    """AlignFreeze's rule: do rounded means differ by more than the baseline's rounded std?

    A language is helped if round(100 mean, 1) > round(100 baseline mean, 1) + round(100 baseline std, 1), and
    harmed in the mirror image. The rule is fragile: a seed more or less moves its counts by several
    languages.

    Args:
        means, baseline_means: on the 0..1 scale, one a language (or of any other shape).
        baseline_stds: over seeds, ddof 0, on the same scale.

    Returns:
        1 where it is helped, -1 where it is harmed, else 0; NaN where a figure is.

    >>> improved_by_one_std([0.812, 0.811, 0.806], [0.809] * 3, [0.002] * 3).tolist()
    [1.0, 0.0, -1.0]
    """
    # In whole tenths of a percent: as floats, 80.9 + 0.2 is not 81.1.
    mean, baseline, std = (
        np.round(10 * np.round(100 * np.asarray(each), 1)) for each in (means, baseline_means, baseline_stds)
    )
    change = mean - baseline
    return np.where(np.isnan(change + std), np.nan, np.sign(change) * (abs(change) > std))


@dataclass(frozen=True)
class _System:
    folder: Path
    result: Result
    languages: dict[str, dict[str, Value]]
    """Task -> language -> score."""

    @staticmethod
    def read(folder: Path) -> _System:
        result = read_result(folder)
        if result.reported_means:
            raise UserError(f"{folder}: means alone are reported, without their scores; they are compared with nothing")
        return _System(folder, result, {name: task.languages for name, task in summarise(result).tasks.items()})


@dataclass(frozen=True)
class _Track:
    """A mean gain with its resamples (the first is the measurement), or the reason why there is none."""

    gains: Floats | None
    languages: int
    reason: str | None = None

    def gain(self) -> Gain:
        if self.gains is None:
            return Gain(mean=None, low=None, high=None, languages=self.languages, reason=self.reason)
        low, high = interval(self.gains)
        return Gain(mean=float(self.gains[0]), low=low, high=high, languages=self.languages)


def _check_comparable(ours: _System, theirs: _System) -> None:
    result, baseline = ours.result, theirs.result
    compared = {
        "suite digest": (result.suite_digest[:12], baseline.suite_digest[:12]),
        "checkpoint": (_identity(result), _identity(baseline)),
        "seeds": (result.seeds, baseline.seeds),
        "limit": (result.limit, baseline.limit),
        "what they are": tuple("computed" if each.reported is None else "reported" for each in (result, baseline)),
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
        problems.append(f"languages ({', '.join(alone[:5])}{' and more' if len(alone) > 5 else ''} in one alone)")
    if changed:
        problems.append(f"test data ({', '.join(changed)})")
    if problems:
        raise UserError(
            f"{ours.folder} and {theirs.folder} can't be compared, they differ in: {'; '.join(problems)}. "
            "Evaluate both with the same suite, checkpoint, languages, seeds and limit"
        )


def _identity(result: Result) -> str:
    checkpoint = result.checkpoint
    digests = (checkpoint.weights_sha256, checkpoint.config_sha256, checkpoint.tokenizer_sha256)
    return " ".join((checkpoint.id, *(digest[:12] for digest in digests)))


def _count(task: Task, ours: _System, theirs: _System) -> tuple[dict[str, Counts], dict[str, str]]:
    """Match the predictions of both systems by language, seed and example, and what each earned.

    Returns:
        Counts by language, and for the languages without, the reason.
    """
    mine, other = _predictions(task, ours), _predictions(task, theirs)
    scoring = SCORING[task.kind]
    for column in ("language", "seed", "example", *scoring.given):
        if not mine[column].equals(other[column]):
            raise UserError(
                f"{ours.folder} and {theirs.folder}: their predictions of {task.name} differ in column "
                f"'{column}', so they were not made on the same test data; evaluate both again"
            )
    credits = [scoring.credits(task, table) for table in (mine, other)]
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
            raise UserError(f"{ours.folder}: {task.name} in {code} has not one prediction for each seed and example")
        earned, possible = (np.stack([np.stack([c[n][r] for r in rows]) for c in credits]) for n in (0, 1))
        for system, each, of, score in zip((ours, theirs), earned, possible, scores, strict=True):
            if not of.any() or not np.allclose(each.sum(axis=1) / of.sum(axis=1), score.by_seed, rtol=0, atol=1e-9):
                raise UserError(
                    f"{system.folder}: the predictions of {task.name} in {code} do not give the scores "
                    f"in {RESULT}; rescore or evaluate again"
                )
        counts[code] = Counts(tuple(numbers.tolist()), earned, possible)
    return counts, missing


def _count_reported(task: Task, ours: _System, theirs: _System) -> tuple[dict[str, Counts], dict[str, str]]:
    """Scores alone: as if each were of one example, the bootstrap draws seeds and no examples."""
    counts, missing = {}, {}
    for code, score in ours.languages[task.name].items():
        other = theirs.languages[task.name][code]
        if (reason := score.reason or other.reason) is not None:
            missing[code] = reason
            continue
        earned = np.array([score.by_seed, other.by_seed])[:, :, None]
        counts[code] = Counts((0,), earned, np.ones_like(earned))
    return counts, missing


def _predictions(task: Task, system: _System) -> pa.Table:
    """One row a language, seed and example, in that order."""
    record = next((record for record in system.result.predictions if record.task == task.name), None)
    if record is None:
        raise UserError(f"{system.folder}: the result names no predictions of {task.name}; evaluate again")
    table = read_predictions(system.folder, record)
    return table.sort_by([(column, "ascending") for column in ("language", "seed", "example")])


def _group(
    groups: Mapping[str, Sequence[str]], gains: Mapping[str, Floats], missing: Mapping[str, str]
) -> dict[str, _Track]:
    """The mean gain of every group that has languages, and first `xr`, the mean of the tiers."""
    tracks = {}
    for name, codes in groups.items():
        reasons = [missing[code] for code in codes if code in missing]
        if reasons:
            tracks[name] = _Track(None, len(codes), "; ".join(reasons[:SHOWN_REASONS]))
        elif codes:
            tracks[name] = _Track(np.mean([gains[code] for code in codes], axis=0), len(codes))
    return {"xr": _mean([tracks[tier] for tier in TIERS if tier in tracks]), **tracks}


def _over_tasks(result: Result, tasks: Sequence[Mapping[str, _Track]]) -> dict[str, _Track]:
    """Of each group the mean over the suite's tasks that have it; null where a task was not evaluated."""
    done = {task.name for task in result.tasks}
    gone = [_Track(None, 0, f"task {name} was not evaluated") for name in result.suite.tasks if name not in done]
    names = dict.fromkeys(name for task in tasks for name in task)
    return {name: _mean([*(task[name] for task in tasks if name in task), *gone]) for name in names}


def _mean(tracks: Sequence[_Track]) -> _Track:
    if not tracks:
        return _Track(None, 0, "no target language has a tier")
    languages = sum(track.languages for track in tracks)
    gains = [track.gains for track in tracks if track.gains is not None]
    if len(gains) < len(tracks):
        return _Track(None, languages, "; ".join(track.reason for track in tracks if track.reason))
    return _Track(np.mean(gains, axis=0), languages)


def _has_std(task: Task, result: Result) -> bool:
    """Whether the baseline has a standard deviation that AlignFreeze's rule could go by."""
    return task.finetunes and len(result.seeds) > 1


def _signs(languages: Iterable[Resampled]) -> Floats:
    """AlignFreeze's rule in every resample, the measurement first: (languages, 1 + resamples)."""
    return np.array([improved_by_one_std(each.ours, each.theirs, each.their_std) for each in languages])


def _counted(tasks: Sequence[tuple[Sequence[LanguageChange], Floats]]) -> OneStd | None:
    """The languages that are helped and harmed by AlignFreeze's rule in all tasks, from their changes and signs."""
    if not tasks:
        return None
    verdicts = [change.one_std for changes, _ in tasks for change in changes]
    signs = np.concatenate([of_task for _, of_task in tasks])
    unknown = np.isnan(signs).any(axis=0)

    def count(sign: int) -> Count:
        drawn = np.where(unknown, np.nan, (signs == sign).sum(axis=0))
        low, high = (None if end is None else round(end) for end in interval(drawn, "inverted_cdf"))
        return Count(count=verdicts.count(VERDICTS[sign]), low=low, high=high)

    return OneStd(helped=count(1), harmed=count(-1))


def _changes(task: Task, gains: Mapping[str, Floats], ours: _System, theirs: _System) -> list[LanguageChange]:
    scores = {code: (ours.languages[task.name][code], theirs.languages[task.name][code]) for code in gains}
    numbers = {
        code: tuple(float(n) for n in (np.mean(s.by_seed), np.std(s.by_seed), np.mean(b.by_seed), np.std(b.by_seed)))
        for code, (s, b) in scores.items()
    }
    raw = {code: p_value(each) for code, each in gains.items()}
    tested = [code for code, p in raw.items() if p is not None]
    corrected = dict(zip(tested, holm([p for p in raw.values() if p is not None]), strict=True))
    signs = improved_by_one_std(*([numbers[code][n] for code in gains] for n in (0, 2, 3)))
    one_std = [VERDICTS[int(sign)] if _has_std(task, ours.result) else "same" for sign in signs]
    changes = []
    for code, by_one_std in zip(gains, one_std, strict=True):
        score, std, baseline, baseline_std = numbers[code]
        gain, p = float(gains[code][0]), corrected.get(code)
        low, high = interval(gains[code])
        verdict: Verdict = "same" if p is None or p >= LEVEL else "helped" if gain > 0 else "harmed"
        changes.append(
            LanguageChange(
                task=task.name,
                language=code,
                score=score,
                std=std,
                baseline=baseline,
                baseline_std=baseline_std,
                gain=gain,
                low=low,
                high=high,
                p_value=p,
                verdict=verdict,
                one_std=by_one_std,
            )
        )
    return changes
