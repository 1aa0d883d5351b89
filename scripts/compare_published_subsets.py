"""Print how many languages of the low-resource study's published subsets our selection chooses from the same pool.

    python scripts/compare_published_subsets.py

A second table shows the same for the `uriel` subsets with other distances than the package's.

The "least" subsets are compared with the smallest sums of distances. The package does not offer these, so the search
runs on negated distances. By chance, n languages out of m share n * n / m with a published subset of n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from xrealign_bench.languages import (
    DISTANCES,
    PublishedList,
    distance,
    find,
    narrow,
    pool,
    published_lists,
    select,
    selection,
    typology,
)
from xrealign_bench.languages.typology import vector
from xrealign_bench.languages.urielplus import urielplus_distance

CONDITIONS = {
    "joshi45": {"tier_name": "high"}, "joshi3": {"tier_name": "medium"}, "joshi2": {"tier_name": "low"}, "joshi35": {},
    "seen-xlmr": {"seen": "xlm-roberta-base"}, "unseen-xlmr": {"unseen": "xlm-roberta-base"},
    "seen-mbert": {"seen": "bert-base-multilingual-cased"}, "unseen-mbert": {"unseen": "bert-base-multilingual-cased"},
}  # fmt: skip
"""Suffix of a subset's name -> arguments of `narrow`. Classes 3 to 5 span two tiers, see `pool_of`."""


def main() -> None:
    rows = []
    for name, subset in published_lists().items():
        if not name.startswith("lowresource/"):
            continue
        criterion, n = name.removeprefix("lowresource/").rsplit("-", 1)[0], len(subset.languages)
        codes = pool_of(criterion)
        anchor = criterion.endswith("-en") or not criterion.startswith(("most", "least"))
        if len(codes) <= n:
            chosen, found = set(codes), "the whole pool"
        elif criterion.startswith("least"):
            chosen, found = least(codes, n, anchor), "exchange"
        else:
            method = next((m for m in ("family", "distinct-script", "script") if m in criterion), "uriel").split("-")[
                -1
            ]
            method = "uriel" if "same-script" in criterion else method
            made = select(method, n, codes, anchor_source=anchor)
            chosen, found = set(made.languages), made.found
        again = len(chosen & set(subset.languages))
        anchored = ["en"] if anchor else []
        rows.append([criterion, n, len(codes), again, n * n / len(codes), mean([*anchored, *subset.languages]),
                     mean([*anchored, *chosen]), found])  # fmt: skip
    headers = ["subset", "n", "pool", "found again", "by chance", "published mean", "chosen mean", "search"]
    print(tabulate(rows, headers, tablefmt="pipe", floatfmt=("g", "g", "g", "g", ".1f", ".4f", ".4f")))
    uriel = [one for name, one in published_lists().items() if "most-uriel" in name or "least-uriel" in name]
    rows = [[name, *(again_by(distances, one) for one in uriel)] for name, distances in other_distances().items()]
    print()
    print(tabulate(rows, ["distance", *(one.name.removeprefix("lowresource/") for one in uriel)], tablefmt="pipe"))


def pool_of(criterion: str) -> list[str]:
    """Return the languages that a subset's name allows."""
    codes = pool("lowresource-65")
    if criterion.endswith("joshi35"):
        return [*narrow(codes, tier_name="high"), *narrow(codes, tier_name="medium")]
    if "same-script" in criterion:
        return list(narrow(codes, latin=True))
    if criterion == "least-family-en":
        return [code for code in codes if find(code).family == find("en").family]
    condition = next((c for end, c in CONDITIONS.items() if criterion.split("-", 1)[1] == end), {})
    return list(narrow(codes, **condition))


def least(codes: list[str], n: int, anchor: bool) -> set[str]:
    """Return the set with the smallest sum of distances that the exchange search finds."""
    codes = sorted(codes)
    return {codes[i] for i in best(10**6 - selection._distances(["en", *codes], ["en", *codes]), n, anchor)}


def best(distances: NDArray[np.int64], n: int, anchor: bool) -> list[int]:
    """Return the n indices with the largest sum that the exchange search finds.

    Args:
        distances: in millionths; the first row is the anchor's.
    """
    between, to_anchor = distances[1:, 1:].copy(), distances[0, 1:] * anchor
    np.fill_diagonal(between, 0)
    m = len(between)
    problem = selection._Problem(between, to_anchor, np.zeros(m, np.int64), np.array([True]), n)
    _, negated = max(problem._exchanged(start) for start in range(m))
    return [-i for i in negated]


def again_by(distances: NDArray[np.float64], one: PublishedList) -> int:
    """Return how many languages of a `uriel` subset are chosen with these distances of English and the pool."""
    codes = sorted(pool("lowresource-65"))
    scored = distances.max() - distances if "least" in one.name else distances
    millionths = np.rint(scored * 1e6).astype(np.int64)
    return len({codes[i] for i in best(millionths, len(one.languages), "-en" in one.name)} & set(one.languages))


def other_distances() -> dict[str, NDArray[np.float64]]:
    """Return distances (66, 66) that the study may have meant by featural."""
    codes = ["en", *sorted(pool("lowresource-65"))]
    known = {name: np.array([[distance(a, b, name) for b in codes] for a in codes], np.float64) for name in DISTANCES}
    vectors = np.array([vector(code, "featural") for code in codes])
    averages = typology._features("feature_averages.npz", "featural")
    observed = np.array([averages[str(find(code).uriel_features)] for code in codes])
    is_observed = observed >= 0
    cosine, as_zero = cosine_distances(vectors), cosine_distances(np.where(is_observed, observed, 0))
    urielplus = np.array([[urielplus_distance(a, b) for b in codes] for a in codes], np.float64)
    three = (known["syntactic"] + known["phonological"] + known["inventory"]) / 3
    return known | {
        "featural, URIEL+": urielplus,
        "featural, cosine": cosine,
        "featural, cosine, one decimal": cosine.round(1),
        "featural, Euclidean": np.sqrt(((vectors[:, None] - vectors) ** 2).sum(axis=2)),
        "mean of the first three": three,
        "mean of all but featural": (3 * three + known["genetic"] + known["geographic"]) / 5,
        "observed features, unknown as 0, cosine": as_zero,
    }


def cosine_distances(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine: NDArray[np.float64] = unit @ unit.T
    return 1 - cosine


def mean(codes: list[str]) -> float:
    """Return the mean featural distance of all pairs."""
    between = selection._distances(codes, codes)
    return float(between.sum() / (len(codes) * (len(codes) - 1)) / 1e6)


if __name__ == "__main__":
    main()
