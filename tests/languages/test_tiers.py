"""Tiers and distance bands against hand computation."""

import math

import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.languages.inventory import find
from xrealign_bench.languages.tiers import UNCLASSIFIED, band, tercile_cuts, tier

TIERS = {"high": [4, 5], "medium": [3], "low": [0, 1, 2]}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *[("de", "high"), ("eu", "high"), ("he", "medium"), ("sw", "low"), ("fon", "low"), ("nah", "low")],
        *[(code, UNCLASSIFIED) for code in ("bbj", "nn", "no")],
    ],
)
def test_tiers(code, expected):
    assert tier(find(code), TIERS) == expected


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ({"high": [4, 5], "low": [0, 1, 2]}, r"class 3 \(Hebrew\) is in no tier"),
        ({"high": [3, 4, 5], "medium": [3], "low": [0]}, r"class 3 \(Hebrew\) is in high and medium"),
    ],
)
def test_a_class_outside_or_in_two_tiers_is_refused(tiers, message):
    with pytest.raises(UserError, match=message):
        tier(find("he"), tiers)


@pytest.mark.parametrize(
    ("values", "cuts", "sizes"),
    [
        ([6, 1, 5, 2, 4, 3], (2.5, 4.5), (2, 2, 2)),  # in any order
        ([1, 2, 3, 4], (1.5, 3.5), (1, 2, 1)),  # 4/3 is nearest 1, 8/3 is nearest 3
        ([1, 2, 3, 4, 5], (2.5, 3.5), (2, 1, 2)),  # 5/3 is nearest 2, 10/3 is nearest 3
        ([1, 1, 1, 1, 2, 3], (1.5, 2.5), (4, 1, 1)),  # ties stay together
        ([1, 2, 3, 3, 3, 3], (1.5, 2.5), (1, 1, 4)),  # and leave no band empty
        ([1, 2, 2, 3], (1.5, 2.5), (1, 2, 1)),
        ([1, 1, 2, 2, 3, 3], (1.5, 2.5), (2, 2, 2)),
        ([1, 1, 1, 2, 2, 3, 4, 4, 4], (1.5, 3.5), (3, 3, 3)),
    ],
)
def test_terciles(values, cuts, sizes):
    assert tercile_cuts(values) == cuts
    bands = [band(value, cuts) for value in values]
    assert tuple(map(bands.count, ("close", "middle", "distant"))) == sizes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "not 0"),
        ([1, 2], "not 2"),
        ([1, 1, 2, 2], "not 2"),
        ([1, 2, math.nan], "finite"),
        ([1, 2, math.inf], "finite"),
    ],
)
def test_what_cannot_make_three_bands_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        tercile_cuts(values)


def test_a_value_on_a_cut_is_in_the_nearer_band():
    assert [band(value, (0.2, 0.4)) for value in (0.2, 0.4, 0.41)] == ["close", "middle", "distant"]


def test_bands_refuse_falling_cuts_and_no_distance():
    with pytest.raises(UserError, match=r"must rise, not 0\.4, 0\.2"):
        band(0.3, (0.4, 0.2))
    with pytest.raises(UserError, match="has no band"):
        band(math.nan, (0.2, 0.4))
