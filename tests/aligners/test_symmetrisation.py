"""Joined directions. Truth: cases by hand, and the published pseudo-code as plain loops."""

from __future__ import annotations

import random

import pytest

from xrealign_bench.aligners.symmetrisation import symmetrise

Grid = set[tuple[int, int]]


@pytest.mark.parametrize(
    ("forward", "reverse", "links"),
    [
        # (1, 0) is beside (0, 0) and word 1 of the source has no link; then (2, 0) is beside that one.
        ({(0, 0)}, {(0, 0), (1, 0), (2, 0)}, [(0, 0), (1, 0), (2, 0)]),
        # Not beside a link, and its target word has one already: neither step takes it.
        ({(0, 0)}, {(0, 0), (2, 0)}, [(0, 0)]),
        # Not beside a link, but both words are free.
        ({(0, 0), (3, 4)}, {(0, 0)}, [(0, 0), (3, 4)]),
        # Diagonal neighbours count.
        ({(0, 0), (1, 1)}, {(0, 0)}, [(0, 0), (1, 1)]),
        # Without shared links the final step takes the first direction's links before the second's.
        ({(0, 1)}, {(0, 2), (1, 1), (3, 3)}, [(0, 1), (3, 3)]),
        # Both words of (1, 1) are linked by then: (0, 1) and (1, 0) come first.
        ({(0, 0), (0, 1), (1, 1)}, {(0, 0), (1, 0)}, [(0, 0), (0, 1), (1, 0)]),
        (set(), set(), []),
    ],
)
def test_by_hand(forward: Grid, reverse: Grid, links: list[tuple[int, int]]) -> None:
    assert symmetrise(forward, reverse, "grow-diag-final-and") == links


def plain(forward: Grid, reverse: Grid) -> Grid:
    """The pseudo-code of Koehn et al. (2005) with loops over all positions."""
    found = {link for link in forward if link in reverse}

    def free_source(s: int) -> bool:
        return all(link[0] != s for link in found)

    def free_target(t: int) -> bool:
        return all(link[1] != t for link in found)

    size = len(found) - 1
    while len(found) > size:
        size = len(found)
        for link in sorted(found):
            for ds in (-1, 0, 1):
                for dt in (-1, 0, 1):
                    s, t = link[0] + ds, link[1] + dt
                    if ((s, t) in forward or (s, t) in reverse) and (free_source(s) or free_target(t)):
                        found.add((s, t))
    for direction in (forward, reverse):
        for s, t in sorted(direction):
            if free_source(s) and free_target(t):
                found.add((s, t))
    return found


def test_against_plain_loops() -> None:
    chance = random.Random(0)
    grown = 0
    for _ in range(500):
        size = chance.randint(1, 6)
        forward = {(s, chance.randrange(size)) for s in range(size) if chance.random() < 0.8}
        reverse = {(chance.randrange(size), t) for t in range(size) if chance.random() < 0.8}
        found = symmetrise(forward, reverse, "grow-diag-final-and")
        assert found == sorted(plain(forward, reverse))
        assert set(symmetrise(forward, reverse, "intersection")) == forward & reverse <= set(found) <= forward | reverse
        grown += set(found) != forward & reverse
    assert grown > 200
