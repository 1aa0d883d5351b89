"""AlignFreeze's rule for languages that change by more than one standard deviation, with an interval for its counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from xrealign_bench.results.comparison import LanguageChange, LanguageCount, OneStd
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.bootstrap import Resampled, count_interval
from xrealign_bench.scoring.example_variance import Floats
from xrealign_bench.specs import Task

ONE_STD: Mapping[int, Literal["helped", "harmed", "same"]] = {1: "helped", -1: "harmed", 0: "same"}
"""Sign of `improved_by_one_std` -> verdict."""


def improved_by_one_std(means: ArrayLike, baseline_means: ArrayLike, baseline_stds: ArrayLike) -> Floats:
    """Apply AlignFreeze's rule: rounded means differ by more than the baseline's rounded std.

    A language is helped if round(100 mean, 1) > round(100 baseline mean, 1) + round(100 baseline std, 1), and harmed if
    the same holds in the other direction. The rule is fragile: one seed more or less changes its counts by several
    languages.

    Args:
        means, baseline_means: on the 0..1 scale, one per language (or of any other shape).
        baseline_stds: over seeds, ddof 0, on the same scale.

    Returns:
        1 if helped, -1 if harmed, else 0; NaN if an input is NaN.

    >>> improved_by_one_std([0.812, 0.811, 0.806], [0.809] * 3, [0.002] * 3).tolist()
    [1.0, 0.0, -1.0]
    """
    # In whole tenths of a percent: as floats, 80.9 + 0.2 is not 81.1.
    mean, baseline, std = (
        np.round(10 * np.round(100 * np.asarray(each), 1)) for each in (means, baseline_means, baseline_stds)
    )
    change = mean - baseline
    return np.where(np.isnan(change + std), np.nan, np.sign(change) * (abs(change) > std))


def has_std(task: Task, result: Result) -> bool:
    """Return whether the baseline has a standard deviation, which the rule needs."""
    return task.finetunes and len(result.seeds) > 1


def signs_of(languages: Iterable[Resampled]) -> Floats:
    """Apply the rule to the measurement and every resample. Returns signs, (languages, 1 + resamples)."""
    return np.array([improved_by_one_std(each.ours, each.theirs, each.their_std) for each in languages])


def count_one_std(tasks: Sequence[tuple[Sequence[LanguageChange], Floats]]) -> OneStd | None:
    """Count the languages of all tasks that are helped and harmed, from their changes and resampled signs."""
    if not tasks:
        return None
    verdicts = [change.one_std for changes, _ in tasks for change in changes]
    signs = np.concatenate([of_task for _, of_task in tasks])
    unknown = np.isnan(signs).any(axis=0)

    def count(sign: int) -> LanguageCount:
        drawn = np.where(unknown, np.nan, (signs == sign).sum(axis=0))
        low, high = count_interval(drawn)
        return LanguageCount(count=verdicts.count(ONE_STD[sign]), low=low, high=high)

    return OneStd(helped=count(1), harmed=count(-1))
