"""How figures are written: percent with one decimal, gains with their sign, a dash where there is none; and gaps."""

from __future__ import annotations

from xrealign_bench.results.comparison import Gain, LanguageCount
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import SeedScores

NONE = "–"
SEEDS_FOR_STD = 3
"""With fewer seeds a standard deviation is not shown: that of two equal scores is 0 and says nothing."""
LISTED = 3
"""More names than these are counted."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things.

    >>> counted(1, "stage"), counted(0, "entry", "entries")
    ('1 stage', '0 entries')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def gaps(result: Result) -> list[str]:
    """What the suite asks for and a result lacks, as `Result.missing` says it, but with long lists counted."""
    suite = result.suite
    wanted = {"tasks": len(suite.tasks), "languages": len(suite.target_languages), "seeds": len(suite.seeds)}
    told = []
    for lack in result.missing:
        what, _, names = lack.partition(" not evaluated: ")
        count = len(names.split(", "))
        told.append(f"{count} of {wanted[what]} {what} not evaluated" if count > LISTED else lack)
    if len(told) <= LISTED + 1:
        return told
    return [*told[:LISTED], f"and {len(told) - LISTED} more"]


def percent(value: float | None) -> str:
    """A score.

    >>> percent(0.3951), percent(None)
    ('39.5', '–')
    """
    return NONE if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """A change, in percentage points; what rounds to nothing has no sign.

    >>> signed(0.012), signed(-0.012), signed(-0.0001)
    ('+1.2', '-1.2', '0.0')
    """
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text


def spread(value: SeedScores) -> str:
    """A score with its std over seeds, if there are enough of them to know it.

    >>> spread(SeedScores((0.25, 0.5, 0.75))), spread(SeedScores((0.25, 0.75)))
    ('50.0 ±25.0', '50.0')
    """
    if value.std is None or len(value.by_seed) < SEEDS_FOR_STD:
        return percent(value.mean)
    return f"{percent(value.mean)} ±{100 * value.std:.1f}"


def as_reported(mean: ReportedMean | None) -> str:
    """A published mean, with as many decimals as publications give.

    >>> as_reported(ReportedMean(test_set="PoS", languages=None, mean=0.6863, std=0.002, ddof=1))
    '68.63 ±0.20'
    """
    if mean is None:
        return NONE
    return f"{100 * mean.mean:.2f}" + ("" if mean.std is None else f" ±{100 * mean.std:.2f}")


def with_interval(gain: Gain | None) -> str:
    """A gain with its 95 % interval.

    >>> with_interval(Gain(mean=0.05, low=0.04, high=0.06, languages=3))
    '+5.0 [+4.0, +6.0]'
    """
    if gain is None or gain.mean is None:
        return NONE
    if gain.low is None or gain.high is None:
        return signed(gain.mean)
    return f"{signed(gain.mean)} [{signed(gain.low)}, {signed(gain.high)}]"


def rank_set(ranks: tuple[int, int] | None) -> str:
    """The ranks that a row may have.

    >>> rank_set((1, 3)), rank_set((2, 2))
    ('1–3', '2')
    """
    if ranks is None:
        return NONE
    low, high = ranks
    return str(low) if low == high else f"{low}–{high}"


def count_with_interval(count: LanguageCount) -> str:
    """A number of languages with its 95 % interval.

    >>> count_with_interval(LanguageCount(count=17, low=15, high=24))
    '17 [15, 24]'
    >>> count_with_interval(LanguageCount(count=3, low=None, high=None))
    '3'
    """
    return f"{count.count}" if count.low is None else f"{count.count} [{count.low}, {count.high}]"
