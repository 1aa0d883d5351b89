"""Specs spoilt at random. Truth: a property, that each is read or refused with a clear message, and nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from xrealign_bench.errors import LONGEST_MESSAGE, UserError
from xrealign_bench.specs import Lock, Suite, digest, load_spec
from xrealign_bench.specs.lock import LOCK_SUFFIX
from xrealign_bench.specs.yaml import FOLDERS, shipped_folder

MANY = 250
LARGEST = 6000
"""Bytes: of longer files the first part, so that many are read in a few seconds."""

STRANGE = [
    "!!int ''", "!!float _", "!!bool maybe", "!!timestamp foo", "!!binary x", "!!set {a}", "!!omap []", "!x y", "1:30",
    "0o17", "017", "0x" + "f" * 4300, "9" * 4301, "-1", "1e400", "1_000", "yes", "no", "on", "2026-01-02", "2026-13-45",
    ".inf", "-.inf", ".nan", "~", "''", '"\\0"', '"\\x1b[31m"', '"\\u202e"', '"\\ud800"', "{}", "[]", "[[[]]]",
    "<<", "{<<: {a: b}}", "&a x", "*a", "&a [*a]", "true", "3.0", '"3"', "x" * 3000, "[" * 500, "- " * 500, "%",
    "{a: b}", "|", ">",    "|\n x\n", "? x", "<b>", "'=1'", "---", "...", "\t", "\ufeff", "\u0085", "@", "`", "'", '"',
]  # fmt: skip


def flip_bits(text: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def cut_off(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text))]


def swap_value(text: bytes, chance: random.Random) -> bytes:
    values = list(re.finditer(rb"(?<=: )[^\n,}\]]+|(?<=- )[^\n]+", text))
    place = chance.choice(values)
    return text[: place.start()] + chance.choice(STRANGE).encode() + text[place.end() :]


def insert(text: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(text))
    return text[:place] + chance.choice(STRANGE).encode() + text[place:]


def repeat_line(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    return b"".join(lines)


def lose_line(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


WAYS: list[Callable[[bytes, random.Random], bytes]] = [
    flip_bits, cut_off, swap_value, swap_value, insert, repeat_line, lose_line,
]  # fmt: skip


def shipped() -> list[tuple[bytes, type[BaseModel]]]:
    found = []
    for model in FOLDERS:
        for path in sorted(shipped_folder(model).glob("*.yaml")):
            of = Lock if model is Suite and path.name.endswith(LOCK_SUFFIX) else model
            found.append((path.read_bytes()[:LARGEST], of))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_spec_is_read_or_refused(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    chance, path = random.Random(seed), tmp_path_factory.mktemp("specs") / "f.yaml"
    specs, outcomes = shipped(), {"read": 0, "refused": 0}
    for _ in range(MANY):
        text, model = chance.choice(specs)
        spoilt = chance.choice(WAYS)(text, chance)
        path.write_bytes(spoilt)
        try:
            digest(load_spec(path, model))  # type: ignore[type-var]
        except UserError as error:
            said = str(error)
            assert said.startswith(f"{path}:"), spoilt
            assert len(said) < LONGEST_MESSAGE / 2, spoilt
            assert said.replace("\n", "").isprintable(), spoilt
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > MANY / 20, outcomes
