"""The fast-align aligner. Truth: a cipher with known links, where the optional package is installed."""

from __future__ import annotations

import importlib.util

import pytest

from tests.aligners.test_eflomal import cipher
from tests.aligners.texts import text
from xrealign_bench.aligners.fast_align import align_fast
from xrealign_bench.errors import UserError

is_installed = importlib.util.find_spec("systran_align") is not None


@pytest.mark.skipif(not is_installed, reason="systran-align is not installed")
def test_a_cipher_is_solved_and_the_same_links_come_out_again() -> None:
    pairs, gold = cipher(400)
    pairs.source_words[0][0] = "tiếng Việt ||| x"
    found = align_fast(pairs)
    right = sum(len(set(links) & truth) for links, truth in zip(found, gold, strict=True))
    assert right / sum(map(len, gold)) > 0.8
    assert align_fast(pairs) == found


@pytest.mark.skipif(is_installed, reason="systran-align is installed")
def test_a_program_that_fails_is_one_sentence() -> None:
    with pytest.raises(UserError, match="fast_align ended with status 1: ModuleNotFoundError: No module named"):
        align_fast(text(("a", "x")))
