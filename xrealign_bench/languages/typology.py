"""Typological vectors of URIEL (Littell et al. 2017) and distances between languages.

The vectors are read from the arrays packaged with lang2vec 1.1.2; the package itself can't be imported, because it
needs ``pkg_resources``, which setuptools removed. It contains no distances, so they are computed here, all between 0
and 1:

- ``syntactic``, ``phonological``, ``inventory``: angular distance, 2/pi * arccos(cosine) as in URIEL+ (Khan
  et al. 2025), of the vectors imputed by nearest neighbours (lang2vec's ``syntax_knn`` and so on);
- ``featural``: the same, of the three vectors concatenated;
- ``genetic``: the same, of the indicators of families and branches (``fam``); 1 if none is shared;
- ``geographic``: great-circle distance between the two places, where 1 is half the Earth's circumference.

lang2vec's repository also has a table of precomputed distances. Its computation is undocumented and the vectors do
not reproduce it (https://github.com/antonisa/lang2vec/issues/17), so it is not used here.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, get_args

from xrealign_bench.errors import unknown
from xrealign_bench.languages.inventory import Language, find, inventory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DistanceType = Literal["syntactic", "phonological", "inventory", "featural", "genetic", "geographic"]
DISTANCES: tuple[DistanceType, ...] = get_args(DistanceType)

_PREFIXES = {
    "syntactic": ("S_",),
    "phonological": ("P_",),
    "inventory": ("INV_",),
    "featural": ("S_", "P_", "INV_"),
}
_BLOCK = 256  # rows read at a time; the family array takes 119 MB unpacked, nearly all of it zero
_DECIMALS = 6  # further decimals differ between platforms, and bands must not


def distance(a: str, b: str, distance_type: DistanceType) -> float | None:
    """Return the distance between two languages, or None if URIEL lacks one of them (see :func:`missing_reason`).

    English to Japanese is 0.467 of half the Earth's circumference, about 9,350 km:

    >>> round(distance("en", "ja", "geographic"), 3), distance("en", "ja", "genetic")
    (0.467, 1.0)

    Raises:
        UserError: a language or the distance is unknown.
    """
    return distances(a, (b,), distance_type)[find(b).code]


def distances(source: str, targets: Iterable[str], distance_type: DistanceType) -> dict[str, float | None]:
    """Return the distance from the source to each target, by the target's inventory code."""
    return {find(target).code: _distance(find(source), find(target), distance_type) for target in targets}


def vector(code: str, distance_type: DistanceType) -> NDArray[np.float64] | None:
    """Return the URIEL vector of a language for a distance, or None if URIEL has none (see :func:`missing_reason`).

    Shapes: syntactic (103,), phonological (28,), inventory (158,), featural (289,), genetic (3718,) and
    geographic (299,), the distances from 299 fixed points on the globe. Read-only.

    Raises:
        UserError: the language or the distance is unknown.
    """
    row = _uriel_code(find(code), distance_type)
    return _vectors(distance_type)[row] if row is not None else None


def place(code: str) -> tuple[float, float] | None:
    """Return the latitude and longitude of a language in degrees, or None if URIEL has no place.

    Each language has a single point; for a widespread language it is the place of origin:

    >>> place("ja"), place("sw")
    ((35.0, 135.0), (-8.2, 37.6))

    Raises:
        UserError: the language is unknown.
    """
    import numpy as np

    from_points = vector(code, "geographic")
    if from_points is None:
        return None
    x, y, z = _place(from_points)
    latitude, longitude = np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)]).round(1).tolist()
    return latitude, longitude


def missing_reason(code: str, distance_type: DistanceType) -> str | None:
    """Return why a language has no vector for a distance, or None if it has one."""
    language = find(code)
    if _uriel_code(language, distance_type) is not None:
        return None
    what = {"genetic": "genealogy", "geographic": "place"}.get(distance_type, "features")
    return f"URIEL has no {what} of {language.name} ({language.code})"


def _uriel_code(language: Language, distance_type: DistanceType) -> str | None:
    if distance_type not in DISTANCES:
        raise unknown("distance", distance_type, DISTANCES)
    if distance_type == "genetic":
        return language.uriel_family
    return language.uriel_geography if distance_type == "geographic" else language.uriel_features


def _distance(a: Language, b: Language, distance_type: DistanceType) -> float | None:
    first, second = vector(a.code, distance_type), vector(b.code, distance_type)
    if first is None or second is None:
        return None
    if a == b:
        return 0.0
    if distance_type == "geographic":
        return round(_angle(_place(first), _place(second)), _DECIMALS)
    if distance_type == "genetic" and not (first @ second):
        return 1.0  # also for isolates, whose zero vector has no angle
    return round(2 * _angle(first, second), _DECIMALS)


def _angle(u: NDArray[np.float64], v: NDArray[np.float64]) -> float:
    """Return the angle between two vectors in units of pi."""
    import numpy as np

    cosine = (u @ v) / np.sqrt((u @ u) * (v @ v))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi)


def _place(from_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction (3,) of a place, given its distances (299,) from the fixed points."""
    import numpy as np

    return _points_inverse() @ np.cos(np.pi * from_points)


@cache
def _points_inverse() -> NDArray[np.float64]:
    """Return the pseudo-inverse (3, 299) of the fixed points, named GC_latitude_longitude in degrees.

    The cosine of a place's angle from a point is the dot product of the two: 299 equations for 3 unknowns.
    Least squares average out that the points are rounded to whole degrees.
    """
    import numpy as np

    names = [name.split("_")[1:] for name in _array("geocoord_features.npz", "feats").tolist()]
    latitude, longitude = np.radians(np.array(names, dtype=np.float64)).T
    flat = np.cos(latitude)
    points = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)
    return np.linalg.pinv(points)


@cache
def _vectors(distance_type: DistanceType) -> Mapping[str, NDArray[np.float64]]:
    if distance_type in _PREFIXES:
        return _features(distance_type)
    return _rows("family_features.npz" if distance_type == "genetic" else "geocoord_features.npz")


@cache
def _features(distance_type: DistanceType) -> Mapping[str, NDArray[np.float64]]:
    """Return the feature vectors of one distance, in lang2vec's order of columns."""
    file = "feature_predictions.npz"
    names = _array(file, "feats").tolist()
    columns = [i for prefix in _PREFIXES[distance_type] for i, name in enumerate(names) if name.startswith(prefix)]
    rows = {code: row[columns] for code, row in _rows(file).items()}
    for row in rows.values():
        row.flags.writeable = False
    return rows


@cache
def _rows(file: str) -> Mapping[str, NDArray[np.float64]]:
    """Return the rows of the inventory's languages from one of lang2vec's arrays, by URIEL code."""
    import numpy as np

    wanted = {
        code
        for language in inventory().values()
        for code in (language.uriel_features, language.uriel_family, language.uriel_geography)
        if code
    }
    codes = _array(file, "langs").tolist()
    rows: dict[str, NDArray[np.float64]] = {}
    with (
        _open(file) as packed,
        zipfile.ZipFile(packed) as archive,
        archive.open("data.npy") as stream,
    ):
        np.lib.format.read_magic(stream)
        (_, width, _), _, dtype = np.lib.format.read_array_header_1_0(stream)
        for start in range(0, len(codes), _BLOCK):
            block = codes[start : start + _BLOCK]
            values = np.frombuffer(stream.read(len(block) * width * dtype.itemsize), dtype)
            for code, row in zip(block, values.reshape(-1, width), strict=True):
                if code in wanted:
                    rows[code] = row.astype(np.float64)
                    rows[code].flags.writeable = False
    return rows


@cache
def _array(file: str, name: str) -> NDArray[np.str_]:
    """Return one of the small arrays of names in lang2vec's files."""
    import numpy as np

    with _open(file) as stream, np.load(stream) as arrays:
        names: NDArray[np.str_] = arrays[name]
        return names


def _open(file: str) -> IO[bytes]:
    """Open one of lang2vec's files without importing the package.

    The folder of an installed command, which Python searches first, also holds lang2vec's command `lang2vec.py`.
    """
    from importlib.metadata import distribution

    return Path(str(distribution("lang2vec").locate_file("lang2vec"))).joinpath("data", file).open("rb")
