"""Text for figures: percent with one decimal, gains with a sign, and a dash if there is no value."""

from __future__ import annotations

from xrealign_bench.results.comparison import Gain, LanguageCount
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import SeedScores

NONE = "–"
SEEDS_FOR_STD = 3
"""Seeds from which on a standard deviation is shown. That of two seeds says next to nothing."""
LISTED = 3
"""Longer lists of names are replaced by their length."""


def pluralise(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    >>> pluralise(1, "stage"), pluralise(0, "entry", "entries")
    ('1 stage', '0 entries')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def describe_gaps(result: Result) -> list[str]:
    """Return what a result lacks of its suite, as in `Result.missing`, with long lists replaced by their length."""
    suite = result.suite
    wanted = {"tasks": len(suite.tasks), "languages": len(suite.target_languages), "seeds": len(suite.seeds)}
    gaps = []
    for gap in result.missing:
        what, _, names = gap.partition(" not evaluated: ")
        count = len(names.split(", "))
        gaps.append(f"{count} of {wanted[what]} {what} not evaluated" if count > LISTED else gap)
    if len(gaps) <= LISTED + 1:
        return gaps
    return [*gaps[:LISTED], f"and {len(gaps) - LISTED} more"]


def percent(value: float | None) -> str:
    """Return a score in percent.

    >>> percent(0.3951), percent(None)
    ('39.5', '–')
    """
    return NONE if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """Return a change in percentage points, without a sign if it rounds to 0.

    >>> signed(0.012), signed(-0.012), signed(-0.0001)
    ('+1.2', '-1.2', '0.0')
    """
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text


def spread(value: SeedScores) -> str:
    """Return a score with its standard deviation, if there are at least `SEEDS_FOR_STD` seeds.

    >>> spread(SeedScores((0.25, 0.5, 0.75))), spread(SeedScores((0.25, 0.75)))
    ('50.0 ±25.0', '50.0')
    """
    if value.std is None or len(value.by_seed) < SEEDS_FOR_STD:
        return percent(value.mean)
    return f"{percent(value.mean)} ±{100 * value.std:.1f}"


def reported_mean(mean: ReportedMean | None) -> str:
    """Return a published mean with two decimals, as publications give it.

    >>> reported_mean(ReportedMean(test_set="PoS", languages=None, mean=0.6863, std=0.002, ddof=1))
    '68.63 ±0.20'
    """
    if mean is None:
        return NONE
    return f"{100 * mean.mean:.2f}" + ("" if mean.std is None else f" ±{100 * mean.std:.2f}")


def gain_with_interval(gain: Gain | None) -> str:
    """Return a gain with its 95 % interval.

    >>> gain_with_interval(Gain(mean=0.05, low=0.04, high=0.06, languages=3))
    '+5.0 [+4.0, +6.0]'
    """
    if gain is None or gain.mean is None:
        return NONE
    if gain.low is None or gain.high is None:
        return signed(gain.mean)
    return f"{signed(gain.mean)} [{signed(gain.low)}, {signed(gain.high)}]"


def rank_set(ranks: tuple[int, int] | None) -> str:
    """Return the range of ranks that a row may have.

    >>> rank_set((1, 3)), rank_set((2, 2))
    ('1–3', '2')
    """
    if ranks is None:
        return NONE
    low, high = ranks
    return str(low) if low == high else f"{low}–{high}"


def count_with_interval(count: LanguageCount) -> str:
    """Return a number of languages with its 95 % interval.

    >>> count_with_interval(LanguageCount(count=17, low=15, high=24))
    '17 [15, 24]'
    >>> count_with_interval(LanguageCount(count=3, low=None, high=None))
    '3'
    """
    return f"{count.count}" if count.low is None else f"{count.count} [{count.low}, {count.high}]"
