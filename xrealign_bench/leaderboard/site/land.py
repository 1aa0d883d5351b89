"""The outline of the world's land, from a TopoJSON file in this folder."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from itertools import accumulate, pairwise
from statistics import fmean

Ring = list[tuple[float, float]]
"""Longitude and latitude in degrees around an island or a continent, including its lakes. Land on both sides of
180 degrees continues beyond it."""


@cache
def land() -> list[Ring]:
    """Read the rings. An arc is stored as steps on a grid, and a ring consists of arcs (TopoJSON, section 2.1.4)."""
    content = json.loads((resources.files(__package__) / "land-110m.json").read_text(encoding="utf-8"))
    (scale_x, scale_y), (left, bottom) = content["transform"]["scale"], content["transform"]["translate"]
    arcs = [
        [
            (left + scale_x * x, bottom + scale_y * y)
            for x, y in accumulate(arc, lambda at, step: [at[0] + step[0], at[1] + step[1]])
        ]
        for arc in content["arcs"]
    ]
    return [
        _unbroken([point for number in ring for point in (arcs[number] if number >= 0 else arcs[~number][::-1])])
        for shape in content["objects"]["land"]["geometries"]
        for ring, *_holes in shape["arcs"]
    ]


def _unbroken(ring: Ring) -> Ring:
    """Remove jumps from one edge of the map to the other, keeping most of the ring on the map."""
    steps = [round((x - before) / 360) for (before, _), (x, _) in pairwise(ring)]
    whole = [(x - 360 * turns, y) for (x, y), turns in zip(ring, accumulate(steps, initial=0), strict=True)]
    shift = 360 * round(fmean(x for x, _ in whole) / 360)
    return [(x - shift, y) for x, y in whole]
