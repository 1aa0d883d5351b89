"""Random damage to files, reproducible by seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Spoil = Callable[[bytes, random.Random], bytes]

NESTED = "[" * 50_000 + "]" * 50_000
STRANGE: list[Any] = [
    None, True, False, "", "x", "x" * 3000, "../../x", "\x00", "\x1b[31m", "\ud800", [], {}, [[]], {"a": 1}, 0, -1, 1,
    3, 0.5, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400, 1e300, float("nan"), float("inf"), "NaN",
]  # fmt: skip
"""Replacement values for JSON."""


def flip_bits(content: bytes, chance: random.Random) -> bytes:
    """Change one to four bits."""
    spoilt = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def zero_fill(content: bytes, chance: random.Random) -> bytes:
    """Overwrite a range with zeros, like a disk that lost a block."""
    begin = chance.randrange(len(content))
    length = min(chance.choice([1, 16, 512, 4096, len(content)]), len(content) - begin)
    return content[:begin] + bytes(length) + content[begin + length :]


def add_bytes(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    return content[:place] + chance.randbytes(chance.randint(1, 9)) + content[place:]


def empty(content: bytes, chance: random.Random) -> bytes:
    return b""


def replace_value(content: bytes, chance: random.Random) -> bytes:
    """Replace a JSON value by one of another type or size."""
    return _at_one_place(content, chance, lambda holder, place: holder.__setitem__(place, chance.choice(STRANGE)))


def lose_value(content: bytes, chance: random.Random) -> bytes:
    return _at_one_place(content, chance, lambda holder, place: holder.__delitem__(place))


def nest_deeply(content: bytes, chance: random.Random) -> bytes:
    spoilt = _at_one_place(content, chance, lambda holder, place: holder.__setitem__(place, "NESTED"))
    return spoilt.replace(b'"NESTED"', NESTED.encode())


def repeat_key(content: bytes, chance: random.Random) -> bytes:
    """Duplicate a key of a JSON object with another value; Python's json keeps the last one."""
    key = chance.choice(list(json.loads(content)))
    again = f"{json.dumps(key)}: {json.dumps(chance.choice(STRANGE))}"
    brace = content.index(b"{") + 1
    if chance.random() < 0.5:
        return content[:brace] + again.encode() + b"," + content[brace:]
    end = content.rindex(b"}")
    return content[:end] + b"," + again.encode() + content[end:]


ANY_FILE: list[Spoil] = [flip_bits, flip_bits, cut_off, zero_fill, add_bytes, empty]
JSON: list[Spoil] = [*ANY_FILE, *[replace_value] * 6, lose_value, lose_value, nest_deeply, repeat_key]


def _at_one_place(content: bytes, chance: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    whole = [json.loads(content)]
    holder: Any = whole
    place: Any = 0
    while (inside := holder[place]) and isinstance(inside, dict | list) and (holder is whole or chance.random() < 0.8):
        holder, place = inside, chance.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
    change(holder, place)
    return json.dumps(whole[0] if whole else None).encode()
