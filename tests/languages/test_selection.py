"""Selections against brute force over all sets, hand-made distances and the lists in the studies."""

from __future__ import annotations

import hashlib
import random
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.languages import distance, find, narrow, pool, published_list, published_lists, select, selection
from xrealign_bench.languages.inventory import inventory

SUBSETS = Path(__file__).parents[3] / "shared" / "reference" / "lowresource_subsets.md"

# Drawn from the inventory with Python's own generator; two with few families and scripts, one with many.
POOLS = {
    "mixed": tuple(random.Random(1).sample(sorted(inventory()), 12)),
    "other": tuple(random.Random(2).sample(sorted(inventory()), 13)),
    "near": ("de", "nl", "sv", "da", "no", "fr", "es", "it", "pt", "ro", "ru", "uk"),
    "alike": ("ar", "arz", "ary", "acm", "acq", "apc", "aeb", "ars", "he", "de", "th", "lo"),
}


@cache
def between(a, b):
    return round(distance(a, b, "featural") * 1e6)


def total(codes):
    """The sum of the distances of all pairs, in millionths."""
    return sum(between(a, b) for a, b in combinations(codes, 2))


@cache
def group(code, method):
    return {"family": find(code).family, "script": find(code).script}.get(method, "one")


def value(codes, method, anchor):
    """What is to be as large as possible: first the number of groups, then the sum."""
    together = [*codes, *anchor]
    return len({group(code, method) for code in together}), total(together)


def by_brute_force(method, n, codes, anchor):
    return max(value(chosen, method, anchor) for chosen in combinations(codes, n))


@pytest.mark.parametrize("anchor_source", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("method", ["uriel", "family", "script"])
@pytest.mark.parametrize("codes", POOLS.values(), ids=POOLS.keys())
def test_no_set_is_better(codes, method, n, anchor_source):
    chosen = select(method, n, codes, source="en", anchor_source=anchor_source)
    anchor = ["en"] if anchor_source else []
    assert len(set(chosen.languages)) == n and set(chosen.languages) <= set(codes)
    assert chosen.found == "exact"
    assert value(chosen.languages, method, anchor) == by_brute_force(method, n, codes, anchor)


@pytest.mark.parametrize("n", [4, 6])
@pytest.mark.parametrize("method", ["uriel", "family", "script"])
@pytest.mark.parametrize("codes", POOLS.values(), ids=POOLS.keys())
def test_swaps_alone_find_sets_that_no_swap_betters(codes, method, n, monkeypatch):
    """Without the exact search: never better than the best, and no language for another betters it."""
    monkeypatch.setattr(selection, "EXACT_LIMIT", 0)
    chosen = select(method, n, codes)
    assert chosen.found == "exchange"
    reached = value(chosen.languages, method, ["en"])
    assert reached <= by_brute_force(method, n, codes, ["en"])
    for out in chosen.languages:
        for into in set(codes) - set(chosen.languages):
            swapped = [code for code in chosen.languages if code != out] + [into]
            assert value(swapped, method, ["en"]) <= reached


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("method", ["uriel", "family", "script"])
def test_swaps_reach_the_best_sum_in_a_pool_of_34(method, n, monkeypatch):
    exact = select(method, n, pool("alignfreeze-34"))
    monkeypatch.setattr(selection, "EXACT_LIMIT", 0)
    swapped = select(method, n, pool("alignfreeze-34"))
    assert (exact.found, swapped.found) == ("exact", "exchange")
    assert swapped.languages == exact.languages and swapped.distance_sum == exact.distance_sum


def worth(chosen, sums, to_anchor, groups, taken):
    """The value of a set by its definition."""
    new = {groups[i] for i in chosen if not taken[groups[i]]}
    return 2**40 * len(new) + sum(to_anchor[i] for i in chosen) + sum(sums[i][j] for i, j in combinations(chosen, 2))


def random_problem(seed, largest):
    """Eleven languages in four groups, the first of which is taken; few different distances make many equal sums."""
    draw = np.random.default_rng(seed)
    sums = np.triu(draw.integers(0, largest, (11, 11)), 1)
    sums = sums + sums.T
    return sums, draw.integers(0, largest, 11), draw.integers(0, 4, 11), np.array([True, False, False, False])


@pytest.mark.parametrize("largest", [2, 4, 10**6])
@pytest.mark.parametrize("n", [1, 2, 4, 7, 11])
def test_the_first_of_the_best_sets_is_found_whatever_the_distances(n, largest):
    for seed in range(6):
        given = random_problem(seed, largest)
        best, found = selection._Problem(*given, n).best_set()
        first = max(combinations(range(11), n), key=lambda chosen: worth(chosen, *given))  # max keeps the first
        assert found == "exact" and best == first


@pytest.mark.parametrize("largest", [4, 10**6])
@pytest.mark.parametrize("n", [2, 4, 7])
def test_from_every_start_swaps_end_where_no_swap_helps(n, largest):
    for seed in range(6):
        given = random_problem(seed, largest)
        for start in range(11):
            value, negated = selection._Problem(*given, n)._exchanged(start)
            chosen = [-i for i in negated]
            assert len(set(chosen)) == n and value == worth(chosen, *given)
            others = set(range(11)) - set(chosen)
            swaps = ([*(set(chosen) - {out}), into] for out in chosen for into in others)
            assert all(worth(swapped, *given) <= value for swapped in swaps)


@pytest.fixture
def by_hand(monkeypatch):
    """Distances between a few languages that are written here; all others are 0.5."""

    def replace(table):
        def look_up(a, b, kind):
            assert kind == "featural"
            return 0.0 if a == b else table.get(frozenset((a, b)), 0.5)

        monkeypatch.setattr(selection, "distance", look_up)

    return replace


def test_the_anchor_counts_in_the_sum_and_not_in_n(by_hand):
    """Far from English: fi and tr. Far from each other: de and sw, 0.9, against at most 0.5."""
    pairs = {("en", "fi"): 0.8, ("en", "tr"): 0.7, ("en", "de"): 0.1, ("en", "sw"): 0.2, ("de", "sw"): 0.9}
    by_hand({frozenset(pair): far for pair, far in pairs.items()})
    codes = ["sw", "de", "tr", "fi"]
    with_english = select("uriel", 2, codes)
    assert with_english.languages == ("fi", "tr") and with_english.anchor == "en"
    assert (with_english.distance_sum, with_english.pairs) == (0.8 + 0.7 + 0.5, 3)
    assert with_english.distance_mean == pytest.approx(2.0 / 3)
    without = select("uriel", 2, codes, anchor_source=False)
    assert without.languages == ("de", "sw") and without.anchor is None
    assert (without.distance_sum, without.pairs, without.distance_mean) == (0.9, 1, 0.9)
    alone = select("uriel", 1, codes, anchor_source=False)
    assert (alone.distance_sum, alone.pairs, alone.distance_mean) == (0.0, 0, None)


def test_families_come_before_distances_and_the_sources_family_is_taken(by_hand):
    """de and nl are far from all; but they are of English's family, and the other two are not."""
    far = {frozenset((a, b)): 0.9 for a in ("de", "nl") for b in ("en", "de", "nl", "fi", "hu", "sw")}
    by_hand(far)
    assert select("uriel", 2, ["de", "nl", "fi", "hu", "sw"]).languages == ("de", "nl")
    assert select("family", 2, ["de", "nl", "fi", "hu", "sw"]).languages == ("fi", "sw")
    assert select("family", 3, ["de", "nl", "fi", "hu", "sw"]).languages == ("de", "fi", "sw")
    assert select("family", 1, ["de", "nl", "fi"], anchor_source=False).languages == ("de",)


def test_ties_are_broken_by_code(by_hand):
    by_hand({})
    for method in ("uriel", "family", "script"):
        assert select(method, 2, ["sw", "fr", "de", "es"]).languages[0] == "de"
    assert select("uriel", 2, ["sw", "fr", "es", "de"]).languages == ("de", "es")
    # sw is farther from all others than they from each other, so it is seen first.
    by_hand({frozenset((a, "en")): 0.6 for a in ("sw", "es")})
    assert select("uriel", 3, ["fr", "sw", "es", "de"]).languages == ("de", "es", "sw")


@pytest.mark.parametrize("method", ["uriel", "family", "script", "random"])
@pytest.mark.parametrize("limit", [0, selection.EXACT_LIMIT])
def test_the_pool_s_order_and_aliases_do_not_matter(method, limit, monkeypatch):
    monkeypatch.setattr(selection, "EXACT_LIMIT", limit)
    codes = list(pool("alignfreeze-34"))
    expected = select(method, 7, codes)
    for seed in range(2):
        shuffled = random.Random(seed).sample(codes, len(codes))
        assert select(method, 7, shuffled) == expected
    assert select(method, 7, [*codes, "deu", "zho_Hans"]) == expected


def test_smaller_draws_are_contained_in_larger_ones():
    codes = pool("lowresource-65")

    def drawn(n, seed):
        return set(sorted(codes, key=lambda code: hashlib.sha256(f"{seed}:{code}".encode()).hexdigest())[:n])

    for seed in (0, 7):
        five, ten = (select("random", n, codes, seed=seed) for n in (5, 10))
        assert (set(five.languages), set(ten.languages)) == (drawn(5, seed), drawn(10, seed))
        assert set(five.languages) < set(ten.languages) and ten.found == "draw"
        assert ten.distance_sum == pytest.approx(total(["en", *ten.languages]) / 1e6)
    assert select("random", 10, codes).languages == select("random", 10, codes, seed=0).languages != drawn(10, 7)


def test_draws_are_even():
    """Over 500 seeds each of 10 languages is drawn 3 times in 10; six standard deviations are 62."""
    codes = POOLS["near"][:10]
    counts = dict.fromkeys(codes, 0)
    for seed in range(500):
        for code in select("random", 3, codes, seed=seed, anchor_source=False).languages:
            counts[code] += 1
    assert all(abs(count - 150) < 62 for count in counts.values()), counts


def test_impossible_selections_are_refused(monkeypatch):
    chosen = select("uriel", 2, ["en", "de", "fr", "es"])
    assert chosen.left_out == {"en": "the source language"}
    assert select("uriel", 3, ["en", "de", "fr", "es"], anchor_source=False).languages == ("de", "es", "fr")
    monkeypatch.setattr(
        selection,
        "missing_reason",
        lambda code, _: f"URIEL has no features of {code}" if code in ("de", "sw") else None,
    )
    for method in ("uriel", "random"):
        chosen = select(method, 2, ["en", "de", "fr", "es"])
        assert chosen.left_out == {"de": "URIEL has no features of de", "en": "the source language"}
        assert chosen.languages == ("es", "fr")
    with pytest.raises(UserError, match=r"3 languages can't be chosen from a pool of 2 \(de: URIEL .* left out\)"):
        select("uriel", 3, ["en", "de", "fr", "es"])
    with pytest.raises(UserError, match="URIEL has no features of sw, so its distances can't count"):
        select("uriel", 2, ["fr", "es"], source="sw")
    assert select("uriel", 2, ["fr", "es"], source="sw", anchor_source=False).languages == ("es", "fr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 4}, "4 languages can't be chosen from a pool of 3; choose fewer"),
        ({"n": 0}, "0 languages can't be chosen from a pool of 3"),
        ({"codes": []}, "2 languages can't be chosen from a pool of 0"),
        ({"codes": ["de", "qqq"]}, "unknown language 'qqq'"),
        ({"source": "qqq"}, "unknown language 'qqq'"),
        ({"method": "uriels"}, "unknown method of selection 'uriels'; did you mean uriel"),
    ],
)
def test_bad_selections_are_refused(change, message):
    given = {"method": "uriel", "n": 2, "codes": ["de", "fr", "es"], "source": "en"} | change
    with pytest.raises(UserError, match=message):
        select(**given)


def test_conditions_on_the_pool():
    codes = pool("lowresource-65")
    # Joshi et al. (2020) count German and Arabic among class 5, Afrikaans 3, Swahili 2, Fon 0.
    for tier, inside in (("high", "de"), ("high", "ar"), ("medium", "af"), ("low", "sw"), ("low", "fon")):
        assert inside in narrow(codes, tier_name=tier)
    parts = [narrow(codes, tier_name=tier) for tier in ("high", "medium", "low")]
    assert sorted(code for part in parts for code in part) == sorted(codes)
    # DESIGN's list of what XLM-R has not seen of the 65.
    unseen = "bm ee fon ig rw ln lg luo mos ny sn tn tw wo yo zu"
    assert set(narrow(codes, unseen="FacebookAI/xlm-roberta-base")) == set(unseen.split())
    assert set(narrow(codes, seen="xlm-roberta-base")) == set(codes) - set(unseen.split())
    assert set(narrow(codes, latin=True)) == set(published_list("lowresource/most-same-script-41").languages)
    assert set(narrow(codes, latin=False)) == set(codes) - set(narrow(codes, latin=True))
    assert narrow(codes) == codes
    with pytest.raises(UserError, match="unknown checkpoint with known pre-training languages 'xlm-r'"):
        narrow(codes, seen="xlm-r")


def test_pools():
    assert pool("inventory") == tuple(inventory())
    assert pool("deu, swh_Latn,no") == ("de", "sw", "no")
    assert pool("sw") == ("sw",)
    assert [len(pool(f"lowresource-{part}")) for part in ("65", "xtreme-r-47", "african-21")] == [65, 47, 21]
    assert set(pool("lowresource-65")) == set(pool("lowresource-xtreme-r-47")) | set(pool("lowresource-african-21"))
    with pytest.raises(UserError, match="unknown pool of languages 'lowresource'; did you mean lowresource-65"):
        pool("lowresource")
    with pytest.raises(UserError, match="unknown language 'qqq'"):
        pool("de,qqq")


def test_published_lists_are_resolvable_and_sorted_codes():
    assert len(published_lists()) > 50
    for name, one in published_lists().items():
        assert [find(code).code for code in one.languages] == list(one.languages)
        assert list(one.languages) == sorted(set(one.languages))
        assert name.endswith(f"-{len(one.languages)}"), name
        assert one.source
        if name.startswith("lowresource"):
            assert set(one.languages) <= set(pool("lowresource-65"))
    swapped = {name for name, one in published_lists().items() if "swapped" in one.note}
    assert swapped == {"lowresource/most-same-script-20", "lowresource/least-same-script-20"}
    with pytest.raises(UserError, match="unknown published subset of languages 'lowresource/most-uriel-en-6'; did you"):
        published_list("lowresource/most-uriel-en-6")


# Typed from the study's scripts a second time, with the study's codes.
PRINTED = {
    "most-uriel-en-20": "af ar az eu zh fon lug ka el he ja kaz ko lin gaz sna ta twi vi yor",
    "least-uriel-en-10": "bg de el es fr it nl pt ro uk",
    "most-family-en-20": "ar az eu zh fr ka el hau ja kaz ko lin luo ms mar gaz ru ta th vi",
    "most-distinct-script-18": "amh ar bn mya zh ka el gu he hi ja kaz ko ml pa ta tel th",
    "most-same-script-5": "az fon lin gaz tgl",
    "uriel-unseen-xlmr-10": "ewe fon lin luo mos sna twi wol yor zul",
    "family-joshi2-10": "az mya hau jav lin luo mar mos gaz tel",
}


@pytest.mark.parametrize("name", PRINTED)
def test_published_lists_are_those_that_were_printed(name):
    assert set(published_list(f"lowresource/{name}").languages) == {find(code).code for code in PRINTED[name].split()}


def test_published_subsets_have_the_properties_that_their_names_claim():
    of = {name.removeprefix("lowresource/"): one.languages for name, one in published_lists().items()}
    for name in ("most-distinct-script-5", "most-distinct-script-10", "most-distinct-script-18"):
        scripts = [find(code).script for code in of[name]]
        assert len(set(scripts)) == len(scripts) or name.endswith("18")
    for kind, classes in {"joshi45": {4, 5}, "joshi3": {3}, "joshi2": {0, 1, 2}}.items():
        for name in (name for name in of if name.split("-")[1] == kind):
            assert {find(code).joshi_class for code in of[name]} <= classes, name
    assert len({find(code).script for code in of["most-same-script-41"]}) == 1


def test_every_list_of_the_reference_is_there():
    if not SUBSETS.exists():
        pytest.skip("no reference/lowresource_subsets.md in a folder `shared` beside the checkout")
    text = SUBSETS.read_text(encoding="utf-8")
    lists = {frozenset(one.languages) for one in published_lists().values()}
    rows = [
        line.split(":", 1)[1]
        for line in text.splitlines()
        if line.startswith(("- most_uriel_en:", "- least_uriel_en:", "- least_family_en:"))
    ]
    found = [part.split()[1:] for row in rows for part in row.split("|")]
    assert len(found) == 11
    assert all(frozenset(find(code).code for code in codes) in lists for codes in found)
