"""Cells of scores, gains and changes, and the same figures as fields of CSV and JSON."""

from __future__ import annotations

from typing import Any

from xrealign_bench.leaderboard.board import Verdicts
from xrealign_bench.leaderboard.formatting import (
    NONE,
    count_with_interval,
    gain_with_interval,
    percent,
    reported_mean,
    signed,
    spread,
)
from xrealign_bench.leaderboard.table import Cell
from xrealign_bench.results.comparison import Gain, LanguageChange, OneStd
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.scoring.aggregate import SeedScores

MARKS = {"helped": " ▲", "harmed": " ▼", "same": "", "untested": ""}


def as_percent(value: float | None) -> float | None:
    """Return a value of the 0..1 scale in percent, with the four decimals that files have."""
    return None if value is None else round(100 * value, 4)


def number_cell(number: float | None, spec: str = ",", unit: str = "") -> Cell:
    """Return a cell with a number.

    Args:
        spec: the number's format.
    """
    return Cell(NONE) if number is None else Cell(f"{number:{spec}}{unit}", round(number, 6))


def score_cell(value: SeedScores | None) -> Cell:
    """Return a score with its standard deviation."""
    return Cell(NONE) if value is None else Cell(spread(value), as_percent(value.mean))


def mean_cell(value: SeedScores | None) -> Cell:
    """Return a score without its standard deviation."""
    return Cell(NONE) if value is None else Cell(percent(value.mean), as_percent(value.mean))


def gain_cell(gain: Gain | None) -> Cell:
    """Return a gain with its interval."""
    return Cell(gain_with_interval(gain), as_percent(gain.mean if gain else None))


def change_cell(change: LanguageChange | None) -> Cell:
    """Return a gain in one language with the marks of both rules."""
    if change is None:
        return Cell(NONE)
    marks = MARKS[change.verdict] + ("" if change.one_std == "same" else " †")
    return Cell(signed(change.gain) + marks, as_percent(change.gain))


def verdicts_cell(verdicts: Verdicts | None) -> Cell:
    """Return the numbers of languages helped and harmed, to be sorted by their difference."""
    if verdicts is None:
        return Cell(NONE)
    return Cell(f"{verdicts.helped} / {verdicts.harmed}", verdicts.helped - verdicts.harmed)


def one_std_cell(counts: OneStd | None) -> Cell:
    """Return the numbers of languages helped and harmed by AlignFreeze's rule, with their intervals."""
    if counts is None:
        return Cell(NONE)
    helped, harmed = counts.helped, counts.harmed
    return Cell(f"{count_with_interval(helped)} / {count_with_interval(harmed)}", helped.count - harmed.count)


def reported_mean_cell(mean: ReportedMean | None) -> Cell:
    """Return a published mean."""
    return Cell(reported_mean(mean), None if mean is None else as_percent(mean.mean))


def score_fields(value: SeedScores) -> dict[str, Any]:
    """Return a score in percent, or the reason why there is none."""
    return {"mean": as_percent(value.mean), "std": as_percent(value.std), "reason": value.reason}


def gain_fields(gain: Gain) -> dict[str, Any]:
    """Return a gain in percentage points with its interval, or the reason why there is none."""
    return {
        "mean": as_percent(gain.mean),
        "low": as_percent(gain.low),
        "high": as_percent(gain.high),
        "languages": gain.languages,
        "reason": gain.reason,
    }
