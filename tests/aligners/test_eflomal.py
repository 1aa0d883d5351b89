"""The eflomal aligner. Truth: a cipher with known links, and a second run."""

import importlib.resources
import random
import stat

import pytest

from tests.aligners.texts import text
from xrealign_bench.aligners import align
from xrealign_bench.aligners.eflomal import _SYSTEM_SEED, align_eflomal
from xrealign_bench.errors import UserError


def cipher(pairs: int):
    """Return a text in which each word has one translation and half of the targets are reversed."""
    chance = random.Random(1)
    sentences, gold = [], []
    for _ in range(pairs):
        source = [f"W{chance.randrange(150)}" for _ in range(chance.randint(3, 9))]
        order = list(range(len(source)))
        if chance.random() < 0.5:
            order.reverse()
        sentences.append((" ".join(source), " ".join(f"x{source[s]}" for s in order)))
        gold.append({(s, t) for t, s in enumerate(order)})
    return text(*sentences), gold


def test_a_cipher_is_solved_and_the_same_links_come_out_again():
    pairs, gold = cipher(200)
    found = align_eflomal(pairs)
    right = sum(len(set(links) & truth) for links, truth in zip(found, gold, strict=True))
    assert right / sum(map(len, found)) > 0.97
    assert right / sum(map(len, gold)) > 0.95
    assert align_eflomal(pairs) == found


def test_links_can_be_repeated_where_they_are_doubtful():
    chance = random.Random(2)
    noise = [(" ".join(chance.choices("abcdef", k=7)), " ".join(chance.choices("uvwxyz", k=7))) for _ in range(40)]
    assert align_eflomal(text(*noise)) == align_eflomal(text(*noise))


def test_words_with_spaces_and_other_scripts_and_one_pair():
    pairs = text(("a b", "x y"))
    pairs.source_words[0][0] = "tiếng Việt"
    pairs.target_words[0][1] = "भाषा\t|||"
    links = align("eflomal", pairs).links
    assert len(links) == 1 and all(s < 2 and t < 2 for s, t in links[0])


def test_case_does_not_count():
    lower, _ = cipher(30)
    upper = text(
        *((" ".join(s).upper(), " ".join(t)) for s, t in zip(lower.source_words, lower.target_words, strict=True))
    )
    assert align_eflomal(upper) == align_eflomal(lower)


def package(tmp_path, monkeypatch, program: bytes):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/eflomal").write_bytes(program)
    (tmp_path / "bin/eflomal").chmod(stat.S_IRWXU)
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)


def test_a_failing_program_is_an_error(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, b"#!/bin/sh\necho out of memory >&2\nexit 3\n" + _SYSTEM_SEED)
    with pytest.raises(UserError, match="eflomal ended with status 3: out of memory"):
        align_eflomal(text(("a", "x")))


def test_a_program_that_can_not_be_seeded_is_refused(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, b"#!/bin/sh\n")
    with pytest.raises(UserError, match="this build of eflomal can't be given a seed"):
        align_eflomal(text(("a", "x")))


def test_a_missing_program_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="the program eflomal is missing; install it again"):
        align_eflomal(text(("a", "x")))
