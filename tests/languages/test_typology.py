"""Vectors against lang2vec itself; distances against scipy, hand-made great circles and properties."""

import importlib.resources
import math
import sys
import types

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from xrealign_bench.errors import UserError
from xrealign_bench.languages import typology
from xrealign_bench.languages.inventory import find, inventory
from xrealign_bench.languages.typology import DISTANCES, distance, distances, missing_reason, vector

FEATURE_SETS = {
    "syntactic": "syntax_knn",
    "phonological": "phonology_knn",
    "inventory": "inventory_knn",
    "featural": "syntax_knn+phonology_knn+inventory_knn",
    "genetic": "fam",
    "geographic": "geo",
}
URIEL_CODE = {"genetic": "uriel_family", "geographic": "uriel_geography"}
SOURCES = ("en", "sw", "zh")


@pytest.fixture(scope="module")
def lang2vec():
    """Return lang2vec 1.1.2, with a stand-in for the module that setuptools no longer has.

    It reads its files anew for each of some thousand feature names; here each is read once.
    """

    def resource_filename(package, name):
        return str(importlib.resources.files(package.partition(".")[0]) / name)

    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_filename = resource_filename
    files = {}
    load = np.load

    def load_once(path):
        if not isinstance(path, str):  # lang2vec opens by name, others may not
            return load(path)
        if path not in files:
            with load(path) as arrays:
                files[path] = dict(arrays)
        return files[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pkg_resources", stand_in)
        patch.setattr(np, "load", load_once)
        import lang2vec.lang2vec

        yield lang2vec.lang2vec


@pytest.fixture(scope="module")
def theirs(lang2vec):
    """Return lang2vec's own vectors: kind -> URIEL code -> vector."""
    return {
        kind: {
            code: np.array(values, dtype=float)
            for code, values in lang2vec.get_features(uriel_codes(kind), feature_set).items()
        }
        for kind, feature_set in FEATURE_SETS.items()
    }


def uriel_code(code, kind):
    return getattr(inventory()[code], URIEL_CODE.get(kind, "uriel_features"))


def uriel_codes(kind):
    return sorted({uriel_code(code, kind) for code in inventory()} - {None})


@pytest.mark.parametrize("kind", DISTANCES)
def test_vectors_are_lang2vecs_own(theirs, kind):
    for code in inventory():
        ours = vector(code, kind)
        if ours is None:
            assert uriel_code(code, kind) is None
        else:
            np.testing.assert_array_equal(ours, theirs[kind][uriel_code(code, kind)])


@pytest.mark.parametrize("kind", ["syntactic", "phonological", "inventory", "featural", "genetic"])
def test_angular_distances_are_scipys_of_lang2vecs_vectors(theirs, kind):
    for source in SOURCES:
        ours = distances(source, inventory(), kind)
        for code, value in ours.items():
            if value is None or code in {source, "eu"}:  # Basque: next test
                continue
            u, v = theirs[kind][uriel_code(source, kind)], theirs[kind][uriel_code(code, kind)]
            expected = 2 / math.pi * math.acos(min(1.0, 1 - cosine(u, v)))
            assert value == pytest.approx(expected, abs=1e-6), (source, code)


def test_an_isolate_shares_no_family_with_anyone():
    assert set(distances("eu", set(inventory()) - {"eu"}, "genetic").values()) == {1.0, None}
    assert distance("eu", "eu", "genetic") == 0.0


def test_places_reproduce_lang2vecs_distances_from_the_fixed_points(theirs, lang2vec):
    """The points' names are rounded to whole degrees: at most 0.7 degrees off, 0.004 of half the globe."""
    path = importlib.resources.files("lang2vec") / "data" / "geocoord_features.npz"
    points = np.radians([[float(part) for part in name.split("_")[1:]] for name in np.load(str(path))["feats"]])
    for code in inventory():
        x, y, z = typology._place(vector(code, "geographic"))
        latitude, longitude = math.atan2(z, math.hypot(x, y)), math.atan2(y, x)
        haversine = (
            np.sin((points[:, 0] - latitude) / 2) ** 2
            + math.cos(latitude) * np.cos(points[:, 0]) * np.sin((points[:, 1] - longitude) / 2) ** 2
        )
        from_points = 2 * np.arcsin(np.sqrt(haversine)) / math.pi
        theirs_from_points = theirs["geographic"][uriel_code(code, "geographic")]
        np.testing.assert_allclose(from_points, theirs_from_points, atol=0.0045)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    # Great circles between the languages' coordinates in WALS (degrees), by the law of cosines; the resources
    # differ on where in a country a language lies.
    [("en", "ja", (52, 0, 37, 140)), ("fi", "zu", (62, 25, -30, 30)), ("qu", "th", (-13.5, -73, 16, 101))],
)
def test_great_circles_agree_with_wals(a, b, expected):
    lat_a, lon_a, lat_b, lon_b = map(math.radians, expected)
    angle = math.acos(math.sin(lat_a) * math.sin(lat_b) + math.cos(lat_a) * math.cos(lat_b) * math.cos(lon_a - lon_b))
    assert distance(a, b, "geographic") == pytest.approx(angle / math.pi, abs=0.03)


@pytest.mark.parametrize("kind", DISTANCES)
def test_distances_are_symmetric_bounded_and_zero_only_for_equal_vectors(kind):
    for source in SOURCES:
        values = distances(source, inventory(), kind)
        assert values[source] == 0.0
        zero = [code for code, value in values.items() if value == 0.0]
        assert all(np.array_equal(vector(code, kind), vector(source, kind)) for code in zero)
        assert source != "en" or zero == ["en"]
        assert all(0 <= value <= 1 for value in values.values() if value is not None)
        assert all(distance(code, source, kind) == value for code, value in list(values.items())[::25])


def test_what_is_near_is_nearer():
    for kind in ("syntactic", "featural", "genetic", "geographic"):
        assert distance("es", "pt", kind) < distance("es", "de", kind) < distance("es", "ja", kind)


def test_macrolanguage_codes_give_the_same_distance():
    assert distance("eng", "zho_Hans", "featural") == distance("en", "cmn", "featural")
    assert list(distances("en", ["swh", "pes"], "syntactic")) == ["sw", "fa"]


def test_what_uriel_lacks_is_none_with_a_reason_and_never_zero():
    without = {code for code in inventory() if vector(code, "genetic") is None}
    assert without == {"ie", "io", "ltg", "nov", "nqo", "vo", "zgh"}
    assert distance("en", "ltg", "genetic") is None
    assert missing_reason("ltg", "genetic") == "URIEL has no genealogy of Latgalian (ltg)"
    assert missing_reason("en", "genetic") is None and missing_reason("ltg", "geographic") is None
    assert all(vector(code, kind) is not None for code in inventory() for kind in set(DISTANCES) - {"genetic"})


def test_uriel_codes_are_the_best_observed_of_the_languages_own(lang2vec):
    """The table's rule: among a language's codes the one with the most observed features."""
    path = importlib.resources.files("lang2vec") / "data" / "feature_averages.npz"
    in_uriel = set(np.load(str(path))["langs"].tolist())
    own = {
        language: [c for c in (language.code, language.iso639_3, *language.aliases) if c in in_uriel]
        for language in inventory().values()
    }
    every = sorted({code for codes in own.values() for code in codes})
    averages = lang2vec.get_features(every, "syntax_average+phonology_average+inventory_average")
    observed = {code: sum(value != "--" for value in values) for code, values in averages.items()}
    for language, codes in own.items():
        if codes:  # the collective codes have none
            assert observed[language.uriel_features] == max(observed[code] for code in codes), language
        if language.iso639_3 in codes:
            assert language.uriel_geography == language.iso639_3


def test_vectors_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        vector("en", "featural")[0] = 1.0


def test_unknown_kinds_and_languages_are_refused():
    with pytest.raises(UserError, match="unknown distance 'syntax'; did you mean syntactic"):
        distance("en", "de", "syntax")
    with pytest.raises(UserError, match="unknown language 'xx'"):
        distance("en", "xx", "featural")
    assert find("en").uriel_features == "eng"
