"""Join the word alignments of both directions."""

from __future__ import annotations

from collections.abc import Iterable

from xrealign_bench.data import Links
from xrealign_bench.specs.aligner import Symmetrisation

_NEIGHBOURS = [(ds, dt) for ds in (-1, 0, 1) for dt in (-1, 0, 1) if ds or dt]


def symmetrise(forward: set[tuple[int, int]], reverse: set[tuple[int, int]], method: Symmetrisation) -> Links:
    """Return the links of one pair of sentences, sorted.

    `grow-diag-final-and` (Koehn et al., IWSLT 2005) starts from the links that both directions share. It adds links of
    one direction next to a link found, also diagonally, if one of their words has no link yet, until there are no more;
    then links of either direction whose words both have none. Candidates come by source and then by target position.

    >>> symmetrise({(0, 0), (1, 1), (3, 3)}, {(0, 0), (1, 0)}, "grow-diag-final-and")
    [(0, 0), (1, 0), (1, 1), (3, 3)]

    Args:
        forward: links of the first direction, (source position, target position).
        reverse: links of the second direction, in the same order.
        method: how they are joined.
    """
    shared = forward & reverse
    if method == "intersection":
        return sorted(shared)
    found = _Growing(shared)
    found.grow(forward | reverse)
    found.add_final(sorted(forward))
    found.add_final(sorted(reverse))
    return sorted(found.links)


class _Growing:
    """Links found so far, and the words that they cover."""

    def __init__(self, links: Iterable[tuple[int, int]]) -> None:
        self.links: set[tuple[int, int]] = set()
        self._sources: set[int] = set()
        self._targets: set[int] = set()
        for link in links:
            self._add(link)

    def _add(self, link: tuple[int, int]) -> None:
        self.links.add(link)
        self._sources.add(link[0])
        self._targets.add(link[1])

    def grow(self, candidates: set[tuple[int, int]]) -> None:
        """Add candidates next to links, until none can be added."""
        added = True
        while added:
            added = False
            for s, t in sorted(self.links):
                for near in ((s + ds, t + dt) for ds, dt in _NEIGHBOURS):
                    is_free = near[0] not in self._sources or near[1] not in self._targets
                    if near in candidates and near not in self.links and is_free:
                        self._add(near)
                        added = True

    def add_final(self, candidates: Iterable[tuple[int, int]]) -> None:
        """Add candidates whose words both have no link."""
        for s, t in candidates:
            if s not in self._sources and t not in self._targets:
                self._add((s, t))
