"""Choose languages from a pool: as far apart, of as many families or scripts as possible, or at random.

All methods are deterministic and blind to the order of the pool. `uriel` is the rule of the low-resource study
("Rethinking what Matters"): the n languages with the largest sum of pairwise featural URIEL distances, the source
language put in the set first. `family` and `script` first take as many different ones as possible, the source's among
them, then the largest such sum. Distances are whole millionths, so that equal sums are equal on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from xrealign_bench.errors import UserError, unknown
from xrealign_bench.languages.coverage import PRETRAINED_ON, seen_in_pretraining
from xrealign_bench.languages.inventory import Language, find, inventory
from xrealign_bench.languages.published import published
from xrealign_bench.languages.tiers import TIERS, tier
from xrealign_bench.languages.typology import distance, missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

Method = Literal["uriel", "family", "script", "random"]
METHODS: tuple[Method, ...] = get_args(Method)
Found = Literal["exact", "exchange", "draw"]

EXACT_LIMIT = 10_000_000
"""Work after which the exact search gives up: for each set that is begun, the languages that can still come into it.
Enough for 10 out of 65 languages, which are 179 billion sets; some seconds."""

_UNIT = 10**6  # distances have six decimals
_GROUP = 2**40  # one family more outweighs any sum of distances


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Languages that were chosen, and how."""

    method: Method
    languages: tuple[str, ...]
    """In the order of their codes."""
    anchor: str | None
    """The source language where it was put in the set first: it counts in the sum, not among the languages."""
    found: Found
    """exact: no set is better. exchange: swapping one language for another makes it no better, but another set might
    be. draw: nothing was compared."""
    distance_sum: float
    """Of the featural distances of all pairs of the set."""
    pairs: int
    left_out: Mapping[str, str]
    """Languages of the pool that could not be chosen -> why."""

    @property
    def distance_mean(self) -> float | None:
        """Per pair; None where the set has no pair."""
        return self.distance_sum / self.pairs if self.pairs else None


def pool(name_or_codes: str) -> tuple[str, ...]:
    """Return the languages of `inventory`, of a published list, or of codes with commas between them.

    >>> len(pool("lowresource-65")), pool("swh, deu")
    (65, ('sw', 'de'))

    Raises:
        UserError: there is no such pool, or no such language.
    """
    if name_or_codes == "inventory":
        return tuple(inventory())
    if name_or_codes in published():
        return published()[name_or_codes].languages
    codes = [code.strip() for code in name_or_codes.split(",")]
    if len(codes) > 1 or codes[0] in inventory():
        return tuple(dict.fromkeys(find(code).code for code in codes))
    alike = [name for name in ("inventory", *published()) if ("/" in name) == ("/" in name_or_codes)]
    raise unknown("pool of languages", name_or_codes, alike)


def narrow(
    codes: Iterable[str],
    *,
    tier_name: str | None = None,
    seen: str | None = None,
    unseen: str | None = None,
    latin: bool | None = None,
) -> tuple[str, ...]:
    """Return the languages of a tier, seen or not seen by a checkpoint in pre-training, (not) in Latin script.

    Raises:
        UserError: it is not known what a checkpoint has seen.
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


def select(
    method: Method, n: int, codes: Iterable[str], *, source: str = "en", anchor_source: bool = True, seed: int = 0
) -> Selection:
    """Choose n languages; the source language, and those without URIEL features, are left out of the pool.

    Of equal sets the one is taken whose first language is, in the whole pool, farther from all others; then by code.
    `random` takes the languages with the smallest SHA-256 of "seed:code", so that a draw of ten begins one of twenty
    and does not change when others leave the pool.

    Raises:
        UserError: the method or a language is unknown, the pool has fewer than n languages, or the source language
            can't be put in the set because URIEL has no features of it.
    """
    if method not in METHODS:
        raise unknown("method of selection", method, METHODS)
    anchor = find(source).code
    wanted = sorted({find(code).code for code in codes})
    reasons = {code: "the source language" if code == anchor else missing(code, "featural") for code in wanted}
    left_out = {code: reason for code, reason in reasons.items() if reason is not None}
    candidates = [code for code in wanted if code not in left_out]
    if n < 1 or n > len(candidates):
        told = f" ({', '.join(f'{code}: {why}' for code, why in left_out.items())} left out)" if left_out else ""
        raise UserError(
            f"{n} languages can't be chosen from a pool of {len(candidates)}{told}; choose fewer or widen it"
        )
    if anchor_source and (why := missing(anchor, "featural")) is not None:
        raise UserError(f"{why}, so it can't be put in the set first; leave it out of the set")
    found: Found = "draw"
    if method == "random":
        drawn = sorted(candidates, key=lambda code: hashlib.sha256(f"{seed}:{code}".encode()).digest())[:n]
    else:
        drawn, found = _farthest(candidates, n, anchor if anchor_source else None, method)
    together = [*([anchor] if anchor_source else []), *drawn]
    between = _distances(together, together)
    return Selection(
        method=method,
        languages=tuple(sorted(drawn)),
        anchor=anchor if anchor_source else None,
        found=found,
        distance_sum=int(between.sum()) // 2 / _UNIT,
        pairs=len(together) * (len(together) - 1) // 2,
        left_out=left_out,
    )


def _farthest(candidates: Sequence[str], n: int, anchor: str | None, method: Method) -> tuple[list[str], Found]:
    """Order the pool, then search it: languages far from all others come first, as bounds are then tight early."""
    import numpy as np

    between = _distances(candidates, candidates)
    to_anchor = _distances([anchor], candidates)[0] if anchor else np.zeros(len(candidates), np.int64)
    order = np.argsort(-(between.sum(axis=0) + to_anchor), kind="stable")
    groups, taken = _groups([candidates[i] for i in order], anchor, method)
    problem = _Problem(between[np.ix_(order, order)], to_anchor[order], groups, taken, n)
    chosen, found = problem.best_set()
    return [candidates[order[i]] for i in chosen], found


def _distances(rows: Sequence[str], columns: Sequence[str]) -> Numbers:
    """Return the featural distances (rows, columns) in millionths."""
    import numpy as np

    values = [[distance(row, column, "featural") or 0.0 for column in columns] for row in rows]
    millionths: Numbers = np.rint(np.array(values) * _UNIT).astype(np.int64)
    return millionths


def _groups(codes: Sequence[str], anchor: str | None, method: Method) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return each language's group (codes,) and which groups are taken (groups,) before any is chosen."""
    import numpy as np

    def name(code: str) -> str:
        language = find(code)
        return {"family": language.family, "script": language.script}.get(method, "")

    names = sorted({name(code) for code in codes})
    taken = np.array([method == "uriel" or (anchor is not None and other == name(anchor)) for other in names])
    return np.array([names.index(name(code)) for code in codes], np.int64), taken


class _Problem:
    """Find the n of m languages with the most groups, then the largest sum of distances.

    The value of a set is that sum, of all its pairs and of each language's distance to the anchor, plus _GROUP for
    every group that is new with it.
    """

    def __init__(self, between: Numbers, to_anchor: Numbers, groups: Numbers, taken: NDArray[np.bool_], n: int) -> None:
        self.between, self.to_anchor, self.groups, self.taken, self.n = between, to_anchor, groups, taken, n
        self.m = len(groups)

    def best_set(self) -> tuple[tuple[int, ...], Found]:
        """Return the best set that was found, and whether it is proven to be the best."""
        known = max(self._exchanged(start) for start in range(self.m))
        proven = _Search(self, known[0]).best()
        return (proven, "exact") if proven is not None else (tuple(-i for i in known[1]), "exchange")

    def _exchanged(self, start: int) -> tuple[int, tuple[int, ...]]:
        """Begin with one language, add the best one until there are n, then swap while a swap improves the set.

        Returns the value of the set and its members, negated so that of equal sets the first one is the largest.
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
    """Branch and bound over sets in the order of their members: the first one of the largest value stays.

    A set that is begun can gain at most, for each language still to come, its distances to what is in the set and
    half of its largest distances to the others still to come; of these the largest, one of each new group with the
    group's reward. Values are doubled here, for the half.
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
        """Return the best set, or None if that is too much work."""
        try:
            self._extend((), 0, self.problem.to_anchor, self.problem.taken)
        except _TooMuchWorkError:
            return None
        return self.found

    def _extend(self, chosen: tuple[int, ...], value: int, gain: Numbers, taken: NDArray[np.bool_]) -> None:
        """Look at all sets that begin with `chosen`, whose doubled value is `value`."""
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
        """Return what `left` languages from `first` on can add at most."""
        import numpy as np

        worth = 2 * gain[first:] + self.largest[first, left - 1, first:]
        if not taken.all():
            groups = self.problem.groups[first:]
            falling = np.argsort(-worth, kind="stable")
            best = falling[np.unique(groups[falling], return_index=True)[1]]
            worth[best[~taken[groups[best]]]] += 2 * _GROUP
        return int(np.partition(worth, len(worth) - left)[-left:].sum())


class _TooMuchWorkError(Exception):
    pass
