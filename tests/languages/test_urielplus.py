"""Distances of URIEL+ against the package's own, properties of angles, and sums over all sets of a small pool."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.languages import distance, find, pool, published_list, select, selection
from xrealign_bench.languages.inventory import inventory
from xrealign_bench.languages.urielplus import urielplus_distance, urielplus_missing_reason
from xrealign_bench.specs import Suite, find_spec, shipped_names

WITHOUT_FEATURES = {"ia", "ie", "io", "lfn", "lzh", "nov", "nqo", "tzl", "vo"}
POOL = ("ar", "de", "fi", "ha", "ja", "ka", "sw", "th", "zh")

# Printed by `new_distance("featural", ...)` of urielplus 1.3.2, with glottocodes, for the completed features.
OWN = {("en", "fr"): 0.4911, ("en", "de"): 0.3902, ("fr", "om"): 0.7009, ("zh", "sw"): 0.6762, ("ja", "kk"): 0.6155}


@pytest.mark.parametrize(("pair", "expected"), OWN.items())
def test_distances_are_the_package_s_own(pair: tuple[str, str], expected: float) -> None:
    assert urielplus_distance(*pair) == urielplus_distance(*pair[::-1]) == expected


def test_the_distances_are_angles() -> None:
    """Symmetric, 0 to itself, and no detour is shorter, but for what rounding to four decimals adds."""
    codes = sorted(set(inventory()) - WITHOUT_FEATURES)
    between = np.array([[urielplus_distance(a, b) for b in codes] for a in codes], np.float64)
    assert (between == between.T).all() and not np.diagonal(between).any()
    assert between.min() == 0 and between.max() < 1
    shortest = np.min([between[:, [i]] + between[[i]] for i in range(len(codes))], axis=0)
    assert (between <= shortest + 1.5e-4 + 1e-9).all()


def test_languages_without_features_are_named() -> None:
    reasons = {code: urielplus_missing_reason(code) for code in inventory()}
    assert {code for code, reason in reasons.items() if reason} == WITHOUT_FEATURES
    assert reasons["vo"] == "URIEL+ has no features of Volapük (vo)"
    assert urielplus_distance("vo", "en") is None and urielplus_distance("vo", "vo") is None
    suites = [find_spec(name, Suite) for name in shipped_names(Suite)]
    codes = {find(code).code for suite in suites for code in (suite.source_language, *suite.target_languages)}
    assert not codes & WITHOUT_FEATURES and not set(pool("lowresource-65")) & WITHOUT_FEATURES
    with pytest.raises(UserError, match="unknown language 'qqq'"):
        urielplus_distance("en", "qqq")


def test_a_selection_has_the_largest_sum_of_these_distances() -> None:
    def total(codes: tuple[str, ...]) -> float:
        return sum(urielplus_distance(a, b) or 0.0 for a, b in combinations(("en", *codes), 2))

    chosen = select("uriel", 4, POOL, distances="uriel+")
    best = max(combinations(POOL, 4), key=total)
    assert chosen.languages == best and chosen.distance_sum == pytest.approx(total(best))
    assert select("uriel", 4, POOL).distance_sum == pytest.approx(
        max(sum(distance(a, b, "featural") or 0.0 for a, b in combinations(("en", *codes), 2))
            for codes in combinations(POOL, 4))
    )  # fmt: skip


def test_languages_that_urielplus_lacks_are_left_out() -> None:
    chosen = select("uriel", 2, ["de", "sw", "vo"], distances="uriel+")
    assert chosen.languages == ("de", "sw")
    assert chosen.left_out == {"vo": "URIEL+ has no features of Volapük (vo)"}
    with pytest.raises(UserError, match=r"^URIEL\+ has no features of Volapük \(vo\), so its distances can't count"):
        select("uriel", 2, ["de", "sw"], source="vo", distances="uriel+")


@pytest.mark.parametrize(("n", "by_urielplus", "by_uriel"), [(5, 3, 1), (10, 6, 4), (20, 17, 14), (40, 36, 34)])
def test_more_of_the_published_choices_are_found_again(
    n: int, by_urielplus: int, by_uriel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures of docs/protocols.md, which swaps alone reach."""
    monkeypatch.setattr(selection, "EXACT_LIMIT", 0)
    published = set(published_list(f"lowresource/most-uriel-en-{n}").languages)
    codes = pool("lowresource-65")
    assert len(published & set(select("uriel", n, codes, distances="uriel+").languages)) == by_urielplus
    assert len(published & set(select("uriel", n, codes).languages)) == by_uriel
