"""How figures are written: percent with one decimal, gains with their sign, a dash where there is none."""

from __future__ import annotations

from xrealign_bench.results.schema import Gain
from xrealign_bench.scoring.aggregate import Value

NONE = "–"


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


def spread(value: Value) -> str:
    """A score with its std over seeds; of one seed there is none.

    >>> spread(Value((0.25, 0.75))), spread(Value((0.25,)))
    ('50.0 ±25.0', '25.0')
    """
    if value.std is None or len(value.by_seed) < 2:
        return percent(value.mean)
    return f"{percent(value.mean)} ±{100 * value.std:.1f}"


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
