"""Select languages from a pool: by distance, by number of families or scripts, or at random.

All methods are deterministic and independent of the pool's order. `uriel` is the rule of the low-resource study
("Rethinking what Matters"): maximise the sum of pairwise featural distances of the n languages and the source
language. `family` and `script` first maximise the number of different families or scripts, including the source's,
then that sum. Distances are integers (millionths), so that sums are equal on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from xrealign_bench.errors import UserError, shorten_list, unknown
from xrealign_bench.languages.coverage import PRETRAINED_ON, seen_in_pretraining
from xrealign_bench.languages.inventory import Language, find, inventory
from xrealign_bench.languages.published import published_lists
from xrealign_bench.languages.tiers import TIERS, tier
from xrealign_bench.languages.typology import distance, missing_reason
from xrealign_bench.languages.urielplus import urielplus_distance, urielplus_missing_reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

METHODS = ("uriel", "family", "script", "random")
"""Those that ship; `specs.selections` has the plugins, too."""
DistanceSource = Literal["uriel", "uriel+"]
Found = Literal["exact", "exchange", "draw", "plugin"]

EXACT_LIMIT = 10_000_000
"""Work limit of the exact search: candidate languages summed over all partial sets. It suffices for 10 out of 65
languages (179 billion sets) and takes a few seconds."""

_UNIT = 10**6  # distances have six decimals
_GROUP = 2**40  # value of a new family or script, above any sum of distances


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Selected languages, and how they were found."""

    method: str
    languages: tuple[str, ...]
    """In the order of their codes."""
    anchor: str | None
    """The source language if its distances count in the sum; it is not one of the languages."""
    found: Found
    """exact: proven optimum. exchange: local optimum, which no swap of one language improves. draw: random.
    plugin: as a plugin selected them."""
    distance_sum: float
    """Sum of the featural distances of all pairs."""
    pairs: int
    left_out: Mapping[str, str]
    """Languages excluded from the pool -> reason."""

    @property
    def distance_mean(self) -> float | None:
        """Mean distance per pair; None without a pair."""
        return self.distance_sum / self.pairs if self.pairs else None


def pool(name_or_codes: str) -> tuple[str, ...]:
    """Return the languages of `inventory`, of a published list, or of a comma-separated list of codes.

    >>> len(pool("lowresource-65")), pool("swh, deu")
    (65, ('sw', 'de'))

    Raises:
        UserError: there is no such pool, or no such language.
    """
    if name_or_codes == "inventory":
        return tuple(inventory())
    if name_or_codes in published_lists():
        return published_lists()[name_or_codes].languages
    codes = [code.strip() for code in name_or_codes.split(",")]
    if len(codes) > 1 or codes[0] in inventory():
        return tuple(dict.fromkeys(find(code).code for code in codes))
    alike = [name for name in ("inventory", *published_lists()) if ("/" in name) == ("/" in name_or_codes)]
    raise unknown("pool of languages", name_or_codes, alike)


def narrow(
    codes: Iterable[str],
    *,
    tier_name: str | None = None,
    seen: str | None = None,
    unseen: str | None = None,
    latin: bool | None = None,
) -> tuple[str, ...]:
    """Filter languages by tier, by a checkpoint's pre-training data, and by Latin script.

    Raises:
        UserError: a checkpoint's pre-training languages are unknown.
    """
    for checkpoint in (seen, unseen):
        if checkpoint is not None and checkpoint not in PRETRAINED_ON:
            raise unknown("checkpoint with known pre-training languages", checkpoint, PRETRAINED_ON)

    def wanted(language: Language) -> bool:
        return (
            (tier_name is None or tier(language, TIERS) == tier_name)
            and (seen is None or bool(seen_in_pretraining(language, seen)))
            and (unseen is None or not seen_in_pretraining(language, unseen))
            and (latin is None or (language.script == "Latn") == latin)
        )

    return tuple(code for code in codes if wanted(find(code)))


def select(  # noqa: PLR0913 (over 6 parameters: callers name the options that they set)
    method: str,
    n: int,
    codes: Iterable[str],
    *,
    source: str = "en",
    anchor_source: bool = True,
    seed: int = 0,
    distances: DistanceSource = "uriel",
) -> Selection:
    """Select n languages, never the source language nor one without features in the database of distances.

    Ties go to the set whose first language is farther from all others in the pool, then to the first code. `random`
    takes the languages with the smallest SHA-256 of "seed:code", so that a draw of ten is contained in a draw of twenty
    and does not change when other languages leave the pool. `distances` names the database of the featural distances.

    Raises:
        UserError: the method or a language is unknown, the pool has fewer than n languages, or the database has no
            features of an anchored source language.
    """
    from xrealign_bench.specs.selections import SELECTIONS

    if method not in SELECTIONS:
        raise unknown("method of selection", method, SELECTIONS)
    anchor = find(source).code
    wanted = sorted({find(code).code for code in codes})
    reasons = {code: "the source language" if code == anchor else _missing(code, distances) for code in wanted}
    left_out = {code: reason for code, reason in reasons.items() if reason is not None}
    candidates = [code for code in wanted if code not in left_out]
    if n < 1 or n > len(candidates):
        note = f" ({', '.join(f'{code}: {why}' for code, why in left_out.items())} left out)" if left_out else ""
        raise UserError(
            f"{n} languages can't be chosen from a pool of {len(candidates)}{note}; choose fewer or widen it"
        )
    if anchor_source and (why := _missing(anchor, distances)) is not None:
        raise UserError(
            f"{why}, so its distances can't count; use --no-anchor-source (in a recipe: anchor_source: false)"
        )
    found: Found = "draw"
    if (plugin := SELECTIONS[method]) is not None:
        chosen = plugin().select(n, candidates, anchor, seed)
        drawn, found = _check_selection(method, n, candidates, chosen), "plugin"
    elif method == "random":
        drawn = sorted(candidates, key=lambda code: hashlib.sha256(f"{seed}:{code}".encode()).digest())[:n]
    else:
        drawn, found = _farthest(candidates, n, anchor if anchor_source else None, method, distances)
    together = [*([anchor] if anchor_source else []), *drawn]
    between = _distances(together, together, distances)
    return Selection(
        method=method,
        languages=tuple(sorted(drawn)),
        anchor=anchor if anchor_source else None,
        found=found,
        distance_sum=int(between.sum()) // 2 / _UNIT,
        pairs=len(together) * (len(together) - 1) // 2,
        left_out=left_out,
    )


def _check_selection(method: str, n: int, candidates: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """Return what a plugin selected.

    Raises:
        UserError: it is not n different candidates.
    """
    drawn = list(dict.fromkeys(chosen))
    if len(drawn) != n or not set(drawn) <= set(candidates):
        raise UserError(
            f"selection of languages '{method}': returned {shorten_list(list(map(str, chosen)))}, and not {n} "
            f"different ones of {shorten_list(candidates)}. Correct the plugin"
        )
    return drawn


def _farthest(
    candidates: Sequence[str], n: int, anchor: str | None, method: str, distances: DistanceSource
) -> tuple[list[str], Found]:
    """Search the pool, ordered so that languages far from all others come first, which tightens bounds early."""
    import numpy as np

    between = _distances(candidates, candidates, distances)
    to_anchor = _distances([anchor], candidates, distances)[0] if anchor else np.zeros(len(candidates), np.int64)
    order = np.argsort(-(between.sum(axis=0) + to_anchor), kind="stable")
    groups, taken = _groups([candidates[i] for i in order], anchor, method)
    problem = _Problem(between[np.ix_(order, order)], to_anchor[order], groups, taken, n)
    chosen, found = problem.best_set()
    return [candidates[order[i]] for i in chosen], found


def _distances(rows: Sequence[str], columns: Sequence[str], source: DistanceSource) -> Numbers:
    """Return the featural distances (rows, columns) in millionths."""
    import numpy as np

    values = [[featural_distance(row, column, source) or 0.0 for column in columns] for row in rows]
    millionths: Numbers = np.rint(np.array(values) * _UNIT).astype(np.int64)
    return millionths


def featural_distance(a: str, b: str, source: DistanceSource) -> float | None:
    """Return the featural distance in a database, or None if it has no features of one of the languages."""
    return urielplus_distance(a, b) if source == "uriel+" else distance(a, b, "featural")


def _missing(code: str, source: DistanceSource) -> str | None:
    return urielplus_missing_reason(code) if source == "uriel+" else missing_reason(code, "featural")


def _groups(codes: Sequence[str], anchor: str | None, method: str) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return each language's group (codes,) and which groups the source language covers already (groups,)."""
    import numpy as np

    def name(code: str) -> str:
        language = find(code)
        return {"family": language.family, "script": language.script}.get(method, "")

    names = sorted({name(code) for code in codes})
    taken = np.array([method == "uriel" or (anchor is not None and other == name(anchor)) for other in names])
    return np.array([names.index(name(code)) for code in codes], np.int64), taken


class _Problem:
    """Problem of finding the n of m languages with the most groups, then the largest sum of distances.

    The value of a set is the sum over its pairs and its languages' distances to the anchor, plus _GROUP for every
    group that it adds.
    """

    def __init__(self, between: Numbers, to_anchor: Numbers, groups: Numbers, taken: NDArray[np.bool_], n: int) -> None:
        self.between, self.to_anchor, self.groups, self.taken, self.n = between, to_anchor, groups, taken, n
        self.m = len(groups)

    def best_set(self) -> tuple[tuple[int, ...], Found]:
        """Return the best set found, and whether it is a proven optimum."""
        known = max(self._exchanged(start) for start in range(self.m))
        proven = _Search(self, known[0]).best()
        return (proven, "exact") if proven is not None else (tuple(-i for i in known[1]), "exchange")

    def _exchanged(self, start: int) -> tuple[int, tuple[int, ...]]:
        """Start from one language, add the best one until there are n, then swap while that improves the set.

        Returns the value of the set and its members, negated so that `max` prefers the first of equal sets.
        """
        import numpy as np

        inside = np.zeros(self.m, bool)
        gain, counts, value = self.to_anchor.copy(), np.where(self.taken, 1, 0), 0
        chosen = start
        for step in range(self.n):
            if step:
                worth = gain + _GROUP * (counts[self.groups] == 0)
                chosen = int(np.where(inside, -1, worth).argmax())
            value += int(gain[chosen]) + _GROUP * int(counts[self.groups[chosen]] == 0)
            inside[chosen] = True
            counts[self.groups[chosen]] += 1
            gain += self.between[chosen]
        while not inside.all():
            members, others = np.flatnonzero(inside), np.flatnonzero(~inside)
            better = gain[others] - gain[members][:, None] - self.between[np.ix_(members, others)]
            lost = counts[self.groups[members]] == 1
            same = self.groups[members][:, None] == self.groups[others]
            won = (counts[self.groups[others]] == 0) | (lost[:, None] & same)
            better += _GROUP * (won.astype(np.int64) - lost[:, None])
            best = int(better.argmax())
            if better.flat[best] <= 0:
                break
            out, into = members[best // len(others)], others[best % len(others)]
            value += int(better.flat[best])
            inside[[out, into]] = False, True
            counts[self.groups[out]] -= 1
            counts[self.groups[into]] += 1
            gain += self.between[into] - self.between[out]
        return value, tuple(-int(i) for i in np.flatnonzero(inside))


class _Search:
    """Branch and bound over sets in lexicographic order, keeping the first set of the largest value.

    Bound of a partial set: each further language adds at most its distances to the members and half of its largest
    distances to other further languages; the best of these count, one per new group with the group's reward. All
    values are doubled to avoid halves.
    """

    def __init__(self, problem: _Problem, known: int) -> None:
        import numpy as np

        self.problem, self.work = problem, EXACT_LIMIT
        self.record, self.found = 2 * known - 1, ()  # type: tuple[int, tuple[int, ...]]
        m, n = problem.m, problem.n
        self.largest = np.zeros((m, n, m), np.int64)
        """[first, k, i]: the sum of the k largest distances of i to the languages from `first` on."""
        for first in range(m):
            falling = -np.sort(-problem.between[:, first:], axis=1)[:, : n - 1]
            self.largest[first, 1 : falling.shape[1] + 1] = falling.cumsum(axis=1).T

    def best(self) -> tuple[int, ...] | None:
        """Return the best set, or None if the work limit is reached."""
        try:
            self._extend((), 0, self.problem.to_anchor, self.problem.taken)
        except _TooMuchWorkError:
            return None
        return self.found

    def _extend(self, chosen: tuple[int, ...], value: int, gain: Numbers, taken: NDArray[np.bool_]) -> None:
        """Search all sets that start with `chosen`, whose doubled value is `value`."""
        first, left = chosen[-1] + 1 if chosen else 0, self.problem.n - len(chosen)
        if left == 0:
            if value > self.record:
                self.record, self.found = value, chosen
            return
        for i in range(first, self.problem.m - left + 1):
            self.work -= self.problem.m - i
            if self.work < 0:
                raise _TooMuchWorkError
            if value + self._bound(i, left, gain, taken) <= self.record:
                return
            group = self.problem.groups[i]
            reward = 0 if taken[group] else _GROUP
            below = taken.copy()
            below[group] = True
            more, summed = value + 2 * (int(gain[i]) + reward), gain + self.problem.between[i]
            if left == 1 or more + self._bound(i + 1, left - 1, summed, below) > self.record:
                self._extend((*chosen, i), more, summed, below)

    def _bound(self, first: int, left: int, gain: Numbers, taken: NDArray[np.bool_]) -> int:
        """Return an upper bound on what `left` languages from `first` on can add."""
        import numpy as np

        worth = 2 * gain[first:] + self.largest[first, left - 1, first:]
        if not taken.all():
            groups = self.problem.groups[first:]
            falling = np.argsort(-worth, kind="stable")
            best = falling[np.unique(groups[falling], return_index=True)[1]]
            worth[best[~taken[groups[best]]]] += 2 * _GROUP
        return int(np.partition(worth, len(worth) - left)[-left:].sum())


class _TooMuchWorkError(Exception):
    """The exact search reached its work limit."""
